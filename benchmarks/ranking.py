"""Learn how searches are ranked and calibrated (retrieve/ranking/ranking.json) from simulated views of `val` clips.

    python benchmarks/ranking.py ../shared/mocap --split ../shared/mocap/clips.csv --out out/ranking.json

Four galleries, from sparse to dense: `val` without near-duplicates; `train` and `val` without them; all of their poses
at 10 frames/s; and those with nine copies of which every bone is turned by about 7 degrees. Each is asked, under every
condition of the search protocol, for poses of `val`, with four things left out of it: nothing, 4 s around the query,
that and every pose within 0.065 torso, and every pose within 0.1. `--folds 5` leaves
every fifth action out, learns on the rest and judges on what was left out. Takes about ten minutes.
"""

import argparse
import csv
import tempfile
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit

import vipe
from vipe.detections import Keypoints
from vipe.detections.normalize import normalize_keypoints
from vipe.evaluate import CONDITIONS
from vipe.evaluate.conditions import simulate_condition
from vipe.evaluate.metrics import auroc, expected_calibration_error, pose_distance, without_near_duplicates
from vipe.geometry.canonical import canonicalize_array
from vipe.retrieve.camera.perspective import Fits, fit_cameras
from vipe.retrieve.candidates.scan import PreparedGallery, scan
from vipe.retrieve.ranking.features import (
    PARTS,
    PERSON_PARTS,
    VOTERS,
    CandidateFeatures,
    EmbeddingFeatures,
    FittedCandidates,
    compute_features,
    coverage_order,
)
from vipe.retrieve.ranking.model import CALIBRATED_BY, HitModel, LogisticModel, RankingModel, calibration_values
from vipe.simulate import CameraRig
from vipe.skeletons import load
from vipe.skeletons.working import COCO13_IN_H36M17

CANDIDATES, DEEP = 200, 2000
LEFT_OUT = ("nothing", "4 s", "4 s and 0.065", "0.1")
# How much each counts for the probabilities: as in the galleries of the protocol, and some that lack the pose.
MIX = {"nothing": 1.0, "4 s": 2.0, "4 s and 0.065": 0.0, "0.1": 0.25}


