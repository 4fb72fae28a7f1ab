"""The nearest poses of each pose, by their embeddings (numpy, FAISS)."""

__all__ = ["Graph", "nearest_in", "neighbour_graph"]

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64

from vipe.arrays import Array, blocks
from vipe.index.engines import ENGINES
from vipe.index.neighbours import Neighbours
from vipe.index.recipe import load_recipe

_BLOCK = 2048  # queries at a time: so often progress is told


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Rows and Euclidean distances of the nearest poses of each pose, itself first."""

    rows: Int64[Array, "N K"]
    distances: Float32[Array, "N K"]

    def first(self, k: int) -> "Graph":
        """The nearest k of each alone."""
        return Graph(rows=self.rows[:, :k], distances=self.distances[:, :k])


def nearest_in(
    gallery: Float[Array, "N D"],
    queries: Float[Array, "Q D"],
    k: int,
    progress: Callable[[int, int], None] | None = None,
) -> Neighbours:
    """The exact nearest k of a gallery for each query, nearest first; all of it where it has fewer than k.

    Args:
        gallery: Embeddings to search.
        queries: Embeddings to search with.
        k: How many.
        progress: Called with how many queries are done, of how many.
    """
    k = min(k, len(gallery))
    gallery, queries = (np.ascontiguousarray(one, dtype=np.float32) for one in (gallery, queries))
    flat = load_recipe("flat")
    engine = ENGINES[flat.engine].build(flat, gallery, "l2")
    rows, distances = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    for some in blocks(len(queries), _BLOCK):
        found = engine.search(queries[some], k)
        rows[some], distances[some] = found.rows, found.distance
        if progress is not None:
            progress(some.stop, len(queries))
    return Neighbours(rows, distances)


def neighbour_graph(vectors: Float[Array, "N D"], k: int, progress: Callable[[int, int], None] | None = None) -> Graph:
    """The nearest k of each vector among all, itself counted and first.

    Of equal vectors each is its own first neighbour, as layouts expect.
    """
    found = nearest_in(vectors, vectors, k, progress)
    rows, distances = found.rows.copy(), found.distance.copy()
    own = np.arange(len(rows))
    astray = np.flatnonzero(rows[:, 0] != own)
    for row in astray:  # an equal vector came first: it takes the place where this one was found, or the last one
        places = np.flatnonzero(rows[row] == row)
        place = int(places[0]) if len(places) else rows.shape[1] - 1
        rows[row, 1 : place + 1] = rows[row, :place]
        distances[row, 1 : place + 1] = distances[row, :place]
        rows[row, 0], distances[row, 0] = row, 0
    return Graph(rows=rows, distances=distances)
