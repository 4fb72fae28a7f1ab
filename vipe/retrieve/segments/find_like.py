"""Find motion that is like a clip, and motion that an archive repeats, by canonical poses (numpy)."""

__all__ = ["ALIKE", "TWICE", "Segments", "find_duplicates", "find_like", "find_parts"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64

from vipe.arrays import Array
from vipe.errors import ShapeError, VipeError
from vipe.geometry.canonical import canonicalize_array
from vipe.index import PoseIndex
from vipe.index.folder.frames import Where
from vipe.retrieve.segments.warping import Costs, Matches, parts, whole

ALIKE = 0.15
"""Torso lengths, root mean square over joints, below which poses and stretches count as alike: about 7 cm."""

TWICE = 0.05
"""Torso lengths below which stretches of two clips count as one recording that is there twice."""

_AT_ONCE = 32_768  # archive frames that are compared at a time, if a clip is not longer


@dataclass(frozen=True, kw_only=True)
class Segments:
    """S stretches of an archive, best first."""

    clip: tuple[str, ...]
    first: Int64[Array, " S"]  # rows of the index, of the first and the last pose
    last: Int64[Array, " S"]
    start: Float64[Array, " S"]  # seconds in the clip
    end: Float64[Array, " S"]
    query_first: Int64[Array, " S"]  # poses of the query; rows of the index, if that is searched with itself
    query_last: Int64[Array, " S"]
    distance: Float32[Array, " S"]  # mean over the query's poses, torso lengths: root mean square over joints

    def __len__(self) -> int:
        return len(self.clip)


def find_like(
    index: PoseIndex,
    poses: Float[Array, "T 17 3"],
    k: int = 10,
    *,
    where: Where | None = None,
    but: Int64[Array, " R"] | None = None,
) -> Segments:
    """Stretches of an archive that show a whole motion, at half to double its speed, from any side.

    Time and memory: the table of T poses against all of the archive is computed in pieces of some clips; 600 poses
    against a million take about 20 seconds on a core.

    Args:
        index: The archive, of any encoder: its canonical poses are compared. Its poses should be as dense in time as
            the motion's.
        poses: The motion, in time order; metres or any unit, any direction.
        k: How many stretches at most; of several that overlap, the best.
        where: Search only rows that match, as in `PoseIndex.rows`.
        but: Rows that are left out, such as the motion itself; no stretch contains one.

    Returns:
        The stretches of least mean distance first.

    Raises:
        ShapeError: If the motion is no motion of the working skeleton, or has a pose without canonical form.
        VipeError: If k is below 1; or as in `PoseIndex.rows`.
    """
    _check_count(k)
    query = _flat(_canonical(poses))
    pieces = [
        (rows, whole(_costs(index, query, rows, out), len(query), new, k))
        for rows, new, out in _pieces(index, where, but)
    ]
    return _segments(index, pieces, k)


def find_parts(
    index: PoseIndex,
    poses: Float[Array, "T 17 3"],
    k: int = 10,
    *,
    limit: float = ALIKE,
    shortest: int = 10,
    where: Where | None = None,
    but: Int64[Array, " R"] | None = None,
) -> Segments:
    """Stretches of an archive that show any part of a motion: for long motions, and for material that is there twice.

    Args:
        index: The archive.
        poses: The motion, in time order.
        k: How many stretches at most.
        limit: Torso lengths below which two poses count as alike; the mean distance of a stretch is below it.
        shortest: Poses of the motion that a stretch has at least.
        where: Search only rows that match, as in `PoseIndex.rows`.
        but: Rows that are left out.

    Returns:
        The stretches of the highest score first: the sum over the motion's poses of `limit` less the distance, so that
        long ones come before short ones of the same distance.

    Raises:
        ShapeError: As `find_like`.
        VipeError: If a number is out of its range; or as in `PoseIndex.rows`.
    """
    _check_count(k)
    if not 0 < limit < np.inf or shortest < 2:
        raise VipeError(f"limit must be above 0 and shortest at least 2 poses, got {limit} and {shortest}")
    query = _flat(_canonical(poses))
    pieces = []
    for rows, new, out in _pieces(index, where, but):
        costs = _costs(index, query, rows, out)
        pieces.append((rows, parts(costs, len(query), new, k, limit=limit, shortest=shortest)))
    return _segments(index, pieces, k)


def find_duplicates(
    index: PoseIndex,
    k: int = 100,
    *,
    limit: float = TWICE,
    shortest: int = 10,
    progress: Callable[[int, int], None] | None = None,
) -> Segments:
    """Stretches that two clips of an archive share: takes stored twice, and cuts of one recording.

    Every clip is searched in all later ones, so time grows with the square of the archive: 5,000 poses take about 3
    seconds on a core. People who stand still in two clips are such a stretch, too.

    Args:
        index: The archive.
        k: How many pairs at most.
        limit: As in `find_parts`.
        shortest: Poses of the earlier clip that a stretch has at least.
        progress: Called with the poses done and the poses in all.

    Returns:
        `clip`, `first` and `last` are of the later clip, `query_first` and `query_last` rows of the earlier one. The
        highest score first, as in `find_parts`.

    Raises:
        VipeError: As `find_parts`.
    """
    _check_count(k)
    every = index.rows({})
    order = np.lexsort((index.times[every], index.clip_codes[every]))
    every = every[order]
    begins = np.flatnonzero(np.diff(index.clip_codes[every], prepend=-1) != 0)
    found: list[tuple[float, Segments, int]] = []
    for begin, end in zip(begins, [*begins[1:], len(every)], strict=True):
        own = every[begin:end]
        if end < len(every) and len(own) >= shortest:
            later = every[end:]
            here = find_parts(index, index.poses(own), k, limit=limit, shortest=shortest, where=np.sort(later))
            here = replace(here, query_first=own[here.query_first], query_last=own[here.query_last])
            length = (index.times[here.query_last] - index.times[here.query_first]) * (limit - here.distance)
            found += [(float(length[row]), here, row) for row in range(len(here))]
        if progress is not None:
            progress(int(end), len(every))
    found.sort(key=lambda one: -one[0])
    return _joined([(segments, row) for _, segments, row in found[:k]])


def _joined(rows: list[tuple[Segments, int]]) -> Segments:
    """Single stretches of several answers as one."""
    names = [field.name for field in fields(Segments) if field.name != "clip"]
    kinds = {"start": np.float64, "end": np.float64, "distance": np.float32}
    arrays = {name: np.array([getattr(of, name)[row] for of, row in rows], kinds.get(name, np.int64)) for name in names}
    return Segments(clip=tuple(of.clip[row] for of, row in rows), **arrays)


def _check_count(k: int) -> None:
    if k < 1:
        raise VipeError(f"k must be at least 1, got {k}")


def _canonical(poses: Float[Array, "T 17 3"]) -> Float32[Array, "T 17 3"]:
    if poses.ndim != 3 or poses.shape[1:] != (17, 3) or not len(poses):
        raise ShapeError(f"a motion must be (poses, 17, 3) with at least one pose, got shape {poses.shape}")
    canonical = canonicalize_array(poses)
    if canonical.degenerate.any():
        row = int(canonical.degenerate.argmax())
        raise ShapeError(f"pose {row} of the motion has no canonical form: its hips and spine lie on one line")
    return canonical.poses


def _flat(canonical: Float32[Array, "N 17 3"]) -> Float32[Array, "N 48"]:
    """All joints but the pelvis, which is the origin, so that squared distances are means over joints."""
    flat: Float32[Array, "N 48"] = canonical[:, 1:].reshape(len(canonical), -1).astype(np.float32)
    return flat / np.float32(np.sqrt(canonical.shape[1] - 1))


def _pieces(
    index: PoseIndex, where: Where | None, but: Int64[Array, " R"] | None
) -> Iterator[tuple[Int64[Array, " A"], Bool[Array, " A"], Bool[Array, " A"]]]:
    """Rows of some clips in time order, where a clip begins, and which rows are left out."""
    rows = index.rows({} if where is None else where)
    left_out = np.zeros(len(index.clip_codes), dtype=bool)
    if but is not None:
        left_out[but] = True
    order = np.lexsort((index.times[rows], index.clip_codes[rows]))
    rows = rows[order]
    new = np.diff(index.clip_codes[rows], prepend=-1) != 0
    begins = [*np.flatnonzero(new).tolist(), len(rows)]
    first = 0
    for number, begin in enumerate(begins[1:], 1):
        if begin == len(rows) or begins[number + 1] - first > _AT_ONCE:
            piece = slice(first, begin)
            yield rows[piece], new[piece], left_out[rows[piece]]
            first = begin


def _costs(index: PoseIndex, query: Array, rows: Int64[Array, " A"], out: Bool[Array, " A"]) -> Costs:
    archive = _flat(index.poses(rows))
    square = np.square(archive).sum(axis=1)

    def costs(frames: slice) -> Float32[Array, "some A"]:
        own = query[frames]
        squared = np.square(own).sum(axis=1)[:, None] + square - 2 * own @ archive.T
        distance: Float32[Array, "some A"] = np.sqrt(np.maximum(squared, 0)).astype(np.float32)
        distance[:, out] = np.inf
        return distance

    return costs


def _segments(index: PoseIndex, pieces: list[tuple[Int64[Array, " _"], Matches]], k: int) -> Segments:
    """The best of all pieces."""
    first = np.concatenate([rows[found.first] for rows, found in pieces] or [np.zeros(0, np.int64)])
    last = np.concatenate([rows[found.last] for rows, found in pieces] or [np.zeros(0, np.int64)])
    joined = {
        name: np.concatenate([getattr(found, name) for _, found in pieces] or [np.zeros(0)])
        for name in ("score", "distance", "query_first", "query_last")
    }
    best = np.argsort(-joined["score"], kind="stable")[:k]
    first, last = first[best], last[best]
    return Segments(
        clip=tuple(index.look_up("clip", first, "").tolist()),
        first=first,
        last=last,
        start=index.times[first],
        end=index.times[last],
        query_first=joined["query_first"][best].astype(np.int64),
        query_last=joined["query_last"][best].astype(np.int64),
        distance=joined["distance"][best].astype(np.float32),
    )
