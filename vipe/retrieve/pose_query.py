"""The question without a photo: which other moments of an archive show the pose of this moment? (numpy)."""

__all__ = ["EXACT", "LEAVE_OUT", "moment_rows", "query_moments", "query_poses"]

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64

from vipe.arrays import Array
from vipe.errors import ShapeError, VipeError
from vipe.geometry.canonical import canonicalize_array
from vipe.index import PoseIndex
from vipe.index.folder.frames import Where
from vipe.index.radius import check_radius
from vipe.retrieve.arguments import check_count, check_index, check_limits, check_seconds
from vipe.retrieve.candidates.body_parts import Joints, joint_weights
from vipe.retrieve.candidates.pose_scan import pose_distances
from vipe.retrieve.hits import Hits
from vipe.retrieve.mirrored import mirrored_poses
from vipe.similar_names import lacks_clip

EXACT = 200_000
"""Rows of a learned index up to which every pose is compared: 0.16 s. Beyond, those that its embedding brings are."""

LEAVE_OUT = 1.0
"""Seconds about a moment that are no answer to it: its neighbours in time show almost the same pose."""

FEWEST = 4
"""Joints that have to count. Three are a triangle, which tells two angles and not where a limb points."""

_DEEPER, _LEAST = 20, 500
"""Candidates by the embedding: so many times k, and at least so many. Its order is not that of the distance after
alignment, so a few of the nearest are not among them; `exact` finds all."""

_CELLS = 2.0**62  # stretches of one gap that are told apart
_ROUNDING = 1e-6  # seconds: times are frames over a rate, and 0.5 s apart must not count as nearer


@dataclass(frozen=True, kw_only=True)
class _Question:
    """What is the same for all poses that are asked for together."""

    k: int  # at most
    within: float
    mirrored: bool
    weight: Float64[Array, " 17"] | None
    exact: bool
    max_per_clip: int | None
    min_gap_seconds: float

    @property
    def diverse(self) -> bool:
        return self.max_per_clip is not None or self.min_gap_seconds > 0


def query_moments(
    index: PoseIndex,
    moments: Sequence[tuple[str, int]],
    k: int | None = None,
    *,
    leave_out: float = LEAVE_OUT,
    within: float | None = None,
    mirrored: bool = False,
    joints: Joints | None = None,
    where: Where | None = None,
    max_per_clip: int | None = None,
    min_gap_seconds: float = 0.0,
    exact: bool | None = None,
) -> Hits:
    """Find the moments of an archive that show the same 3D pose as some of its own moments.

    Args:
        index: The archive, of any encoder.
        moments: Name of a clip and number of a frame in it, as hits tell them.
        k: As in `query_poses`.
        leave_out: Seconds about each moment, in its clip, that are not searched; 0 leaves out the moment alone, and
            infinity its whole clip. A negative number leaves out nothing.
        within: As in `query_poses`, like all that follows.
        mirrored: Also search with the mirror image.
        joints: Which joints count, and how much.
        where: Search only rows that match; the moments themselves need not.
        max_per_clip: At most so many hits of one clip.
        min_gap_seconds: Hits of one clip lie at least so far apart.
        exact: Compare every pose.

    Returns:
        One query a moment, as `query_poses` gives them.

    Raises:
        VipeError: If the index has no such moment; or as `query_poses`.
    """
    check_index(index)
    rows = moment_rows(index, moments)
    check_seconds("leave_out", leave_out)
    question, allowed = _asked(index, k, within, mirrored, joints, where, max_per_clip, min_gap_seconds, exact)
    out = [_near_in_time(index, row, float(leave_out)) for row in rows.tolist()]
    return _answered(index, index.poses(rows), question, allowed, out)


