"""Where the archive shows what several images of one person show: votes, then the cheapest paths (numpy)."""

__all__ = ["Found", "Sequence", "TrackConfig", "best_paths"]

import math
from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.errors import VipeError
from vipe.index import PoseIndex
from vipe.retrieve.camera.perspective import CameraPrior, Fits, fit_cameras
from vipe.retrieve.camera.shared_proportions import shared_proportions
from vipe.retrieve.query import query, residuals_of
from vipe.retrieve.ranking.features import EmbeddingFeatures, FittedCandidates
from vipe.retrieve.sequences.timeline import Timeline

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
class Found:
    """Moments that T images may show, of least cost first."""

    rows: Int64[Array, " S"]  # of the middle frame
    cost: Float32[Array, " S"]  # summed along the path
    distance: Float32[Array, " S"]  # root mean square over the images of the residual
    held: Bool[Array, "T S"]  # whether the archive holds a row for an image; where not, its candidate is any
    fits: Fits  # of the candidate of each image that the path runs through, T x S
    own: FittedCandidates  # the candidates of the V images of most trust: those of the moment itself


class Sequence:
    """The T keypoints of one person, to be found along the line."""

    def __init__(
        self,
        index: PoseIndex,
        line: Timeline,
        people: Keypoints,
        offset: Float64[Array, " T"],
        fit: CameraPrior | None,
        joint_offsets: Float[Array, "13 3"] | None,
        config: TrackConfig,
    ) -> None:
        self.index, self.line, self.people, self.config = index, line, people, config
        self.fit, self.joint_offsets = fit, joint_offsets
        self.offset = offset  # seconds from the middle frame, ascending
        self.trust: Float32[Array, " T"] = np.exp(-np.square(offset / config.fade) / 2).astype(np.float32)
        """How much each image counts, 1 at the moment itself."""
        self.now: Bool[Array, " T"] = self.trust > self.trust.max() - 1e-6
        """Which images are nearest to the moment: one, or several cameras."""

    def search(self, candidates: int, count: int) -> Found:
        """Elect `candidates` moments, fit every image to what lies around them, and keep the `count` of least cost."""
        near = query(self.index, self.people, candidates, mode="affine", where=self.line.rows).rows
        first = fit_cameras(self.index.poses(near), self.people, self.fit, joint_offsets=self.joint_offsets)
        worst = self.trust * first.cost.max(axis=1)
        moments = self._elected(near, worst[:, None] - self.trust[:, None] * first.cost, candidates)
        early, late = self._windows(self.line.at[moments][:, None] + self.offset)
        places = early[..., None] + np.arange(max(int((late - early).max(initial=1)), 1))  # H T W
        held = places < late[..., None]
        table, column = _columns(np.where(held, places, -1))
        fits = self._fitted(self.line.rows[table], first)
        image = np.arange(len(self.people))[:, None]
        cost = np.minimum(self.trust[:, None] * fits.cost[image, column], worst[:, None])
        cost = np.where(held, cost, np.inf)
        at = self.line.at[np.minimum(places, len(self.line) - 1)] - self.line.at[moments][:, None, None]
        # An image for which the archive holds nothing costs its worst, at its own time.
        nothing = np.asarray(~held.any(axis=2))
        cost[nothing, 0] = np.broadcast_to(worst, nothing.shape)[nothing]
        at[nothing, 0] = np.broadcast_to(self.offset, nothing.shape)[nothing]
        total, slot = best_paths(cost, at, np.diff(self.offset), self.config.warp, self.line.step)
        # What is said of a moment is first of all what the images nearest to it show.
        shown = ~nothing[:, self.now].any(axis=1)
        order = np.argsort(np.where(shown, total, np.inf), kind="stable")[: min(count, int(shown.sum()))]
        taken = np.take_along_axis(column[order], slot[order][..., None], axis=2)[..., 0].T  # T S
        there = ~nothing[order].T
        fits = Fits(**{field.name: _taken(getattr(fits, field.name), taken) for field in fields(Fits)})
        rows = self.line.rows[np.take_along_axis(table, taken, axis=1)]
        squared = np.where(there, np.square(fits.residual), 0).sum(axis=0)
        return Found(
            rows=self.line.rows[moments[order]],
            cost=total[order].astype(np.float32),
            distance=np.sqrt(squared / np.maximum(there.sum(axis=0), 1)).astype(np.float32),
            held=there,
            fits=fits,
            own=self._shortlist(rows[self.now], fits),
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

    def _fitted(self, rows: Int64[Array, "T C"], first: Fits) -> Fits:
        """Cameras for candidates of each image, with the build that all images agree on."""
        build = shared_proportions(first, np.zeros(len(self.people), dtype=np.int64)) if len(self.people) > 1 else None
        config = replace(self.fit or CameraPrior(), refine=None)
        return fit_cameras(self.index.poses(rows), self.people, config, build=build, joint_offsets=self.joint_offsets)

    def _shortlist(self, rows: Int64[Array, "V S"], fits: Fits) -> FittedCandidates:
        people, poses = self.people[self.now], self.index.poses(rows)
        return FittedCandidates(
            poses=poses,
            fits=Fits(**{field.name: getattr(fits, field.name)[self.now] for field in fields(Fits)}),
            affine_residual=residuals_of(self.index, people, rows),
            clip=self.line.clip[rows],
            embedded=EmbeddingFeatures.of(poses, people),
        )


def _taken(values: Array, columns: Int64[Array, "T S"]) -> Array:
    return np.take_along_axis(values, columns.reshape(columns.shape + (1,) * (values.ndim - 2)), axis=1)


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
