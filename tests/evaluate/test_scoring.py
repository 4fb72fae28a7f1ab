import numpy as np
import pytest

from vipe.evaluate.leave_out import NOTHING, Gallery, LeaveOut
from vipe.evaluate.scoring import Scoring, chance_score

CLIPS = ["a", "a", "b", "c"]
SCORING = Scoring(clips=CLIPS, generator=lambda: np.random.default_rng(0), ks=(1, 2), draws=50)
# The first two results of four queries.
DISTANCE = np.array([[0.07, 0.3], [0.3, 0.02], [0.04, 0.3], [np.nan, np.nan]])


def test_hits_are_counted_by_threshold_and_depth():
    score = SCORING.of_distances(DISTANCE)
    assert score.hit == {0.1: {1: 0.5, 2: 0.75}, 0.05: {1: 0.25, 2: 0.5}}
    assert score.queries == {0.1: 4, 0.05: 4}


def test_only_scored_queries_count():
    score = SCORING.of_distances(DISTANCE, {0.1: np.array([1, 1, 1, 0], bool), 0.05: np.zeros(4, bool)})
    assert score.queries == {0.1: 3, 0.05: 0}
    assert score.hit == {0.1: {1: pytest.approx(2 / 3), 2: 1.0}}  # nobody has a hit within 0.05: no share of nothing
    assert set(score.interval) == set(score.concentration) == {0.1}


def test_concentration_is_that_of_the_scored_queries():
    clips = np.array([0] * 5 + list(range(1, 11)))  # one clip of five queries and ten of one
    scoring = Scoring(clips=clips, generator=lambda: np.random.default_rng(0), thresholds=(0.1,))
    assert scoring.of_distances(np.zeros((15, 1))).concentration == {0.1: pytest.approx(9 / 15)}
    assert scoring.of_distances(np.zeros((15, 1)), {0.1: clips > 0}).concentration == {0.1: 0.5}


def test_one_figure_brings_its_interval_its_queries_and_their_concentration():
    scoring = Scoring(clips=np.arange(20) // 2, generator=lambda: np.random.default_rng(0))
    score = scoring.of_distances(np.zeros((20, 1)))
    low = 0.025 ** (1 / 10)
    assert score.figure(0.1, 1) == {
        "value": 1.0,
        "interval": [pytest.approx(low), 1.0],
        "queries": 20,
        "share_of_five_clips": 0.5,
    }
    assert score.percent(0.1, 1) == f"100.0 ({100 * low:.1f}-100.0)"


def test_chance_is_that_of_the_queries_that_have_a_hit():
    gallery = Gallery(
        name="x",
        left_out=LeaveOut(np.zeros(4), np.zeros(4), NOTHING),
        remaining=np.array([4, 4, 2]),
        matches={0.1: np.array([1, 0, 1]), 0.05: np.zeros(3, dtype=np.int64)},
    )
    score = chance_score(gallery, (1,))
    assert score.hit == {0.1: {1: pytest.approx((1 / 4 + 1 / 2) / 2)}}
    assert score.queries == {0.1: 2, 0.05: 0}
