"""Which gallery poses are hits of each query, by the distances of all pairs (numpy)."""

__all__ = ["NearPairs", "near_pairs"]

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64

from vipe.arrays import Array, blocks
from vipe.evaluate.leave_out import LeaveOut
from vipe.evaluate.metrics import pose_distance

_PAIRS = 1 << 20  # at a time: a second or less between two reports of progress


@dataclass(frozen=True)
class NearPairs:
    """Every pair of a query and a gallery row whose poses lie within a threshold, by query, then row."""

    query: Int64[Array, " P"]  # number of the query
    row: Int64[Array, " P"]
    distance: Float32[Array, " P"]  # torso lengths
    rows: int  # of the index

    def of(self, rows: Int64[Array, "Q K"]) -> Float32[Array, "Q K"]:
        """Distance of each query's rows to its pose; infinite where not within the threshold, or the row is -1."""
        key = self.query * self.rows + self.row
        asked = np.arange(len(rows))[:, None] * self.rows + rows
        place = np.minimum(np.searchsorted(key, asked), max(len(key) - 1, 0))
        found = (key[place] == asked) & (rows >= 0) if len(key) else np.zeros(rows.shape, dtype=bool)
        distance = np.full(rows.shape, np.inf, dtype=np.float32)
        distance[found] = self.distance[place[found]]
        return distance

    def matches(self, query: Int64[Array, " Q"], left_out: LeaveOut, threshold: float) -> Int64[Array, " Q"]:
        """How many hits each query has in what remains of the gallery; `query` are the queries' rows."""
        counts = (self.distance < threshold) & ~left_out.mask(query[self.query], self.row)
        return np.bincount(self.query[counts], minlength=len(query)).astype(np.int64)


def near_pairs(
    poses: Float[Array, "N 17 3"],
    query: Int64[Array, " Q"],
    gallery: Int64[Array, " G"],
    threshold: float,
    progress: Callable[[int, int], None] | None = None,
) -> NearPairs:
    """Compare every query with every gallery pose, about a million pairs a second.

    Args:
        poses: Canonical poses of the whole index.
        query: Rows of the queries' true poses.
        gallery: Rows that are searched, ascending.
        threshold: Torso lengths; farther pairs are left out.
        progress: Called with how many queries are done, of how many.
    """
    found: list[tuple[Int64[Array, " P"], Int64[Array, " P"], Float32[Array, " P"]]] = []
    candidates = poses[gallery]
    for part in blocks(len(query), max(1, _PAIRS // max(len(gallery), 1))):
        distance = pose_distance(candidates[None], poses[query[part]][:, None])
        number, place = np.nonzero(distance < threshold)
        found.append((number + part.start, gallery[place], distance[number, place]))
        if progress is not None:
            progress(part.stop, len(query))
    numbers, rows, distances = (np.concatenate(part) for part in zip(*found, strict=True))
    return NearPairs(numbers, rows, distances, len(poses))
