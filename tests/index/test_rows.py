"""Rows over parts: each row is a line of a file, none is one that was removed."""

import numpy as np
import pytest

from vipe.index.neighbours import Neighbours
from vipe.index.rows import Rows, Stacked


@pytest.fixture(params=range(8))
def laid(request):
    """Parts of random sizes, random rows of them removed, and the part and place of each row."""
    rng = np.random.default_rng(request.param)
    sizes = rng.integers(1, 9, size=rng.integers(1, 5)).tolist()
    left = [
        None if rng.random() < 0.4 else np.sort(rng.permutation(size)[: rng.integers(1, size + 1)]) for size in sizes
    ]
    places = [
        (part, int(place))
        for part, size in enumerate(sizes)
        for place in (range(size) if left[part] is None else left[part])
    ]
    return rng, Rows(sizes, left), sizes, places


def test_rows_are_what_is_left_of_the_parts_in_order(laid):
    _, rows, sizes, places = laid
    assert len(rows) == len(places)
    for part in range(len(sizes)):
        own = [place for at, place in places if at == part]
        assert rows.count(part) == len(own)
        np.testing.assert_array_equal(
            rows.of_part(part, np.array(own)), [row for row, (at, _) in enumerate(places) if at == part]
        )
        everything = rows.in_part(part, None)
        assert everything is None or everything.tolist() == own


def test_places_of_some_rows_are_found_in_each_part(laid):
    rng, rows, sizes, places = laid
    some = np.sort(rng.permutation(len(rows))[: rng.integers(len(rows) + 1)])
    for part in range(len(sizes)):
        expected = [places[row][1] for row in some if places[row][0] == part]
        assert rows.in_part(part, some).tolist() == expected


def test_lines_are_taken_from_the_files_of_the_parts(laid):
    rng, rows, sizes, places = laid
    arrays = [rng.normal(size=(size, 2, 3)).astype(np.float32) for size in sizes]
    stacked = Stacked(rows, arrays)
    whole = np.array([arrays[part][place] for part, place in places])
    np.testing.assert_array_equal(stacked.whole(), whole)
    asked = rng.integers(len(rows), size=(3, 4))
    np.testing.assert_array_equal(stacked.take(asked), whole[asked])
    assert stacked.take(asked[:0]).shape == (0, 4, 2, 3)
    assert len(stacked) == len(whole)


def test_the_nearest_of_all_parts_are_the_nearest_of_each(laid):
    rng, rows, sizes, places = laid
    distance = rng.integers(0, 5, size=(3, len(rows))).astype(np.float32)
    found = []
    for part in range(len(sizes)):
        own = np.array([row for row, (at, _) in enumerate(places) if at == part])
        order = np.argsort(distance[:, own], axis=1, kind="stable")[:, :4]
        near = np.take_along_axis(distance[:, own], order, axis=1)
        found.append((part, Neighbours(np.array([place for at, place in places if at == part])[order], near)))
    k = min(4, len(rows))
    merged = rows.merged(found, k)
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(merged.rows, order)
    np.testing.assert_array_equal(merged.distance, np.take_along_axis(distance, order, axis=1))


def test_one_whole_part_is_given_as_it_is():
    array = np.zeros((4, 2), dtype=np.float32)
    assert Stacked(Rows([4], [None]), [array]).whole() is array
