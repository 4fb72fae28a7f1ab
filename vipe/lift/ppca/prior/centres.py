"""Greedy centres of clusters: each the row that brings all rows nearest to a centre (numpy)."""

__all__ = ["greedy_centres"]

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial.distance import cdist

from vipe.arrays import Array


def greedy_centres(
    rows: Float64[Array, "N D"], weights: Float64[Array, " N"], most: int, *, least_distance: float = 0.0
) -> Int64[Array, " K"]:
    """Choose rows, one after another, each the one that most lowers the sum of distances to the nearest chosen row.

    The first is thus the row of least summed distance to all. It stops early when the next one is nearer than
    `least_distance` to one chosen before, or lowers the sum by nothing: all rows coincide with chosen ones. So one
    dense region gets one centre. Takes N^2 memory: hand over a subsample.

    Args:
        rows: Euclidean distance is meant.
        weights: How often each row counts.
        most: Centres wanted.
        least_distance: In the unit of the rows.

    Returns:
        Indices of the chosen rows, in the order chosen: at least one, at most `most`.

    Reference:
        Tome et al. 2017, sec. 4.2.

    Example:
        >>> rows = np.array([[0.0], [1.0], [2.0], [10.0]])
        >>> greedy_centres(rows, np.ones(4), 3, least_distance=1.5)
        array([1, 3])
    """
    distances = cdist(rows, rows)
    chosen = [int(np.argmin(weights @ distances))]
    nearest = distances[chosen[0]]
    while len(chosen) < most:
        gain = weights @ np.maximum(nearest[:, None] - distances, 0)
        candidate = int(np.argmax(gain))
        if gain[candidate] <= 0 or nearest[candidate] < least_distance:
            break
        chosen.append(candidate)
        nearest = np.minimum(nearest, distances[candidate])
    return np.array(chosen, dtype=np.int64)
