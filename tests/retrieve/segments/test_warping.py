"""Alignments against slow twins, which try every path."""

import numpy as np
import pytest

from vipe.retrieve.segments.warping import parts, whole

STEPS = ((1, 1), (1, 2), (2, 1))


def paths(frames, columns, new, first):
    """Every path from a cell on, as cells with the query frames that each pays for; none crosses into another clip."""
    found = [[(first, 1)]]
    for path in found:
        (i, a), _ = path[-1]
        for down, right in STEPS:
            if i + down < frames and a + right < columns and not new[a + 1 : a + right + 1].any():
                found.append([*path, ((i + down, a + right), down)])
    return found


def cost_of(path, table):
    return sum(table[cell] * paid for cell, paid in path)


@pytest.fixture(params=range(4))
def table(request):
    """Distances of 5 query frames to 9 of an archive of two clips, and where the clips begin."""
    new = np.zeros(9, dtype=bool)
    new[[0, 4]] = True
    return np.random.default_rng(request.param).uniform(0, 1, (5, 9)).astype(np.float32), new


def test_the_whole_query_is_found_as_by_trying_every_path(table):
    table, new = table
    every = [path for a in range(9) for path in paths(5, 9, new, (0, a)) if path[-1][0][0] == 4]
    best = min(every, key=lambda path: cost_of(path, table))
    found = whole(lambda rows: table[rows], 5, new, 1)
    assert found.distance[0] == pytest.approx(cost_of(best, table) / 5, rel=1e-5)
    assert (found.first[0], found.last[0]) == (best[0][0][1], best[-1][0][1])
    assert (found.query_first[0], found.query_last[0]) == (0, 4)


def test_the_best_part_is_found_as_by_trying_every_path(table):
    table, new = table
    every = [path for i in range(5) for a in range(9) for path in paths(5, 9, new, (i, a))]
    gains = [sum(paid for _, paid in path) * 0.6 - cost_of(path, table) for path in every]
    best = every[int(np.argmax(gains))]
    found = parts(lambda rows: table[rows], 5, new, 1, limit=0.6, shortest=1)
    assert found.score[0] == pytest.approx(max(gains), rel=1e-4)
    assert (found.query_first[0], found.first[0]) == best[0][0]
    assert (found.query_last[0], found.last[0]) == best[-1][0]
    length = sum(paid for _, paid in best)
    assert found.distance[0] == pytest.approx(cost_of(best, table) / length, rel=1e-4)


def test_the_number_of_rows_at_a_time_does_not_matter(monkeypatch, table):
    table, new = table
    before = [
        whole(lambda rows: table[rows], 5, new, 3),
        parts(lambda rows: table[rows], 5, new, 3, limit=0.6, shortest=2),
    ]
    monkeypatch.setattr("vipe.retrieve.segments.warping._AT_ONCE", 2)
    after = [
        whole(lambda rows: table[rows], 5, new, 3),
        parts(lambda rows: table[rows], 5, new, 3, limit=0.6, shortest=2),
    ]
    for one, other in zip(before, after, strict=True):
        for name, values in vars(one).items():
            np.testing.assert_array_equal(values, vars(other)[name], err_msg=name)


def test_of_stretches_that_overlap_the_best_is_kept():
    costs = np.ones((4, 20), np.float32)
    for start in (2, 12):
        costs[range(4), range(start, start + 4)] = 0.1
    costs[0, 12] = 0.2
    new = np.arange(20) == 0
    found = whole(lambda rows: costs[rows], 4, new, 2)
    assert found.first.tolist() == [2, 12]
    np.testing.assert_allclose(found.distance, [0.1, 0.125], rtol=1e-5)


def test_where_no_clip_is_half_as_long_as_the_query_nothing_is_found():
    costs = np.zeros((8, 6), np.float32)
    new = np.array([True, False, False, True, False, False])
    assert len(whole(lambda rows: costs[rows], 8, new, 5)) == 0
    assert len(whole(lambda rows: costs[rows], 5, new, 5)) == 2


def test_frames_that_must_not_meet_are_in_no_path():
    costs = np.full((3, 7), 0.1, np.float32)
    costs[:, 3] = np.inf
    new = np.arange(7) == 0
    for found in (whole(lambda r: costs[r], 3, new, 9), parts(lambda r: costs[r], 3, new, 9, limit=0.5, shortest=2)):
        assert len(found)
        assert np.isfinite(found.distance).all()
