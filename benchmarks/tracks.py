"""Several images of one person against one: tracks of nine frames and up to four cameras of a moment.

    python benchmarks/tracks.py STORE --split CLIPS.csv --part test [--among train val test] [--queries 150] [--json]
    python benchmarks/tracks.py STORE --split CLIPS.csv --learn vipe/retrieve/sequences/fusion.json

Queries are frames of clips of `--part` with four more at 10 frames/s on either side, seen from 4 m by cameras of the
simulated 3DHP rig: by one for a single image and a track, by four for several cameras. The gallery is every pose of
`--among` (the part itself, if not given), less those of the query's clip within 4 s. "carried over 0.8" says that a
frame's errors are 0.8 of the frame's before and only the rest is new, and that the same joints stay lost or off with
that probability: errors that are new in each frame flatter tracks.

A hit lies within 0.1 torso of the true pose of the middle frame; "movement" is the mean distance over the nine frames,
the archive's frames being those around the hit. Hits are counted over queries that have one in what remains; expected
calibration errors over all queries. For presence every third query is also asked of a gallery without its pose.

`--learn` writes how the odds of several images are joined: a few numbers, from `val` in two galleries (`val`; `train`
and `val`). It uses the ranking model of the library: run it again when that has changed.
"""

import argparse
import csv
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vipe.detections import Keypoints
from vipe.detections.normalize import normalize_keypoints
from vipe.embed import AffineSignature
from vipe.evaluate import CONDITIONS
from vipe.evaluate.intervals import bootstrap_interval
from vipe.evaluate.metrics import auroc, expected_calibration_error, hits_at, pose_distance
from vipe.evaluate.study import recorded_poses
from vipe.index import PoseIndex
from vipe.retrieve import CANDIDATES, Search, TrackConfig, query_tracks, query_views
from vipe.retrieve.hits import Hits
from vipe.retrieve.query import query
from vipe.retrieve.ranking.evidence import VOTERS
from vipe.retrieve.ranking.model import RankingModel
from vipe.retrieve.sequences.alignment import Sequence
from vipe.retrieve.sequences.fusion import gather_evidence
from vipe.retrieve.sequences.timeline import Timeline
from vipe.retrieve.sequences.training import FusionExample, fit_fusion
from vipe.simulate import CameraRig, DetectorNoise, project_keypoints
from vipe.skeletons import load
from vipe.store import PoseStore

NAMES = ("noise 0.03", "noise 0.06", "4 missing", "one joint off")
KNOWN = [one.name for one in CONDITIONS if not one.hidden]  # `seen` hides no arm and no leg
CARRIED = (0.0, 0.8)
FRAMES, MIDDLE, RATE = 9, 4, 10
CAMERAS = 4
KS = (1, 10, 20)
LEFT_OUT = 4.0  # seconds
JOINTS = load("coco13").joints
LIMBS = np.array([joint.split("_")[-1] in ("elbow", "wrist", "knee", "ankle") for joint in JOINTS])


