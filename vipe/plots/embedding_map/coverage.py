"""A part of many poses that covers all of them: none is far from a chosen one (numpy)."""

__all__ = ["covering_rows"]

import numpy as np
from jaxtyping import Float, Float32, Int64

from vipe.arrays import Array

_CELL = 256  # vectors of a cell


def covering_rows(vectors: Float[Array, "N D"], count: int) -> Int64[Array, " chosen"]:
    """Rows of which every vector is near one, ascending; all rows where there are no more than `count`.

    Vectors are divided into cells of equal numbers, each by the median of its widest dimension. In a cell rows are
    chosen as farthest points, each the farthest from all before it (Gonzalez 1985), and of all cells those are kept
    that were farthest. So one radius holds everywhere: common poses, of which most archives are full, are thinned, and
    rare ones stay. Repeated vectors are the first to go. Nothing is drawn at random.
    """
    if len(vectors) <= count:
        return np.arange(len(vectors), dtype=np.int64)
    order, reach = [], []
    for cell in _cells(vectors):
        rows, distances = _farthest_first(vectors[cell])
        order.append(cell[rows])
        reach.append(distances)
    ranked = np.argsort(-np.concatenate(reach), kind="stable")[:count]
    return np.sort(np.concatenate(order)[ranked])


def _cells(vectors: Float[Array, "N D"]) -> list[Int64[Array, " n"]]:
    waiting, cells = [np.arange(len(vectors), dtype=np.int64)], []
    while waiting:
        rows = waiting.pop()
        if len(rows) <= _CELL:
            cells.append(rows)
            continue
        inside = vectors[rows]
        axis = int(inside.var(axis=0).argmax())
        half = len(rows) // 2
        parted = np.argpartition(inside[:, axis], half)
        waiting += [rows[np.sort(parted[:half])], rows[np.sort(parted[half:])]]
    return cells


def _farthest_first(vectors: Float[Array, "n D"]) -> tuple[Int64[Array, " n"], Float32[Array, " n"]]:
    """All rows in the order of farthest points, and the distance of each to those before it; of the first, infinite."""
    count = len(vectors)
    squares = np.square(vectors).sum(axis=1)
    apart = np.maximum(squares[:, None] + squares - 2 * vectors @ vectors.T, 0)
    order, reach = np.empty(count, np.int64), np.empty(count, np.float32)
    order[0], reach[0] = int(np.square(vectors - vectors.mean(axis=0)).sum(axis=1).argmin()), np.inf
    nearest = apart[order[0]].copy()
    nearest[order[0]] = -1
    for place in range(1, count):
        row = int(nearest.argmax())
        order[place], reach[place] = row, nearest[row]
        np.minimum(nearest, apart[row], out=nearest)
        nearest[row] = -1
    return order, np.sqrt(reach)
