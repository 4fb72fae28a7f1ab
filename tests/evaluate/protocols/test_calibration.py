import json
from dataclasses import replace

import numpy as np
import pytest

from vipe.evaluate import CONDITIONS, SearchProtocol
from vipe.evaluate.protocols.calibration import (
    ABSENT,
    auroc,
    evaluate_calibration,
    expected_calibration_error,
    reliability,
)

CONDITION = {condition.name: condition for condition in CONDITIONS}
FEW = SearchProtocol(queries=12, near_duplicate=0.0, draws=50, conditions=(CONDITION["noise 0.03"],))


def test_a_forecaster_that_is_right_as_often_as_it_says_has_no_error(rng):
    probability = rng.random(200_000)
    assert expected_calibration_error(probability, rng.random(200_000) < probability) < 0.01


def test_the_error_of_a_forecaster_that_always_says_the_same_is_how_far_it_is_off():
    right = np.arange(10) < 3
    assert expected_calibration_error(np.full(10, 0.8), right) == pytest.approx(0.5)
    assert expected_calibration_error(np.full(10, 0.3), right) == pytest.approx(0.0)
    assert expected_calibration_error(np.empty(0), np.empty(0, bool)) == 0


def test_certainty_falls_into_the_last_bin():
    (bar,) = reliability(np.ones(4), np.array([True, True, True, False]))
    assert bar == {"probability": 1.0, "rate": 0.75, "share": 1.0}


def test_auroc_counts_pairs_in_order_and_halves_ties():
    assert auroc(np.array([1.0, 2.0, 3.0]), np.array([False, True, True])) == 1
    assert auroc(np.array([3.0, 2.0, 1.0]), np.array([False, True, True])) == 0
    assert auroc(np.array([1.0, 1.0]), np.array([False, True])) == 0.5
    assert auroc(np.array([1.0]), np.array([True])) is None


def test_where_all_that_is_right_is_left_out_nothing_is_right_and_the_search_is_less_sure(store, index):
    report = evaluate_calibration(store, index, protocol=FEW, k=5)
    rows = {row.gallery: row for row in report.rows}
    assert list(rows) == ["whole gallery", "4 s left out", "clip left out", ABSENT]
    assert rows["whole gallery"].present == 1
    assert rows[ABSENT].right == rows[ABSENT].present == 0
    assert rows[ABSENT].error == pytest.approx(rows[ABSENT].first)
    assert rows[ABSENT].presence < rows["whole gallery"].presence
    assert rows[ABSENT].first < rows["whole gallery"].first
    assert report.presence_auroc > 0.5
    json.dumps(report.to_json(), allow_nan=False)
    assert len(report.to_table()) == 5


def test_the_same_seed_gives_the_same_report(store, index):
    first, second = (evaluate_calibration(store, index, protocol=FEW, k=3) for _ in range(2))
    assert replace(first, seconds=0.0) == replace(second, seconds=0.0)
