"""Radius search: every row within a distance of a query, exactly, whatever the recipe (numpy)."""

__all__ = ["Within", "check_radius", "rows_within"]

from dataclasses import dataclass
from numbers import Real

import numpy as np
from jaxtyping import Bool, Float32, Int64

from vipe.arrays import Array, blocks
from vipe.embed.encoder import Metric
from vipe.errors import ArgumentError, VipeError
from vipe.index.neighbours import Neighbours
from vipe.index.rows import Stacked

_ROWS, _QUERIES = 16_384, 64  # compared at a time: 4 MB of products
_PAIRS = 65_536  # compared again at a time
_ROUNDING = 1e-5  # of the squares involved: more than a product of float32 is off


@dataclass(frozen=True, kw_only=True)
class Within:
    """The rows within a distance of each of Q queries, nearest first; some queries have many, some have none.

    Those of query q are `rows[starts[q] : starts[q + 1]]`, with `distance` likewise; `of(q)` gives both.
    """

    rows: Int64[Array, " M"]  # of the index
    distance: Float32[Array, " M"]
    starts: Int64[Array, " ends"]  # of each query, and where the last one ends

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def counts(self) -> Int64[Array, " Q"]:
        """How many rows each query has."""
        return np.diff(self.starts)

    def of(self, query: int) -> Neighbours:
        """The rows of one query, as the only ones of a `Neighbours`."""
        number = range(len(self))[query]
        own = slice(self.starts[number], self.starts[number + 1])
        return Neighbours(self.rows[None, own], self.distance[None, own])


def check_radius(radius: object, name: str = "radius") -> None:
    """Refuse what is no distance.

    Raises:
        ArgumentError: If it is no number.
        VipeError: If it is negative or not finite.
    """
    if isinstance(radius, bool) or not isinstance(radius, Real):
        raise ArgumentError(f"{name} must be a number, got {type(radius).__name__} {radius!r}")
    if not 0 <= float(radius) < np.inf:
        raise VipeError(f"{name} must be finite and not negative, got {radius}")


def rows_within(
    vectors: Stacked,
    queries: Float32[Array, "Q D"],
    radius: float,
    metric: Metric,
    allowed: Int64[Array, " M"] | None = None,
) -> Within:
    """Compare every row with every query, by the embeddings themselves.

    A quick product leaves out what is far, and what may be near is compared again in float64: a row is there if its
    distance is at most the radius, to the last bit. Beside the result memory is that of a block.

    Args:
        vectors: The embeddings of all rows.
        queries: Embeddings of the same encoder.
        radius: The largest distance, of the kind that `PoseIndex.nearest` gives.
        metric: Of the encoder.
        allowed: Only these rows.
    """
    found: list[tuple[Int64[Array, " m"], Int64[Array, " m"], Float32[Array, " m"]]] = []
    count = len(vectors) if allowed is None else len(allowed)
    for block in blocks(count, _ROWS):
        rows = np.arange(block.start, block.stop) if allowed is None else allowed[block]
        some = vectors.take(rows)
        for part in blocks(len(queries), _QUERIES):
            number, place = np.nonzero(_maybe_near(queries[part], some, radius, metric))
            number += part.start
            for pairs in blocks(len(number), _PAIRS):
                distance = _distance(queries[number[pairs]], some[place[pairs]], metric)
                near = distance <= radius
                found.append((number[pairs][near], rows[place[pairs][near]], distance[near].astype(np.float32)))
    numbers, all_rows, distances = (
        np.concatenate([np.empty(0, dtype=kind), *parts])
        for parts, kind in zip(
            zip(*found, strict=True) if found else ((), (), ()), (np.int64, np.int64, np.float32), strict=True
        )
    )
    order = np.lexsort((all_rows, distances, numbers))
    starts = np.searchsorted(numbers[order], np.arange(len(queries) + 1))
    return Within(rows=all_rows[order], distance=distances[order], starts=starts.astype(np.int64))


def _maybe_near(
    queries: Float32[Array, "q D"], vectors: Float32[Array, "n D"], radius: float, metric: Metric
) -> Bool[Array, "q n"]:
    """Which pairs may be within the radius; those that certainly are not are False."""
    product = queries @ vectors.T
    size, own = np.square(queries).sum(axis=1)[:, None], np.square(vectors).sum(axis=1)
    squared = 1 - product if metric == "ip" else size + own - 2 * product
    return np.asarray(squared <= np.float32(radius**2) + np.float32(_ROUNDING) * (1 + size + own))


def _distance(a: Float32[Array, "pairs D"], b: Float32[Array, "pairs D"], metric: Metric) -> Array:
    a, b = a.astype(np.float64), b.astype(np.float64)
    if metric == "ip":
        # Rounding may bring a perfect match just below zero.
        return np.asarray(np.sqrt(np.maximum(1 - (a * b).sum(axis=1), 0)))
    return np.asarray(np.linalg.norm(a - b, axis=1))
