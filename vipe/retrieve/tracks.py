"""Several keypoints of one moment or one movement: frames of a track, cameras around a person (numpy)."""

__all__ = ["TrackConfig", "middle_rows", "query_tracks", "query_views"]

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64, Integer

from vipe.detections import Keypoints
from vipe.errors import ShapeError, VipeError
from vipe.index import Hits, PoseIndex
from vipe.index.frames import Where
from vipe.retrieve.diversity import spread_out
from vipe.retrieve.fit import Build, FitConfig, fit_cameras
from vipe.retrieve.person import shared_build
from vipe.retrieve.search import CANDIDATES, query, unanswerable
from vipe.retrieve.timeline import Timeline

Array = np.ndarray[Any, np.dtype[Any]]

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


def query_tracks(
    index: PoseIndex,
    keypoints: Keypoints,
    k: int = 10,
    *,
    track: Integer[Array, " N"],
    time: Float[Array, " N"],
    where: Where | None = None,
    max_per_clip: int | None = None,
    min_gap_seconds: float = 0.0,
    candidates: int = CANDIDATES,
    fit: FitConfig | None = None,
    joint_offsets: Float[Array, "13 3"] | None = None,
    config: TrackConfig | None = None,
) -> Hits:
    """Search an index with the frames of people over time: for moments around which the archive moves as they do.

    The nearest poses of each frame vote for moments of the middle frame. For the moments with the most votes, a
    camera is fitted to each frame and each row that the archive holds at about that time (`config.slack`), all with
    one build of the person; the best path through these rows, at a speed that may vary (`config.warp`), gives the
    cost of the moment. Frames count the less the further they are from the middle one (`config.fade`), and none costs
    more than its last candidate does, so that a bad frame, or one beyond the end of a clip, cannot decide.

    Args:
        index: The archive.
        keypoints: N people, on coco13.
        k: How many hits a track.
        track: The track each person belongs to, such as from `link`; those below 0 to none.
        time: When each was seen, seconds.
        where: Search only rows that match, as in `PoseIndex.rows`.
        max_per_clip: At most so many hits of one clip.
        min_gap_seconds: Hits of one clip lie at least so far apart.
        candidates: How many poses of each frame vote, and how many moments are looked at closely.
        fit: What the camera check believes before looking.
        joint_offsets: As `fit_cameras` takes them.
        config: How a track may run through the archive.

    Returns:
        One query a track, in ascending order of their numbers. A hit is the archive's moment of the track's middle
        frame; `fit_cost` is the sum over frames, the distance the root mean square over frames.

    Raises:
        ShapeError: If the keypoints are on another skeleton, or `track` or `time` do not fit them.
        VipeError: If `k` or `candidates` is below 1, or `where` is wrong.
    """
    if not (track.shape == time.shape == (len(keypoints),)):
        raise ShapeError(f"track and time must be ({len(keypoints)},), got {track.shape} and {time.shape}")
    if not np.isfinite(time).all():
        raise ShapeError("time must be finite; give frame numbers over the rate")
    limits = {"max_per_clip": max_per_clip, "min_gap_seconds": min_gap_seconds}
    seconds = time.astype(np.float64)
    return _search(index, keypoints, k, track, seconds, where, limits, candidates, _Check(fit, joint_offsets), config)


def query_views(
    index: PoseIndex,
    keypoints: Keypoints,
    k: int = 10,
    *,
    moment: Integer[Array, " N"],
    where: Where | None = None,
    max_per_clip: int | None = None,
    min_gap_seconds: float = 0.0,
    candidates: int = CANDIDATES,
    fit: FitConfig | None = None,
    joint_offsets: Float[Array, "13 3"] | None = None,
) -> Hits:
    """Search an index with one person seen by several cameras at once: the costs of the cameras add.

    Nothing need be known of the cameras. Candidates are those of every camera; the build is one for all.

    Args:
        index: The archive.
        keypoints: N views, on coco13.
        k: How many hits a moment.
        moment: The moment (and person) each view belongs to; those below 0 to none.
        where: Search only rows that match, as in `PoseIndex.rows`.
        max_per_clip: At most so many hits of one clip.
        min_gap_seconds: Hits of one clip lie at least so far apart.
        candidates: How many poses of each view are looked at.
        fit: What the camera check believes before looking.
        joint_offsets: As `fit_cameras` takes them.

    Returns:
        One query a moment, in ascending order of their numbers; `fit_cost` is the sum over views, the distance the
        root mean square.

    Raises:
        ShapeError: If the keypoints are on another skeleton, or `moment` does not fit them.
        VipeError: If `k` or `candidates` is below 1, or `where` is wrong.
    """
    if moment.shape != (len(keypoints),):
        raise ShapeError(f"moment must be ({len(keypoints)},), got {moment.shape}")
    limits = {"max_per_clip": max_per_clip, "min_gap_seconds": min_gap_seconds}
    now = np.zeros(len(keypoints))
    return _search(index, keypoints, k, moment, now, where, limits, candidates, _Check(fit, joint_offsets), None)


