"""Probabilities of what rests on something that is probable only."""

import numpy as np
from scipy.special import expit

from vipe.retrieve.ranking.model import CALIBRATION_FEATURES, Probabilities, calibration_features


def some(rng):
    near = rng.normal(0, 4, (5, 7)).astype(np.float32)
    return Probabilities(near=near, close=near - np.float32(1), presence=rng.normal(size=5).astype(np.float32))


def test_what_is_certain_changes_nothing(rng):
    odds = some(rng)
    certain = odds.if_true(np.ones(5, dtype=np.float32))
    np.testing.assert_allclose(certain.near, odds.near, atol=1e-5)
    np.testing.assert_allclose(certain.close, odds.close, atol=1e-5)
    np.testing.assert_array_equal(certain.presence, odds.presence)
    sure = Probabilities(near=np.float32([[40.0]]), close=np.float32([[-40.0]]), presence=np.float32([50.0]))
    kept = sure.if_true(np.ones(1, dtype=np.float32))
    np.testing.assert_allclose([kept.near.item(), kept.close.item()], [40, -40], rtol=1e-5)


def test_probabilities_are_multiplied_by_that_of_what_they_rest_on(rng):
    odds, probability = some(rng), rng.uniform(0.01, 0.99, 5).astype(np.float32)
    if_true = odds.if_true(probability)
    np.testing.assert_allclose(expit(if_true.near), probability[:, None] * expit(odds.near), rtol=1e-4)
    np.testing.assert_allclose(expit(if_true.close), probability[:, None] * expit(odds.close), rtol=1e-4)
    np.testing.assert_array_equal(if_true.presence, odds.presence)
    assert if_true.near.dtype == if_true.close.dtype == np.float32


def test_the_order_of_candidates_and_of_thresholds_stays_and_nothing_is_infinite(rng):
    odds = some(rng)
    for probability in (0.0, 1e-20, 0.5, 1.0):
        if_true = odds.if_true(np.full(5, probability, dtype=np.float32))
        assert np.isfinite(if_true.near).all() and np.isfinite(if_true.close).all()
        assert (if_true.close <= if_true.near).all()
        assert (if_true.near <= odds.near + 1e-5).all()
        np.testing.assert_array_equal(if_true.near.argmax(axis=1), odds.near.argmax(axis=1))


def test_presence_is_that_of_both_ways_by_their_probabilities(rng):
    odds, otherwise = some(rng), rng.normal(size=5).astype(np.float32)
    odds = Probabilities(near=odds.near, close=odds.close, presence=odds.near.max(axis=1) + np.float32(1))
    probability = rng.uniform(0.01, 0.99, 5).astype(np.float32)
    mixed = odds.if_true(probability, otherwise)
    expected = probability * expit(odds.presence) + (1 - probability) * expit(otherwise)
    np.testing.assert_allclose(expit(mixed.presence), expected, rtol=1e-4)
    np.testing.assert_array_equal(mixed.near, odds.if_true(probability).near)
    assert (mixed.presence >= mixed.near.max(axis=1)).all()
    for sure, alone in ((1.0, odds.presence), (0.0, otherwise)):
        certain = odds.if_true(np.full(5, sure, dtype=np.float32), otherwise)
        np.testing.assert_allclose(certain.presence, alone, atol=1e-4)


def test_what_calibrates_is_a_candidates_and_its_persons_own(rng):
    ranking, presence = rng.normal(0, 3, (4, 7)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    known = dict(zip(CALIBRATION_FEATURES, np.moveaxis(calibration_features(ranking, presence), -1, 0), strict=True))
    for person in range(4):
        expected = np.log(expit(ranking[person].astype(np.float64)).sum())
        np.testing.assert_allclose(known["log of expected hits"][person], expected, rtol=1e-5)
        np.testing.assert_array_equal(known["presence"][person], presence[person])
        both = known["best log odds below even"][person] + known["best log odds above even"][person]
        np.testing.assert_array_equal(both, ranking[person].max())
    np.testing.assert_array_equal(known["log odds below even"] + known["log odds above even"], ranking)
    never = calibration_features(np.full((1, 3), -200, dtype=np.float32), presence[:1])
    np.testing.assert_allclose(
        never[0, :, CALIBRATION_FEATURES.index("log of expected hits")], np.log(3) - 200, rtol=1e-5
    )