def query_poses(
    index: PoseIndex,
    poses: Float[Array, "Q 17 3"],
    k: int | None = None,
    *,
    within: float | None = None,
    mirrored: bool = False,
    joints: Joints | None = None,
    where: Where | None = None,
    max_per_clip: int | None = None,
    min_gap_seconds: float = 0.0,
    exact: bool | None = None,
) -> Hits:
    """Find the moments of an archive that show given 3D poses, nearest first.

    The distance of a hit is that by which this library judges every pose: the mean distance per joint of the canonical
    poses after the hit is aligned to the query by rotation, scale and shift (`procrustes_mpjpe`), torso lengths.

    Args:
        index: The archive, of any encoder.
        poses: Joints of `h36m17`, any unit, any direction.
        k: How many hits of each; 10 if neither this nor `within` is given.
        within: Only hits of at most this distance; without `k` all of them.
        mirrored: Also search with the mirror image, left and right exchanged. A moment is one hit, by the nearer of
            the two, and `Hits.mirrored` says which.
        joints: Parts of the body or joints that count (`BODY_PARTS`), such as ("upper",), or how much each counts,
            such as {"torso": 1, "left_arm": 3}. They weigh in the alignment as in the mean. Joints that are not named
            may be anywhere. A limb alone is its own shape: with "torso" it is compared by where it points.
        where: Search only rows that match, as in `PoseIndex.rows`.
        max_per_clip: At most so many hits of one clip.
        min_gap_seconds: Hits of one clip lie at least so far apart.
        exact: Whether every pose is compared. If not said, a learned index of more than `EXACT` rows is searched by
            its embedding for candidates; with `within` or `joints` every pose is compared whatever the index.

    Returns:
        One query a pose, in order. Places behind the last hit of a query are empty.

    Raises:
        ShapeError: If `poses` is not (Q, 17, 3), not finite, or a pose has no canonical form.
        VipeError: If a number is out of its range, there is no such joint, fewer than `FEWEST` joints count, `exact`
            is False where every pose has to be compared; or as in `PoseIndex.rows`.
    """
    check_index(index)
    question, allowed = _asked(index, k, within, mirrored, joints, where, max_per_clip, min_gap_seconds, exact)
    found = canonicalize_array(np.asarray(poses))
    if found.poses.ndim != 3:
        raise ShapeError(f"poses must be (Q, 17, 3), got shape {found.poses.shape}; one alone is (1, 17, 3)")
    if found.degenerate.any():
        raise ShapeError(
            f"pose {int(np.argmax(found.degenerate))} has no canonical form: its hips and spine lie on one line, or a "
            "bone has no length"
        )
    return _answered(index, found.poses, question, allowed, [np.empty(0, dtype=np.int64)] * len(found.poses))


def moment_rows(index: PoseIndex, moments: Sequence[tuple[str, int]]) -> Int64[Array, " Q"]:
    """The rows of an index that moments are.

    Args:
        index: The archive.
        moments: Name of a clip and number of a frame in it.

    Raises:
        VipeError: If the index has no such clip, or not that frame of it; names the nearest frames that it has.
    """
    rows = []
    for clip, frame in moments:
        own = index.rows({"clip": clip})
        if not len(own):
            raise VipeError(lacks_clip(index.path, clip, index.labels["clip"].unique().to_pylist()))
        frames = index.look_up("frame", own, -1)
        place = np.flatnonzero(frames == frame)
        if not len(place):
            near = np.sort(frames[np.argsort(np.abs(frames.astype(np.int64) - frame), kind="stable")[:2]])
            raise VipeError(
                f"{index.path}: has no frame {frame} of clip {clip!r}; it has {len(own):,} of its frames, of which "
                f"{' and '.join(map(str, near.tolist()))} {'are' if len(near) > 1 else 'is'} nearest"
            )
        rows.append(int(own[place[0]]))
    return np.array(rows, dtype=np.int64)


def _asked(
    index: PoseIndex,
    k: int | None,
    within: float | None,
    mirrored: bool,
    joints: Joints | None,
    where: Where | None,
    max_per_clip: int | None,
    min_gap_seconds: float,
    exact: bool | None,
) -> tuple[_Question, Int64[Array, " M"] | None]:
    """The arguments that both questions share, checked; and the rows that are searched."""
    if k is not None:
        check_count("k", k)
        if k < 1:
            raise VipeError(f"k must be at least 1, got {k}")
    if within is not None:
        check_radius(within, "within")
    check_limits(max_per_clip, min_gap_seconds)
    weight = None if joints is None else joint_weights(joints)
    if weight is not None and (weight > 0).sum() < FEWEST:
        raise VipeError(
            f"joints: {int((weight > 0).sum())} joints count, at least {FEWEST} are needed; add torso, so that a limb "
            "is compared by where it points"
        )
    allowed = None if where is None else index.rows(where)
    count = len(index) if allowed is None else len(allowed)
    by_all = within is not None or weight is not None or not index.is_learned
    if exact is False and by_all:
        raise VipeError("exact=False needs a learned index, and neither within nor joints: leave it out")
    return _Question(
        k=min(count, k or (10 if within is None else count)),
        within=math.inf if within is None else float(within),
        mirrored=mirrored,
        weight=weight,
        exact=by_all or (count <= EXACT if exact is None else exact),
        max_per_clip=max_per_clip,
        min_gap_seconds=float(min_gap_seconds),
    ), allowed


