"""Learn how much a body that is read mirrored is trusted (retrieve/labels/reading_trust.json), and show what that does.

    python benchmarks/reading_trust.py STORE --split ../shared/mocap/clips.csv --learn out/reading_trust.json
    python benchmarks/reading_trust.py STORE --split ../shared/mocap/clips.csv --part cross [--out benchmarks/results]

Simulated photos of a part's clips, seven kinds of them labelled rightly, with the archive's joints and with detectors'
marks, and five labelled wrongly: all sides exchanged, or the image mirrored. Each is searched for in four galleries, as
`vipe evaluate calibration` does: whole, with 4 s and with the clip left out, and without any pose within 0.1. Whoever
is likelier mirrored than as labelled is an example. Wrong labels count half, so that one person in four has them: fewer
than among some detectors' people in one video, more than in most photos. Absence counts a quarter, as in `ranking.py`.
--learn learns on `train`, of which the ranking model has seen nothing; otherwise shows how many are likelier mirrored,
and how much the library trusts that. Takes twelve minutes with 120 queries.
"""

import argparse
import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import results_tables
from inputs import arguments, splits
from scipy.special import expit

from vipe import AffineSignature, PoseIndex, PoseStore
from vipe.evaluate.conditions import CONDITIONS, HARD_CONDITIONS, Condition
from vipe.evaluate.leave_out import by_rows
from vipe.evaluate.metrics import HIT_THRESHOLDS
from vipe.evaluate.protocols.calibration import ABSENT, rows_searched
from vipe.evaluate.protocols.search import SearchProtocol, SearchStudy
from vipe.retrieve import CANDIDATES, Search
from vipe.retrieve.labels.labelling import WHOLE_BODY
from vipe.retrieve.labels.reading import read_labels
from vipe.retrieve.labels.trust import ReadingTrust
from vipe.retrieve.ranking.evidence import VOTERS
from vipe.simulate.detector import NOISE_003, NOISE_006
from vipe.simulate.mistakes import exchanged, mirrored

RIGHT = tuple(
    one
    for one in (*CONDITIONS, *HARD_CONDITIONS)
    if one.name in ("noise 0.03", "noise 0.06", "2 missing", "4 missing", "legs out", "COCO marks", "BlazePose marks")
)
SWAPPED = Condition(name="body swapped", noise=NOISE_003, mistake=exchanged("body"))
WRONG = (
    SWAPPED,
    replace(SWAPPED, name="body swapped, noise 0.06", noise=NOISE_006),
    replace(SWAPPED, name="body swapped, COCO marks", convention="coco"),
    replace(SWAPPED, name="body swapped, BlazePose marks, noise 0.06", convention="blazepose", noise=NOISE_006),
    Condition(name="image mirrored", noise=NOISE_003, mistake=mirrored),
)


class Cell(NamedTuple):
    """People of one condition and gallery for whom a mirrored body is likelier than their labels."""

    condition: str
    gallery: str
    people: int  # of the condition, with such a rival or not
    gain: np.ndarray
    presence_as_given: np.ndarray
    right: np.ndarray  # whether they are labelled so


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--part", default="train", help="whose clips are asked for and searched")
    parser.add_argument("--queries", type=int, default=120, help="of each condition")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--learn", type=Path, help="file to write what is learned into")
    parser.add_argument("--out", type=Path, help="folder for reading_trust.json, the table")
    options = parser.parse_args()
    cells = list(examples(options))
    trust = ReadingTrust.default()
    if options.learn:
        trust = learned(cells)
        trust.save(options.learn)
        print(f"{options.learn} written: {trust}")
    rows = list(table(cells, trust))
    for row in rows:
        print(*row)
    if options.out:
        names = {
            "labels": None,
            "gallery": None,
            "people": 0,
            "mirrored is likelier": 0,
            "by evidence alone": 2,
            "trusted": 2,
        }
        results_tables.write(
            options.out / "reading_trust.json",
            {
                "command": shlex.join(["python", "benchmarks/reading_trust.py", "STORE", *sys.argv[2:]]),
                "data": f"simulated photos of {options.part}, {options.queries} a condition",
                "seed": options.seed,
                "machine": "2 cores (x86_64), no GPU",
                "columns": names,
                "rows": rows,
            },
        )


def examples(options: argparse.Namespace) -> Iterator[Cell]:
    store = PoseStore.open(options.store)
    part = splits(options.split)
    clips = sorted(clip for clip in set(store.table(["clip"])["clip"].to_pylist()) if part.get(clip) == options.part)
    protocol = replace(
        SearchProtocol(),
        queries=options.queries,
        seed=options.seed,
        thresholds=HIT_THRESHOLDS,
        conditions=(*RIGHT, *WRONG),
    )
    with tempfile.TemporaryDirectory() as folder:
        index = PoseIndex.build(store, AffineSignature(), Path(folder) / "index")
        study = SearchStudy.prepare(store, index, protocol, {"clip": clips}, lambda *_: None)
        galleries = [(gallery.name, gallery) for gallery in study.relevance.galleries]
        for condition in protocol.conditions:
            people = study.photos(condition, protocol.distances[0])
            for name, gallery in (*galleries, (ABSENT, None)):
                yield cell(index, people, condition.name, name, rows_searched(study, gallery))
            print(condition.name, flush=True)


def cell(index: PoseIndex, people, condition: str, gallery: str, searched: list[np.ndarray]) -> Cell:
    gain, given = [], []
    for rows, members in by_rows(searched):
        reading = read_labels(Search(index, where=rows), people[members], CANDIDATES, VOTERS)
        likelier = np.isin(reading.rivals, WHOLE_BODY) & (reading.gain > 0)
        gain.append(reading.gain[likelier])
        given.append(reading.presence_as_given[likelier])
    right = np.full(len(np.concatenate(gain)), condition in {one.name for one in WRONG})
    return Cell(condition, gallery, len(people), np.concatenate(gain), np.concatenate(given), right)


def learned(cells: list[Cell]) -> ReadingTrust:
    return ReadingTrust.learn(
        np.concatenate([cell.gain for cell in cells]),
        np.concatenate([cell.presence_as_given for cell in cells]),
        np.concatenate([cell.right for cell in cells]),
        np.concatenate([np.full(len(cell.gain), weight(cell)) for cell in cells]),
        made="benchmarks/reading_trust.py: a logistic regression on simulated views of train clips (Bandai Namco)",
    )


def weight(cell: Cell) -> float:
    """How much a person counts."""
    return (0.25 if cell.gallery == ABSENT else 1.0) * (0.5 if cell.condition in {one.name for one in WRONG} else 1.0)


def table(cells: list[Cell], trust: ReadingTrust) -> Iterator[list[str | int | float]]:
    """By whether the labels are wrong, and by gallery: how many are read mirrored, and how much that is trusted."""
    names = [condition.name for condition in WRONG]
    for wrong in (False, True):
        for gallery in dict.fromkeys(cell.gallery for cell in cells):
            some = [cell for cell in cells if cell.gallery == gallery and (cell.condition in names) == wrong]
            gain, given = (np.concatenate([getattr(cell, key) for cell in some]) for key in Cell._fields[3:5])
            trusted = expit(trust.log_odds([WHOLE_BODY[0]] * len(gain), gain, given))
            yield [
                "wrong" if wrong else "right",
                gallery,
                sum(cell.people for cell in some),
                len(gain),
                float(expit(gain).mean()) if len(gain) else 0.0,
                float(trusted.mean()) if len(trusted) else 0.0,
            ]


if __name__ == "__main__":
    main()
