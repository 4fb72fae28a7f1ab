"""Rows in blocks, and rows of dataclasses of arrays."""

from dataclasses import dataclass

import numpy as np
import pytest

from vipe.arrays import blocks, put_rows, take_columns, take_rows


@dataclass(frozen=True)
class Inner:
    values: np.ndarray


@dataclass(frozen=True)
class Outer:
    name: str
    values: np.ndarray
    inner: Inner
    nothing: np.ndarray | None = None


@pytest.mark.parametrize(("count", "size"), [(0, 3), (1, 3), (3, 3), (7, 3)])
def test_blocks_cover_every_row_once_in_order(count, size):
    found = [row for block in blocks(count, size) for row in range(count)[block]]
    assert found == list(range(count))
    assert all(block.stop - block.start <= size for block in blocks(count, size))


@pytest.mark.parametrize("rows", [slice(1, 3), np.array([2, 0]), np.array([True, False, True, False])])
def test_every_array_of_a_dataclass_is_indexed_and_of_those_inside(rows):
    values = np.arange(8).reshape(4, 2)
    taken = take_rows(Outer("a", values, Inner(values + 10)), rows)
    np.testing.assert_array_equal(taken.values, values[rows])
    np.testing.assert_array_equal(taken.inner.values, values[rows] + 10)
    assert taken.name == "a" and taken.nothing is None


@pytest.mark.parametrize("rows", [np.array([2, 0]), np.array([], dtype=np.int64)])
def test_rows_are_put_where_they_were_taken_from(rows):
    values = np.arange(8).reshape(4, 2)
    whole = Outer("a", values.copy(), Inner(values + 10))
    other = take_rows(Outer("b", -values, Inner(-values)), rows)
    put_rows(whole, rows, other)
    expected = values.copy()
    expected[rows] = -values[rows]
    np.testing.assert_array_equal(whole.values, expected)
    np.testing.assert_array_equal(take_rows(whole, rows).inner.values, other.inner.values)
    kept = [row for row in range(4) if row not in rows]
    np.testing.assert_array_equal(whole.inner.values[kept], values[kept] + 10)
    assert whole.name == "a" and whole.nothing is None


def test_columns_are_taken_row_by_row(rng):
    values, columns = rng.normal(size=(3, 5, 2)), np.array([[4, 0], [1, 1], [2, 3]])
    expected = np.stack([own[chosen] for own, chosen in zip(values, columns, strict=True)])
    np.testing.assert_array_equal(take_columns(values, columns), expected)
