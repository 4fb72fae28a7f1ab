"""Arrays as every module names them, and what is done to rows everywhere: blocks of them, and some of them (numpy)."""

__all__ = ["Array", "as_array", "blocks", "put_rows", "take_columns", "take_rows"]

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
"""Any numpy array; shapes and kinds stand beside it: `Float32[Array, "N 3"]`."""

_D = TypeVar("_D")


def as_array(values: Any) -> Array:
    """An array of what a user hands over: an array as it is, a list, or a tensor on any device.

    Raises:
        ValueError: If the rows of a list differ in length.

    >>> import torch
    >>> as_array(torch.ones(2, dtype=torch.bfloat16)).dtype, as_array([[1.5], [2.0]]).shape
    (dtype('float32'), (2, 1))
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = (values.float() if values.is_floating_point() else values).numpy()
    return np.asarray(values)


def blocks(count: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` rows that cover `count` rows, in order.

    >>> list(blocks(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def take_rows(rows_of: _D, rows: Any, *, take: Callable[[Any, Any], Any] | None = None) -> _D:
    """A dataclass with every array field indexed by the same rows; other fields stay as they are.

    Args:
        rows_of: Fields that are arrays, tensors, or dataclasses of such are indexed.
        rows: What they are indexed with.
        take: Called with (array, rows) instead of plain indexing.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Pair:
    ...     name: str
    ...     values: np.ndarray
    >>> take_rows(Pair("a", np.arange(4)), slice(1, 3)).values
    array([1, 2])
    """
    whole: Any = rows_of
    changed: dict[str, Any] = {}
    for field in fields(whole):
        value = getattr(whole, field.name)
        if is_dataclass(value) and not isinstance(value, type):
            changed[field.name] = take_rows(value, rows, take=take)
        elif hasattr(value, "shape"):
            changed[field.name] = value[rows] if take is None else take(value, rows)
    taken: _D = replace(whole, **changed)
    return taken


def put_rows(rows_of: Any, rows: Any, source: Any) -> None:
    """Replace some rows of every array field of a dataclass, in place, by another's; the way back of `take_rows`.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Pair:
    ...     values: np.ndarray
    >>> pair = Pair(np.arange(3))
    >>> put_rows(pair, np.array([2]), Pair(np.array([9])))
    >>> pair.values
    array([0, 1, 9])
    """
    for field in fields(rows_of):
        value, new = getattr(rows_of, field.name), getattr(source, field.name)
        if is_dataclass(value):
            put_rows(value, rows, new)
        elif hasattr(value, "__setitem__"):
            value[rows] = new


def take_columns(values: Array, columns: Array) -> Array:
    """For each row, some of its columns, (Q, K, ...) and (Q, M) to (Q, M, ...).

    >>> take_columns(np.array([[1, 2, 3], [4, 5, 6]]), np.array([[2, 0], [1, 1]]))
    array([[3, 1],
           [5, 5]])
    """
    return np.take_along_axis(values, columns.reshape(columns.shape + (1,) * (values.ndim - 2)), axis=1)
