"""Aligning T frames of a query with the frames of an archive, at half to double speed (numpy).

Both alignments have the steps (1, 1), (1, 2) and (2, 1) of query and archive, each of which needs earlier rows of the
table only: a row is computed for all archive frames at once. A path costs the distance of each query frame, so that the
sum over a path, divided by the number of query frames, is a mean distance whatever its speed.

Reference:
    Sakoe & Chiba 1978 (slopes of a path); Müller 2007, ch. 4.4 (a query inside a longer sequence); Smith & Waterman
    1981 (parts of both).
"""

__all__ = ["Matches", "parts", "whole"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from vipe.arrays import Array

Costs = Callable[[slice], Float32[Array, "some A"]]
"""Distances of some query frames to all archive frames; infinite where two must not meet."""

_AT_ONCE = 64  # query frames whose distances lie in memory
_FEW = 4096  # starts of parts that are kept: far more than anybody reads
_SAME = 0.5  # of the shorter of two stretches in common: they are the same


@dataclass(frozen=True, kw_only=True)
class Matches:
    """S stretches that are alike, best first. Frames count from 0; the last one belongs to it."""

    query_first: Int64[Array, " S"]
    query_last: Int64[Array, " S"]
    first: Int64[Array, " S"]  # in the archive
    last: Int64[Array, " S"]
    distance: Float32[Array, " S"]  # mean over the query's frames
    score: Float32[Array, " S"]  # what they are sorted by, descending

    def __len__(self) -> int:
        return len(self.first)


def whole(costs: Costs, frames: int, new: Bool[Array, " A"], k: int) -> Matches:
    """Stretches of the archive that show the whole query, at most one of several that overlap.

    Args:
        costs: Distances.
        frames: T, of the query.
        new: Where a clip of the archive begins; no path runs from one clip to the next.
        k: How many at most.

    Returns:
        Of least mean distance first; `score` is that distance with its sign changed. Fewer than `k`, or none, where
        no clip is long enough: half as long as the query.
    """
    inner = _Shifts(new)
    total, start = _blank(len(new)), np.arange(len(new))
    before, start_before = total, start
    for i, cost in enumerate(_rows(costs, frames)):
        if i == 0:
            total, start = cost.copy(), np.arange(len(new))
            continue
        options = (
            (inner.by_one(total), inner.from_one(start)),
            (inner.by_two(total), inner.from_two(start)),
            (inner.by_one(before) + cost, inner.from_one(start_before)),
        )
        before, start_before = total, start
        total, start = options[0]
        for other, other_start in options[1:]:
            better = other < total
            total, start = np.where(better, other, total), np.where(better, other_start, start)
        total = total + cost
    mean = (total / frames).astype(np.float32)
    ends = np.flatnonzero(np.isfinite(mean))
    zeros = np.zeros(len(ends), dtype=np.int64)
    found = Matches(
        query_first=zeros,
        query_last=zeros + frames - 1,
        first=start[ends].astype(np.int64),
        last=ends.astype(np.int64),
        distance=mean[ends],
        score=-mean[ends],
    )
    return _apart(found, k)


def parts(costs: Costs, frames: int, new: Bool[Array, " A"], k: int, *, limit: float, shortest: int) -> Matches:
    """Stretches of the archive that show some stretch of the query, the longest and most alike first.

    The score of a path is the sum over query frames of `limit` less their distance, so a path goes on through worse
    frames as long as what follows makes up for them.

    Args:
        costs: Distances.
        frames: T, of the query.
        new: Where a clip of the archive begins.
        k: How many at most; of stretches that overlap in query and archive the best.
        limit: The mean distance of a path is below it.
        shortest: Query frames that a stretch has at least.
    """
    inner = _Shifts(new)
    size = len(new)
    here = np.arange(size)
    nothing = _Paths(np.zeros(size, np.float32), np.zeros(size, np.int64), here, np.zeros(size, np.int64))
    one = two = nothing
    kept: list[Array] = []
    for i, cost in enumerate(_rows(costs, frames)):
        gain = limit - cost
        fresh = _Paths(np.zeros(size, np.float32), np.full(size, i), here, np.zeros(size, np.int64))
        path = fresh
        for old, move, origin, steps in (
            (one, inner.by_one, inner.from_one, 1),
            (one, inner.by_two, inner.from_two, 1),
            (two, inner.by_one, inner.from_one, 2),
        ):
            score = move(np.where(old.score > 0, old.score, -np.inf), -np.inf) + (gain if steps == 2 else 0)
            better = score > path.score
            path = _Paths(
                np.where(better, score, path.score),
                np.where(better, origin(old.query), path.query),
                np.where(better, origin(old.start), path.start),
                np.where(better, origin(old.length) + steps - 1, path.length),
            )
        score = path.score + gain
        alive = score > 0
        two = one
        one = _Paths(
            np.where(alive, score, np.float32(0)).astype(np.float32), path.query, path.start, (path.length + 1) * alive
        )
        ends = np.flatnonzero(one.length >= shortest)
        if len(ends):
            row = np.full(len(ends), i)
            kept.append(np.stack([one.score[ends], one.query[ends], row, one.start[ends], ends, one.length[ends]]))
            if sum(block.shape[1] for block in kept) > 16 * _FEW:
                kept = [_best_of_each_start(np.concatenate(kept, axis=1))]
    found = _best_of_each_start(np.concatenate(kept, axis=1)) if kept else np.zeros((6, 0))
    score, query_first, query_last, first, last, length = found
    whole_numbers = [one.astype(np.int64) for one in (query_first, query_last, first, last)]
    matches = Matches(
        query_first=whole_numbers[0],
        query_last=whole_numbers[1],
        first=whole_numbers[2],
        last=whole_numbers[3],
        distance=(limit - score / np.maximum(length, 1)).astype(np.float32),
        score=score.astype(np.float32),
    )
    return _apart(matches, k)


@dataclass(frozen=True)
class _Paths:
    """The best path that ends at each archive frame."""

    score: Float32[Array, " A"]
    query: Int64[Array, " A"]  # where it began
    start: Int64[Array, " A"]
    length: Int64[Array, " A"]  # query frames that it has paid for


class _Shifts:
    """Values of the archive frame one or two before, inside of the same clip."""

    def __init__(self, new: Bool[Array, " A"]) -> None:
        place = np.arange(len(new)) - np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))
        self._lacks = (place < 1, place < 2)

    def by_one(self, values: Array, blank: float = np.inf) -> Array:
        return np.where(self._lacks[0], np.float32(blank), np.roll(values, 1))

    def by_two(self, values: Array, blank: float = np.inf) -> Array:
        return np.where(self._lacks[1], np.float32(blank), np.roll(values, 2))

    def from_one(self, values: Array) -> Array:
        return np.roll(values, 1)

    def from_two(self, values: Array) -> Array:
        return np.roll(values, 2)