@dataclass(frozen=True)
class Cell:
    """Queries of one gallery, condition and thing left out."""

    name: tuple[str, str, str]
    action: np.ndarray  # (Q,), what the clip of each query shows, as a word
    known: CandidateFeatures
    distance: np.ndarray  # (Q, S) to the truth
    present: np.ndarray  # (Q,)

    def of(self, some: np.ndarray) -> "Cell":
        """Some of its queries."""
        known = CandidateFeatures(
            **{one.name: getattr(self.known, one.name)[some] for one in fields(CandidateFeatures)}
        )
        return Cell(self.name, self.action[some], known, self.distance[some], self.present[some])

    def without(self, word: str) -> "Cell":
        """The same with some parts always 0."""
        gone = [word in part for part in PARTS]
        return replace(self, known=replace(self.known, parts=np.where(gone, np.float32(0), self.known.parts)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mocap", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--queries", type=int, default=200, help="of each gallery and condition")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument(
        "--without", nargs="*", default=[], help="also judge without parts that have this in their name"
    )
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    cells = list(examples(arguments))
    if arguments.folds > 1:
        report(judged(cells, arguments.folds))
        for word in arguments.without:
            print(f"without the parts whose name has {word!r}:")
            report(judged([cell.without(word) for cell in cells], arguments.folds), short=True)
    learned(cells).save(arguments.out)
    print(f"{arguments.out} written")


def judged(cells: list[Cell], folds: int) -> list[tuple[RankingModel, Cell]]:
    """Each cell's queries under a model that learned from no clip of their action."""
    actions, result = np.unique(np.concatenate([cell.action for cell in cells])), []
    for fold in range(folds):
        away = [np.isin(cell.action, actions[fold::folds]) for cell in cells]
        model = learned([cell.of(~out) for cell, out in zip(cells, away, strict=True)])
        result += [(model, cell.of(out)) for cell, out in zip(cells, away, strict=True)]
    return result


def examples(arguments: argparse.Namespace):
    with tempfile.TemporaryDirectory() as folder:
        store = vipe.PoseStore.create(Path(folder) / "store", vipe.read(arguments.mocap), fps=10)
        poses, table = store.poses(), store.table(["clip", "time"])
    with arguments.split.open() as file:
        split = {row["clip"]: row["split"] for row in csv.DictReader(file)}
    names, time = table["clip"].to_numpy(zero_copy_only=False).astype(str), table["time"].to_numpy()
    part = np.array([split[name] for name in names])
    _, clip = np.unique(names, return_inverse=True)
    action = np.array(["_".join(name.split("_")[1:-2]) for name in names])
    canonical = canonicalize_array(poses).poses
    val, both = np.flatnonzero(part == "val"), np.flatnonzero(np.isin(part, ("train", "val")))
    few = val[without_near_duplicates(canonical[val])]
    rng = np.random.default_rng(11)
    copies = [canonicalize_array(bent(poses[both], rng)).poses for _ in range(9)]
    galleries = {
        "val": (canonical[few], few),
        "train and val": (canonical[sparse := both[without_near_duplicates(canonical[both])]], sparse),
        "dense": (canonical[both], both),
        "grown": (np.concatenate([canonical[both], *copies]), np.tile(both, 10)),
    }
    rig = CameraRig.load("mpi_inf_3dhp")
    for number, (gallery, (searched, rows)) in enumerate(galleries.items()):
        rng = np.random.default_rng([arguments.seed, number])
        copy = np.cumsum(np.diff(rows, prepend=0) < 0)  # a bent copy of a clip is a clip of its own
        prepared = PreparedGallery.prepare(torch.from_numpy(searched[:, COCO13_IN_H36M17]))
        for condition in CONDITIONS:
            asked = np.sort(rng.choice(few, min(arguments.queries, len(few)), replace=False))
            people = simulate_condition(
                poses[asked], rig, condition, distance=float(rng.choice([2.5, 4, 4, 4, 8])), generator=rng
            )
            people = replace(people, confidence=people.mask.astype(np.float32), covariance=None)
            near, residual = nearest(prepared, people, min(DEEP, len(searched)))
            distance = np.stack(
                [pose_distance(searched[a], canonical[b][None]) for a, b in zip(near, asked, strict=True)]
            )
            gap = np.where(
                clip[rows[near]] == clip[asked][:, None], np.abs(time[rows[near]] - time[asked][:, None]), np.inf
            )
            stays = (distance >= 0, gap > 4, (gap > 4) & (distance > 0.065), distance > 0.1)
            for left_out, kept in zip(LEFT_OUT, stays, strict=True):
                yield cell(
                    (gallery, condition.name, left_out),
                    action[asked],
                    searched,
                    clip[rows] + copy * (clip.max() + 1),
                    people,
                    near,
                    residual,
                    distance,
                    kept,
                )
        print(f"{gallery}: {len(searched):,} poses", flush=True)


def bent(poses: np.ndarray, rng: np.random.Generator, degrees: float = 7.0) -> np.ndarray:
    result = np.zeros_like(poses)
    for parent, end in load("h36m17").bones:
        vector = poses[:, end] - poses[:, parent]
        turned = vector + np.cross(rng.normal(0, np.radians(degrees) / 2**0.5, vector.shape), vector)
        turned *= np.linalg.norm(vector, axis=1, keepdims=True) / np.linalg.norm(turned, axis=1, keepdims=True)
        result[:, end] = result[:, parent] + turned
    return result


def nearest(gallery: PreparedGallery, people: Keypoints, depth: int) -> tuple[np.ndarray, np.ndarray]:
    near, residual = np.empty((len(people), depth), np.int64), np.empty((len(people), depth), np.float32)
    unit = normalize_keypoints(people)[0]
    for mask in np.unique(people.mask, axis=0):
        some = np.flatnonzero((people.mask == mask).all(axis=1))
        seen = torch.from_numpy(np.flatnonzero(mask))
        rows, left = scan(gallery, seen, torch.from_numpy(unit[some][:, mask]), depth)
        near[some], residual[some] = rows.numpy(), left.numpy()
    return near, residual


def cell(name, action, searched, clip, people, near, residual, distance, kept) -> Cell:
    enough = kept.sum(axis=1) >= CANDIDATES
    order = np.argsort(np.where(kept, residual, np.inf), axis=1, kind="stable")[:, :CANDIDATES]
    rows, left, off = (np.take_along_axis(values, order, axis=1) for values in (near, residual, distance))
    fits = fit_cameras(searched[rows], people)
    best = np.argsort(fits.cost, axis=1, kind="stable")[:, :VOTERS]

    def taken(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, best.reshape(best.shape + (1,) * (values.ndim - 2)), axis=1)

    kept_fits = Fits(**{one.name: taken(getattr(fits, one.name)) for one in fields(Fits)})
    poses = taken(searched[rows])
    shortlist = FittedCandidates(
        poses=poses,
        fits=kept_fits,
        affine_residual=taken(left),
        clip=taken(clip[rows]),
        embedded=EmbeddingFeatures.of(poses, people),
    )
    present = (np.where(kept, distance, np.inf) < 0.1).any(axis=1)
    return Cell(name, action, compute_features(shortlist, people), taken(off), present).of(enough)


def learned(cells: list[Cell]) -> RankingModel:
    parts, person = (np.concatenate([getattr(cell.known, name) for cell in cells]) for name in ("parts", "person"))
    distance, present = (np.concatenate([getattr(cell, name) for cell in cells]) for name in ("distance", "present"))
    mix = np.concatenate([np.full(len(cell.action), MIX[cell.name[2]]) for cell in cells])
    # Most candidates are clearly wrong: the first eight of each query, and eight of the rest that count for all of it.
    rng = np.random.default_rng(0)
    rest = 8 + rng.permuted(np.tile(np.arange(VOTERS - 8), (len(parts), 1)), axis=1)[:, :8]
    picked = np.concatenate([np.tile(np.arange(8), (len(parts), 1)), rest], axis=1)
    counts = np.tile(np.repeat([1.0, (VOTERS - 8) / 8], 8), len(parts))
    there = LogisticModel.learned(PERSON_PARTS, person, present, mix, falling=worse(PERSON_PARTS))
    judgements = {}
    for name, threshold in (("near", 0.1), ("close", 0.05)):
        some, right = np.take_along_axis(parts, picked[..., None], axis=1), np.take_along_axis(distance, picked, axis=1)
        right = right.ravel() < threshold
        odds = LogisticModel.learned(PARTS, some.reshape(-1, len(PARTS)), right, counts, falling=worse(PARTS))
        values = odds(parts)
        top = np.argsort(-values, axis=1)[:, :15]
        known = np.take_along_axis(calibration_values(values, there(person)), top[..., None], axis=1)
        right = np.take_along_axis(distance, top, axis=1).ravel() < threshold
        weight = np.repeat(mix, 15) * np.tile([12.0, *[1.0] * 14], len(parts))  # the first hit matters most
        calibrated = LogisticModel.learned(
            CALIBRATED_BY, known.reshape(-1, len(CALIBRATED_BY)), right, weight, CALIBRATED_BY[:2]
        )
        judgements[name] = HitModel(odds=odds, calibrated=calibrated)
    made = "benchmarks/ranking.py: logistic regressions on simulated views of validation clips (Bandai Namco)"
    return RankingModel(present=there, made=made, **judgements)


def worse(parts: tuple[str, ...]) -> tuple[str, ...]:
    # Free signs rank alike on these clips, but call far worse fits than theirs probable.
    return tuple(part for part in parts if any(word in part for word in ("misfit", "residual", "camera", "build")))


def report(judged: list[tuple[RankingModel, Cell]], short: bool = False) -> None:
    sure, right, there, present = [], [], [], []
    by_name: dict[tuple[str, str, str], list[np.ndarray]] = {}
    for model, one in judged:
        presence = model.present(one.known.person)
        odds, log_odds = model.near.log_odds(one.known.parts, presence)
        order = coverage_order(odds, one.known, 20)
        distance = np.take_along_axis(one.distance, order, axis=1)
        by_name.setdefault(one.name, []).append(np.concatenate([one.distance[:, :10], distance], axis=1)[one.present])
        if one.name[2] in LEFT_OUT[:2]:
            sure.append(expit(np.take_along_axis(log_odds, order, axis=1))[:, :10])
            right.append(distance[:, :10] < 0.1)
            there.append(presence)
            present.append(one.present)
    rows = {name: np.concatenate(parts) < 0.1 for name, parts in by_name.items()}
    print("gallery, condition, left out: queries; by cost Hit@1/10; by odds Hit@1/10/20")
    for name, hit in {} if short else rows.items():
        print(*(", ".join(name), *rates(hit)) if len(hit) else ())
    for left_out in LEFT_OUT[:3]:
        print("all,", left_out, *rates(np.concatenate([hit for name, hit in rows.items() if name[2] == left_out])))
    p, y = np.concatenate(sure), np.concatenate(right)
    print(f"ECE of all {expected_calibration_error(p.ravel(), y.ravel()):.3f}, of first hits", end=" ")
    print(f"{expected_calibration_error(p[:, 0], y[:, 0]):.3f};", end=" ")
    print(f"presence: AUROC {auroc(np.concatenate(there), np.concatenate(present)):.3f}")


def rates(hit: np.ndarray) -> list[str]:
    shown = [hit[:, 0], hit[:, :10].any(axis=1), hit[:, 10], hit[:, 10:20].any(axis=1), hit[:, 10:].any(axis=1)]
    return [str(len(hit)), *(f"{100 * rate.mean():.1f}" for rate in shown)]


if __name__ == "__main__":
    main()