@dataclass(frozen=True)
class Asked:
    """Queries of one gallery."""

    index: PoseIndex
    poses: np.ndarray  # (N, 17, 3) of the index's rows, as recorded
    clip: np.ndarray  # (N,)
    time: np.ndarray  # (N,)
    gallery: np.ndarray  # rows
    frames: np.ndarray  # (Q, 9) rows of the index: what is seen
    distance: np.ndarray  # (Q, gallery) to the true pose of the middle frame

    @classmethod
    def of(cls, store: PoseStore, index: PoseIndex, among: np.ndarray, asked: np.ndarray, count: int, seed: int):
        """Draw frames of some rows of which enough lie on either side."""
        frames = index.frames()
        clip, seconds = frames["clip"].astype(str), frames["time"]
        last = len(clip) - MIDDLE
        fits = [
            row
            for row in asked
            if MIDDLE <= row < last
            and clip[row - MIDDLE] == clip[row + MIDDLE] == clip[row]
            and abs(seconds[row + MIDDLE] - seconds[row - MIDDLE] - (FRAMES - 1) / RATE) < 1e-3
        ]
        if not fits:
            sys.exit(
                f"{store.path}: no frame to ask for has {MIDDLE} more of its clip at {RATE} frames/s on either side"
            )
        rows = np.sort(np.random.default_rng([seed, 0]).choice(fits, min(count, len(fits)), replace=False))
        distance = np.stack([pose_distance(index.canonical[among], index.canonical[row][None]) for row in rows])
        tracks = rows[:, None] + np.arange(-MIDDLE, MIDDLE + 1)
        return cls(index, recorded_poses(store, index, np.arange(len(index))), clip, seconds, among, tracks, distance)

    def kept(self, number: int, absent: bool = False) -> np.ndarray:
        """Which of the gallery's rows a query is searched in."""
        if absent:
            return self.distance[number] >= 0.1
        row = self.frames[number, MIDDLE]
        near = np.abs(self.time[self.gallery] - self.time[row]) <= LEFT_OUT + 1e-6
        return ~((self.clip[self.gallery] == self.clip[row]) & near)

    def to(self, number: int, rows: np.ndarray) -> np.ndarray:
        """Distances of some of the gallery's rows to a query's pose; infinite where there is no row."""
        place = np.searchsorted(self.gallery, np.maximum(rows, self.gallery[0]))
        return np.where(rows >= 0, self.distance[number, place], np.inf)

    def movement(self, number: int, row: int) -> float:
        """Mean distance over the frames of a track to the frames around a hit, the clip's ends held."""
        around = row + np.arange(-MIDDLE, MIDDLE + 1)
        inside = np.flatnonzero(self.clip == self.clip[row])
        poses = self.index.canonical
        return float(pose_distance(poses[np.clip(around, inside[0], inside[-1])], poses[self.frames[number]]).mean())

    def people(self, noise: DetectorNoise, carried: float, seed: int) -> tuple[Keypoints, Keypoints]:
        """Tracks (Q x 9) by a camera each, and middle frames by four cameras (Q x 4), the track's among them."""
        rig = CameraRig.load("mpi_inf_3dhp")
        rng = np.random.default_rng([seed, 1])
        cameras = np.stack([rng.permutation(len(rig))[:CAMERAS] for _ in self.frames])
        tracks = seen(self.poses[self.frames], rig, np.repeat(cameras[:, :1], FRAMES, axis=1), noise, carried, rng)
        moments = np.repeat(self.frames[:, MIDDLE : MIDDLE + 1], CAMERAS, axis=1)
        return tracks, seen(self.poses[moments], rig, cameras, noise, 0.0, rng)


def seen(
    poses: np.ndarray,
    rig: CameraRig,
    cameras: np.ndarray,
    noise: DetectorNoise,
    carried: float,
    rng: np.random.Generator,
) -> Keypoints:
    """What a detector finds in sequences of images, (Q, T, 17, 3) and cameras (Q, T), as Q x T people.

    As `vipe.simulate.disturb`, but with errors that go on from image to image; only what is asked for here.
    """
    count, images = cameras.shape
    views = [rig.cameras[camera] for camera in cameras.ravel()]
    true = project_keypoints(poses.reshape(-1, 17, 3), views, distance=4.0)
    radius = normalize_keypoints(true)[2].reshape(count, images, 1)
    gauss = rng.standard_normal((count, images, 13, 2))
    lost, off, angle = (rng.random((count, images, 13)) for _ in range(3))
    stays = rng.random((count, images, 1)) < carried
    for image in range(1, images):
        gauss[:, image] = carried * gauss[:, image - 1] + np.sqrt(1 - carried**2) * gauss[:, image]
        for draws in (lost, off, angle):
            draws[:, image] = np.where(stays[:, image], draws[:, image - 1], draws[:, image])
    xy = true.xy.reshape(count, images, 13, 2) + gauss * (noise.scale * noise.multipliers * radius)[..., None]
    mask = least(np.where(LIMBS, lost, np.inf), 13) >= noise.missing_count
    outlier = least(np.where(mask, off, np.inf), 13) < noise.outlier_count
    step = np.stack([np.cos(2 * np.pi * angle), np.sin(2 * np.pi * angle)], axis=-1)
    xy += np.where(outlier[..., None], noise.outlier_distance * radius[..., None] * step, 0)
    return Keypoints.of(xy.reshape(-1, 13, 2), mask.reshape(-1, 13))


def least(draws: np.ndarray, joints: int) -> np.ndarray:
    """The rank of each joint's draw among the joints."""
    return draws.argsort(axis=-1, kind="stable").argsort(axis=-1).reshape(*draws.shape[:-1], joints)


@dataclass(frozen=True)
class Answer:
    """What one search said, and how far off it was."""

    group: tuple[str, float, str]  # condition, carried over, search
    clip: str
    distance: np.ndarray  # (20,) of the hits
    near: np.ndarray  # (20,) probabilities
    close: np.ndarray
    presence: float
    present: bool  # whether a hit remains
    absent: bool  # asked of a gallery without the pose
    movement: float
    seconds: float


