"""What the calibration protocol measured, as a table and as JSON (numpy)."""

__all__ = ["ABSENT", "CONFIDENCES", "Calibration", "CalibrationReport", "ConfidentList", "GalleryCalibration"]

from dataclasses import asdict, dataclass
from typing import Any

from vipe.evaluate.metrics import CLOSE_THRESHOLD

ABSENT = "pose left out"
"""The gallery without any pose within `HIT_THRESHOLD` of the query's: no hit is right there."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The probabilities of a search in one gallery under one condition, beside how often it was right."""

    condition: str
    gallery: str
    queries: int
    first: float  # mean probability of the first hit to be within `HIT_THRESHOLD`
    right: float  # how often it was
    error: float  # expected calibration error of the first hits
    error_all: float  # of all hits
    error_close: float  # of all hits' probabilities to be within `CLOSE_THRESHOLD`
    presence: float  # mean probability that the gallery holds the pose
    present: float  # how often it did


@dataclass(frozen=True, kw_only=True)
class GalleryCalibration:
    """The probabilities of a search in one gallery, all conditions together."""

    gallery: str
    queries: int
    first: float  # mean probability of the first hit to be within `HIT_THRESHOLD`
    right: float  # how often it was
    error: float  # expected calibration error of the first hits
    interval: tuple[float, float]  # of that error, 95%, over clips (`bootstrap_statistic`)
    by_chance: float  # the error that right probabilities would have (`calibration_error_by_chance`)
    presence: float  # mean probability that the gallery holds the pose
    present: float  # how often it did
    presence_error: float  # expected calibration error of presence
    presence_interval: tuple[float, float]


CONFIDENCES = (0.8, 0.9, 0.95)
"""At which lists are judged that shall hold a right hit."""


@dataclass(frozen=True, kw_only=True)
class ConfidentList:
    """How often the list that `vipe query --confidence` gives holds a right hit, where the gallery holds one."""

    gallery: str  # all conditions together
    confidence: float
    queries: int  # of which the gallery holds a pose within `HIT_THRESHOLD`
    holds: float  # share of those whose list holds one, of those who get a list
    interval: tuple[float, float]  # 95%, over clips
    length: float  # mean number of hits of a list
    median: float
    none: float  # share of those for whom no list is long enough

    def __str__(self) -> str:
        low, high = self.interval
        told = f"{100 * self.holds:.1f}% ({100 * low:.1f} to {100 * high:.1f}) of the lists hold a right hit"
        without = f"; {100 * self.none:.0f}% get no list" if self.none else ""
        return (
            f"confidence {self.confidence:g}, {self.gallery}: {told}; median length {self.median:g}, "
            f"mean {self.length:.1f}; queries whose pose is there: {self.queries:,}{without}"
        )


@dataclass(frozen=True, kw_only=True)
class CalibrationReport:
    """Every calibration of one run, and all of them pooled."""

    protocol: dict[str, Any]
    rows: tuple[Calibration, ...]
    pooled: dict[str, float]  # expected calibration errors over all but `ABSENT`
    presence_auroc: float | None  # queries in the whole gallery against the same with the pose left out
    presence_auroc_left_out: float | None  # queries that have a hit in what remains against those that have none
    bins: dict[str, list[dict[str, float]]]  # reliability by kind of probability
    gallery_bins: dict[str, dict[str, list[dict[str, float]]]]  # the same by gallery, `ABSENT` among them
    galleries: tuple[GalleryCalibration, ...]  # `ABSENT` among them
    lists: tuple[ConfidentList, ...]  # by gallery and confidence
    share_of_five_clips: float  # of the queries, from the five clips with the most
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def to_table(self) -> list[list[str]]:
        """A gallery and condition a row, then a gallery a row of all conditions together, head first."""
        head = ["condition", "gallery", "queries", "first hit sure", "right", "ECE", "95%", "by chance"]
        head += ["ECE all", f"ECE {CLOSE_THRESHOLD:g}", "presence", "present"]
        rows = [
            [
                row.condition,
                row.gallery,
                str(row.queries),
                *(f"{100 * value:.1f}" for value in (row.first, row.right)),
                f"{row.error:.3f}",
                *("", ""),
                *(f"{value:.3f}" for value in (row.error_all, row.error_close)),
                *(f"{100 * value:.1f}" for value in (row.presence, row.present)),
            ]
            for row in self.rows
        ]
        together = [
            [
                "all together",
                row.gallery,
                str(row.queries),
                *(f"{100 * value:.1f}" for value in (row.first, row.right)),
                f"{row.error:.3f}",
                "{:.3f}-{:.3f}".format(*row.interval),
                f"{row.by_chance:.3f}",
                *("", ""),
                *(f"{100 * value:.1f}" for value in (row.presence, row.present)),
            ]
            for row in self.galleries
        ]
        return [head, *rows, *together]
