"""Several keypoints of one moment or one movement: frames of a track, cameras around a person (numpy)."""

__all__ = ["middle_rows", "query_tracks", "query_views"]

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int64, Integer

from vipe.arrays import Array, take_columns, take_rows
from vipe.detections import Keypoints
from vipe.errors import ShapeError, VipeError
from vipe.index import PoseIndex
from vipe.index.folder.frames import Where
from vipe.retrieve.arguments import check_arguments
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.candidates.affine import skip_reasons
from vipe.retrieve.hits import Hits
from vipe.retrieve.labels.labelling import is_mirrored
from vipe.retrieve.mirrored import mirrored_people, with_mirrored
from vipe.retrieve.query import NO_ROW, answer, answer_mirrored
from vipe.retrieve.ranking.coverage import coverage_order
from vipe.retrieve.ranking.evidence import VOTERS
from vipe.retrieve.ranking.model import CALIBRATION, RankingModel
from vipe.retrieve.sequences.alignment import Sequence, TrackConfig
from vipe.retrieve.sequences.fusion import OTHER_IMAGES, Fusion, fuse, gather_evidence
from vipe.retrieve.sequences.timeline import Timeline
from vipe.retrieve.session import CANDIDATES, Search, SearchSettings

_CHECKED = ("candidates", "max_per_clip", "min_gap_seconds", "camera_prior")
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
    camera_prior: CameraPrior | None = None,
    joint_offsets: Float[Array, "13 3"] | None = None,
    config: TrackConfig | None = None,
    model: RankingModel | None = None,
    fusion: Fusion | None = None,
    mirrored: bool = False,
) -> Hits:
    """Search an index with the frames of people over time: for moments around which the archive moves as they do.

    The nearest poses of each frame vote for moments of the middle frame. For the moments with the most votes, a
    camera is fitted to each frame and each row that the archive has at about that time (`config.slack`), all with one
    body. The best path through these rows, at a speed that may vary (`config.warp`), gives the cost of the moment.
    Frames count the less the further they are from the middle one (`config.fade`). None costs more than its last
    candidate does, so a bad frame, or one beyond the end of a clip, cannot decide.

    The moments of least cost are ranked by the log odds of the middle frame, as `query` ranks, and by what the frames
    around it add (`fuse`); `Hits.probability`, `presence` and `contributions` have the same meaning. The first hit is
    the moment that all frames together speak for; one beside it may be as near to the true pose, and more probable. A
    track with one usable frame is answered as `query` answers it.

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
        camera_prior: As `query` takes it.
        joint_offsets: As `fit_cameras` takes them.
        config: How a track may run through the archive.
        model: As `query` takes it.
        fusion: How log odds are joined, if not by the numbers that come with the library.
        mirrored: Also search with the track's mirror image, as `query` does with a person's: all frames of a hit are
            mirrored, or none.

    Returns:
        One query a track, in ascending order of their numbers. A hit is the archive's moment of the track's middle
        frame. Its camera is that of the middle frame, or of the nearest usable one (`Hits.image`); `fit_cost` is the
        sum over frames, the distance the root mean square over frames. Frames that cannot be searched for are left
        out; `skip_reasons` names them.

    Raises:
        ShapeError: If the keypoints are on another skeleton, or `track` or `time` do not fit them.
        VipeError: If `k` or `candidates` is below 1, or `where` is wrong.
    """
    track, time = np.asarray(track), np.asarray(time)
    if not (track.shape == time.shape == (len(keypoints),)):
        raise ShapeError(f"track and time must be ({len(keypoints)},), got {track.shape} and {time.shape}")
    if not np.isfinite(time).all():
        raise ShapeError("time must be finite; give frame numbers over the rate")
    search = _SequenceSearch.of(
        index,
        keypoints,
        k,
        where,
        config,
        fusion,
        mirrored=mirrored,
        candidates=candidates,
        max_per_clip=max_per_clip,
        min_gap_seconds=min_gap_seconds,
        camera_prior=camera_prior,
        joint_offsets=joint_offsets,
        model=model,
    )
    return search.answer(keypoints, track, time.astype(np.float64))


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
    camera_prior: CameraPrior | None = None,
    joint_offsets: Float[Array, "13 3"] | None = None,
    model: RankingModel | None = None,
    fusion: Fusion | None = None,
    mirrored: bool = False,
) -> Hits:
    """Search an index with one person seen by several cameras at once: what they say of each moment adds.

    Nothing need be known of the cameras. Candidates are those of every camera; the body is one for all. Moments are
    ranked by the mean log odds of the cameras' keypoints, as `query` ranks, and the likelihoods of all cameras but one
    (`fuse`). A moment with one camera is answered as `query` answers it.

    Args:
        index: The archive.
        keypoints: N views, on coco13.
        k: How many hits a moment.
        moment: The moment (and person) each view belongs to; those below 0 to none.
        where: Search only rows that match, as in `PoseIndex.rows`.
        max_per_clip: At most so many hits of one clip.
        min_gap_seconds: Hits of one clip lie at least so far apart.
        candidates: How many poses of each view are looked at.
        camera_prior: As `query` takes it.
        joint_offsets: As `fit_cameras` takes them.
        model: As `query` takes it.
        fusion: As `query_tracks` takes it.
        mirrored: As `query_tracks` takes it: all views of a hit are mirrored, or none.

    Returns:
        One query a moment, in ascending order of their numbers; `fit_cost` is the sum over views, the distance the
        root mean square.

    Raises:
        ShapeError: If the keypoints are on another skeleton, or `moment` does not fit them.
        VipeError: If `k` or `candidates` is below 1, or `where` is wrong.
    """
    moment = np.asarray(moment)
    if moment.shape != (len(keypoints),):
        raise ShapeError(f"moment must be ({len(keypoints)},), got {moment.shape}")
    search = _SequenceSearch.of(
        index,
        keypoints,
        k,
        where,
        None,
        fusion,
        mirrored=mirrored,
        candidates=candidates,
        max_per_clip=max_per_clip,
        min_gap_seconds=min_gap_seconds,
        camera_prior=camera_prior,
        joint_offsets=joint_offsets,
        model=model,
    )
    return search.answer(keypoints, moment, np.zeros(len(keypoints)))