def answers(asked: Asked, conditions: list[str], seed: int) -> Iterator[Answer]:
    """Every search of every query."""
    noises = {one.name: one.noise for one in CONDITIONS}
    count = len(asked.frames)
    for condition in conditions:
        for carried in CARRIED:
            tracks, views = asked.people(noises[condition], carried, seed)
            for number in range(count):
                for absent in (False, True) if number % 3 == 0 else (False,):
                    kept = asked.kept(number, absent)
                    among = asked.gallery[kept]
                    for name, search in searches(asked.index, tracks, views, number, among, carried).items():
                        start = time.perf_counter()
                        hits = search()
                        yield Answer(
                            group=(condition, carried, name),
                            clip=asked.clip[asked.frames[number, MIDDLE]],
                            distance=asked.to(number, hits.rows[0]),
                            near=hits.probability[0],
                            close=hits.probability_close[0],
                            presence=float(hits.presence[0]),
                            present=bool((asked.distance[number, kept] < 0.1).any()),
                            absent=absent,
                            movement=asked.movement(number, hits.rows[0, 0]) if "camera" not in name else np.nan,
                            seconds=time.perf_counter() - start,
                        )
            log(f"{condition}, carried over {carried:g}: {count} queries")


def searches(
    index: PoseIndex, tracks: Keypoints, views: Keypoints, number: int, among: np.ndarray, carried: float
) -> dict[str, Callable[[], Hits]]:
    frames = tracks[np.arange(FRAMES * number, FRAMES * (number + 1))]
    cameras = views[np.arange(CAMERAS * number, CAMERAS * (number + 1))]
    zeros, k = np.zeros(FRAMES, dtype=np.int64), max(KS)
    found: dict[str, Callable[[], Hits]] = {
        "single image": lambda: query(index, frames[MIDDLE], k, where=among),
        "track of 9": lambda: query_tracks(index, frames, k, track=zeros, time=np.arange(FRAMES) / RATE, where=among),
    }
    if carried == 0:
        found["1 camera"] = lambda: query(index, cameras[0], k, where=among)
        for many in range(2, CAMERAS + 1):
            found[f"{many} cameras"] = lambda many=many: query_views(
                index, cameras[:many], k, moment=zeros[:many], where=among
            )
    return found


def summary(group: tuple[str, float, str], some: list[Answer], seed: int) -> dict[str, Any]:
    """Figures of one search under one condition; None where no query can say."""
    asked = [one for one in some if not one.absent]
    scored = [one for one in asked if one.present]
    clips = [one.clip for one in scored]
    hit = hits_at(np.array([one.distance for one in scored]).reshape(len(scored), max(KS)), KS)

    def rate(values: np.ndarray) -> list[float] | None:
        if not len(values):
            return None
        low, high = bootstrap_interval(values, clips, generator=np.random.default_rng([seed, 2]))
        return [round(100 * float(number), 1) for number in (values.mean(), low, high)]

    near, close = (np.stack([getattr(one, name)[:10] for one in asked]) for name in ("near", "close"))
    off = np.stack([one.distance[:10] for one in asked])
    there = np.array([one.presence for one in some])
    positive = np.array([one.present and not one.absent for one in some])
    moved = np.array([one.movement for one in scored])
    area = auroc(there, positive)
    return {
        "condition": group[0],
        "carried over": group[1],
        "search": group[2],
        "queries": len(scored),
        **{f"Hit@{k}": rate(values) for k, values in hit.items()},
        "movement Hit@1": None if np.isnan(moved).any() else rate(moved < 0.1),
        "first hit off": round(float(np.mean([one.distance[0] for one in scored])), 4) if scored else None,
        "sure": round(100 * float(near[:, 0].mean()), 1),
        "right": round(100 * float((off[:, 0] < 0.1).mean()), 1),
        "ECE first": round(expected_calibration_error(near[:, 0], off[:, 0] < 0.1), 3),
        "ECE all": round(expected_calibration_error(near.ravel(), off.ravel() < 0.1), 3),
        "ECE 0.05": round(expected_calibration_error(close.ravel(), off.ravel() < 0.05), 3),
        "presence AUROC": None if area is None else round(area, 3),
        "ms": round(1e3 * float(np.median([one.seconds for one in some])), 1),
    }


def pooled(some: list[Answer]) -> dict[str, float | None]:
    """Expected calibration errors of a kind of search over all conditions."""
    near = np.stack([one.near[:10] for one in some if not one.absent])
    off = np.stack([one.distance[:10] for one in some if not one.absent])
    there = np.array([one.presence for one in some])
    area = auroc(there, np.array([one.present and not one.absent for one in some]))
    return {
        "ECE first": round(expected_calibration_error(near[:, 0], off[:, 0] < 0.1), 3),
        "ECE all": round(expected_calibration_error(near.ravel(), off.ravel() < 0.1), 3),
        "presence AUROC": None if area is None else round(area, 3),
    }


def printed(rows: list[dict[str, Any]]) -> None:
    head = [name for name in rows[0] if name not in ("condition", "carried over")]
    print("| condition | " + " | ".join(head) + " |\n|" + "---|" * (len(head) + 1))
    for row in rows:
        condition = row["condition"] + (f", carried over {row['carried over']:g}" if row["carried over"] else "")
        print("| " + " | ".join([condition, *(shown(row[name]) for name in head)]) + " |")