def _rows(costs: Costs, frames: int) -> Iterator[Float32[Array, " A"]]:
    """The distances of one query frame after the other."""
    for first in range(0, frames, _AT_ONCE):
        yield from costs(slice(first, min(first + _AT_ONCE, frames)))


def _blank(size: int) -> Float32[Array, " A"]:
    return np.full(size, np.inf, dtype=np.float32)


def _best_of_each_start(ends: Array) -> Array:
    """Of the paths that began at one place, the one of the highest score."""
    order = np.lexsort((-ends[0], ends[3], ends[1]))
    ends = ends[:, order]
    first = np.ones(ends.shape[1], dtype=bool)
    first[1:] = (np.diff(ends[1]) != 0) | (np.diff(ends[3]) != 0)
    ends = ends[:, first]
    return ends[:, np.argsort(-ends[0], kind="stable")[:_FEW]]


def _apart(found: Matches, k: int) -> Matches:
    """The best k, each of which is not the same as a better one."""
    left = found.score.astype(np.float64)
    chosen: list[int] = []
    while len(chosen) < min(k, len(found)):
        best = int(np.argmax(left))
        if left[best] == -np.inf:
            break
        chosen.append(best)
        left[_same(found, best)] = -np.inf
    rows = np.array(chosen, dtype=np.int64)
    return Matches(**{name: values[rows] for name, values in vars(found).items()})


def _same(found: Matches, one: int) -> Bool[Array, " S"]:
    """Which stretches overlap with one in query and archive by more than half of the shorter stretch; it does."""
    same = np.ones(len(found), dtype=bool)
    for first, last in ((found.query_first, found.query_last), (found.first, found.last)):
        common = np.minimum(last, last[one]) - np.maximum(first, first[one]) + 1
        same &= common > _SAME * (np.minimum(last - first, last[one] - first[one]) + 1)
    return same