def middle_rows(group: Integer[Array, " N"], time: Float[Array, " N"]) -> Int64[Array, " Q"]:
    """The person nearest to the middle of each track's time, whose moment the hits are; tracks in ascending order."""
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


class _SequenceSearch:
    """A search with sequences of images, one a query."""

    def __init__(
        self,
        search: Search,
        k: int,
        config: TrackConfig,
        fusion: Fusion,
        model: RankingModel,
        *,
        mirrored: bool = False,
    ) -> None:
        if k < 1:
            raise VipeError(f"k must be at least 1, got {k}")
        self.search, self.config, self.fusion, self.model, self.mirrored = search, config, fusion, model, mirrored
        self.line = Timeline(search.index, search.rows, reach=4 * config.reach)
        self.k = min(k, len(self.line))

    @classmethod
    def of(
        cls,
        index: PoseIndex,
        keypoints: Keypoints,
        k: int,
        where: Where | None,
        config: TrackConfig | None,
        fusion: Fusion | None,
        *,
        mirrored: bool,
        model: RankingModel | None,
        **settings: Any,
    ) -> "_SequenceSearch":
        """Check the arguments of a public function and make its search; `settings` are those of `SearchSettings`."""
        check_arguments(index, keypoints, k=k, **{name: settings[name] for name in _CHECKED})
        search = Search(index, SearchSettings(**settings, model=model), where)
        own = search.model_of(keypoints)
        return cls(search, k, config or TrackConfig(), fusion or Fusion.default(), own, mirrored=mirrored)

    def answer(self, people: Keypoints, group: Integer[Array, " N"], time: Float64[Array, " N"]) -> Hits:
        """One query a group, in ascending order of their numbers."""
        reasons = skip_reasons(people)
        usable = np.array([reason is None for reason in reasons], dtype=bool)
        answers = [replace(self._none(0, ()), image=np.zeros(0, dtype=np.int64))]
        for middle in middle_rows(group, time):
            same = np.flatnonzero((group == group[middle]) & usable)
            mine = _members(same, time, time[middle], self.config.reach, self.line.step)
            offset = time[mine] - time[middle]
            drawn = int(np.abs(offset).round(6).argmin()) if len(mine) else 0
            if not len(mine):
                reason = reasons[middle] or "no frame near the middle can be used"
                hits = self._none(1, (reason,))
            elif not len(self.line):
                hits = self._none(1, (NO_ROW,))
            elif len(mine) == 1 and not offset.any():
                hits = self._one(people[mine])
            elif self.mirrored:
                hits = self._with_mirror_image(people[mine], offset, drawn)
            else:
                hits = self._several(people[mine], offset, drawn)
            answers.append(replace(hits, image=np.array([mine[drawn] if len(mine) else middle], dtype=np.int64)))
        return Hits.stacked(answers)

    def _one(self, image: Keypoints) -> Hits:
        hits = (answer_mirrored if self.mirrored else answer)(self.search, image, self.k)
        nothing = np.zeros(hits.rows.shape, dtype=np.float32)
        contributions = {**(hits.contributions or {}), OTHER_IMAGES: nothing}
        return replace(hits, contributions=contributions)

    def _with_mirror_image(self, images: Keypoints, offset: Float64[Array, " T"], drawn: int) -> Hits:
        """Hits of one person's images and of their mirror images, all of them mirrored or none.

        Labels of both are read, for some images may be labelled wrongly. Where most would be read as mirrored, they are
        taken as labelled: the other search finds what explains them.
        """
        labelled = type(self)(self.search.as_labelled(), self.k, self.config, self.fusion, self.model)

        def one_way(seen: Keypoints) -> Hits:
            hits = self._several(seen, offset, drawn)
            names = hits.relabelled or ("",)
            return labelled._several(seen, offset, drawn) if is_mirrored(names[0]) else hits

        both = one_way(images), one_way(mirrored_people(images))
        return with_mirrored(self.search, images[drawn : drawn + 1], *both, self.k)

    def _several(self, images: Keypoints, offset: Float64[Array, " T"], drawn: int) -> Hits:
        """Hits of one person's images; their cameras are those of the image at place `drawn`."""
        settings, k = self.search.settings, self.k
        candidates = max(k, settings.candidates)
        count = candidates if settings.diverse else max(VOTERS, k)
        sequence = Sequence(self.search, self.line, images, offset, self.config)
        moments = sequence.align(candidates, count)
        if not len(moments.rows):
            return self._none(1, (None,))
        fused = fuse(gather_evidence(sequence, moments), self.model, self.fusion)
        reading = moments.reading
        log_odds = self.search.in_this_archive(fused.log_odds).if_true(
            reading.probability[sequence.current].min(keepdims=True)
        )
        lost = log_odds.near - fused.log_odds.near
        order = coverage_order(fused.ranking[None], fused.features, len(moments.rows) if settings.diverse else k)
        places = self.search.diversified(moments.rows[order], k)
        places = np.where(places >= 0, take_columns(order, np.maximum(places, 0)), -1)
        image = np.array([drawn])
        seen = replace(
            take_rows(moments.current, np.array([0])), rows=moments.rows[None], fits=take_rows(moments.fits, image)
        )
        hits = Hits.judged(
            self.search.index,
            seen,
            log_odds,
            fused.contributions | {CALIBRATION: fused.contributions[CALIBRATION] + lost},
            places,
            cost=moments.cost[None],
            distance=moments.distance[None],
            affine=False,
        )
        return replace(hits, relabelled=(reading.name,), stretch=reading.stretch[image])

    def _none(self, queries: int, skipped: tuple[str | None, ...]) -> Hits:
        groups = (*self.model.groups, OTHER_IMAGES)
        hits = Hits.none(self.search.index, queries, self.k, skipped, groups, affine=False)
        if self.mirrored:
            nothing = np.zeros(hits.rows.shape, dtype=bool)
            hits = replace(hits, mirrored=nothing, presence_mirrored=hits.presence)
        return replace(hits, relabelled=("",) * queries, stretch=np.ones(queries, dtype=np.float32))
