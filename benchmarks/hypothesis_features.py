"""Would the hypotheses of lifters rank candidates better? Mode "full" with and without their density as a feature.

    python benchmarks/hypothesis_features.py STORE --split ../shared/mocap/clips.csv --part cross \
        --lifter default --lifter out/lifters/bone-flow --out benchmarks/results

Each candidate of mode "full" gets further features from a lifter's 200 hypotheses: log sum_m w_m exp(-d_m^2 / 2 s^2),
less its logarithm over all candidates, for four widths s; d_m is the distance in the camera's space, where the fitted
camera has placed the candidate. The logistic regression that ranks is learned on views of `val` clips with and without
them. `val` itself is judged by clips that were left out, four parts in turn; the other part by the model of all of
`val`. Nothing is chosen on that part. Takes about ten minutes for two lifters.
"""

import argparse
import csv
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import results_tables
import torch

from vipe import AffineSignature, Lifter, PoseIndex, PoseStore
from vipe.arrays import take_rows
from vipe.evaluate.conditions import CONDITIONS
from vipe.evaluate.intervals import bootstrap_interval
from vipe.evaluate.leave_out import by_rows
from vipe.evaluate.metrics import HIT_THRESHOLD, pose_distance
from vipe.evaluate.protocols.search import SearchProtocol, SearchStudy
from vipe.evaluate.study import quiet
from vipe.lift import Hypotheses
from vipe.lift.lifter import of_unit_torso
from vipe.retrieve import Search
from vipe.retrieve.candidates.hypotheses import distances
from vipe.retrieve.ranking.coverage import coverage_order
from vipe.retrieve.ranking.evidence import VOTERS, FittedCandidates
from vipe.retrieve.ranking.features import FEATURES, CandidateFeatures
from vipe.retrieve.ranking.logistic import LogisticModel

NAMES = ("noise 0.03", "noise 0.06", "2 missing", "4 missing", "an arm out", "legs out")
WIDTHS = (0.05, 0.08, 0.12, 0.18)  # torso lengths
FOLDS = 4
CANDIDATES = 200


@dataclass(frozen=True)
class Cell:
    """Queries of one condition and gallery."""

    known: CandidateFeatures
    density: dict[str, np.ndarray]  # of each lifter, (Q, S, widths)
    distance: np.ndarray  # (Q, S), of each candidate from the truth
    present: np.ndarray  # (Q,)
    clip: np.ndarray  # (Q,)

    def values(self, lifters: tuple[str, ...]) -> np.ndarray:
        """Features of candidates, those of some lifters behind the others."""
        return np.concatenate([self.known.values, *[self.density[name] for name in lifters]], axis=-1)


Cells = dict[tuple[str, str], Cell]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--part", default="cross", help="to report on, beside `val`")
    parser.add_argument("--lifter", action="append", required=True)
    parser.add_argument("--queries", type=int, default=120, help="of each condition")
    parser.add_argument("--out", type=Path, required=True, help="folder for hypothesis_features.json")
    options = parser.parse_args()
    lifters = {Path(source).name: Lifter.from_pretrained(source) for source in options.lifter}
    val, other = (cells_of(options, part, lifters) for part in ("val", options.part))
    sets = [(), *[(name,) for name in lifters], *([tuple(lifters)] if len(lifters) > 1 else [])]
    rows = []
    for some in sets:
        model = learned(val, some)
        judged = {"val": across_folds(val, some), options.part: hits(other, model, some)}
        for part, found in judged.items():
            for (condition, gallery), (first, clips) in found.items():
                low, high = bootstrap_interval(first, clips, generator=np.random.default_rng(0))
                ends = [round(100 * float(low), 2), round(100 * float(high), 2)]
                rows.append(
                    [part, condition, gallery, " + ".join(some) or "none", len(first), 100 * first.mean(), ends]
                )
                print(*rows[-1], flush=True)
    names = ["part", "keypoints", "gallery", "hypotheses", "queries", "Hit@1", "95%"]
    results_tables.write(
        options.out / "hypothesis_features.json",
        {
            "command": f"python benchmarks/hypothesis_features.py STORE --split ../shared/mocap/clips.csv "
            f"{' '.join(f'--lifter {one}' for one in options.lifter)} --queries {options.queries}",
            "data": "Bandai Namco val (clips left out in turn) and CMU",
            "seed": 0,
            "machine": "2 cores (x86_64), no GPU",
            "columns": dict(zip(names, [None, None, None, None, 0, 1, 1], strict=True)),
            "rows": rows,
        },
    )


