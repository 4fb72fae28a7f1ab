"""Hit@k and recall of candidates against the number of poses in the archive.

    python benchmarks/gallery_size.py [--real ../shared/mocap] [--sizes 3123 28000 225000 1000000] [--out out]

The gallery is CMU without near-duplicates (0.05 torso), then all poses of the other sets at 10 per second, then the
same poses with every bone turned by about 7 degrees at random, until there are enough. Queries are poses of CMU, each
seen by a camera of the simulated 3DHP rig drawn at random, 4 m away, exact and with noise 0.03; every gallery holds
them. A hit lies within 0.1 torso. Recall is the share of queries with a hit among the nearest candidates by signature:
no ranking of those candidates can be better. The index is built once and kept (`--work`). Draws `gallery_size.png`.
Where the motion capture is absent, synthetic motion takes its place: the first third of its clips that of CMU.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from inputs import FPS, SYNTHETIC, archive_arguments, motion

from vipe.clips import Clip
from vipe.detections import Keypoints
from vipe.embed import AffineSignature
from vipe.evaluate.metrics import hits_at, pose_distance, without_near_duplicates
from vipe.geometry import canonicalize_array
from vipe.index import PoseIndex
from vipe.index.recipe import automatic, load_recipe
from vipe.retrieve.query import query
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.skeletons import load
from vipe.store import PoseStore

BODY = load("h36m17")
QUERY_SET = "cmu"  # the set of motion capture whose poses are queries
QUERY_SUBJECTS = (QUERY_SET, SYNTHETIC)  # their subjects in the archive, of motion capture or synthetic
TURN = np.radians(7)  # root mean square angle by which a bone is turned
NOISES = {"ground truth": 0.0, "noise 0.03": 0.03}
KS = (1, 10, 20)
DEPTHS = (200, 1000)


def grown(real: PoseStore, total: int, generator: np.random.Generator) -> Iterator[Clip]:
    """Clips of CMU without near-duplicates, of the other sets, and turned ones, `total` poses in all."""
    names, sources = (real.table([column])[column].to_numpy().astype(str) for column in ("clip", "source"))
    subject, queried = QUERY_SET, np.char.startswith(sources, QUERY_SET)
    if not queried.any():
        clips = list(dict.fromkeys(names))
        subject, queried = SYNTHETIC, np.isin(names, clips[: -(-len(clips) // 3)])
    poses = real.poses()
    rows = np.flatnonzero(queried)
    kept = rows[without_near_duplicates(canonicalize_array(poses[rows]).poses)]
    parts = [kept[names[kept] == name] for name in dict.fromkeys(names[kept])]
    parts += [np.flatnonzero((names == name) & ~queried) for name in dict.fromkeys(names[~queried])]
    left, lap = total, 0
    while left > 0:
        for part in parts:
            positions = poses[part][:left]
            if lap:
                positions = turned(positions, generator)
            if len(positions):
                name = str(names[part[0]])
                yield Clip(
                    name=f"{name} {lap}" if lap else name,
                    skeleton=BODY,
                    positions=positions,
                    fps=FPS,
                    subject="turned" if lap else subject if queried[part[0]] else "other",
                )
            left -= len(positions)
        lap += 1


def turned(poses: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Each bone with its length, in a direction off by `TURN`; what lies beyond moves along and turns on its own."""
    result = poses.copy()
    for parent, child in BODY.bones:
        bone = poses[:, child] - poses[:, parent]
        length = np.linalg.norm(bone, axis=1, keepdims=True)
        step = TURN / np.sqrt(2) * length * generator.standard_normal(bone.shape, dtype=np.float32)
        along = np.divide(bone, length, out=np.zeros_like(bone), where=length > 0)
        other = bone + step - (step * along).sum(1, keepdims=True) * along
        size = np.linalg.norm(other, axis=1, keepdims=True)
        result[:, child] = result[:, parent] + np.divide(other * length, size, out=other, where=size > 0)
    return result


def grown_store(work: Path, mocap: Path, total: int) -> PoseStore:
    """The store, made if it is not there; the first of `total` poses are those of CMU."""
    work = _place(work, mocap)
    store_path, real_path = work / f"store-{total}", work / "real"
    if not store_path.exists():
        if not real_path.exists():
            PoseStore.create(real_path, motion(mocap, total), fps=FPS)
        PoseStore.create(store_path, grown(PoseStore.open(real_path), total, np.random.default_rng(0)))
    return PoseStore.open(store_path)


def grown_index(work: Path, mocap: Path, total: int, recipe: str = "auto") -> tuple[PoseStore, PoseIndex]:
    """The store and an index of it, made if they are not there."""
    store, path = grown_store(work, mocap, total), _place(work, mocap) / f"index-{total}-flat"
    if not path.exists():
        PoseIndex.build(store, AffineSignature(), path, recipe="flat")
    index = PoseIndex.open(path)
    chosen = automatic(len(index)) if recipe == "auto" else load_recipe(recipe)
    if chosen.name == "flat":
        return store, index
    return store, index.recoded(chosen.name if recipe == "auto" else recipe)


