"""Galleries with the query's own moment or clip left out, and how what remains is ranked (numpy)."""

__all__ = ["CLIP", "NOTHING", "Gallery", "LeaveOut", "Ranker", "by_rows", "drop", "rank_by_dropping", "rank_by_filter"]

import math
from collections.abc import Callable, Iterable, Sequence
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
_DEEPEST = 4096  # rows of a ranking at most, when more are ranked than needed because some will be taken away


@dataclass(frozen=True)
class LeaveOut:
    """Which rows a query leaves out: those of its clip within some seconds of it; `NOTHING`, or the whole `CLIP`."""

    clip: Shaped[Array, " N"]  # of each row of the index
    time: Float64[Array, " N"]  # in its clip
    seconds: float

    def mask(self, query: Int64[Array, "*#batch"], rows: Int64[Array, "*#batch"]) -> Bool[Array, "*batch"]:
        """Whether rows are left out for queries, both given as rows of the index; shapes broadcast."""
        near = np.abs(self.time[rows] - self.time[query]) <= self.seconds + _ROUNDING
        return np.asarray((self.clip[rows] == self.clip[query]) & near & (self.seconds >= 0))

    def count(self, query: Int64[Array, " Q"], gallery: Int64[Array, " G"]) -> Int64[Array, " Q"]:
        """How many rows of the gallery are left out for each query."""
        counts = np.zeros(len(query), dtype=np.int64)
        for clip in np.unique(self.clip[query]) if self.seconds >= 0 else ():
            which = np.flatnonzero(self.clip[query] == clip)
            own = gallery[self.clip[gallery] == clip]
            counts[which] = self.mask(query[which, None], own[None]).sum(axis=1)
        return counts


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """All rows but those that each query leaves out."""

    name: str
    left_out: LeaveOut
    remaining: Int64[Array, " Q"]
    matches: dict[float, Int64[Array, " Q"]]  # hits that remain, by threshold

    def rows_of(self, query: int, rows: Int64[Array, " G"]) -> Int64[Array, " M"]:
        """Which of the rows remain for a query, given as a row of the index."""
        return rows[~self.left_out.mask(np.array([query]), rows)]


def rank_by_dropping(
    ranker: Ranker,
    people: Keypoints,
    query: Int64[Array, " Q"],
    rows: Int64[Array, " G"],
    galleries: Sequence[Gallery],
    depth: int,
) -> list[Int64[Array, "Q depth"]]:
    """Rank what remains of the gallery for each query: search all of it once, then take the left-out rows away.

    Right only for a search that ranks each pose by a score of its own, whatever else is in the gallery.

    Args:
        ranker: The search.
        people: The queries' keypoints.
        query: Their rows.
        rows: All rows of the gallery, ascending.
        galleries: What each leaves out.
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
    """Rank what remains of the gallery for each query by searching only that; arguments as in `rank_by_dropping`.

    Right for any search. Queries that leave out the same rows are searched together.
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
    """Take left-out rows away from rankings.

    The result is the ranking of a search without those rows, if each pose is ranked by a score of its own, and if the
    given rankings go deep enough.

    Args:
        rows: Gallery rows of each query, best first; -1 where there is none.
        out: Which of them to take away.
        depth: How many to keep.
        remaining: How many rows of the gallery are not left out, by query.

    Returns:
        The first `depth` rows that remain, -1 behind the last; and for which queries the rankings went deep enough.
        Search again for the others.
    """
    gone = out | (rows < 0)
    order = np.argsort(gone, axis=1, kind="stable")[:, :depth]
    kept = np.where(np.take_along_axis(gone, order, axis=1), -1, np.take_along_axis(rows, order, axis=1))
    result = np.full((len(rows), depth), -1, dtype=np.int64)
    result[:, : kept.shape[1]] = kept
    return result, (result >= 0).sum(axis=1) >= np.minimum(depth, remaining)


def by_rows(rows: Iterable[Int64[Array, " _"]]) -> list[tuple[Int64[Array, " _"], Int64[Array, " _"]]]:
    """Collect queries that search among the same rows, so that they are searched together.

    Args:
        rows: What each query searches among.

    Returns:
        Every different set of rows, and the numbers of its queries.
    """
    alike: dict[bytes, tuple[Int64[Array, " M"], list[int]]] = {}
    for number, own in enumerate(rows):
        alike.setdefault(own.tobytes(), (own, []))[1].append(number)
    return [(own, np.array(numbers)) for own, numbers in alike.values()]


def _search_again(
    ranker: Ranker,
    people: Keypoints,
    query: Int64[Array, " Q"],
    rows: Int64[Array, " G"],
    gallery: Gallery,
    rankings: Int64[Array, "Q depth"],
    numbers: Int64[Array, " M"],
) -> None:
    """Fill in the rankings of some queries by searching what remains for each."""
    for left, members in by_rows(gallery.rows_of(one, rows) for one in query[numbers].tolist()):
        which = numbers[members]
        rankings[which] = -1
        if len(left):
            found = ranker(people[which], rankings.shape[1], left)
            rankings[which, : found.shape[1]] = found