def cells_of(options: argparse.Namespace, part: str, lifters: dict[str, Lifter]) -> Cells:
    store = PoseStore.open(options.store)
    with options.split.open() as file:
        clips = {row["clip"] for row in csv.DictReader(file) if row["split"] == part}
    clips &= set(store.table(["clip"])["clip"].to_pylist())
    conditions = tuple(one for one in CONDITIONS if one.name in NAMES)
    protocol = SearchProtocol(queries=options.queries, conditions=conditions)
    cells = {}
    with tempfile.TemporaryDirectory() as folder:
        index = PoseIndex.build(store, AffineSignature(), Path(folder) / "index", where={"clip": sorted(clips)})
        study = SearchStudy.prepare(store, index, protocol, None, quiet)
        for condition in conditions:
            people = study.photos(condition, 4.0)
            drawn = {name: one.sample(people, 200, torch.Generator().manual_seed(0)) for name, one in lifters.items()}
            for gallery in study.relevance.galleries[:2]:
                parts, order = [], []
                for rows, numbers in by_rows(gallery.rows_of(query, study.gallery) for query in study.query):
                    search = Search(index, where=rows)
                    some = people[numbers]
                    fitted = search.fitted(search.candidates(some, CANDIDATES), some, VOTERS)
                    away = pose_distance(fitted.poses, index.canonical[study.query[numbers]][:, None])
                    density = {name: densities(fitted, drawn[name][numbers]) for name in lifters}
                    parts.append((search.features(fitted, some), density, away))
                    order.append(numbers)
                place = np.argsort(np.concatenate(order))
                cells[condition.name, gallery.name] = Cell(
                    known=take_rows(
                        CandidateFeatures(
                            **{
                                field: np.concatenate([getattr(known, field) for known, *_ in parts])
                                for field in vars(parts[0][0])
                            }
                        ),
                        place,
                    ),
                    density={name: np.concatenate([own[name] for _, own, _ in parts])[place] for name in lifters},
                    distance=np.concatenate([away for *_, away in parts])[place],
                    present=gallery.matches[HIT_THRESHOLD] > 0,
                    clip=study.clips,
                )
    return cells


def densities(fitted: FittedCandidates, hypotheses: Hypotheses) -> np.ndarray:
    """Log densities of candidates, (Q, S, widths), less the logarithm of their sum over the candidates."""
    result = []
    for poses, proposed, weight in zip(fitted.fits.poses, hypotheses.poses, hypotheses.log_weight, strict=True):
        placed = of_unit_torso(torch.from_numpy(poses)).flatten(1)
        apart = distances(placed, of_unit_torso(torch.from_numpy(proposed)).flatten(1))
        squares = torch.stack([(apart / width) ** 2 for width in WIDTHS], dim=-1)
        log = torch.logsumexp(torch.from_numpy(weight)[None, :, None] - squares / 2, dim=1)
        result.append(log.log_softmax(dim=0).numpy())
    return np.stack(result).astype(np.float32)


def learned(cells: Cells, lifters: tuple[str, ...]) -> LogisticModel:
    values = np.concatenate(
        [cell.values(lifters).reshape(-1, len(FEATURES) + 4 * len(lifters)) for cell in cells.values()]
    )
    right = np.concatenate([(cell.distance < HIT_THRESHOLD).ravel() for cell in cells.values()])
    names = [str(number) for number in range(values.shape[1])]
    signs = [feature.monotone for feature in FEATURES] + [0] * 4 * len(lifters)
    return LogisticModel.fit(names, values, right, np.ones(len(right)), signs)


def hits(cells: Cells, model: LogisticModel, lifters: tuple[str, ...]) -> dict:
    """Whether the first hit is right, and the clip, of each query that has one."""
    found = {}
    for name, cell in cells.items():
        order = coverage_order(model(cell.values(lifters)), cell.known, 1)
        first = np.take_along_axis(cell.distance, order, axis=1)[:, 0] < HIT_THRESHOLD
        found[name] = first[cell.present], cell.clip[cell.present]
    return found


def across_folds(cells: Cells, lifters: tuple[str, ...]) -> dict:
    clips = np.unique(np.concatenate([cell.clip for cell in cells.values()]))
    parts = []
    for fold in range(FOLDS):
        away = {name: np.isin(cell.clip, clips[fold::FOLDS]) for name, cell in cells.items()}
        model = learned({name: rows_of(cell, ~away[name]) for name, cell in cells.items()}, lifters)
        parts.append(hits({name: rows_of(cell, away[name]) for name, cell in cells.items()}, model, lifters))
    return {name: tuple(np.concatenate([part[name][i] for part in parts]) for i in (0, 1)) for name in cells}


def rows_of(cell: Cell, some: np.ndarray) -> Cell:
    return Cell(
        known=take_rows(cell.known, some),
        density={name: own[some] for name, own in cell.density.items()},
        distance=cell.distance[some],
        present=cell.present[some],
        clip=cell.clip[some],
    )


if __name__ == "__main__":
    main()
