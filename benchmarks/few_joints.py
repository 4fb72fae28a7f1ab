"""How sure searches are of people of whom four or five joints are seen: learned on `val`, measured on another part.

    python benchmarks/few_joints.py STORE --split ../shared/mocap/clips.csv --learn out
    python benchmarks/few_joints.py STORE --split ../shared/mocap/clips.csv --part cross [--out benchmarks/results]

Three conditions with noise of 0.03: any five joints, any four, and two limbs of which only the outer joints are seen.
Galleries are those of the search protocol. For presence every query is also asked of a gallery without any pose within
0.1. --learn writes few_joints.json and few_joints_marks.json, the second with keypoints where annotators mark them: the
order stays that of the ranking models, calibration, presence and lists are learned anew, in `val` and among
every fourth pose of `train` too. Run it again whenever the ranking models have changed. Takes about three minutes,
measuring two.
--out writes few_joints.json there. "hypotheses" is that mode of `vipe query`, on the same people.
"""

import argparse
import csv
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import results_tables

from vipe import AffineSignature, PoseIndex, PoseStore
from vipe.evaluate.conditions import Condition, simulate_condition
from vipe.evaluate.intervals import bootstrap_interval
from vipe.evaluate.metrics import auroc, expected_calibration_error, pose_distance, without_near_duplicates
from vipe.evaluate.study import recorded_poses
from vipe.retrieve import Search, query
from vipe.retrieve.ranking.evidence import VOTERS
from vipe.retrieve.ranking.features import CandidateFeatures
from vipe.retrieve.ranking.few_joints import FewJoints
from vipe.retrieve.ranking.model import RankingModel
from vipe.retrieve.ranking.training import RankingExamples, fit_ranking_model, with_lists
from vipe.simulate import CameraRig
from vipe.simulate.detector import NOISE_003
from vipe.skeletons import load

JOINTS = load("coco13").joints
OUTER = {
    f"{side} {limb}": tuple(f"{side}_{joint}" for joint in joints)
    for side in ("left", "right")
    for limb, joints in (("arm", ("elbow", "wrist")), ("leg", ("knee", "ankle")))
}


