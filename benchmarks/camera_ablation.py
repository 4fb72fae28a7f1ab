"""What each part of the camera check brings: candidates in order of the fit's cost alone, with one part left out.

    python benchmarks/camera_ablation.py STORE --split CLIPS.csv [--parts val cross] [--queries 100] [--out OUT]

Queries are frames of a part's clips by the simulated 3DHP rig; the gallery is every pose of that part, whole, or less
those of the query's clip within 4 s. "no bones": lengths as the canonical body's. "no perspective": the camera is
scaled orthographic. "Gaussian": joints far off count by their square. "one start": of the two cameras that fit the flat
of the body, the better alone. "affine": no camera check. No ranking is learned, so figures lie below those of `vipe
evaluate search`. A hit lies within 0.1 torso lengths of the true pose; 4 s out, queries without one left do not count.
Intervals are over clips. --out writes camera_ablation.json.
"""

import os
import platform
import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import results_tables
from inputs import arguments, splits

from vipe.detections import Keypoints
from vipe.embed import AffineSignature
from vipe.evaluate.conditions import ALL_CONDITIONS, simulate_condition
from vipe.evaluate.intervals import bootstrap_interval
from vipe.evaluate.metrics import HIT_THRESHOLD, pose_distance
from vipe.evaluate.study import recorded_poses
from vipe.index import PoseIndex
from vipe.retrieve.camera import gauss_newton
from vipe.retrieve.camera.perspective import fit_cameras
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.candidates.affine import by_affine_camera
from vipe.simulate import CameraRig
from vipe.store import PoseStore

CONDITIONS = ("noise 0.03", "one joint off", "4 missing", "1.5 to 8 m")
USUAL, NEVER = 200, 1e-6  # candidates; a spread that leaves nothing to fit
LEFT_OUT, DISTANCE = 4.0, 4.0  # seconds, metres
PRIOR = CameraPrior()
PARTS: dict[str, tuple[CameraPrior | None, int]] = {
    "as it is": (PRIOR, USUAL),
    "no bones": (replace(PRIOR, bone_spread=NEVER), USUAL),
    "no perspective": (replace(PRIOR, inverse_depth=0.0, inverse_depth_spread=NEVER), USUAL),
    "Gaussian": (replace(PRIOR, student=None), USUAL),
    "one start": (PRIOR, USUAL),
    "60 candidates": (PRIOR, 60),
    "1,000 candidates": (PRIOR, 1000),
    "affine": (None, 10),
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", default=["val", "cross"])
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    store, of_clip = PoseStore.open(options.store), splits(options.split)
    rows = []
    for part in options.parts:
        clips = [clip["clip"] for clip in store.clips() if of_clip.get(clip["clip"]) == part]
        with tempfile.TemporaryDirectory() as folder:
            index = PoseIndex.build(store, AffineSignature(), Path(folder) / "index", where={"clip": clips})
            for row in measured(store, index, options.queries):
                rows.append([part, *row])
                print(rows[-1], flush=True)
    columns = {"clips": None, "keypoints": None, "check": None, "whole @1": 1, "95%": 1, "whole @10": 1}
    columns |= {"4 s out @1": 1, "95% ": 1, "4 s out @10": 1}
    found = {
        "command": shlex.join(["python", "benchmarks/camera_ablation.py", *sys.argv[1:]]),
        "data": "Bandai Namco val and CMU (cross), each among its own poses at 10 frames/s; ranked by cost",
        "seed": 0,
        "machine": f"{os.cpu_count()} cores ({platform.machine()}), no GPU",
        "columns": columns,
        "rows": rows,
    }
    if options.out:
        results_tables.write(options.out / "camera_ablation.json", found)


def measured(store: PoseStore, index: PoseIndex, queries: int) -> Iterator[list]:
    """Rows of the table: keypoints, check, figures."""
    frames = index.frames()
    clip, seconds = frames["clip"].astype(str), frames["time"]
    asked = np.sort(np.random.default_rng(0).choice(len(index), min(queries, len(index)), replace=False))
    distance = np.stack([pose_distance(index.canonical, index.canonical[row][None]) for row in asked])
    near = (clip == clip[asked][:, None]) & (np.abs(seconds - seconds[asked][:, None]) <= LEFT_OUT + 1e-6)
    galleries = {"whole": np.ones_like(near), "4 s out": ~near}
    rig, every = CameraRig.load("mpi_inf_3dhp"), {one.name: one for one in ALL_CONDITIONS}
    poses, both_starts = recorded_poses(store, index, asked), gauss_newton._DOUBT
    for name in CONDITIONS:
        people = simulate_condition(poses, rig, every[name], distance=DISTANCE, generator=np.random.default_rng(1))
        for check, (prior, count) in PARTS.items():
            gauss_newton._DOUBT = -np.inf if check == "one start" else both_starts
            figures: list = []
            for kept in galleries.values():
                rows = first_hits(index, people, [np.flatnonzero(row) for row in kept], prior, count)
                off = np.take_along_axis(distance, rows, axis=1)
                there = np.where(kept, distance, np.inf).min(axis=1) < HIT_THRESHOLD
                first, any_of = off[there, 0] < HIT_THRESHOLD, off[there].min(axis=1) < HIT_THRESHOLD
                ends = bootstrap_interval(first, clip[asked][there], generator=np.random.default_rng(2))
                figures += [percent(first.mean()), [percent(end) for end in ends], percent(any_of.mean())]
            gauss_newton._DOUBT = both_starts
            yield [name, check, *figures]


def first_hits(
    index: PoseIndex, people: Keypoints, among: list[np.ndarray], prior: CameraPrior | None, count: int
) -> np.ndarray:
    """The ten rows of least cost, or of least affine residual, for each person among rows of their own."""
    count = min(count, *map(len, among))
    rows = np.concatenate([by_affine_camera(index, people[[n]], count, some).rows for n, some in enumerate(among)])
    if prior is None:
        return rows[:, :10]
    best = np.argsort(fit_cameras(index.poses(rows), people, prior).cost, axis=1, kind="stable")[:, :10]
    return np.take_along_axis(rows, best, axis=1)


def percent(share: float) -> float:
    return round(100 * float(share), 1)


if __name__ == "__main__":
    main()
