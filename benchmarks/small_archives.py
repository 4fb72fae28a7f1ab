"""Are probabilities right in small archives? What was said and what was right, against the number of clips.

    python benchmarks/small_archives.py STORE --split ../shared/mocap/clips.csv --part val [--out FILE]
    python benchmarks/small_archives.py STORE --split ../shared/mocap/clips.csv --part train --learn FILE

Each archive has some clips of a part, drawn at random. Half of the queries are poses of the part's other clips, so that
a pose is there only as far as clips resemble each other; the others are poses of the archive. They are simulated with
noise 0.03 from any side. Ranking models are learned in archives of thousands of poses; "by the ranking" is what they
say alone, the rest is what `vipe query` says (`ArchiveSize`). --learn writes what the difference is made of
(retrieve/ranking/learned/archive_size.json).
"""

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import results_tables
from inputs import arguments, splits
from scipy.special import logit

import vipe
from vipe.evaluate import pose_distance
from vipe.evaluate.metrics import expected_calibration_error
from vipe.retrieve.ranking.archive_size import ArchiveSize, SizeEffect
from vipe.retrieve.ranking.model import RankingModel
from vipe.simulate import View, simulate_keypoints

CLIPS = (2, 5, 10, 30)
LEARNED = (1, 2, 3, 5, 10, 20)  # clips of `train`: archives of fewer poses than `FULL`
ARCHIVES, PEOPLE = 10, 40  # of each number of clips; queries of each archive
NOISE, HIT, SURE = 0.03, 0.1, 0.8
FULL = 1_000  # poses from which searches of `train` are not too sure any more; the least gallery of ranking.py has 800


COLUMNS = (
    *(("clips", 0), ("queries of", None), ("poses", 0), ("queries", 0)),
    *(("first by the ranking", 1), ("said", 1), ("right", 1), ("ECE by the ranking", 3), ("ECE", 3)),
    *(("presence by the ranking", 1), ("presence", 1), ("present", 1)),
    *(("first of 0.8 and more", 0), ("right of them", 1)),
)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--part", default="val")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--learn", type=Path, help="file to write what is learned into")
    options = parser.parse_args()
    store, split = vipe.PoseStore.open(options.store), splits(options.split)
    clips = [clip["clip"] for clip in store.clips() if split.get(clip["clip"]) == options.part]
    generator = np.random.default_rng(options.seed)
    rows, asked = [], []
    with tempfile.TemporaryDirectory() as folder:
        for count in LEARNED if options.learn else CLIPS:
            answers = [
                _ask(store, clips, count, Path(folder) / f"{count}-{number}", generator) for number in range(ARCHIVES)
            ]
            asked += answers
            for held in (False, True):
                rows.append(_row(count, answers, held))
                print(json.dumps(rows[-1]), flush=True)
    if options.learn is not None:
        _learned(asked, options).save(options.learn)
        print(f"{options.learn} written")
    if options.out is not None:
        results_tables.write(
            options.out,
            {
                "command": f"python benchmarks/small_archives.py STORE --split ../shared/mocap/clips.csv "
                f"--part {options.part}",
                "data": f"{ARCHIVES} archives of each number of clips of {options.part}, {PEOPLE} queries each of its "
                f"other clips and {PEOPLE} of its own, noise {NOISE}",
                "seed": options.seed,
                "machine": f"{os.cpu_count()} cores ({platform.machine()})",
                "columns": dict(COLUMNS),
                "rows": rows,
            },
        )


def _ask(
    store: vipe.PoseStore,
    clips: list[str],
    count: int,
    place: Path,
    generator: np.random.Generator,
) -> dict[str, Any]:
    """What an archive of some clips says of poses of the others and of its own, and what is right."""
    chosen = generator.choice(clips, min(count, len(clips) // 2), replace=False).tolist()
    asked = []
    for some in (sorted(set(clips) - set(chosen)), chosen):
        poses = store.poses({"clip": some})
        asked.append(poses[generator.choice(len(poses), PEOPLE, replace=len(poses) < PEOPLE)])
    poses, number = np.concatenate(asked), 2 * PEOPLE
    sides = zip(generator.uniform(0, 2 * np.pi, number), generator.uniform(0, 0.4, number), strict=True)
    cameras = [View(name=str(row), azimuth=side, elevation=above) for row, (side, above) in enumerate(sides)]
    index = vipe.PoseIndex.build(store, vipe.AffineSignature(), place, where={"clip": chosen})
    people = simulate_keypoints(poses, cameras, noise=NOISE, generator=generator)
    hits = vipe.query(index, people, k=3)
    plain = vipe.query(index, people, k=3, model=RankingModel.default())  # no size changes what a given model says
    truth = vipe.canonicalize(poses).poses
    distance = np.stack([pose_distance(one[None], index.canonical) for one in truth])
    return {
        "poses": np.full(number, len(index)),
        "held": np.arange(number) >= PEOPLE,
        "said": hits.probability[:, 0],
        "said by the ranking": plain.probability[:, 0],
        "presence by the ranking": plain.presence,
        "right": distance[np.arange(number), hits.rows[:, 0]] < HIT,
        "presence": hits.presence,
        "there": distance.min(axis=1) < HIT,
    }


def _row(count: int, answers: list[dict[str, Any]], held: bool) -> list[Any]:
    of = np.concatenate([one["held"] for one in answers]) == held
    all_of = {name: np.concatenate([one[name] for one in answers])[of] for name in answers[0]}
    said, right, poses = all_of["said"], all_of["right"], float(all_of["poses"].mean())
    errors = [expected_calibration_error(all_of[name], right) for name in ("said by the ranking", "said")]
    first = [100 * float(all_of[name].mean()) for name in ("said by the ranking", "said", "right")]
    there = [100 * float(all_of[name].mean()) for name in ("presence by the ranking", "presence", "there")]
    sure = said >= SURE
    share = 100 * float(right[sure].mean()) if sure.any() else None
    of_what = "its own clips" if held else "other clips"
    return [count, of_what, poses, len(said), *first, *errors, *there, int(sure.sum()), share]


def _learned(answers: list[dict[str, Any]], options: argparse.Namespace) -> ArchiveSize:
    """From log odds as ranking models have them."""
    poses, said, right, presence, there = (
        np.concatenate([one[name] for one in answers])
        for name in ("poses", "said by the ranking", "right", "presence by the ranking", "there")
    )
    smaller = np.log(np.maximum(FULL / poses, 1))
    return ArchiveSize(
        near=SizeEffect.learn(logit(np.clip(said, 1e-6, 1 - 1e-6)), right, smaller),
        presence=SizeEffect.learn(logit(np.clip(presence, 1e-6, 1 - 1e-6)), there, smaller),
        full=FULL,
        made=f"benchmarks/small_archives.py: archives of some clips of {options.part} (Bandai Namco)",
    )


if __name__ == "__main__":
    main()