def unseen(seen: Iterator[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """The other joints of each set."""
    return tuple(tuple(joint for joint in JOINTS if joint not in some) for some in seen)


FEW = (
    Condition(name="5 joints", noise=NOISE_003, hidden=unseen(combinations(JOINTS, 5))),
    Condition(name="4 joints", noise=NOISE_003, hidden=unseen(combinations(JOINTS, 4))),
    Condition(
        name="2 limbs, 4 joints", noise=NOISE_003, hidden=unseen(OUTER[a] + OUTER[b] for a, b in combinations(OUTER, 2))
    ),
)
MARKED = tuple(
    replace(one, name=f"{one.name}, {name}", **changed)
    for one in FEW
    for name, changed in (("COCO marks", {"convention": "coco"}), ("exact, told COCO", {"told": "coco"}))
)
LEFT_OUT = {"whole gallery": -1.0, "4 s left out": 4.0, "clip left out": np.inf}
ABSENT = "pose left out"
MIX = {"whole gallery": 1.0, "4 s left out": 2.0, ABSENT: 0.25}  # as `ranking.py` weighs them
LISTED = ("4 s left out", "clip left out")
K = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--part", default="cross", help="whose clips are asked for and searched")
    parser.add_argument("--queries", type=int, default=150, help="of each condition")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--learn", type=Path, help="folder to write the two files into; measures nothing")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    store = PoseStore.open(options.store)
    with options.split.open(encoding="utf-8", newline="") as file:
        part = {row["clip"]: row["split"] for row in csv.DictReader(file)}
    with tempfile.TemporaryDirectory() as folder:
        index = PoseIndex.build(store, AffineSignature(), Path(folder) / "index")
        of_row = np.array([part.get(clip, "") for clip in index.frames()["clip"]])
        if options.learn:
            count = options.queries
            for name, conditions, many in (
                ("few_joints.json", FEW, count),
                ("few_joints_marks.json", MARKED, count // 2),
            ):
                learned(store, index, of_row, conditions, many, options.seed).save(options.learn / name)
                print(f"{options.learn / name} written", flush=True)
            return
        rows = measured(store, index, of_row, options)
    if options.out:
        names = ["mode", "keypoints", "gallery", "queries", "Hit@1", "95%", "Hit@10", "said", "right", "ECE"]
        results_tables.write(
            options.out / "few_joints.json",
            {
                "command": "python benchmarks/few_joints.py STORE --split ../shared/mocap/clips.csv "
                f"--part {options.part} --queries {options.queries}",
                "data": f"{int((of_row == options.part).sum()):,} poses of {options.part}, less near-duplicates",
                "seed": options.seed,
                "machine": "2 cores (x86_64), no GPU",
                "columns": dict(
                    zip([*names, "presence AUROC"], [None, None, None, 0, 1, 1, 1, 1, 1, 3, 3], strict=True)
                ),
                "rows": rows,
            },
        )


@dataclass(frozen=True)
class Asked:
    """Queries of a gallery under one condition."""

    index: PoseIndex
    people: object  # Keypoints
    query: np.ndarray  # (Q,) rows of the index
    gallery: np.ndarray  # rows of the index
    distance: np.ndarray  # (Q, gallery) to the true pose

    @classmethod
    def of(cls, store, index, gallery, asked, condition, count, seed):
        """Draw queries from some rows, the same under all conditions."""
        query = np.sort(np.random.default_rng([seed, 0]).choice(asked, min(count, len(asked)), replace=False))
        poses = recorded_poses(store, index, query)
        rng = np.random.default_rng([seed, 1])
        people = simulate_condition(poses, CameraRig.load("mpi_inf_3dhp"), condition, distance=4.0, generator=rng)
        people = replace(people, confidence=people.mask.astype(np.float32), covariance=None)
        distance = np.stack([pose_distance(index.canonical[gallery], index.canonical[row][None]) for row in query])
        return cls(index, people, query, gallery, distance)

    def kept(self, number: int, left_out: str) -> np.ndarray:
        """Which of the gallery's rows a query is searched in."""
        if left_out == ABSENT:
            return self.distance[number] >= 0.1
        clip, time = self.index.clip_codes, self.index.times
        row = self.query[number]
        near = np.abs(time[self.gallery] - time[row]) <= LEFT_OUT[left_out] + 1e-6
        return ~((clip[self.gallery] == clip[row]) & near)

    def to(self, number: int, rows: np.ndarray) -> np.ndarray:
        """Distances of some of the gallery's rows to a query's pose."""
        return self.distance[number, np.searchsorted(self.gallery, rows)]


def thinned(index: PoseIndex, rows: np.ndarray) -> np.ndarray:
    return rows[without_near_duplicates(index.canonical[rows])]


def learned(store, index, of_row, conditions, count: int, seed: int) -> FewJoints:
    """What is learned from one convention's views."""
    val = thinned(index, np.flatnonzero(of_row == "val"))
    both = np.union1d(val, np.flatnonzero(of_row == "train")[::4])  # all pairs of these would take minutes
    model = RankingModel.of(conditions[0].told or conditions[0].convention)
    parts = []
    for condition in conditions:
        for gallery, many in ((val, count), (both, count // 2)):
            asked = Asked.of(store, index, gallery, val, condition, many, seed)
            for left_out in (*LEFT_OUT, ABSENT):
                parts += [one_example(asked, number, left_out) for number in range(len(asked.query))]
            print(f"{condition.name}: {len(asked.query)} queries of {len(gallery)} poses", flush=True)
    usual = joined([part for part in parts if part[0] in MIX])
    fitted = fit_ranking_model(usual, camera_prior=model.camera_prior, made="", ranked_by=model)
    lists = with_lists(fitted, joined([part for part in parts if part[0] in LISTED])).lists
    made = "benchmarks/few_joints.py: logistic regressions on simulated views of validation clips (Bandai Namco)"
    return FewJoints(
        near=fitted.near.calibration, close=fitted.close.calibration, presence=fitted.presence, lists=lists, made=made
    )


def one_example(asked: Asked, number: int, left_out: str):
    """What is known of a query's candidates, and what is true."""
    kept = asked.kept(number, left_out)
    search, person = Search(asked.index, where=asked.gallery[kept]), asked.people[number]
    fitted = search.fitted_everywhere(person, VOTERS)
    present = bool((asked.distance[number, kept] < 0.1).any())
    return left_out, search.features(fitted, person), asked.to(number, fitted.rows[0]), present


def joined(parts) -> RankingExamples:
    known = [part[1] for part in parts]
    names = [one.name for one in fields(CandidateFeatures)]
    return RankingExamples(
        features=CandidateFeatures(**{name: np.concatenate([getattr(one, name) for one in known]) for name in names}),
        distance=np.stack([part[2] for part in parts]),
        present=np.array([part[3] for part in parts]),
        weight=np.array([MIX.get(part[0], 0.0) for part in parts]),
    )


def measured(store, index, of_row, options) -> list[list]:
    """A row for each mode, condition and gallery, and one for each gallery of all conditions."""
    gallery = thinned(index, np.flatnonzero(of_row == options.part))
    rows = []
    for mode in ("full", "hypotheses"):
        found = {}
        for condition in FEW:
            asked = Asked.of(store, index, gallery, gallery, condition, options.queries, options.seed)
            for left_out in (*LEFT_OUT, ABSENT):
                for number in range(len(asked.query)):
                    kept = asked.kept(number, left_out)
                    if mode != "full" and left_out == "clip left out":
                        continue
                    hits = query(asked.index, asked.people[number], K, mode=mode, where=gallery[kept])
                    distance = asked.to(number, np.maximum(hits.rows[0], gallery[0]))
                    present = bool((asked.distance[number, kept] < 0.1).any())
                    said = hits.probability[0]
                    clip = index.clip_codes[asked.query[number]]
                    found.setdefault((condition.name, left_out), []).append(
                        (distance < 0.1, said, float(hits.presence[0]), present, clip)
                    )
        for left_out in LEFT_OUT:
            for name in (*(one.name for one in FEW), "all three"):
                chosen = [one.name for one in FEW if name in (one.name, "all three")]
                some = [one for each in chosen for one in found.get((each, left_out), [])]
                absent = [one for each in chosen for one in found[each, ABSENT]]
                if some:
                    rows.append([mode, name, left_out, *figures(some, absent, options.seed)])
                    print(*rows[-1], flush=True)
    return rows


def figures(some, absent, seed: int) -> list:
    right, said = np.stack([one[0] for one in some]), np.stack([one[1] for one in some])
    there, present = np.array([one[2] for one in some + absent]), np.array([one[3] for one in some + absent])
    scored = np.array([one[3] for one in some])
    clips = np.array([one[4] for one in some])[scored]
    low, high = bootstrap_interval(right[scored, 0], clips, generator=np.random.default_rng([seed, 2]))
    return [
        int(scored.sum()),
        100 * float(right[scored, 0].mean()),
        [round(100 * float(low), 2), round(100 * float(high), 2)],
        100 * float(right[scored].any(axis=1).mean()),
        100 * float(said[:, 0].mean()),
        100 * float(right[:, 0].mean()),
        expected_calibration_error(said[:, 0], right[:, 0]),
        auroc(there, present),
    ]


if __name__ == "__main__":
    main()
