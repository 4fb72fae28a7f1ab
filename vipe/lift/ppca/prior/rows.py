"""The rows and weights that a mixture is handed, checked as scikit-learn checks its own (numpy)."""

__all__ = ["checked_rows", "checked_weights", "mean_variance", "row_blocks"]

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Float64
from scipy.sparse import issparse

from vipe.arrays import Array, blocks
from vipe.errors import ArgumentError, ShapeError

_BLOCK = 2048  # rows at a time: they stay in the cache from density to moments


def row_blocks(
    rows: Float[Array, "N D"], weights: Float64[Array, " N"] | None = None
) -> Iterator[tuple[Float64[Array, "n D"], Float64[Array, " n"]]]:
    """The rows in float64, a few thousand at a time, and their weights; one each by default."""
    for some in blocks(len(rows), _BLOCK):
        block = rows[some].astype(np.float64)
        yield block, np.ones(len(block)) if weights is None else weights[some]


def mean_variance(rows: Float[Array, "N D"], weights: Float64[Array, " N"]) -> float:
    """The variance of weighted rows, a mean over the dimensions; 0 if all are the same."""
    total = weights.sum()
    mean = sum(weight @ block for block, weight in row_blocks(rows, weights)) / total
    squares = sum(float(weight @ np.square(block - mean).mean(axis=1)) for block, weight in row_blocks(rows, weights))
    return float(squares / total)


def checked_rows(X: Any, features: int | None = None) -> Float[Array, "N D"]:
    """X as an array of floats, copied only where it must be.

    Args:
        X: Anything that numpy makes an array of.
        features: What D must be.

    Raises:
        ArgumentError: If X is sparse or holds something that is no number.
        ShapeError: If X is not (N, D), has no rows or columns, is complex or not finite, or D is not `features`.
    """
    if issparse(X):
        raise ArgumentError("X is sparse, a dense array is expected; convert it with X.toarray()")
    rows = np.asarray(X)
    if np.iscomplexobj(rows):
        raise ShapeError("Complex data not supported: X has complex numbers, real ones are expected")
    if rows.dtype not in (np.float32, np.float64):
        try:
            rows = rows.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ArgumentError(f"X must hold numbers, got {rows.dtype} that is none: {error}") from error
    if rows.ndim != 2:
        raise ShapeError(
            f"X: expected a 2D array (rows, features), got shape {rows.shape}. Reshape your data: X.reshape(-1, 1) if "
            "it has one feature, X.reshape(1, -1) if it is one row"
        )
    for size, name in zip(rows.shape, ("sample(s)", "feature(s)"), strict=True):
        if size == 0:
            raise ShapeError(f"X has 0 {name} (shape={rows.shape}) while a minimum of 1 is required.")
    if features is not None and rows.shape[1] != features:
        raise ShapeError(f"X has {rows.shape[1]} features, but MixtureOfPPCA is expecting {features} features as input")
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise ShapeError(f"X: row {int(np.argmin(finite))} contains NaN or inf; leave it out")
    return rows


def checked_weights(sample_weight: Any, count: int) -> Float64[Array, " N"]:
    """Weights of `count` rows as an array; one each if None is given.

    Raises:
        ShapeError: If they are not `count` finite numbers, one of them is negative, or all are zero.
    """
    if sample_weight is None:
        return np.ones(count)
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (count,):
        raise ShapeError(f"sample_weight must be ({count},), one for each row of X, got shape {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ShapeError("sample_weight must be finite numbers, none of them negative")
    if not weights.any():
        raise ShapeError("sample_weight: every weight is zero; at least one must be more")
    return weights
