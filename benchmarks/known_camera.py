"""Searches with a known camera against the same without: wide lenses, near and off the axis.

    python benchmarks/known_camera.py STORE --split ../shared/mocap/clips.csv --part val [--out benchmarks/results]

A wide-angle camera (focal length 1000 pixels, images of 1440 x 1920, k1 = -0.3, k2 = 0.1) stands 1.2, 2 or 3 m from
each person, who appears up to 25 degrees beside its axis and 10 above or below. Keypoints have noise of 0.03 RMS radii;
those outside the image are not seen. Each person is searched for as the image shows them, and with the calibration
(`with_cameras`), with 4 s around the moment left out of the gallery; in all of it nearly every first hit is right
either way. Whatever is chosen is chosen on `val`.
--out writes known_camera.json there (with --part cross too).
"""

import csv
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import results_tables
import torch
from few_joints import Asked, thinned
from inputs import arguments

from vipe import AffineSignature, Keypoints, PoseIndex, PoseStore, query
from vipe.detections.cameras.known_cameras import in_perspective_crops
from vipe.detections.cameras.lens import Lens
from vipe.evaluate.intervals import bootstrap_interval
from vipe.evaluate.metrics import pose_distance
from vipe.evaluate.study import recorded_poses
from vipe.geometry.cameras import look_at
from vipe.simulate import CameraRig
from vipe.simulate.detector import NOISE_003, disturb
from vipe.skeletons import convert, load

DISTANCES = (1.2, 2.0, 3.0)  # metres
SIDE, UP = 25.0, 10.0  # degrees off the axis, at most
SIZE = (1440, 1920)
LENS = Lens(1000.0, 1000.0, 719.5, 959.5, coefficients=(-0.3, 0.1, 0.0, 0.0))
K = 10


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument(
        "--part", action="append", help="whose clips are asked for and searched; several are tried apart"
    )
    parser.add_argument("--queries", type=int, default=100, help="of each distance")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    parts = options.part or ["val"]
    store = PoseStore.open(options.store)
    with options.split.open(encoding="utf-8", newline="") as file:
        split = {row["clip"]: row["split"] for row in csv.DictReader(file)}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        index = PoseIndex.build(store, AffineSignature(), Path(folder) / "index")
        of_row = np.array([split.get(clip, "") for clip in index.frames()["clip"]])
        for part in parts:
            gallery = thinned(index, np.flatnonzero(of_row == part))
            for distance in DISTANCES:
                rows += [[part, f"{distance:g} m", *row] for row in figures(store, index, gallery, distance, options)]
                for row in rows[-2:]:
                    print(row, flush=True)
    if options.out:
        names = ["clips", "distance", "camera", "queries", "Hit@1", "95%", "Hit@10", "said", "right", "presence"]
        results_tables.write(
            options.out / "known_camera.json",
            {
                "command": "python benchmarks/known_camera.py STORE --split ../shared/mocap/clips.csv "
                + " ".join(f"--part {part}" for part in parts),
                "data": "a wide lens, people up to 25 degrees off its axis; galleries less near-duplicates",
                "seed": options.seed,
                "machine": "2 cores (x86_64), no GPU",
                "columns": dict(zip(names, [None] * 3 + [0, 1, 1, 1, 2, 2, 2], strict=True)),
                "rows": rows,
            },
        )


def figures(store, index, gallery, distance: float, options) -> list[list]:
    query_rows = np.sort(
        np.random.default_rng([options.seed, 0]).choice(gallery, min(options.queries, len(gallery)), replace=False)
    )
    people = photos(recorded_poses(store, index, query_rows), distance, np.random.default_rng([options.seed, 1]))
    apart = np.stack([pose_distance(index.canonical[gallery], index.canonical[row][None]) for row in query_rows])
    asked = Asked(index, people, query_rows, gallery, apart)
    known = in_perspective_crops(people, [LENS] * len(people))
    return [[name, *searched(asked, some)] for name, some in (("unknown", people), ("known", known))]


def searched(asked: Asked, people: Keypoints) -> list:
    near, said, presence, clips = [], [], [], []
    for number in range(len(asked.query)):
        kept = asked.kept(number, "4 s left out")
        rows = asked.gallery[kept]
        if asked.distance[number][kept].min() >= 0.1:
            continue  # nothing is right
        hits = query(asked.index, people[number : number + 1], K, where=rows)
        if hits.skipped[0] is not None:
            near.append(np.zeros(K, dtype=bool))
            said.append(0.0)
            presence.append(0.0)
        else:
            near.append(asked.to(number, hits.rows[0]) < 0.1)
            said.append(float(hits.probability[0, 0]))
            presence.append(float(hits.presence[0]))
        clips.append(int(asked.index.clip_codes[asked.query[number]]))
    near = np.array(near)
    ends = bootstrap_interval(near[:, 0], np.array(clips), generator=np.random.default_rng(0))
    first = float(near[:, 0].mean())
    return [
        len(near), 100 * first, [100 * end for end in ends], 100 * float(near.any(axis=1).mean()),
        float(np.mean(said)), first, float(np.mean(presence)),
    ]  # fmt: skip


def photos(poses: np.ndarray, distance: float, generator: np.random.Generator) -> Keypoints:
    """A photo of each pose by a wide camera of a rig's directions, with the person off its axis."""
    cameras = CameraRig.load("mpi_inf_3dhp").cameras
    views = [cameras[one] for one in generator.integers(len(cameras), size=len(poses))]
    joints = convert(poses - poses[:, :1], load("h36m17"), load("coco13"))[0].astype(np.float64)
    joints -= joints.mean(axis=1, keepdims=True)
    side, up = (np.radians(generator.uniform(-most, most, len(poses))) for most in (SIDE, UP))
    angles = [
        torch.tensor([getattr(view, name) for view in views], dtype=torch.float64)
        for name in ("azimuth", "elevation", "roll")
    ]
    turn, place = look_at(
        angles[0], angles[1], torch.full((len(poses),), distance, dtype=torch.float64), angles[2],
        torch.zeros(len(poses), 3, dtype=torch.float64),
    )  # fmt: skip
    points = joints @ turn.numpy().swapaxes(1, 2) + place.numpy()[:, None]
    zero, one = np.zeros_like(side), np.ones_like(side)
    aside = np.stack([np.cos(side), zero, np.sin(side), zero, one, zero, -np.sin(side), zero, np.cos(side)], -1)
    above = np.stack([one, zero, zero, zero, np.cos(up), np.sin(up), zero, -np.sin(up), np.cos(up)], -1)
    points = points @ (aside.reshape(-1, 3, 3) @ above.reshape(-1, 3, 3)).swapaxes(1, 2)
    xy = LENS.project(points)
    seen = np.isfinite(xy).all(axis=-1) & ((xy >= 0) & (xy < SIZE)).all(axis=-1)
    people = Keypoints.of(np.where(seen[..., None], xy, 0), seen, convention="archive")
    people = disturb(replace(people, image_size=np.tile(np.float32(SIZE), (len(poses), 1))), NOISE_003, generator)
    return replace(people, confidence=people.mask.astype(np.float32), covariance=None)


if __name__ == "__main__":
    main()
