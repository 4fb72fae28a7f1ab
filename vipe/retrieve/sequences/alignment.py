"""Aligning several images of one person with the archive: votes for moments, then the cheapest paths (numpy)."""

__all__ = ["AlignedMoments", "Sequence", "TrackConfig", "best_paths"]

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from vipe.arrays import Array, take_rows
from vipe.detections import Keypoints
from vipe.errors import VipeError
from vipe.retrieve.camera.perspective import Fits
from vipe.retrieve.camera.shared_proportions import shared_proportions
from vipe.retrieve.ranking.evidence import FittedCandidates
from vipe.retrieve.sequences.reading import SequenceReading, read_together
from vipe.retrieve.sequences.timeline import Timeline
from vipe.retrieve.session import Search

_ROUNDING = 1e-6  # seconds: times are frames over a rate


@dataclass(frozen=True, kw_only=True)
class TrackConfig:
    """How a track may run through an archive.

    Raises:
        VipeError: If a number is out of its range.
    """

    fade: float = 0.15  # seconds: a frame at t from the middle frame counts exp(-t^2 / (2 fade^2))
    slack: float = 0.5  # a frame may come this share of its distance from the middle frame sooner or later
    warp: float = 0.5  # standard deviation of the archive's speed from one frame to the next, against the track's

    def __post_init__(self) -> None:
        for name in ("fade", "warp"):
            if not 0 < getattr(self, name) < math.inf:
                raise VipeError(f"track: {name} must be finite and above 0, got {getattr(self, name)}")
        if not 0 <= self.slack < 1:
            raise VipeError(f"track: slack must be at least 0 and below 1, got {self.slack}")

    @property
    def reach(self) -> float:
        """Seconds from the middle frame beyond which a frame would count for a hundredth, and is left out."""
        return self.fade * math.sqrt(2 * math.log(100))


@dataclass(frozen=True, kw_only=True)
class AlignedMoments:
    """S moments of the archive that T images may show, of least cost first."""

    rows: Int64[Array, " S"]  # of the middle frame
    cost: Float32[Array, " S"]  # summed along the path
    distance: Float32[Array, " S"]  # root mean square over the images of the residual
    held: Bool[Array, "T S"]  # whether the archive has a row for an image; where not, its candidate is any
    fits: Fits  # of the candidate of each image on the path, T x S
    current: FittedCandidates  # the candidates of the V images nearest to the moment: V x S
    reading: SequenceReading  # how the images' labels are read


