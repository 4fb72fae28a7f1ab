"""The rank of each query's first hit, from scores of a block of queries against a whole gallery (numpy)."""

__all__ = ["Targets", "first_hit_ranks"]

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float32, Int64

from vipe.arrays import Array
from vipe.evaluate.leave_out import LeaveOut
from vipe.evaluate.near_pairs import NearPairs


@dataclass(frozen=True)
class Targets:
    """Which gallery rows are hits of which query, for several questions at once.

    A question is a threshold, and whether some seconds around the query are left out. Query i shows the pose of
    gallery row i; all questions share one gallery. Pairs are sorted by query.
    """

    near: NearPairs  # by the largest threshold
    near_start: Int64[Array, " starts"]  # where each query's pairs begin
    hit: Bool[Array, "questions P"]  # whether a near pair is a hit
    out_query: Int64[Array, " O"]  # pairs of which the row is not in the query's gallery
    out_row: Int64[Array, " O"]
    out_start: Int64[Array, " starts"]
    drops: tuple[bool, ...]  # which questions leave these out
    matches: Int64[Array, "questions N"]  # how many hits remain

    @classmethod
    def of(cls, near: NearPairs, left_out: LeaveOut, questions: Sequence[tuple[float, bool]]) -> "Targets":
        """Questions are (threshold, whether `left_out` applies); rows and queries are those of `left_out`'s arrays."""
        n = near.rows
        query, row = _pairs_left_out(left_out)
        gone = left_out.mask(near.query, near.row)
        hit = np.array([(near.distance < threshold) & ~(gone & drops) for threshold, drops in questions])
        return cls(
            near=near,
            near_start=np.searchsorted(near.query, np.arange(n + 1)),
            hit=hit,
            out_query=query,
            out_row=row,
            out_start=np.searchsorted(query, np.arange(n + 1)),
            drops=tuple(drops for _, drops in questions),
            matches=np.array([np.bincount(near.query[which], minlength=n) for which in hit]),
        )


def first_hit_ranks(scores: Float32[Array, "Q N"], first: int, targets: Targets) -> Int64[Array, "questions Q"]:
    """The rank of each query's first hit; 0 where the gallery has none.

    Nothing is sorted: the best hit's score is known from the few near pairs, and the rows that score as high are
    counted. Among equal scores a hit comes last, so that a constant score finds nothing by luck.

    Args:
        scores: Queries `first` to `first + Q` against the gallery; larger is more alike.
        first: Number of the first query.
        targets: The hits.
    """
    count, size = scores.shape
    near = slice(targets.near_start[first], targets.near_start[first + count])
    query, hit = targets.near.query[near] - first, targets.hit[:, near]
    value = scores[query, targets.near.row[near]]
    best = np.full((len(hit), count), -np.inf, dtype=np.float32)
    for which, bar in zip(hit, best, strict=True):
        np.maximum.at(bar, query[which], value[which])
    asked = np.isfinite(best)
    least = np.where(asked, best, np.float32(np.inf)).min(axis=0)
    place = np.flatnonzero(scores >= least[:, None])
    row, found = place // size, scores.ravel()[place]
    out = slice(targets.out_start[first], targets.out_start[first + count])
    away = targets.out_query[out] - first
    missing = scores[away, targets.out_row[out]]
    ranks = np.zeros(best.shape, dtype=np.int64)
    for number, bar in enumerate(best):
        above = np.bincount(row[found >= bar[row]], minlength=count)
        level = hit[number] & (value >= bar[query])
        above -= np.bincount(query[level], minlength=count)
        if targets.drops[number]:
            above -= np.bincount(away[missing >= bar[away]], minlength=count)
        ranks[number] = np.where(asked[number], above + 1, 0)
    return ranks


def _pairs_left_out(left_out: LeaveOut) -> tuple[Int64[Array, " O"], Int64[Array, " O"]]:
    """All pairs of rows of which the second is left out for the first, by the first."""
    order = np.argsort(left_out.clip, kind="stable")
    edges = np.flatnonzero(np.diff(left_out.clip[order], prepend=-1, append=-1))
    queries, rows = [], []
    for start, end in pairwise(edges):
        own = order[start:end]
        which, other = np.nonzero(left_out.mask(own[:, None], own[None]))
        queries.append(own[which])
        rows.append(own[other])
    query, row = np.concatenate(queries), np.concatenate(rows)
    by_query = np.argsort(query, kind="stable")
    return query[by_query], row[by_query]
