"""Learn how searches are ranked and calibrated (ranking/learned/ranking.json) from simulated views of `val` clips.

    python benchmarks/ranking.py ../shared/mocap --split ../shared/mocap/clips.csv --out out/ranking.json

Four galleries, from sparse to dense: `val` without near-duplicates; `train` and `val` without them; all of their poses
at 10 frames/s; and those with nine copies of which every bone is turned by about 7 degrees. Each is asked, under every
condition of the search protocol, for poses of `val`, with six things left out of it: nothing, 4 s around the query,
that and every pose within 0.065 torso, every pose within 0.1, the query's clip, and what other clips have within 0.1.
`--folds 5` leaves every fifth action out, learns on the rest and judges on what was left out; `--absent` compares
several weights of the queries whose pose is absent, and `--results DIR` writes that as a table. Takes 50 minutes on one
core, with `--exact` ten.

How long lists are that hold a right hit is learned with 4 s and with the clip left out, where it is harder than with
the moment in the archive. `--keep FILE` learns that alone, for a model that is there: no order and no probability
changes.
`--exact` leaves out keypoints of other conventions (ranking.json; with them ranking_marks.json).
"""

import argparse
import csv
import os
import platform
import shlex
import sys
import tempfile
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import results_tables
import torch
from scipy.special import expit, logit

import vipe
from vipe.arrays import put_rows, take_columns, take_rows
from vipe.detections import Keypoints
from vipe.detections.normalize import normalize_keypoints
from vipe.evaluate.conditions import CONDITIONS, Condition, simulate_condition
from vipe.evaluate.metrics import (
    auroc,
    calibration_error_by_chance,
    expected_calibration_error,
    pose_distance,
    without_near_duplicates,
)
from vipe.geometry.canonical import canonicalize_array
from vipe.retrieve.camera.perspective import fit_cameras
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.camera.variances import candidate_sureness
from vipe.retrieve.candidates.rescoring import DEPTH, rescored_places
from vipe.retrieve.candidates.scan import PreparedGallery, scan
from vipe.retrieve.labels.at_the_joints import ALONE
from vipe.retrieve.ranking.coverage import coverage_order
from vipe.retrieve.ranking.evidence import VOTERS, FittedCandidates, embedding_distances
from vipe.retrieve.ranking.features import FEATURES, CandidateFeatures, compute_features
from vipe.retrieve.ranking.model import RankingModel
from vipe.retrieve.ranking.training import RankingExamples, fit_ranking_model, with_lists
from vipe.simulate import CameraRig
from vipe.simulate.detector import GROUND_TRUTH, MISSING_2, NOISE_003, NOISE_006
from vipe.simulate.mistakes import heavy_tails, limb_errors
from vipe.skeletons import load
from vipe.skeletons.joint_conventions import ARCHIVE, load_convention
from vipe.skeletons.working import COCO13_IN_H36M17

