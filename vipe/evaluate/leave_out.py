"""Searching what remains when a query's own moment is left out of the gallery (numpy)."""

__all__ = ["CLIP", "NOTHING", "Gallery", "LeaveOut", "Ranker", "drop", "rank_by_dropping", "rank_by_filter"]

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from vipe.arrays import Array
from vipe.detections import Keypoints

Ranker = Callable[[Keypoints, int, Int64[Array, " M"]], Int64[Array, "Q K"]]
"""People, k, rows to search among; gives rows, best first, -1 where there is none."""

NOTHING = -1.0
CLIP = math.inf
_ROUNDING = 1e-6  # seconds: times are frames over a rate, and 4.0 s apart must be within 4 s
_DEEPEST = 4096  # how far down a ranking is asked for, so that dropping rows leaves enough of it


@dataclass(frozen=True)
class LeaveOut:
    """Rows of the query's clip that lie within some seconds of it: `NOTHING`, a number, or the whole `CLIP`."""

    clip: Shaped[Array, " N"]  # of each row of the index
    time: Float64[Array, " N"]  # in its clip
    seconds: float

    def mask(self, query: Int64[Array, "*#batch"], rows: Int64[Array, "*#batch"]) -> Bool[Array, "*batch"]:
        """Whether rows are left out for queries, both given as rows of the index; shapes broadcast."""
        near = np.abs(self.time[rows] - self.time[query]) <= self.seconds + _ROUNDING
        return np.asarray((self.clip[rows] == self.clip[query]) & near & (self.seconds >= 0))

    def count(self, query: Int64[Array, " Q"], gallery: Int64[Array, " G"]) -> Int64[Array, " Q"]:
        """How many rows of the gallery each query loses."""
        return np.array([int(self.mask(query[i : i + 1], gallery).sum()) for i in range(len(query))], dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """What is searched: all rows but those a query leaves out."""

    name: str
    left_out: LeaveOut
    remaining: Int64[Array, " Q"]
    matches: dict[float, Int64[Array, " Q"]]  # hits that remain, by threshold


def rank_by_dropping(
    ranker: Ranker,
    people: Keypoints,
    query: Int64[Array, " Q"],
    rows: Int64[Array, " G"],
    galleries: Sequence[Gallery],
    depth: int,
) -> list[Int64[Array, "Q depth"]]:
    """Rank what remains of the gallery for each query by one search of all of it, then `drop`.

    Args:
        ranker: The search; a pose's place must depend on its own score alone.
        people: The queries' keypoints.
        query: Their rows.
        rows: All rows of the gallery, ascending.
        galleries: What to leave out.
        depth: How many rows to rank.

    Returns:
        For each gallery what a search with a filter would give; -1 behind the last row.
    """
    most = len(rows) - min(int(gallery.remaining.min()) for gallery in galleries)
    ranked = ranker(people, min(depth + most, max(depth, _DEEPEST), len(rows)), rows)
    rankings = []
    for gallery in galleries:
        kept, complete = drop(ranked, gallery.left_out.mask(query[:, None], ranked), depth, gallery.remaining)
        _search_again(ranker, people, query, rows, gallery, kept, np.flatnonzero(~complete))
        rankings.append(kept)
    return rankings


def rank_by_filter(
    ranker: Ranker,
    people: Keypoints,
    query: Int64[Array, " Q"],
    rows: Int64[Array, " G"],
    galleries: Sequence[Gallery],
    depth: int,
) -> list[Int64[Array, "Q depth"]]:
    """Rank what remains of the gallery by searching just that, for any search; arguments as in `rank_by_dropping`.

    Queries that leave out the same rows are searched together.
    """
    rankings = []
    for gallery in galleries:
        kept = np.full((len(people), depth), -1, dtype=np.int64)
        _search_again(ranker, people, query, rows, gallery, kept, np.arange(len(people)))
        rankings.append(kept)
    return rankings


def drop(
    rows: Int64[Array, "Q K"], out: Bool[Array, "Q K"], depth: int, remaining: Sequence[int] | Int64[Array, " Q"]
) -> tuple[Int64[Array, "Q depth"], Bool[Array, " Q"]]:
    """Take left-out rows from rankings: what a search without them would have ranked, if the rankings go deep enough.

    True of searches in which a pose's place depends on its own score alone.

    Args:
        rows: Gallery rows of each query, best first; -1 where there is none.
        out: Which of them to take away.
        depth: How many to keep.
        remaining: How many rows of the gallery are not left out, by query.

    Returns:
        The first rows that stay, -1 behind the last; and for which queries they are all that a search of `depth`
        among the rest would find. Search again for the others.
    """
    gone = out | (rows < 0)
    order = np.argsort(gone, axis=1, kind="stable")[:, :depth]
    kept = np.where(np.take_along_axis(gone, order, axis=1), -1, np.take_along_axis(rows, order, axis=1))
    result = np.full((len(rows), depth), -1, dtype=np.int64)
    result[:, : kept.shape[1]] = kept
    return result, (result >= 0).sum(axis=1) >= np.minimum(depth, remaining)


def _search_again(
    ranker: Ranker,
    people: Keypoints,
    query: Int64[Array, " Q"],
    rows: Int64[Array, " G"],
    gallery: Gallery,
    rankings: Int64[Array, "Q depth"],
    numbers: Int64[Array, " M"],
) -> None:
    """Fill in the rankings of some queries by searching among what remains for them, together where it is alike."""
    alike: dict[bytes, list[int]] = {}

    def out(number: int) -> Bool[Array, " G"]:
        return gallery.left_out.mask(query[number : number + 1], rows)

    for number in numbers.tolist():
        alike.setdefault(np.flatnonzero(out(number)).tobytes(), []).append(number)
    for members in alike.values():
        left = rows[~out(members[0])]
        rankings[members] = -1
        if len(left):
            found = ranker(people[np.array(members)], rankings.shape[1], left)
            rankings[members, : found.shape[1]] = found
