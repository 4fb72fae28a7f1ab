"""How true a map is: trustworthiness, and how pure the neighbourhoods of its points are (numpy)."""

__all__ = ["knn_purity", "trustworthiness"]

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Int64, Shaped

from vipe.arrays import Array, blocks
from vipe.errors import ShapeError, VipeError

_SAMPLE = 2000  # points that are asked about their neighbours
_BLOCK = 64  # of them at a time: 64 times the points of a map, in float32, are 26 MB


def trustworthiness(
    vectors: Float[Array, "N D"],
    xy: Float[Array, "N 2"],
    neighbours: int = 15,
    *,
    sample: int = _SAMPLE,
    generator: np.random.Generator,
) -> float:
    """How far the nearest points on a map are also near in what was mapped: 1 if all are, about 0.5 by chance.

    A neighbour on the map that is only the r-th nearest of the N vectors costs r - k, where k is `neighbours`.
    scikit-learn computes the same of all points, which takes N squared; here a sample of points is asked, each of which
    is compared with all.

    Args:
        vectors: What was mapped.
        xy: Where each lies.
        neighbours: How many of each count; fewer than half of the points.
        sample: How many points to ask; all where there are no more.
        generator: Draws them.

    Raises:
        ShapeError: If numbers of rows differ.
        VipeError: If `neighbours` is not below half of the points.

    Reference:
        Venna & Kaski 2001, eq. 1.
    """
    if len(vectors) != len(xy):
        raise ShapeError(f"vectors and xy need one number of rows, got {len(vectors)} and {len(xy)}")
    count = len(xy)
    if not 0 < neighbours < count / 2:
        raise VipeError(f"neighbours must lie in 1 ... {(count - 1) // 2} for {count} points, got {neighbours}")
    total, asked = 0.0, _asked(count, sample, generator)
    on_map, really = _squares(xy), _squares(vectors)
    for some in blocks(len(asked), _BLOCK):
        rows = asked[some]
        near = _least(_without_itself(on_map(rows), rows), neighbours)
        apart = _without_itself(really(rows), rows)
        for own, found in zip(apart, near, strict=True):
            nearer = (own < own[found][:, None]).sum(axis=1)  # of the others
            total += float(np.maximum(nearer + 1 - neighbours, 0).sum())
    return 1 - 2 / (len(asked) * neighbours * (2 * count - 3 * neighbours - 1)) * total


def knn_purity(
    xy: Float[Array, "N any"],
    labels: Shaped[Array, " N"],
    neighbours: int = 15,
    *,
    apart: Shaped[Array, " N"] | None = None,
    sample: int = _SAMPLE,
    generator: np.random.Generator,
) -> float:
    """Share of the nearest points of a point that have its label, as a mean over points.

    Args:
        xy: Places on a map; or vectors, for what no map can exceed by much.
        labels: Such as actions.
        neighbours: How many of each count.
        apart: Points of one value here are no neighbours of each other. Successive frames of a clip are near on any map
            and share every label: with clips as `apart` only other clips count.
        sample: How many points to ask; all where there are no more.
        generator: Draws them.

    Raises:
        ShapeError: If numbers of rows differ.
        VipeError: If there are no more points than `neighbours`.
    """
    if len(labels) != len(xy) or (apart is not None and len(apart) != len(xy)):
        raise ShapeError(f"labels and apart need {len(xy)} rows, as xy has, got {len(labels)}")
    if not 0 < neighbours < len(xy):
        raise VipeError(f"neighbours must lie in 1 ... {len(xy) - 1}, got {neighbours}")
    total, counted = 0.0, 0
    for rows, found in _neighbourhoods(xy, neighbours, apart, _asked(len(xy), sample, generator)):
        there = found >= 0
        same = (labels[found] == labels[rows][:, None]) & there
        total += float(same.sum())
        counted += int(there.sum())
    return total / counted if counted else float("nan")


def _neighbourhoods(
    xy: Float[Array, "N any"], k: int, apart: Shaped[Array, " N"] | None, asked: Int64[Array, " sample"]
) -> Iterator[tuple[Int64[Array, " some"], Int64[Array, "some k"]]]:
    """Some rows, and the nearest k of each; -1 where too few may be neighbours."""
    squares = _squares(xy)
    for some in blocks(len(asked), _BLOCK):
        rows = asked[some]
        squared = _without_itself(squares(rows), rows)
        if apart is not None:
            squared[apart[rows][:, None] == apart[None]] = np.inf
        found = _least(squared, k)
        yield rows, np.where(np.isfinite(np.take_along_axis(squared, found, axis=1)), found, -1)


def _asked(count: int, sample: int, generator: np.random.Generator) -> Int64[Array, " sample"]:
    return np.arange(count) if sample >= count else np.sort(generator.choice(count, sample, replace=False))


def _squares(vectors: Float[Array, "N any"]) -> Callable[[Int64[Array, " some"]], Float[Array, "some N"]]:
    """Gives the squared distances of some rows to all."""
    centred = vectors - vectors.mean(axis=0)
    norms = np.square(centred).sum(axis=1)
    return lambda rows: norms[rows][:, None] + norms - 2 * centred[rows] @ centred.T


def _without_itself(squared: Float[Array, "some N"], rows: Int64[Array, " some"]) -> Float[Array, "some N"]:
    squared[np.arange(len(rows)), rows] = np.inf
    return squared


def _least(values: Float[Array, "some N"], k: int) -> Int64[Array, "some k"]:
    part = np.argpartition(values, k - 1, axis=1)[:, :k]
    order = np.argsort(np.take_along_axis(values, part, axis=1), axis=1, kind="stable")
    return np.take_along_axis(part, order, axis=1)