def _place(work: Path, mocap: Path) -> Path:
    if mocap.exists() or (work / "real").exists():
        return work
    notice = f"{mocap}: no motion capture here; synthetic motion is used, so figures differ from RESULTS.md"
    print(notice, file=sys.stderr)  # standard output is JSON
    return work / SYNTHETIC


def asked_rows(index: PoseIndex, count: int, within: int | None = None) -> np.ndarray:
    """Rows of the poses that are queries, of the first `within` rows if that is given."""
    rows = index.rows({"subject": list(QUERY_SUBJECTS)})
    rows = rows if within is None else rows[rows < within]
    return np.sort(np.random.default_rng(1).choice(rows, size=min(count, len(rows)), replace=False))


def people_of(store: PoseStore, rows: np.ndarray, noise: float) -> Keypoints:
    """Views of some rows of the queries' subjects, which have the same row numbers in the store and in the index."""
    world = store.poses({"subject": list(QUERY_SUBJECTS)})[rows]
    people = simulate_keypoints(
        world, CameraRig.load("mpi_inf_3dhp"), distance=4.0, noise=noise, generator=np.random.default_rng(2)
    )
    return Keypoints.of(people.xy)


def main() -> None:
    parser = archive_arguments(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[3_123, 28_000, 225_000, 1_000_000])
    parser.add_argument("--candidates", type=int, nargs="+", default=[200], help="of mode full; several to compare")
    parser.add_argument("--recipe", default="auto")
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args()

    store, index = grown_index(options.work, options.real, max(options.sizes), options.recipe)
    asked = asked_rows(index, options.queries, min(options.sizes))
    truth = index.poses(asked)
    rows: list[dict[str, Any]] = []
    for noise, scale in NOISES.items():
        people = people_of(store, asked, scale)
        for size in sorted(options.sizes):
            where = None if size == len(index) else np.arange(size)
            search = TimedSearch(index, people, truth, where)
            near = search("signature", "affine", max(DEPTHS))
            row: dict[str, Any] = {"keypoints": noise, "poses": size}
            row |= {"signature": percent(near, KS), "recall": percent(near, DEPTHS)}
            for number in options.candidates:
                row[f"full of {number}"] = percent(search(f"full of {number}", "full", max(KS), candidates=number), KS)
            row["milliseconds a query"] = search.milliseconds
            rows.append(row)
            if not options.json:
                print(json.dumps(row), flush=True)
    if options.json:
        print(json.dumps({"queries": len(asked), "candidates": options.candidates, "rows": rows}))
    options.out.mkdir(parents=True, exist_ok=True)
    draw(options.out / "gallery_size.png", rows, [f"full of {number}" for number in options.candidates])


class TimedSearch:
    """The same queries to one gallery in several modes, with the time of each."""

    def __init__(self, index: PoseIndex, people: Keypoints, truth: np.ndarray, where: np.ndarray | None) -> None:
        self.index, self.people, self.truth, self.where = index, people, truth, where
        self.milliseconds: dict[str, float] = {}

    def __call__(self, name: str, mode: str, k: int, **more: int) -> np.ndarray:
        """Distance of each hit to the truth, best first."""
        start = time.perf_counter()
        rows = query(self.index, self.people, k, mode=mode, where=self.where, **more).rows
        self.milliseconds[name] = round(1000 * (time.perf_counter() - start) / len(self.people), 2)
        return pose_distance(self.index.poses(rows), self.truth[:, None])


def percent(distance: np.ndarray, ks: tuple[int, ...]) -> dict[int, float]:
    return {k: round(100 * float(found.mean()), 1) for k, found in hits_at(distance, ks).items()}


def draw(path: Path, rows: list[dict[str, Any]], searches: list[str]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from vipe.plots.figures import colours

    palette = [colours()[name] for name in ("left", "right", "middle", "miss", "hit")]
    page = Figure(figsize=(9, 3.6), dpi=130, layout="constrained")
    lowest = min(row[name][1] for row in rows for name in ("signature", *searches)) - 5
    panels = page.subplots(1, len(NOISES), sharey=True, squeeze=False)[0]
    for panel, noise in zip(panels, NOISES, strict=True):
        of = [row for row in rows if row["keypoints"] == noise]
        sizes = [row["poses"] for row in of]
        lines = [(name, k, f"{name}, Hit@{k}") for name in ("signature", *searches) for k in (1, 10)]
        lines += [("recall", depth, f"{depth} candidates hold a hit") for depth in DEPTHS]
        for number, (name, k, label) in enumerate(lines):
            style, colour = {1: "-", 10: "--", 200: ":", 1000: "-."}[k], palette[number // 2 % len(palette)]
            panel.plot(sizes, [row[name][k] for row in of], style, marker="o", ms=3, color=colour, label=label)
        panel.set(xscale="log", xlabel="poses in the archive", title=noise, ylim=(lowest, 101))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("percent of queries")
    panels[-1].legend(fontsize=7, loc="lower left")
    FigureCanvasAgg(page).print_png(path)


if __name__ == "__main__":
    main()