def _search(
    index: PoseIndex,
    keypoints: Keypoints,
    k: int,
    group: Integer[Array, " N"],
    time: Float64[Array, " N"],
    where: Where | None,
    limits: dict[str, Any],
    candidates: int,
    check: "_Check",
    config: TrackConfig | None,
) -> Hits:
    config = config or TrackConfig()
    if k < 1:
        raise VipeError(f"k must be at least 1, got {k}")
    if candidates < 1:
        raise VipeError(f"candidates must be at least 1, got {candidates}")
    line = Timeline(index, None if where is None else index.rows(where), reach=4 * config.reach)
    reasons = unanswerable(keypoints)
    usable = np.array([reason is None for reason in reasons], dtype=bool)
    middles = middle_rows(group, time)
    k = min(k, len(line))
    rows = np.full((len(middles), k), -1, dtype=np.int64)
    distance, cost = (np.full(rows.shape, np.inf, dtype=np.float32) for _ in range(2))
    skipped: list[str | None] = []
    for number, middle in enumerate(middles):
        mine = _members(np.flatnonzero((group == group[middle]) & usable), time, time[middle], config.reach, line.step)
        skipped.append(None if len(mine) else reasons[middle] or "no frame near the middle can be used")
        if len(mine) and k:
            sequence = _Sequence(index, line, keypoints[mine], time[mine] - time[middle], check, config)
            found, *scores = sequence.search(max(k, candidates))
            places = spread_out(found[None], line.clip, line.time, k, **limits)[0]
            places = places[places >= 0]
            rows[number, : len(places)] = found[places]
            for whole, part in zip((cost, distance), scores, strict=True):
                whole[number, : len(places)] = part[places]
    return replace(index.hits(rows, distance, tuple(skipped)), fit_cost=cost)


def middle_rows(group: Integer[Array, " N"], time: Float[Array, " N"]) -> Int64[Array, " Q"]:
    """The person nearest to the middle of each track's time, tracks in ascending order: whose moment a hit is."""
    middles = []
    for number in np.unique(group[group >= 0]):
        mine = np.flatnonzero(group == number)
        middle = (time[mine].min() + time[mine].max()) / 2
        # The earlier of two that are as near, whatever rounding says.
        middles.append(mine[np.lexsort((time[mine], np.abs(time[mine] - middle).round(6)))[0]])
    return np.array(middles, dtype=np.int64)


def _members(
    mine: Int64[Array, " M"], time: Float64[Array, " N"], middle: float, reach: float, step: float
) -> Int64[Array, " T"]:
    """The people of a group to search with, in order of time.

    Frames that follow each other faster than the archive's rows say the same thing twice, and are passed over, from
    the middle outwards; people of one time are cameras and stay.
    """
    kept = []
    for side in (time[mine] >= middle, time[mine] < middle):
        last = middle
        for row in sorted(mine[side].tolist(), key=lambda row: abs(time[row] - middle)):
            away = abs(time[row] - last)
            if abs(time[row] - middle) <= reach and (away < _ROUNDING or away > 0.9 * step):
                kept.append(row)
                last = time[row]
    return np.array(sorted(kept, key=lambda row: time[row]), dtype=np.int64)


@dataclass(frozen=True)
class _Check:
    """What is handed on to `fit_cameras`."""

    fit: FitConfig | None
    joint_offsets: Float[Array, "13 3"] | None