def shown(value: Any) -> str:
    if isinstance(value, list):
        return f"{value[0]} ({value[1]}-{value[2]})"
    return "" if value is None else str(value)


def log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def examples(asked: Asked, seed: int) -> Iterator[FusionExample]:
    """Tracks, pairs of cameras and all cameras under every condition."""
    noises = {one.name: one.noise for one in CONDITIONS}
    config = TrackConfig()
    for condition in NAMES:
        for carried in CARRIED:
            tracks, views = asked.people(noises[condition], carried, seed)
            for number in range(len(asked.frames)):
                for absent in (False, True) if number % 3 == 0 else (False,):
                    kept = asked.kept(number, absent)
                    search = Search(asked.index, where=asked.gallery[kept])
                    line = Timeline(asked.index, search.rows, reach=4 * config.reach)
                    offset = (np.arange(FRAMES) - MIDDLE) / RATE
                    some = np.flatnonzero(np.abs(offset) <= config.reach)
                    groups = [(0, tracks[FRAMES * number + some], offset[some])]
                    if carried == 0:
                        first = CAMERAS * number
                        groups += [(n, views[np.arange(first, first + n)], np.zeros(n)) for n in (2, CAMERAS)]
                    middle = query(asked.index, tracks[FRAMES * number + MIDDLE], 1, where=line.rows)
                    for cameras, people, seconds in groups:
                        sequence = Sequence(search, line, people, seconds, config)
                        found = sequence.align(CANDIDATES, VOTERS)
                        yield FusionExample(
                            group=(condition, carried, cameras),
                            track=cameras == 0,
                            evidence=gather_evidence(sequence, found),
                            distance=asked.to(number, found.rows),
                            present=bool((asked.distance[number, kept] < 0.1).any()),
                            absent=absent,
                            single=float(asked.to(number, middle.rows[0])[0]),
                        )
            log(f"{condition}, carried over {carried:g}: {len(asked.frames)} queries")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", type=Path, required=True, help="table of clips with the columns clip and split")
    parser.add_argument("--part", default="test", help="whose clips are asked for")
    parser.add_argument("--among", nargs="+", help="whose clips are searched; those of --part if not given")
    parser.add_argument("--conditions", nargs="+", default=list(NAMES), choices=KNOWN)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--learn", type=Path, help="learn the numbers on val and write them here, and measure nothing")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with options.split.open(encoding="utf-8", newline="") as file:
        part = {row["clip"]: row["split"] for row in csv.DictReader(file)}
    with tempfile.TemporaryDirectory() as folder:
        store = PoseStore.open(options.store)
        index = PoseIndex.build(store, AffineSignature(), Path(folder) / "index")
        of_row = np.array([part.get(clip, "") for clip in index.frames()["clip"]])

        def ask(asked: str, among: list[str], count: int) -> Asked:
            rows, gallery = np.flatnonzero(of_row == asked), np.flatnonzero(np.isin(of_row, among))
            if count < 1 or not len(gallery):
                parser.error(f"{count} queries of {asked!r} in {len(gallery)} poses of {', '.join(among)}: need some")
            return Asked.of(store, index, gallery, rows, count, options.seed)

        if options.learn:
            some: list[FusionExample] = []
            for among in (["val"], ["train", "val"]):
                some += examples(ask("val", among, options.queries), options.seed)
            made = "benchmarks/tracks.py --learn: simulated views of validation clips (Bandai Namco)"
            fit_fusion(some, RankingModel.default(), made).save(options.learn)
            print(f"{options.learn} written")
            return
        asked = ask(options.part, options.among or [options.part], options.queries)
        found: dict[tuple[str, float, str], list[Answer]] = {}
        for one in answers(asked, options.conditions, options.seed):
            found.setdefault(one.group, []).append(one)
    rows = [summary(group, some, options.seed) for group, some in found.items()]
    kinds = {"single image": "single", "track of 9": "track", "1 camera": "single"}
    by_kind: dict[str, list[Answer]] = {}
    for group, some in found.items():
        by_kind.setdefault(kinds.get(group[2], "several cameras"), []).extend(some)
    overall = {kind: pooled(some) for kind, some in by_kind.items()}
    if options.json:
        print(json.dumps({"gallery": len(asked.gallery), "rows": rows, "pooled": overall}))
        return
    print(f"{len(asked.frames)} queries of {options.part}, {len(asked.gallery):,} poses searched")
    printed(rows)
    for kind, figures in overall.items():
        print(f"{kind}, all conditions: " + ", ".join(f"{name} {shown(value)}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
