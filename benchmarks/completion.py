"""Candidates for people with joints missing: completing them against scanning every pose.

    python benchmarks/completion.py [--poses 1000000] [--queries 240] [--recipe ivf fp16] [--completions 4 8]

The archive is that of gallery_size.py, and so are the queries: poses of CMU, each seen by a camera of the simulated
3DHP rig drawn at random, 4 m away, with noise 0.03 and exact. Recall is the share of queries with a hit (0.1 torso)
among the 200 candidates; "same" is the share of the scan's 200 that completing finds. One query at a time. Without
`--completions` there are four for each missing joint.
"""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from gallery_size import QUERY_SUBJECTS, asked_rows, grown_index
from inputs import archive_arguments

from vipe.detections import Keypoints
from vipe.detections.normalize import normalize_keypoints
from vipe.evaluate.conditions import CONDITIONS, simulate_condition
from vipe.evaluate.metrics import hits_at, pose_distance
from vipe.index import PoseIndex
from vipe.index.recipe import shipped_recipes
from vipe.retrieve.candidates.completion import completed_candidates
from vipe.retrieve.candidates.scan import PreparedGallery, scan
from vipe.simulate import CameraRig
from vipe.simulate.detector import GROUND_TRUTH
from vipe.skeletons.working import COCO13_IN_H36M17

DEPTH = 200
MISSING = ("1 missing", "2 missing", "4 missing", "an arm out", "legs out")


def exact(condition: Any) -> Any:
    noise = replace(GROUND_TRUTH, missing_count=condition.noise.missing_count)
    return replace(condition, name=f"{condition.name}, ground truth", noise=noise)


def main() -> None:
    parser = archive_arguments(__doc__)
    parser.add_argument("--poses", type=int, default=1_000_000)
    parser.add_argument("--recipe", nargs="+", choices=shipped_recipes(), default=["ivf"])
    parser.add_argument("--completions", type=int, nargs="+", help="how many; several to compare")
    options = parser.parse_args()

    store, flat = grown_index(options.work, options.real, options.poses, "flat")
    asked = asked_rows(flat, options.queries)
    truth, world = flat.poses(asked), store.poses({"subject": list(QUERY_SUBJECTS)})[asked]
    gallery = PreparedGallery.prepare(torch.from_numpy(flat.canonical[:, COCO13_IN_H36M17]))

    def scanned(person: Keypoints) -> np.ndarray:
        seen = person.mask[0]
        xy = torch.from_numpy(normalize_keypoints(person)[0][:, seen])
        return scan(gallery, torch.from_numpy(np.flatnonzero(seen)), xy, DEPTH)[0].numpy()

    searches: dict[str, Callable[[Keypoints], np.ndarray]] = {"scan": scanned}
    for name in options.recipe:
        index = flat
        if name != "flat":
            index = flat.recoded(name)
        for number in options.completions or [None]:

            def completed(person: Keypoints, index: PoseIndex = index, number: int | None = number) -> np.ndarray:
                return completed_candidates(index, person, DEPTH, completions=number)[0]

            searches[f"{name}, {number or 'four a joint'}"] = completed
    conditions = [condition for condition in CONDITIONS if condition.name in MISSING]
    rows: list[dict[str, Any]] = []
    for condition in [*conditions, *map(exact, conditions)]:
        rig, generator = CameraRig.load("mpi_inf_3dhp"), np.random.default_rng(2)
        people = simulate_condition(world, rig, condition, distance=4.0, generator=generator)
        reference = None
        for name, search in searches.items():
            search(people[:1])
            milliseconds, found = [], []
            used = time.process_time()
            for number in range(len(people)):
                start = time.perf_counter()
                found.append(search(people[number : number + 1])[0])
                milliseconds.append(1e3 * (time.perf_counter() - start))
            used = time.process_time() - used
            near = np.stack(found)
            reference = near if reference is None else reference
            hits = hits_at(pose_distance(flat.poses(near), truth[:, None]), (50, DEPTH))
            row = {
                "keypoints": condition.name,
                "search": name,
                "recall": {k: round(100 * float(hit.mean()), 1) for k, hit in hits.items()},
                "same": round(
                    100 * float(np.mean([np.isin(*pair).mean() for pair in zip(reference, near, strict=True)]))
                ),
                "p50 ms": round(float(np.median(milliseconds)), 1),
                "cpu ms": round(1e3 * used / len(people), 1),
            }
            rows.append(row)
            if not options.json:
                print(json.dumps(row), flush=True)
    if options.json:
        print(json.dumps({"poses": len(flat), "queries": len(asked), "rows": rows}))


if __name__ == "__main__":
    main()
