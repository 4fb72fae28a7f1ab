"""Several keypoints of one moment or one movement: frames of a track, cameras around a person (numpy)."""

__all__ = ["middle_rows", "query_tracks", "query_views"]

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64, Integer

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.errors import ShapeError, VipeError
from vipe.index import PoseIndex
from vipe.index.frames import Where
from vipe.retrieve.arguments import check_asked
from vipe.retrieve.camera.perspective import CameraPrior
from vipe.retrieve.hits import Hits
from vipe.retrieve.query import CANDIDATES, query, skip_reasons
from vipe.retrieve.ranking.diversity import diversify
from vipe.retrieve.ranking.features import VOTERS, coverage_order
from vipe.retrieve.ranking.model import CONTRIBUTIONS, RankingModel
from vipe.retrieve.sequences.alignment import Sequence, TrackConfig
from vipe.retrieve.sequences.fusion import OTHER_IMAGES, Fusion, fuse, said
from vipe.retrieve.sequences.timeline import Timeline

_ROUNDING = 1e-6  # seconds: times are frames over a rate


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
    fit: CameraPrior | None = None,
    joint_offsets: Float[Array, "13 3"] | None = None,
    config: TrackConfig | None = None,
    model: RankingModel | None = None,
    fusion: Fusion | None = None,
) -> Hits:
    """Search an index with the frames of people over time: for moments around which the archive moves as they do.

    The nearest poses of each frame vote for moments of the middle frame. For the moments with the most votes, a
    camera is fitted to each frame and each row that the archive holds at about that time (`config.slack`), all with
    one build of the person; the best path through these rows, at a speed that may vary (`config.warp`), gives the
    cost of the moment. Frames count the less the further they are from the middle one (`config.fade`), and none costs
    more than its last candidate does, so that a bad frame, or one beyond the end of a clip, cannot decide.

    The moments of least cost are ranked by the odds of the middle frame, as `query` ranks, and what the frames around
    it add (`fuse`); `Hits.probability`, `presence` and `parts` mean what they mean there. A track of which one frame
    can be used is answered as `query` answers it.

    Args:
        index: The archive.
        keypoints: N people, on coco13.
        k: How many hits a track.
        track: The track each person belongs to, such as from `follow`; those below 0 to none.
        time: When each was seen, seconds.
        where: Search only rows that match, as in `PoseIndex.rows`.
        max_per_clip: At most so many hits of one clip.
        min_gap_seconds: Hits of one clip lie at least so far apart.
        candidates: How many poses of each frame vote, and how many moments are looked at closely.
        fit: What the camera check believes before looking.
        joint_offsets: As `fit_cameras` takes them.
        config: How a track may run through the archive.
        model: As `query` takes it.
        fusion: How the odds of frames are joined, if not as comes with the library.

    Returns:
        One query a track, in ascending order of their numbers. A hit is the archive's moment of the track's middle
        frame; `fit_cost` is the sum over frames, the distance the root mean square over frames. Frames that cannot be
        searched for are left out; `skip_reasons` says which and why.

    Raises:
        ShapeError: If the keypoints are on another skeleton, or `track` or `time` do not fit them.
        VipeError: If `k` or `candidates` is below 1, or `where` is wrong.
    """
    limits = {"max_per_clip": max_per_clip, "min_gap_seconds": min_gap_seconds}
    check_asked(index, keypoints, k=k, candidates=candidates, fit=fit, **limits)
    track, time = np.asarray(track), np.asarray(time)
    if not (track.shape == time.shape == (len(keypoints),)):
        raise ShapeError(f"track and time must be ({len(keypoints)},), got {track.shape} and {time.shape}")
    if not np.isfinite(time).all():
        raise ShapeError("time must be finite; give frame numbers over the rate")
    asked = _Asked(
        index=index,
        k=k,
        where=where,
        limits=limits,
        candidates=candidates,
        fit=fit,
        joint_offsets=joint_offsets,
        config=config or TrackConfig(),
        model=model or RankingModel.default(),
        fusion=fusion or Fusion.default(),
    )
    return asked.answer(keypoints, track, time.astype(np.float64))


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
    fit: CameraPrior | None = None,
    joint_offsets: Float[Array, "13 3"] | None = None,
    model: RankingModel | None = None,
    fusion: Fusion | None = None,
) -> Hits:
    """Search an index with one person seen by several cameras at once: what they say of each moment adds.

    Nothing need be known of the cameras. Candidates are those of every camera; the build is one for all. They are
    ranked by the mean of the odds that each camera's keypoints give, as `query` ranks, and the likelihoods of all but
    one (`fuse`). A moment that one camera saw is answered as `query` answers it.

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
        model: As `query` takes it.
        fusion: How the odds of cameras are joined, if not as comes with the library.

    Returns:
        One query a moment, in ascending order of their numbers; `fit_cost` is the sum over views, the distance the
        root mean square.

    Raises:
        ShapeError: If the keypoints are on another skeleton, or `moment` does not fit them.
        VipeError: If `k` or `candidates` is below 1, or `where` is wrong.
    """
    limits = {"max_per_clip": max_per_clip, "min_gap_seconds": min_gap_seconds}
    check_asked(index, keypoints, k=k, candidates=candidates, fit=fit, **limits)
    moment = np.asarray(moment)
    if moment.shape != (len(keypoints),):
        raise ShapeError(f"moment must be ({len(keypoints)},), got {moment.shape}")
    asked = _Asked(
        index=index,
        k=k,
        where=where,
        limits=limits,
        candidates=candidates,
        fit=fit,
        joint_offsets=joint_offsets,
        config=TrackConfig(),
        model=model or RankingModel.default(),
        fusion=fusion or Fusion.default(),
    )
    return asked.answer(keypoints, moment, np.zeros(len(keypoints)))


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


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What is searched, and how."""

    index: PoseIndex
    k: int
    where: Where | None
    limits: dict[str, Any]  # of diversity
    candidates: int
    fit: CameraPrior | None
    joint_offsets: Float[Array, "13 3"] | None
    config: TrackConfig
    model: RankingModel
    fusion: Fusion

    def __post_init__(self) -> None:
        for name in ("k", "candidates"):
            if getattr(self, name) < 1:
                raise VipeError(f"{name} must be at least 1, got {getattr(self, name)}")

    def answer(self, people: Keypoints, group: Integer[Array, " N"], time: Float64[Array, " N"]) -> Hits:
        """One query a group, in ascending order of their numbers."""
        rows = None if self.where is None else self.index.rows(self.where)
        line = Timeline(self.index, rows, reach=4 * self.config.reach)
        reasons = skip_reasons(people)
        usable = np.array([reason is None for reason in reasons], dtype=bool)
        answers = [_none(self.index, 0, min(self.k, len(line)), ())]
        for middle in middle_rows(group, time):
            same = np.flatnonzero((group == group[middle]) & usable)
            mine = _members(same, time, time[middle], self.config.reach, line.step)
            offset = time[mine] - time[middle]
            if not len(mine):
                why = reasons[middle] or "no frame near the middle can be used"
                answers.append(_none(self.index, 1, min(self.k, len(line)), (why,)))
            elif not len(line):
                answers.append(_none(self.index, 1, 0, (None,)))
            elif len(mine) == 1 and not offset.any():
                answers.append(self._one(people[mine], line))
            else:
                answers.append(self._several(people[mine], offset, line))
        return _stacked(answers)

    def _one(self, image: Keypoints, line: Timeline) -> Hits:
        hits = query(
            self.index,
            image,
            self.k,
            where=line.rows,
            candidates=self.candidates,
            fit=self.fit,
            joint_offsets=self.joint_offsets,
            model=self.model,
            **self.limits,
        )
        parts = {**(hits.parts or {}), OTHER_IMAGES: np.zeros(hits.rows.shape, dtype=np.float32)}
        return replace(hits, parts=parts, affine_residual=None)

    def _several(self, images: Keypoints, offset: Float64[Array, " T"], line: Timeline) -> Hits:
        k = min(self.k, len(line))
        candidates = max(k, self.candidates)
        choosy = self.limits != {"max_per_clip": None, "min_gap_seconds": 0.0}
        count = candidates if choosy else max(VOTERS, k)
        sequence = Sequence(self.index, line, images, offset, self.fit, self.joint_offsets, self.config)
        found = sequence.search(candidates, count)
        if not len(found.rows):
            return _none(self.index, 1, k, (None,))
        fused = fuse(said(sequence, found), self.model, self.fusion)
        order = coverage_order(fused.odds[None], fused.described, len(found.rows) if choosy else k)
        places = diversify(found.rows[order], line.clip, line.time, k, **self.limits)
        places = np.where(places >= 0, np.take_along_axis(order, np.maximum(places, 0), axis=1), -1)

        def of_hits(values: Array, blank: float | int) -> Array:
            return np.where(places >= 0, values[places], blank).astype(values.dtype)

        return replace(
            Hits.look_up(self.index, of_hits(found.rows, -1), of_hits(found.distance, np.inf), (None,)),
            probability=of_hits(fused.near, 0),
            probability_close=of_hits(fused.close, 0),
            presence=np.array([fused.presence], dtype=np.float32),
            parts={name: of_hits(values, 0) for name, values in fused.parts.items()},
            fit_cost=of_hits(found.cost, np.inf),
        )


def _none(index: PoseIndex, queries: int, k: int, skipped: tuple[str | None, ...]) -> Hits:
    """Queries without a hit."""

    def filled(value: float) -> Float32[Array, "Q K"]:
        return np.full((queries, k), value, dtype=np.float32)

    return replace(
        Hits.look_up(index, np.full((queries, k), -1, dtype=np.int64), filled(np.inf), skipped),
        probability=filled(0.0),
        probability_close=filled(0.0),
        presence=np.full(queries, np.nan, dtype=np.float32),
        parts={name: filled(0.0) for name in (*CONTRIBUTIONS, OTHER_IMAGES)},
        fit_cost=filled(np.inf),
    )


def _stacked(hits: list[Hits]) -> Hits:
    """The queries of several searches as those of one."""
    arrays = {
        field.name: np.concatenate([getattr(one, field.name) for one in hits])
        for field in fields(Hits)
        if isinstance(getattr(hits[0], field.name), np.ndarray)
    }
    parts = {name: np.concatenate([(one.parts or {})[name] for one in hits]) for name in hits[0].parts or {}}
    return Hits(**arrays, skipped=tuple(reason for one in hits for reason in one.skipped), parts=parts)
