import numpy as np
import pytest

from vipe.errors import VipeError
from vipe.retrieve.ranking.diversity import diversify


def walk(rows, clip, time, k, max_per_clip, min_gap_seconds):
    """Slow twin: one ranking, hit by hit."""
    kept = []
    for place, row in enumerate(rows):
        fellows = [rows[other] for other in kept if clip[rows[other]] == clip[row]]
        if row < 0 or len(kept) == k or (max_per_clip is not None and len(fellows) >= max_per_clip):
            continue
        if all(abs(time[row] - time[other]) >= min_gap_seconds - 1e-6 for other in fellows):
            kept.append(place)
    return kept + [-1] * (k - len(kept))


@pytest.fixture
def archive(rng):
    """200 frames of 7 clips at 10 fps, and 30 rankings of 60 of them with empty places at the end."""
    clip = np.sort(rng.integers(7, size=200))
    time = np.concatenate([np.arange(count) / 10 for count in np.bincount(clip)])
    rows = np.stack([rng.permutation(200)[:60] for _ in range(30)])
    for i, row in enumerate(rows):
        row[60 - i :] = -1
    return rows, clip, time


@pytest.mark.parametrize("max_per_clip", [None, 1, 3])
@pytest.mark.parametrize("gap", [0.0, 0.1, 0.5, 4.0])
@pytest.mark.parametrize("k", [1, 8, 100])
def test_it_keeps_what_walking_down_the_ranking_keeps(archive, max_per_clip, gap, k):
    places = diversify(*archive, k, max_per_clip=max_per_clip, min_gap_seconds=gap)
    expected = [walk(rows, *archive[1:], k, max_per_clip, gap) for rows in archive[0]]
    np.testing.assert_array_equal(places, np.array(expected))


def test_without_limits_it_is_the_head_of_the_ranking(archive):
    rows = archive[0][:1]
    np.testing.assert_array_equal(diversify(rows, *archive[1:], 10)[0], np.arange(10))


def test_frames_just_as_far_apart_as_asked_are_both_kept():
    time = np.arange(4) / 10  # 0.3 - 0.2 is less than 0.1 in floating point
    rows, clip = np.arange(4)[None], np.zeros(4, dtype=np.int64)
    np.testing.assert_array_equal(diversify(rows, clip, time, 4, min_gap_seconds=0.1), [[0, 1, 2, 3]])
    np.testing.assert_array_equal(diversify(rows, clip, time, 4, min_gap_seconds=0.15), [[0, 2, -1, -1]])


def test_nobody_and_nothing():
    clip, time = np.zeros(0, dtype=np.int64), np.zeros(0)
    assert diversify(np.zeros((0, 5), dtype=np.int64), clip, time, 3).shape == (0, 3)
    np.testing.assert_array_equal(diversify(np.zeros((1, 0), dtype=np.int64), clip, time, 2), [[-1, -1]])


@pytest.mark.refusal
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"k": 0}, "k must be at least 1, got 0"),
        ({"max_per_clip": 0}, "max_per_clip must be at least 1, got 0; leave it out"),
        ({"min_gap_seconds": -1.0}, "min_gap_seconds must be finite and not negative, got -1.0"),
        ({"min_gap_seconds": float("nan")}, "min_gap_seconds must be finite"),
    ],
)
def test_limits_out_of_range_are_refused(archive, wrong, message):
    with pytest.raises(VipeError, match=message):
        diversify(*archive, **({"k": 5} | wrong))
