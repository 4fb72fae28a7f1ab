"""Fit how far hypotheses reach (retrieve/candidates/hypotheses.json) on simulated views of `val` clips.

    python benchmarks/hypothesis_kernel.py STORE --split ../shared/mocap/clips.csv --out out/hypotheses.json

A lifter proposes 200 poses for each of the people that the search protocol asks for, under its nine conditions and with
six and eight joints missing. Of every frame that is left in the gallery with 4 s around the query left out, it is known
whether it lies within 0.1 of the true pose. The three numbers of the kernel make these outcomes most likely. Takes
about two minutes.
"""

import argparse
import csv
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize

from vipe import AffineSignature, Lifter, PoseIndex, PoseStore
from vipe.evaluate.conditions import CONDITIONS, Condition
from vipe.evaluate.metrics import HIT_THRESHOLD, pose_distance
from vipe.evaluate.protocols.search import SearchProtocol, SearchStudy
from vipe.evaluate.study import quiet
from vipe.retrieve.candidates.hypotheses import HypothesisKernel, distances, spacing_of
from vipe.simulate.detector import NOISE_003

FEW_SEEN = tuple(Condition(name=f"{count} missing", noise=replace(NOISE_003, missing_count=count)) for count in (6, 8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lifter", default="default")
    parser.add_argument("--queries", type=int, default=40, help="of each condition")
    arguments = parser.parse_args()
    store = PoseStore.open(arguments.store)
    with arguments.split.open() as file:
        clips = [row["clip"] for row in csv.DictReader(file) if row["split"] == "val"]
    clips = sorted(set(clips) & set(store.table(["clip"])["clip"].to_pylist()))
    with tempfile.TemporaryDirectory() as folder:
        index = PoseIndex.build(store, AffineSignature(), Path(folder) / "index", where={"clip": clips})
        known = outcomes(store, index, Lifter.from_pretrained(arguments.lifter), arguments.queries)

    def loss(numbers: np.ndarray) -> float:
        kernel = kernel_of(numbers)
        chances = [(kernel(apart, spacing).mean(dim=1).clamp(1e-9, 1 - 1e-7), hit) for apart, spacing, hit in known]
        return -sum(float(torch.where(hit, chance, 1 - chance).log().sum()) for chance, hit in chances)

    start = np.array([0.1, 0.5, np.log(0.1)])
    best = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 0.5})
    kernel = kernel_of(best.x, f"benchmarks/hypothesis_kernel.py: lifter {arguments.lifter}, views of validation clips")
    kernel.save(arguments.out)
    print(f"{kernel}: log loss {best.fun:.0f} over {sum(len(hit) for *_, hit in known):,} pairs")


def kernel_of(numbers: np.ndarray, made: str = "") -> HypothesisKernel:
    offset, reach, scale = (round(float(one), 4) for one in (numbers[0], numbers[1], np.exp(numbers[2])))
    return HypothesisKernel(offset=offset, reach_by_spacing=reach, scale_by_spacing=max(scale, 1e-4), made=made)


def outcomes(store: PoseStore, index: PoseIndex, lifter: Lifter, queries: int) -> list:
    """Of each query: distances of frames from hypotheses, the spacing of these, and which frames are right."""
    protocol = SearchProtocol(queries=queries, conditions=(*CONDITIONS, *FEW_SEEN))
    study = SearchStudy.prepare(store, index, protocol, None, quiet)
    gallery = study.relevance.galleries[1]
    poses = study.archive.poses
    known = []
    for condition in protocol.conditions:
        drawn = lifter.sample(study.photos(condition, 4.0), 200, torch.Generator().manual_seed(0)).canonical().poses
        for query, points in zip(study.query, torch.from_numpy(drawn).flatten(2), strict=True):
            rows = gallery.rows_of(query, study.gallery)
            apart = distances(torch.from_numpy(poses[rows]).flatten(1), points)
            right = pose_distance(poses[rows], poses[query][None]) < HIT_THRESHOLD
            known.append((apart, spacing_of(points), torch.from_numpy(right)))
    return known


if __name__ == "__main__":
    main()
