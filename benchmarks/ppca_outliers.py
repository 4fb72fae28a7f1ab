"""Frames that cannot be: how many of those planted in an archive `vipe store outliers` finds, and how many others.

python benchmarks/ppca_outliers.py STORE [--planted 60] [--seed 1] [--json]

Of each kind so many frames, at random, are spoilt: legs, arms or all limbs left for right, or one joint moved by 0.15
to 0.5 m. The prior is fitted to the spoilt store. `others` are frames as recorded that are listed: rare moments, or
errors of the archive itself.
"""

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from inputs import arguments

from vipe.clips import Clip
from vipe.lift.ppca.prior.outliers import Outliers, find_outliers, prior_of_store
from vipe.lift.ppca.prior.repairs import EXCHANGES
from vipe.skeletons.working import H36M17
from vipe.store import PoseStore

KINDS = ("legs", "arms", "all limbs", "slipped")
SLIPPING = ("left_wrist", "right_wrist", "left_ankle", "right_ankle", "left_knee", "left_elbow", "head")
FAR = (0.15, 0.5)  # metres


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--planted", type=int, default=60, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store, planted = spoilt(options, Path(folder) / "store")
        found = find_outliers(store, prior_of_store(store))
    rows = figures(found, planted)
    for row in rows:
        print(" | ".join(map(str, row)))
    if options.json:
        print(json.dumps(rows))


def spoilt(options: argparse.Namespace, path: Path) -> tuple[PoseStore, dict[int, str]]:
    """A copy of the store with spoilt frames, and by their rows what is wrong."""
    store, draws = PoseStore.open(options.store), np.random.default_rng(options.seed)
    poses = store.poses().copy()
    rows = draws.choice(len(poses), len(KINDS) * options.planted, replace=False).reshape(len(KINDS), -1)
    planted = {}
    for kind, some in zip(KINDS, rows, strict=True):
        planted |= {int(row): f"{kind} left for right" for row in some}
        if kind in EXCHANGES:
            poses[some] = poses[some][:, list(EXCHANGES[kind])]
            continue
        for row in some:
            joint = SLIPPING[draws.integers(len(SLIPPING))]
            way = draws.normal(size=3)
            poses[row, H36M17.index(joint)] += draws.uniform(*FAR) * way / np.linalg.norm(way)
            planted[int(row)] = f"{joint} slipped"
    clips = store.clips()
    made = (
        Clip(
            name=clip["clip"],
            skeleton=H36M17,
            positions=poses[clip["first_row"] : clip["first_row"] + clip["rows"]],
            fps=store.fps or clip["fps"],
        )
        for clip in clips
    )
    return PoseStore.create(path, made, keep_identical=True), planted


def figures(found: Outliers, planted: dict[int, str]) -> list[list[str | int | float]]:
    """Of each kind: planted, found, with the right reason; at the end the others, and the precision of all."""
    reason = {one.row: one.reason for one in found.found}
    rows: list[list[str | int | float]] = []
    for kind in KINDS:
        mine = [row for row, what in planted.items() if (kind if kind == "slipped" else f"{kind} left") in what]
        hit = [row for row in mine if row in reason]
        named = sum(reason[row] == planted[row] for row in hit)
        name = "one joint moved" if kind == "slipped" else f"{kind} left for right"
        rows.append([name, len(mine), len(hit), 100 * len(hit) / len(mine), named])
    others = Counter(why.split()[-1] for row, why in reason.items() if row not in planted)
    rows.append(["others", found.rows - len(planted), sum(others.values()), None, None])
    hits = sum(row in planted for row in reason)
    rows.append(["precision of all, %", len(reason), hits, 100 * hits / max(1, len(reason)), None])
    return rows


if __name__ == "__main__":
    main()
