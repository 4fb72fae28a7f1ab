"""Whether a search is as sure as it should be: probabilities held against what was right (numpy)."""

__all__ = ["ABSENT", "Calibration", "CalibrationReport", "auroc", "evaluate_calibration", "expected_calibration_error"]

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64
from scipy.stats import rankdata

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.evaluate.protocols.search import Progress, SearchProtocol, Study
from vipe.index import PoseIndex
from vipe.index.frames import Where
from vipe.retrieve.hits import Hits
from vipe.retrieve.query import query
from vipe.store import PoseStore

ABSENT = "pose left out"
"""The gallery without any pose within 0.1 torso of the query's: nothing that comes back is right."""

_BINS = 15
_NEAR, _CLOSE = 0.1, 0.05


def expected_calibration_error(probability: Float[Array, " N"], right: Bool[Array, " N"], bins: int = _BINS) -> float:
    """Mean distance of probability and rate of success over bins of equal width, weighed by what is in them.

    0 for a perfect forecaster and for none (N = 0).

    Reference:
        Naeini et al. 2015; Guo et al. 2017, eq. 3.
    """
    return float(
        sum(abs(bar["probability"] - bar["rate"]) * bar["share"] for bar in reliability(probability, right, bins))
    )


def reliability(probability: Float[Array, " N"], right: Bool[Array, " N"], bins: int = _BINS) -> list[dict[str, float]]:
    """Mean probability, rate of success and share of the examples in each bin that holds any."""
    number = np.minimum((probability * bins).astype(np.int64), bins - 1)
    return [
        {
            "probability": float(probability[number == one].mean(dtype=np.float64)),
            "rate": float(right[number == one].mean()),
            "share": float((number == one).mean()),
        }
        for one in np.unique(number)
    ]