def _answered(
    index: PoseIndex,
    poses: Float32[Array, "Q 17 3"],
    question: _Question,
    allowed: Int64[Array, " M"] | None,
    out: list[Int64[Array, " _"]],
) -> Hits:
    """The hits of canonical poses, each without the rows that it leaves out (ascending)."""
    found = [_one(index, pose, question, allowed, gone) for pose, gone in zip(poses, out, strict=True)]
    width = max((len(rows) for rows, _, _ in found), default=0) if question.within < math.inf else question.k
    rows = np.full((len(found), width), -1, dtype=np.int64)
    distance = np.full(rows.shape, np.inf, dtype=np.float32)
    flipped = np.zeros(rows.shape, dtype=bool)
    for query, (own, far, mirror) in enumerate(found):
        rows[query, : len(own)], distance[query, : len(own)], flipped[query, : len(own)] = own, far, mirror
    return Hits.look_up(index, rows, distance, mirrored=flipped if question.mirrored else None)


_Found = tuple[Int64[Array, " _"], Float32[Array, " _"], Bool[Array, " _"]]
"""Rows of one query, their distances, and which were found mirrored."""


def _one(
    index: PoseIndex,
    pose: Float32[Array, "17 3"],
    question: _Question,
    allowed: Int64[Array, " M"] | None,
    out: Int64[Array, " _"],
) -> _Found:
    count = len(index) if allowed is None else len(allowed)
    depth = count if question.exact else min(count, max(_DEEPER * question.k, _LEAST) + len(out))
    while True:
        found = _chosen(index, _compared(index, pose, question, allowed, out, depth), question)
        if depth == count or len(found[0]) >= question.k:
            return found
        depth = min(4 * depth, count)  # what is left out, or too alike, filled the list: look deeper


def _compared(
    index: PoseIndex,
    pose: Float32[Array, "17 3"],
    question: _Question,
    allowed: Int64[Array, " M"] | None,
    out: Int64[Array, " _"],
    depth: int,
) -> _Found:
    """Distances of rows from the pose, or from its mirror image where that is nearer."""
    asked = [pose, mirrored_poses(pose)] if question.mirrored else [pose]
    rows = allowed
    if not question.exact:
        z = index.encoder.encode_poses(np.stack(asked))
        rows = np.unique(index.nearest(z, depth, allowed).rows)
    distances = [pose_distances(index, one, rows, question.weight) for one in asked]
    rows = np.arange(len(index)) if rows is None else rows
    flipped = distances[-1] < distances[0]
    distance = np.minimum(distances[0], distances[-1])
    left = (distance <= question.within) & ~np.isin(rows, out)
    return rows[left], distance[left], flipped[left]


def _chosen(index: PoseIndex, found: _Found, question: _Question) -> _Found:
    """The nearest that differ as the question asks, nearest first; those at one distance by row."""
    rows, distance, _ = found
    if not question.diverse and question.k < len(rows):
        kth = np.partition(distance, question.k - 1)[question.k - 1]
        some = np.flatnonzero(distance <= kth)
        order = some[np.argsort(distance[some], kind="stable")][: question.k]
    else:
        order = np.argsort(distance, kind="stable")
    if question.diverse:
        order = order[list(_apart(index, rows[order], question))]
    taken = order[: question.k]
    return rows[taken], distance[taken], found[2][taken]


def _apart(index: PoseIndex, rows: Int64[Array, " n"], question: _Question) -> Iterator[int]:
    """Places of the first k rows of which none is ruled out by an earlier one; the rule is that of `diversify`."""
    clips, times = index.clip_codes[rows].tolist(), index.times[rows].tolist()
    gap = question.min_gap_seconds
    most = math.inf if question.max_per_clip is None else question.max_per_clip
    counts: dict[int, int] = {}
    cells: dict[tuple[int, int], list[float]] = {}  # times that were chosen, by clip and by stretches of one gap
    chosen = 0
    for place, (clip, time) in enumerate(zip(clips, times, strict=True)):
        if counts.get(clip, 0) >= most:
            continue
        if gap > 0:
            cell = math.floor(min(time / gap, _CELLS))  # a gap of next to nothing rules out nobody
            near = (other for at in (cell - 1, cell, cell + 1) for other in cells.get((clip, at), ()))
            if any(abs(time - other) < gap - _ROUNDING for other in near):
                continue
            cells.setdefault((clip, cell), []).append(time)
        counts[clip] = counts.get(clip, 0) + 1
        chosen += 1
        yield place
        if chosen == question.k:
            return


def _near_in_time(index: PoseIndex, row: int, seconds: float) -> Int64[Array, " _"]:
    """Rows of the clip of a row, within some seconds of it."""
    near = np.abs(index.times - index.times[row]) <= seconds + _ROUNDING
    return np.flatnonzero(near & (index.clip_codes == index.clip_codes[row]) & (seconds >= 0))
