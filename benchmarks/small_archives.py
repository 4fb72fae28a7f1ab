"""Are probabilities right in small archives? What was said and what was right, against the number of clips.

    python benchmarks/small_archives.py STORE --split ../shared/mocap/clips.csv --part val [--out FILE]

Each archive has some clips of a part, drawn at random. Queries are poses of the part's other clips, simulated with
noise 0.03 from any side, so a pose is there only as far as clips resemble each other. The ranking was learned in
archives of thousands of poses. Writes a table of results/: for each number of clips the mean number of poses, how often
a hit within 0.1 torso lengths was said to be first and was, how often one was said to be there and was, and the share
right of first hits with at least 0.8.
"""

import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import results_tables
from inputs import arguments, splits

import vipe
from vipe.evaluate import pose_distance
from vipe.evaluate.metrics import expected_calibration_error
from vipe.simulate import View, simulate_keypoints

CLIPS = (2, 5, 10, 30, 100)
ARCHIVES, PEOPLE = 10, 40  # of each number of clips; queries of each archive
NOISE, HIT, SURE = 0.03, 0.1, 0.8


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--part", default="val")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    store, split = vipe.PoseStore.open(options.store), splits(options.split)
    clips = [clip["clip"] for clip in store.clips() if split.get(clip["clip"]) == options.part]
    generator = np.random.default_rng(options.seed)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count in CLIPS:
            answers = [
                _ask(store, clips, count, Path(folder) / f"{count}-{archive}", generator) for archive in range(ARCHIVES)
            ]
            rows.append(_row(count, answers))
            print(json.dumps(rows[-1]), flush=True)
    if options.out is not None:
        results_tables.write(
            options.out,
            {
                "command": f"python benchmarks/small_archives.py STORE --split ../shared/mocap/clips.csv "
                f"--part {options.part}",
                "data": f"{ARCHIVES} archives of each number of clips of {options.part}, {PEOPLE} queries each of its "
                f"other clips, noise {NOISE}",
                "seed": options.seed,
                "machine": f"{os.cpu_count()} cores ({platform.machine()})",
                "columns": {
                    **{"clips": 0, "poses": 0, "queries": 0, "said first": 1, "right first": 1, "ECE": 3},
                    **{"said there": 1, "there": 1, "first of 0.8 and more": 0, "right of them": 1},
                },
                "rows": rows,
            },
        )


def _ask(
    store: vipe.PoseStore, clips: list[str], count: int, place: Path, generator: np.random.Generator
) -> dict[str, Any]:
    """What an archive of some clips says of poses of the others, and what is right."""
    chosen = generator.choice(clips, min(count, len(clips) // 2), replace=False).tolist()
    poses = store.poses({"clip": sorted(set(clips) - set(chosen))})
    poses = poses[generator.choice(len(poses), PEOPLE, replace=False)]
    sides = zip(generator.uniform(0, 2 * np.pi, PEOPLE), generator.uniform(0, 0.4, PEOPLE), strict=True)
    cameras = [View(name=str(row), azimuth=side, elevation=above) for row, (side, above) in enumerate(sides)]
    index = vipe.PoseIndex.build(store, vipe.AffineSignature(), place, where={"clip": chosen})
    hits = vipe.query(index, simulate_keypoints(poses, cameras, noise=NOISE, generator=generator), k=3)
    truth = vipe.canonicalize(poses).poses
    distance = np.stack([pose_distance(one[None], index.canonical) for one in truth])
    return {
        "poses": len(index),
        "said": hits.probability[:, 0],
        "right": distance[np.arange(PEOPLE), hits.rows[:, 0]] < HIT,
        "presence": hits.presence,
        "there": distance.min(axis=1) < HIT,
    }


def _row(count: int, answers: list[dict[str, Any]]) -> list[Any]:
    poses = float(np.mean([one["poses"] for one in answers]))
    said, right, presence, there = (
        np.concatenate([one[name] for one in answers]) for name in ("said", "right", "presence", "there")
    )
    sure = said >= SURE
    ece = expected_calibration_error(said, right)
    means = [100 * float(values.mean()) for values in (said, right, presence, there)]
    share = 100 * float(right[sure].mean()) if sure.any() else None
    return [count, poses, len(said), *means[:2], float(ece), *means[2:], int(sure.sum()), share]


if __name__ == "__main__":
    main()