CANDIDATES, DEEP = 200, 3000
# Marks that are not the archive's, of people whose bone lengths differ by a tenth; and exact marks of which the search
# is told that they may not be.
COCO = Condition(name="COCO marks", noise=NOISE_003, convention="coco", build_spread=0.1)
MARKS = (
    COCO,
    replace(COCO, name="COCO marks, noise 0.06", noise=NOISE_006),
    replace(COCO, name="COCO marks, heavy tails", noise=GROUND_TRUTH, mistake=heavy_tails(0.025)),
    replace(COCO, name="COCO marks, limbs off", noise=GROUND_TRUTH, mistake=limb_errors(0.06)),
    replace(COCO, name="COCO marks, 2 missing", noise=MISSING_2),
    replace(COCO, name="Human3.6M marks", convention="h36m"),
    replace(COCO, name="unknown marks", convention="unknown"),
    Condition(name="exact, told unknown", noise=NOISE_003, told="unknown"),
    Condition(name="exact, told COCO", noise=NOISE_003, told="coco"),
)
GALLERIES = ("val", "train and val", "dense", "grown")
LEFT_OUT = ("nothing", "4 s", "4 s and 0.065", "0.1", "clip", "other clips")
LISTED = ("4 s", "clip")  # what lengths of lists are learned with
# How much each counts for the probabilities: as in the galleries of the protocol, and some that lack the pose.
EXACT_MIX = {"nothing": 1.0, "4 s": 2.0, "4 s and 0.065": 0.0, "0.1": 0.25}
MIX = EXACT_MIX | {"other clips": 1.0}  # poses that one clip alone shows, beside crowds of others


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
        return take_rows(self, some)

    def without(self, word: str) -> "Cell":
        """The same with some features always 0."""
        gone = [word in feature.name for feature in FEATURES]
        return replace(self, known=replace(self.known, values=np.where(gone, np.float32(0), self.known.values)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mocap", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--queries", type=int, default=200, help="of each gallery and condition")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument(
        "--without", nargs="*", default=[], help="also judge without features that have this in their name"
    )
    parser.add_argument("--absent", type=float, nargs="*", default=[], help="other weights of absent poses to judge")
    parser.add_argument("--results", type=Path, help="folder for calibration_mix.json, a table of these weights")
    parser.add_argument("--keep", type=Path, help="a ranking model of which only the lengths of lists are learned anew")
    parser.add_argument("--galleries", nargs="*", default=GALLERIES, choices=GALLERIES)
    parser.add_argument("--exact", action="store_true", help="no keypoints of other conventions than the archive's")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    cells, mix = list(examples(arguments)), EXACT_MIX if arguments.exact else MIX
    if arguments.keep:
        with_lists(RankingModel.load(arguments.keep), of_lists(cells)).save(arguments.out)
        return
    if arguments.folds > 1:
        report(judged(cells, arguments.folds, mix))
        rows = []
        for weight in arguments.absent:
            found = judged(cells, arguments.folds, mix | {"0.1": weight})
            print(f"absence counts {weight:g}:")
            report(found, short=True)
            rows += [[f"{weight:g}", *row] for row in by_left_out(found)]
        if arguments.results:
            results_tables.write(arguments.results / "calibration_mix.json", mix_table(rows, cells, arguments))
        for word in arguments.without:
            print(f"without the features whose name has {word!r}:")
            report(judged([cell.without(word) for cell in cells], arguments.folds, mix), short=True)
    learned(cells, mix).save(arguments.out)
    print(f"{arguments.out} written")


def judged(cells: list[Cell], folds: int, mix: dict[str, float]) -> list[tuple[RankingModel, Cell]]:
    """Each cell's queries under a model that learned from no clip of their action."""
    actions, result = np.unique(np.concatenate([cell.action for cell in cells])), []
    for fold in range(folds):
        away = [np.isin(cell.action, actions[fold::folds]) for cell in cells]
        model = learned([cell.of(~out) for cell, out in zip(cells, away, strict=True)], mix)
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
        if gallery not in arguments.galleries:
            continue
        rng = np.random.default_rng([arguments.seed, number])
        copy = np.cumsum(np.diff(rows, prepend=0) < 0)  # a bent copy of a clip is a clip of its own
        prepared = PreparedGallery.prepare(torch.from_numpy(searched[:, COCO13_IN_H36M17]))
        for condition in CONDITIONS if arguments.exact else (*CONDITIONS, *MARKS):
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
            stays = (
                distance >= 0,
                gap > 4,
                (gap > 4) & (distance > 0.065),
                distance > 0.1,
                gap == np.inf,
                (distance > 0.1) | (gap < np.inf),
            )
            for left_out, kept in zip(LEFT_OUT, stays, strict=True):
                if arguments.keep and left_out not in LISTED:
                    continue
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
    order = np.argsort(np.where(kept, residual, np.inf), axis=1, kind="stable")
    if load_convention(people.convention).is_exact:
        order = order[:, :CANDIDATES]
    else:
        order = order[:, : min(DEPTH * CANDIDATES, int(kept.sum(axis=1).max()))]
        usable = np.take_along_axis(kept, order, axis=1)
        sureness = candidate_sureness(people, CameraPrior())
        best = rescored_places(searched[np.take_along_axis(near, order, axis=1)], people, sureness, CANDIDATES, usable)
        order = np.take_along_axis(order, best, axis=1)
    rows, left, off = (np.take_along_axis(values, order, axis=1) for values in (near, residual, distance))

    def judged(marked: Keypoints) -> tuple[CandidateFeatures, np.ndarray]:
        fits = fit_cameras(searched[rows], marked)
        best = np.argsort(fits.cost, axis=1, kind="stable")[:, :VOTERS]
        chosen = take_columns(rows, best)
        candidates = FittedCandidates(
            rows=chosen,
            poses=searched[chosen],
            fits=fits.take(best),
            affine_residual=take_columns(left, best),
            clip=clip[chosen],
            embedding=embedding_distances(None, chosen, searched[chosen], marked),
        )
        return compute_features(candidates, marked), take_columns(off, best)

    known, away = judged(people)
    if not load_convention(people.convention).is_exact:  # as in `vipe.retrieve.labels.reading.judged`
        exact, exact_away = judged(replace(people, convention=ARCHIVE))
        better = np.flatnonzero(exact.evidence - known.evidence + logit(ALONE) > 0)
        put_rows(known, better, take_rows(exact, better))
        away[better] = exact_away[better]
    present = (np.where(kept, distance, np.inf) < 0.1).any(axis=1)
    return Cell(name, action, known, away, present).of(enough)


def learned(cells: list[Cell], mix: dict[str, float]) -> RankingModel:
    """The model of all cells' examples."""
    model = fit_ranking_model(
        joined([cell for cell in cells if cell.name[2] in mix], mix),
        camera_prior=CameraPrior(),
        made="benchmarks/ranking.py: logistic regressions on simulated views of validation clips (Bandai Namco)",
    )
    return with_lists(model, of_lists(cells))


def of_lists(cells: list[Cell]) -> RankingExamples:
    return joined([cell for cell in cells if cell.name[2] in LISTED])


def joined(cells: list[Cell], mix: dict[str, float] = MIX) -> RankingExamples:
    parts = [cell.known for cell in cells]
    return RankingExamples(
        features=CandidateFeatures(
            **{
                one.name: np.concatenate([getattr(part, one.name) for part in parts])
                for one in fields(CandidateFeatures)
            }
        ),
        distance=np.concatenate([cell.distance for cell in cells]),
        present=np.concatenate([cell.present for cell in cells]),
        weight=np.concatenate([np.full(len(cell.action), mix.get(cell.name[2], 0.0)) for cell in cells]),
    )


def report(judged: list[tuple[RankingModel, Cell]], short: bool = False) -> None:
    sure, right, there, present = [], [], [], []
    by_name: dict[tuple[str, str, str], list[np.ndarray]] = {}
    for model, one in judged:
        ranking, log_odds = model.probabilities(one.known)
        order = coverage_order(ranking, one.known, 20)
        distance = np.take_along_axis(one.distance, order, axis=1)
        by_name.setdefault(one.name, []).append(np.concatenate([one.distance[:, :10], distance], axis=1)[one.present])
        if one.name[2] in LEFT_OUT[:2]:
            sure.append(expit(np.take_along_axis(log_odds.near, order, axis=1))[:, :10])
            right.append(distance[:, :10] < 0.1)
            there.append(log_odds.presence)
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
    for row in by_left_out(judged):
        print(*(f"{value:.3f}" if isinstance(value, float) else value for value in row))


def by_left_out(judged: list[tuple[RankingModel, Cell]]) -> list[list[str | int | float]]:
    """What is said of first hits and of presence, beside what is true, by what is left out."""
    rows: list[list[str | int | float]] = []
    for left_out in LEFT_OUT:
        said, right, presence, present = [], [], [], []
        for model, one in judged:
            if one.name[2] == left_out and len(one.action):
                ranking, log_odds = model.probabilities(one.known)
                first = coverage_order(ranking, one.known, 1)
                said.append(expit(take_columns(log_odds.near, first))[:, 0])
                right.append(take_columns(one.distance, first)[:, 0] < 0.1)
                presence.append(expit(log_odds.presence))
                present.append(one.present)
        p, y, q, z = (np.concatenate(part).astype(np.float64) for part in (said, right, presence, present))
        chance = calibration_error_by_chance(p, generator=np.random.default_rng(0))
        errors = expected_calibration_error(p, y > 0), chance, expected_calibration_error(q, z > 0)
        rows.append([left_out, len(p), p.mean(), y.mean(), *errors[:2], q.mean(), z.mean(), errors[2]])
    return rows


def mix_table(rows: list[list[str | int | float]], cells: list[Cell], arguments: argparse.Namespace) -> dict[str, Any]:
    """The table of `results`."""
    names = {"weight of absence": None, "left out": None, "queries": 0, "said": 3, "right": 3, "ECE": 3, "by chance": 3}
    names |= {"presence": 3, "present": 3, "presence ECE": 3}
    return {
        "command": shlex.join(["python", "benchmarks/ranking.py", *sys.argv[1 : sys.argv.index("--results")]]),
        "data": f"{arguments.queries} queries of val in each of {len(cells)} cells (gallery, condition, left out); "
        f"learned on other actions, {arguments.folds} folds; the shipped model has weight {MIX['0.1']:g}",
        "seed": arguments.seed,
        "machine": f"{os.cpu_count()} cores ({platform.machine()}), no GPU",
        "columns": names,
        "rows": rows,
    }


def rates(hit: np.ndarray) -> list[str]:
    shown = [hit[:, 0], hit[:, :10].any(axis=1), hit[:, 10], hit[:, 10:20].any(axis=1), hit[:, 10:].any(axis=1)]
    return [str(len(hit)), *(f"{100 * rate.mean():.1f}" for rate in shown)]


if __name__ == "__main__":
    main()