def auroc(score: Float[Array, " N"], positive: Bool[Array, " N"]) -> float | None:
    """Probability that a positive example scores higher than a negative one, ties halved; None if either is missing."""
    count, others = int(positive.sum()), int((~positive).sum())
    if not count or not others:
        return None
    return float((rankdata(score)[positive].sum() - count * (count + 1) / 2) / (count * others))


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How sure a search was of its hits in one gallery under one condition, and how often it was right."""

    condition: str
    gallery: str
    queries: int
    first: float  # mean probability of the first hit, within 0.1
    right: float  # how often it was
    error: float  # expected calibration error of the first hits
    error_all: float  # of all hits
    error_close: float  # of all hits' probabilities to be within 0.05
    presence: float  # mean probability that the pose is there
    present: float  # how often it was


@dataclass(frozen=True, kw_only=True)
class CalibrationReport:
    """Every calibration of one run, and all of them pooled."""

    protocol: dict[str, Any]
    rows: tuple[Calibration, ...]
    pooled: dict[str, float]  # expected calibration errors over all but `ABSENT`
    presence_auroc: float | None  # poses of the whole gallery against the same with the pose left out
    presence_auroc_left_out: float | None  # queries that have a hit in what remains against those that have none
    bins: dict[str, list[dict[str, float]]]  # reliability within 0.1, within 0.05 and of presence
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def to_table(self) -> list[list[str]]:
        """A gallery and condition a row, head first."""
        head = [
            "condition",
            "gallery",
            "queries",
            "first hit sure",
            "right",
            "ECE",
            "ECE all",
            "ECE 0.05",
            "presence",
            "present",
        ]
        return [
            head,
            *(
                [
                    row.condition,
                    row.gallery,
                    str(row.queries),
                    *(f"{100 * value:.1f}" for value in (row.first, row.right)),
                    *(f"{value:.3f}" for value in (row.error, row.error_all, row.error_close)),
                    *(f"{100 * value:.1f}" for value in (row.presence, row.present)),
                ]
                for row in self.rows
            ),
        ]


def evaluate_calibration(
    store: PoseStore,
    index: PoseIndex,
    *,
    protocol: SearchProtocol | None = None,
    where: Where | None = None,
    k: int = 10,
    progress: Progress | None = None,
) -> CalibrationReport:
    """Ask an index for its own poses, as `evaluate_search` does, in mode "full", and judge the probabilities.

    Galleries are those of `evaluate_search`, and one more from which all that would be right is left out (`ABSENT`).
    Unlike there all queries count, whether they have a hit in what remains or not.

    Args:
        store: Holds the recorded poses of the index.
        index: The archive.
        protocol: Sizes and conditions; the first distance is used.
        where: Rows of the index to take for the archive.
        k: Hits of each query that are judged.
        progress: Told how far each step is.
    """
    start = time.perf_counter()
    protocol = protocol or SearchProtocol()
    tell = progress or (lambda *_: None)
    study = Study.prepare(store, index, protocol, where, tell)
    judged: list[tuple[Calibration, _Judged]] = []
    names = [*(gallery.name for gallery in study.galleries), ABSENT]
    done, total = 0, len(protocol.conditions) * len(names)
    for condition in protocol.conditions:
        people = study.people(condition, protocol.distances[0])
        for name in names:
            tell("calibration", done, total, f"{condition.name}, {name}")
            hits, present = _searched(index, study, people, name, k)
            values = _Judged.of(study, hits, present)
            judged.append((values.summary(condition.name, name), values))
            done += 1
    tell("calibration", total, total, "")
    usual = [values for row, values in judged if row.gallery != ABSENT]
    absent = [values for row, values in judged if row.gallery == ABSENT]
    whole = [values for row, values in judged if row.gallery == names[0]]
    left_out = [values for row, values in judged if row.gallery in names[1:-1]]
    pooled = _Judged.pooled(usual)
    return CalibrationReport(
        protocol=asdict(protocol) | {"conditions": [one.name for one in protocol.conditions]},
        rows=tuple(row for row, _ in judged),
        pooled={
            "first": expected_calibration_error(pooled.near[:, 0], pooled.near_right[:, 0]),
            "all": expected_calibration_error(pooled.near.ravel(), pooled.near_right.ravel()),
            "close": expected_calibration_error(pooled.close.ravel(), pooled.close_right.ravel()),
            "presence": expected_calibration_error(pooled.presence, pooled.present),
        },
        presence_auroc=_Judged.pooled(whole + absent).presence_auroc(),
        presence_auroc_left_out=_Judged.pooled(left_out).presence_auroc(),
        bins={
            "within 0.1": reliability(pooled.near.ravel(), pooled.near_right.ravel()),
            "within 0.1, first hit": reliability(pooled.near[:, 0], pooled.near_right[:, 0]),
            "within 0.05": reliability(pooled.close.ravel(), pooled.close_right.ravel()),
            "presence": reliability(pooled.presence, pooled.present),
        },
        seconds=round(time.perf_counter() - start, 3),
    )


@dataclass(frozen=True, kw_only=True)
class _Judged:
    near: Float[Array, "Q K"]
    near_right: Bool[Array, "Q K"]
    close: Float[Array, "Q K"]
    close_right: Bool[Array, "Q K"]
    presence: Float[Array, " Q"]
    present: Bool[Array, " Q"]

    @classmethod
    def of(cls, study: Study, hits: list[tuple[list[int], Hits]], present: Bool[Array, " Q"]) -> "_Judged":
        order = np.argsort(np.concatenate([numbers for numbers, _ in hits]))

        def joined(name: str) -> Array:
            return np.asarray(np.concatenate([getattr(one, name) for _, one in hits])[order])

        distance = study.near.of(joined("rows"))
        return cls(
            near=joined("probability"),
            near_right=distance < _NEAR,
            close=joined("probability_close"),
            close_right=distance < _CLOSE,
            presence=joined("presence"),
            present=present,
        )

    @classmethod
    def pooled(cls, parts: "list[_Judged]") -> "_Judged":
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.__annotations__})

    def presence_auroc(self) -> float | None:
        return auroc(self.presence, self.present)

    def summary(self, condition: str, gallery: str) -> Calibration:
        return Calibration(
            condition=condition,
            gallery=gallery,
            queries=len(self.near),
            first=float(self.near[:, 0].mean()),
            right=float(self.near_right[:, 0].mean()),
            error=expected_calibration_error(self.near[:, 0], self.near_right[:, 0]),
            error_all=expected_calibration_error(self.near.ravel(), self.near_right.ravel()),
            error_close=expected_calibration_error(self.close.ravel(), self.close_right.ravel()),
            presence=float(self.presence.mean()),
            present=float(self.present.mean()),
        )


def _searched(
    index: PoseIndex, study: Study, people: Keypoints, name: str, k: int
) -> tuple[list[tuple[list[int], Hits]], Bool[Array, " Q"]]:
    """Hits of every query in a gallery, and whether anything in it is right; queries that leave out alike together."""
    gallery = next((one for one in study.galleries if one.name == name), None)
    everyone = np.arange(len(study.query))
    kept: dict[bytes, tuple[Int64[Array, " M"], list[int]]] = {}
    present = np.zeros(len(everyone), dtype=bool)
    for number in everyone:
        matches = study.near.row[(study.near.query == number) & (study.near.distance < _NEAR)]
        if gallery is None:
            rows = np.setdiff1d(study.gallery, matches)
        else:
            rows = study.gallery[~gallery.left_out.mask(study.query[number : number + 1], study.gallery)]
            present[number] = gallery.matches[study.protocol.thresholds[0]][number] > 0
        kept.setdefault(rows.tobytes(), (rows, []))[1].append(int(number))
    found: list[tuple[list[int], Hits]] = []
    for rows, members in kept.values():
        found.append((members, query(index, people[np.array(members)], k, "full", where=rows)))
    return found, present
