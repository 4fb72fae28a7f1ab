import math

import numpy as np
import pytest

from vipe.evaluate import chance_at, hits_at, pose_distance, without_near_duplicates
from vipe.evaluate.metrics import auroc, calibration_error_by_chance, expected_calibration_error, reliability


def turned(poses, angle):
    c, s = math.cos(angle), math.sin(angle)
    return poses @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=np.float32).T


def test_distance_ignores_rotation_size_and_place_but_not_the_mirror(rng):
    poses = rng.normal(size=(6, 17, 3)).astype(np.float32)
    np.testing.assert_allclose(pose_distance(3 * turned(poses, 0.7) + 2, poses), 0, atol=1e-5)
    assert (pose_distance(poses * [1, 1, -1], poses) > 0.1).all()


def test_distance_of_one_moved_joint_is_about_its_share():
    # A joint of seventeen moved by 0.17: alignment can only lower the mean of 0.01.
    pose = np.random.default_rng(1).normal(size=(17, 3)).astype(np.float32)
    moved = pose.copy()
    moved[5, 0] += 0.17
    assert 0.008 < pose_distance(moved, pose) < 0.02


def test_distance_broadcasts(rng):
    poses = rng.normal(size=(3, 17, 3)).astype(np.float32)
    table = pose_distance(poses[:, None], poses[None])
    assert table.shape == (3, 3)
    np.testing.assert_allclose(table[1, 2], pose_distance(poses[1], poses[2]), rtol=1e-5)


def test_hit_at_k_looks_at_the_first_k_and_misses_where_nothing_came_back():
    distance = np.array([[0.05, 0.3], [0.3, 0.05], [np.nan, np.nan], [0.3, 0.1]])
    hits = hits_at(distance, ks=(1, 2, 20))
    assert hits[1].tolist() == [True, False, False, False]
    assert hits[2].tolist() == hits[20].tolist() == [True, True, False, False]  # 0.1 itself is no hit


def test_chance_is_the_hypergeometric_one():
    # 10 poses, 3 matches: P(miss) after two draws = 7/10 * 6/9.
    chance = chance_at(np.array([3]), 10, ks=(1, 2, 10))
    assert chance == pytest.approx({1: 0.3, 2: 1 - 42 / 90, 10: 1.0})
    assert chance_at(np.array([0, 10]), 10, ks=(1,))[1] == pytest.approx(0.5)


def test_near_duplicates_go_and_the_first_of_them_stays(rng):
    different = rng.normal(size=(150, 17, 3)).astype(np.float32)
    copies = turned(different, 0.3) + rng.normal(size=(150, 17, 3)).astype(np.float32) * 0.005
    poses = np.concatenate([different, copies])
    np.testing.assert_array_equal(without_near_duplicates(poses), np.arange(150))


def test_near_duplicates_agree_with_the_loop_that_defines_them(rng):
    centres = rng.normal(size=(12, 17, 3)).astype(np.float32)
    poses = centres[rng.integers(12, size=200)] + rng.normal(size=(200, 17, 3)).astype(np.float32) * 0.03
    kept: list[int] = []
    table = pose_distance(poses[:, None], poses[None])
    for i in range(200):
        if all(table[i, j] >= 0.05 for j in kept):
            kept.append(i)
    assert 12 < len(kept) < 200
    np.testing.assert_array_equal(without_near_duplicates(poses), kept)


def test_a_forecaster_that_is_right_as_often_as_it_says_has_no_error(rng):
    probability = rng.random(200_000)
    assert expected_calibration_error(probability, rng.random(200_000) < probability) < 0.01


def test_the_error_of_a_forecaster_that_always_says_the_same_is_how_far_it_is_off():
    right = np.arange(10) < 3
    assert expected_calibration_error(np.full(10, 0.8), right) == pytest.approx(0.5)
    assert expected_calibration_error(np.full(10, 0.3), right) == pytest.approx(0.0)
    assert expected_calibration_error(np.empty(0), np.empty(0, bool)) == 0


def test_bins_count_by_their_share():
    # Nine of ten examples are off by 0.1, one by 0.9.
    probability = np.array([0.9] * 9 + [0.1])
    assert expected_calibration_error(probability, np.ones(10, bool)) == pytest.approx(0.9 * 0.1 + 0.1 * 0.9)


def test_right_probabilities_have_an_error_by_chance_that_falls_with_the_examples(rng):
    """One bin of n examples at one half: the mean distance of n tosses of a coin from n / 2 is about sqrt(n / 2 pi)."""
    for count in (100, 10_000):
        found = calibration_error_by_chance(np.full(count, 0.5), generator=rng, draws=2000)
        assert found == pytest.approx(1 / np.sqrt(2 * np.pi * count), rel=0.06)
    assert calibration_error_by_chance(np.zeros(9), generator=rng) == 0


def test_certainty_falls_into_the_last_bin():
    (bar,) = reliability(np.ones(4), np.array([True, True, True, False]))
    assert bar == {"probability": 1.0, "rate": 0.75, "share": 1.0}


def test_auroc_counts_pairs_in_order_and_halves_ties():
    assert auroc(np.array([1.0, 2.0, 3.0]), np.array([False, True, True])) == 1
    assert auroc(np.array([3.0, 2.0, 1.0]), np.array([False, True, True])) == 0
    assert auroc(np.array([1.0, 1.0]), np.array([False, True])) == 0.5
    assert auroc(np.array([1.0]), np.array([True])) is None