class _Sequence:
    """The T keypoints of one group, to be found along the line."""

    def __init__(
        self,
        index: PoseIndex,
        line: Timeline,
        people: Keypoints,
        offset: Float64[Array, " T"],
        check: "_Check",
        config: TrackConfig,
    ) -> None:
        self.index, self.line, self.people, self.check, self.config = index, line, people, check, config
        self.offset = offset  # seconds from the middle frame

    def search(self, candidates: int) -> tuple[Int64[Array, " H"], Float32[Array, " H"], Float32[Array, " H"]]:
        """Rows of the middle frame, costs and distances, best first."""
        near = query(self.index, self.people, candidates, mode="affine", where=self.line.rows).rows
        first = fit_cameras(self.index.poses(near), self.people, self.check.fit, joint_offsets=self.check.joint_offsets)
        trust = np.exp(-np.square(self.offset / self.config.fade) / 2).astype(np.float32)
        worst = trust * first.cost.max(axis=1)
        moments = self._elected(near, worst[:, None] - trust[:, None] * first.cost, candidates)
        early, late = self._windows(self.line.at[moments][:, None] + self.offset)
        places = early[..., None] + np.arange(max(int((late - early).max(initial=1)), 1))  # H T W
        held = places < late[..., None]
        build = shared_build(first, np.zeros(len(self.people), dtype=np.int64)) if len(self.people) > 1 else None
        cost, squared = self._fitted(np.where(held, places, -1), build)
        cost = np.where(held, np.minimum(trust[:, None] * cost, worst[:, None]), np.inf)
        at = self.line.at[np.minimum(places, len(self.line) - 1)] - self.line.at[moments][:, None, None]
        # A frame for which the archive holds nothing costs its worst, at its own time.
        nothing = ~held.any(axis=2)
        cost[nothing, 0] = np.broadcast_to(worst, nothing.shape)[nothing]
        at[nothing, 0] = np.broadcast_to(self.offset, nothing.shape)[nothing]
        total, left = _best_paths(cost, squared, at, np.diff(self.offset), self.config.warp, self.line.step)
        order = np.argsort(total, kind="stable")
        frames = np.maximum((~nothing).sum(axis=1), 1).astype(np.float32)
        return self.line.rows[moments[order]], total[order], np.sqrt(left[order] / frames[order])

    def _elected(self, near: Int64[Array, "T K"], gain: Float32[Array, "T K"], candidates: int) -> Int64[Array, " H"]:
        """Places of the middle frame that candidates of the frames speak for, the best of each frame counting."""
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
        """The places a frame may come at that is expected at a time."""
        slack = self.config.slack * np.abs(self.offset) + self.line.step / 2 * (self.offset != 0)
        return self.line.between(at - slack - _ROUNDING, at + slack + _ROUNDING)

    def _fitted(
        self, places: Int64[Array, "H T W"], build: Build | None
    ) -> tuple[Float32[Array, "H T W"], Float32[Array, "H T W"]]:
        """Costs and squared residuals at places of the line; infinite and 0 where there is none (place -1)."""
        cost, squared = np.full(places.shape, np.inf, dtype=np.float32), np.zeros(places.shape, dtype=np.float32)
        wanted = [np.unique(places[:, frame]) for frame in range(places.shape[1])]
        wanted = [unique[unique >= 0] for unique in wanted]
        most = max(len(unique) for unique in wanted)
        if not most:
            return cost, squared
        # Frames want different numbers of rows; a short list is filled up with its own first row, or any.
        table = np.stack([np.concatenate([unique, np.full(most - len(unique), (*unique, 0)[0])]) for unique in wanted])
        config = replace(self.check.fit or FitConfig(), refine=None)
        poses, offsets = self.index.poses(self.line.rows[table]), self.check.joint_offsets
        fits = fit_cameras(poses, self.people, config, build=build, joint_offsets=offsets)
        for frame, unique in enumerate(wanted):
            held = places[:, frame] >= 0
            column = np.searchsorted(unique, places[:, frame][held])
            cost[:, frame][held] = fits.cost[frame, column]
            squared[:, frame][held] = np.square(fits.residual[frame, column])
        return cost, squared


def _best_paths(
    cost: Float32[Array, "H T W"],
    squared: Float32[Array, "H T W"],
    at: Float64[Array, "H T W"],
    steps: Float64[Array, " T-1"],
    warp: float,
    row: float,
) -> tuple[Float32[Array, " H"], Float32[Array, " H"]]:
    """The least sum over frames of what a row costs and of how much the speed differs, and the squares on that path.

    Args:
        cost: Of each frame at each row of its window.
        squared: Squared residuals, summed along the path.
        at: When each row is, seconds.
        steps: Seconds from each frame to the next.
        warp: Standard deviation of the speed against the track's.
        row: Seconds between the archive's rows: what rounding to a row does must not count.
    """
    total, left = cost[:, 0].astype(np.float64), squared[:, 0].astype(np.float64)
    for frame, step in enumerate(steps, start=1):
        spread = math.hypot(warp * step, row / 2) or 1.0
        change = at[:, frame, None, :] - at[:, frame - 1, :, None] - step  # H before after
        through = total[:, :, None] + np.square(change / spread)
        before = through.argmin(axis=1)
        total = np.take_along_axis(through, before[:, None], axis=1)[:, 0] + cost[:, frame]
        left = np.take_along_axis(left, before, axis=1) + squared[:, frame]
    last = total.argmin(axis=1)[:, None]
    return (
        np.take_along_axis(total, last, axis=1)[:, 0].astype(np.float32),
        np.take_along_axis(left, last, axis=1)[:, 0].astype(np.float32),
    )