class Sequence:
    """T images of one person, to be aligned with the archive's time line.

    Args:
        search: The archive and the settings.
        line: Its rows in time.
        people: The images' keypoints.
        offset: Seconds from the middle frame, ascending.
        config: How a track may run through the archive.
    """

    def __init__(
        self,
        search: Search,
        line: Timeline,
        people: Keypoints,
        offset: Float64[Array, " T"],
        config: TrackConfig | None = None,
    ) -> None:
        config = config or TrackConfig()
        self.search, self.line, self.people, self.config = search, line, people, config
        self.offset = offset
        self.weight: Float32[Array, " T"] = np.exp(-np.square(offset / config.fade) / 2).astype(np.float32)
        """How much each image counts, 1 at the moment itself."""
        self.current: Bool[Array, " T"] = self.weight > self.weight.max() - 1e-6
        """Which images are nearest to the moment: one, or several cameras."""

    def align(self, candidates: int, count: int) -> AlignedMoments:
        """Elect `candidates` moments, fit every image to what lies around them, and keep the `count` of least cost."""
        allowed = np.sort(self.line.rows)
        reading = read_together(self.search, self.people, min(candidates, len(allowed)), allowed, self.offset)
        near, first = reading.near, reading.first
        worst = self.weight * first.cost.max(axis=1)
        moments = self._elected(near, worst[:, None] - self.weight[:, None] * first.cost, candidates)
        early, late = self._windows(self.line.at[moments][:, None] + self.offset)
        places = early[..., None] + np.arange(max(int((late - early).max(initial=1)), 1))  # H T W
        held = places < late[..., None]
        table, column = _columns(np.where(held, places, -1))
        fits = self._fitted(self.line.rows[table], reading)
        image = np.arange(len(self.people))[:, None]
        cost = np.minimum(self.weight[:, None] * fits.cost[image, column], worst[:, None])
        cost = np.where(held, cost, np.inf)
        at = self.line.at[np.minimum(places, len(self.line) - 1)] - self.line.at[moments][:, None, None]
        # An image for which the archive holds nothing costs its worst, at its own time.
        nothing = np.asarray(~held.any(axis=2))
        cost[nothing, 0] = np.broadcast_to(worst, nothing.shape)[nothing]
        at[nothing, 0] = np.broadcast_to(self.offset, nothing.shape)[nothing]
        total, slot = best_paths(cost, at, np.diff(self.offset), self.config.warp, self.line.step)
        # A moment needs a row for the images nearest to it.
        shown = ~nothing[:, self.current].any(axis=1)
        order = np.argsort(np.where(shown, total, np.inf), kind="stable")[: min(count, int(shown.sum()))]
        taken = np.take_along_axis(column[order], slot[order][..., None], axis=2)[..., 0].T  # T S
        there = ~nothing[order].T
        fits = fits.take(taken)
        rows = self.line.rows[np.take_along_axis(table, taken, axis=1)]
        now = self.current
        squared = np.where(there, np.square(fits.residual), 0).sum(axis=0)
        return AlignedMoments(
            rows=self.line.rows[moments[order]],
            cost=total[order].astype(np.float32),
            distance=np.sqrt(squared / np.maximum(there.sum(axis=0), 1)).astype(np.float32),
            held=there,
            fits=fits,
            current=self.search.gathered(rows[now], take_rows(fits, now), reading.people[now]),
            reading=reading,
        )

    def _elected(self, near: Int64[Array, "T K"], gain: Float32[Array, "T K"], candidates: int) -> Int64[Array, " H"]:
        """Places of the middle frame that candidates of the images speak for, the best of each image counting."""
        votes = np.zeros(len(self.line), dtype=np.float32)
        early, late = self._windows(self.line.at[self.line.place(near)].T - self.offset)
        for first, last, spoken in zip(early.T, late.T, gain, strict=True):
            count = last - first
            place = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
            vote = np.zeros(len(self.line), dtype=np.float32)
            np.maximum.at(vote, place, np.repeat(spoken, count))
            votes += vote
        return np.argsort(-votes, kind="stable")[:candidates]

    def _windows(self, at: Float64[Array, "any T"]) -> tuple[Int64[Array, "any T"], Int64[Array, "any T"]]:
        """The places an image may come at that is expected at a time."""
        slack = self.config.slack * np.abs(self.offset) + self.line.step / 2 * (self.offset != 0)
        return self.line.between(at - slack - _ROUNDING, at + slack + _ROUNDING)

    def _fitted(self, rows: Int64[Array, "T C"], reading: SequenceReading) -> Fits:
        """Cameras for candidates of each image, with the body that all images agree on."""
        alone, one = len(self.people) == 1, np.zeros(len(self.people), dtype=np.int64)
        proportions = None if alone else shared_proportions(reading.first, one)
        return self.search.refined(rows, reading.people, proportions)


def _columns(places: Int64[Array, "H T W"]) -> tuple[Int64[Array, "T C"], Int64[Array, "H T W"]]:
    """The different places of each image, and in which column each of them stands; any column for place -1."""
    wanted = [np.unique(places[:, image]) for image in range(places.shape[1])]
    wanted = [unique[unique >= 0] for unique in wanted]
    most = max(1, *(len(unique) for unique in wanted))
    # Images want different numbers of rows; a short list is filled up with its own first row, or any.
    table = np.stack([np.concatenate([unique, np.full(most - len(unique), (*unique, 0)[0])]) for unique in wanted])
    column = np.zeros(places.shape, dtype=np.int64)
    for image, unique in enumerate(wanted):
        column[:, image] = np.searchsorted(unique, places[:, image])
    return table, np.minimum(column, most - 1)


def best_paths(
    cost: Float32[Array, "H T W"],
    at: Float64[Array, "H T W"],
    steps: Float64[Array, " T-1"],
    warp: float,
    row: float,
) -> tuple[Float64[Array, " H"], Int64[Array, "H T"]]:
    """The least sum over images of what a row costs and of how much the speed differs, and the path that has it.

    Args:
        cost: Of each image at each row of its window.
        at: When each row is, seconds.
        steps: Seconds from each image to the next.
        warp: Standard deviation of the speed against the track's.
        row: Seconds between the archive's rows: what rounding to a row does must not count.
    """
    total = cost[:, 0].astype(np.float64)
    came: list[Int64[Array, "H W"]] = []
    for image, step in enumerate(steps, start=1):
        spread = math.hypot(warp * step, row / 2) or 1.0
        change = at[:, image, None, :] - at[:, image - 1, :, None] - step  # H before after
        through = total[:, :, None] + np.square(change / spread)
        came.append(through.argmin(axis=1))
        total = through.min(axis=1) + cost[:, image]
    path = [total.argmin(axis=1)]
    for before in reversed(came):
        path.append(np.take_along_axis(before, path[-1][:, None], axis=1)[:, 0])
    return total.min(axis=1), np.stack(path[::-1], axis=1)
