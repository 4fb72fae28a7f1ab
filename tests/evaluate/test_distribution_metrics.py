import itertools

import numpy as np
import pytest
from scipy.stats import norm

from vipe.errors import ShapeError
from vipe.evaluate import distribution_metrics
from vipe.evaluate.distribution_metrics import (
    energy_score,
    equally_weighted,
    joint_energy_score,
    sharpness,
    spread,
)


def on_a_line(*samples):
    """Hypotheses of one pose whose one joint besides the root lies on the x axis."""
    poses = np.zeros((1, len(samples), 2, 3))
    poses[0, :, 1, 0] = samples
    return poses


def gaussian(rng, n, m, deviation=1.0, joints=1):
    """Truth of unit deviation in every coordinate, and samples of another."""
    poses, truth = np.zeros((n, m, joints + 1, 3)), np.zeros((n, joints + 1, 3))
    poses[:, :, 1:] = deviation * rng.normal(size=(n, m, joints, 3))
    truth[:, 1:] = rng.normal(size=(n, joints, 3))
    return poses, truth


def test_spread_is_the_deviation_along_each_axis_and_the_root_counts():
    poses = on_a_line(-1, 0, 1)  # deviation 1, over two joints
    assert spread(poses).tolist() == [[0.5, 0, 0]]
    assert sharpness(poses) == pytest.approx(0.5 / 3)


def test_spread_of_gaussian_samples_is_their_deviation(rng):
    poses = rng.normal(size=(2, 4000, 17, 3)) * [1, 2, 3]
    np.testing.assert_allclose(spread(poses), [[1, 2, 3]] * 2, rtol=0.02)
    assert sharpness(poses) == pytest.approx(2, rel=0.02)


def test_energy_score_of_three_samples_by_hand():
    # Distances from the truth 1, 0, 2; between samples 1, 3, 2: 1 - 2 / 2.
    assert energy_score(on_a_line(0, 1, 3), on_a_line(1)[0])[0] == pytest.approx(0)
    assert energy_score(on_a_line(0, 1, 3), on_a_line(5)[0])[0] == pytest.approx(11 / 3 - 1)


def test_energy_score_is_that_of_the_loop_that_defines_it(rng):
    poses, truth = rng.normal(size=(3, 6, 5, 3)), rng.normal(size=(3, 5, 3))
    for n in range(3):
        reach = np.mean([np.linalg.norm(pose - truth[n]) for pose in poses[n]])
        pairs = np.mean([np.linalg.norm(a - b) for a, b in itertools.permutations(poses[n], 2)])
        assert energy_score(poses, truth)[n] == pytest.approx(reach - pairs / 2)
    alone = [energy_score(poses[:, :, [joint]], truth[:, [joint]]) for joint in range(5)]
    np.testing.assert_allclose(joint_energy_score(poses, truth), np.transpose(alone))


def test_energy_score_on_a_line_is_the_crps_of_a_gaussian(rng):
    poses = on_a_line(*rng.normal(size=2000))
    for y in (-1.5, 0.0, 2.0):
        crps = y * (2 * norm.cdf(y) - 1) + 2 * norm.pdf(y) - 1 / np.sqrt(np.pi)
        assert energy_score(poses, on_a_line(y)[0])[0] == pytest.approx(crps, abs=0.06)


@pytest.mark.parametrize("m", [2, 20])
def test_energy_score_has_one_mean_for_every_number_of_samples(m, rng):
    score = joint_energy_score(*gaussian(rng, 8000, m))[:, 1]
    # Three coordinates: E|X - y| = E|X - X'| = 4 / sqrt(pi).
    assert score.mean() == pytest.approx(2 / np.sqrt(np.pi), abs=4 * score.std() / np.sqrt(8000))


def test_energy_score_is_least_for_the_spread_of_the_truth(rng):
    narrow, right, wide = (energy_score(*gaussian(rng, 4000, 20, tau, joints=4)).mean() for tau in (0.6, 1.0, 1.6))
    assert right < narrow - 0.05
    assert right < wide - 0.05


def test_energy_score_of_one_pose_repeated_is_its_distance(rng):
    pose, truth = rng.normal(size=(2, 17, 3)), rng.normal(size=(2, 17, 3))
    distance = np.linalg.norm((pose - truth).reshape(2, -1), axis=1)
    np.testing.assert_allclose(energy_score(np.repeat(pose[:, None], 4, axis=1), truth), distance)


def test_energy_score_of_each_joint_ignores_how_joints_move_together(rng):
    poses, truth = gaussian(rng, 50, 40, joints=2)
    mixed = poses.copy()
    mixed[:, :, 2] = rng.permuted(poses[:, :, 2], axis=1)
    shuffled = poses[:, rng.permutation(40)]
    mixed[:, :, 2] = shuffled[:, :, 2]
    np.testing.assert_allclose(joint_energy_score(mixed, truth), joint_energy_score(poses, truth))
    assert not np.allclose(energy_score(mixed, truth), energy_score(poses, truth))


@pytest.mark.parametrize("score", [energy_score, joint_energy_score])
def test_scores_do_not_depend_on_place_and_on_blocks(score, rng, monkeypatch):
    poses, truth = gaussian(rng, 7, 5, joints=3)
    whole = score(poses, truth)
    np.testing.assert_allclose(score(poses + 100, truth + 100), whole, atol=1e-9)
    monkeypatch.setattr(distribution_metrics, "_PAIRS", 250)
    np.testing.assert_allclose(score(poses, truth), whole)
    np.testing.assert_allclose(spread(poses)[3], spread(poses[3:4])[0])


@pytest.mark.parametrize(
    "score",
    [energy_score, joint_energy_score, lambda poses, truth: spread(poses), lambda poses, truth: sharpness(poses)],
)
def test_one_hypothesis_is_no_distribution(score):
    with pytest.raises(ShapeError, match=r"at least 2 for each pose, got 1; draw more"):
        score(np.zeros((3, 1, 17, 3)), np.zeros((3, 17, 3)))


def test_no_poses_have_no_score_and_no_sharpness():
    assert energy_score(np.zeros((0, 2, 17, 3)), np.zeros((0, 17, 3))).shape == (0,)
    assert joint_energy_score(np.zeros((0, 2, 17, 3)), np.zeros((0, 17, 3))).shape == (0, 17)
    assert np.isnan(sharpness(np.zeros((0, 2, 17, 3))))


def numbered(n, m):
    """Hypotheses that carry their number as a coordinate."""
    return np.broadcast_to(np.arange(m, dtype=np.float32)[None, :, None, None], (n, m, 2, 3))


def test_a_weighted_hypothesis_comes_as_often_as_its_weight_says(rng):
    weight = rng.dirichlet(np.ones(6), size=50)
    drawn = equally_weighted(numbered(50, 6), np.log(weight) + 3.0, rng, count=40)[:, :, 1, 2]
    counts = (drawn[:, :, None] == np.arange(6)).sum(axis=1)
    assert drawn.shape == (50, 40)
    assert (np.abs(counts - 40 * weight) < 1).all()


def test_weighted_hypotheses_come_right_on_average_and_in_any_order(rng):
    log_weight = np.broadcast_to(np.log([0.2, 0.5, 0.3]), (20_000, 3))
    drawn = equally_weighted(numbered(20_000, 3), log_weight, rng, count=2)[:, :, 0, 0]
    for place in range(2):
        np.testing.assert_allclose(np.bincount(drawn[:, place].astype(int)) / 20_000, [0.2, 0.5, 0.3], atol=0.015)


def test_a_weight_of_zero_is_never_drawn_and_equal_weights_keep_each(rng):
    log_weight = np.array([[-np.inf, 0.0, 1.0, -np.inf]] * 100)
    assert set(equally_weighted(numbered(100, 4), log_weight, rng, count=50).ravel()) == {1, 2}
    kept = equally_weighted(numbered(100, 4), np.zeros((100, 4)), rng)
    np.testing.assert_array_equal(np.sort(kept[:, :, 0, 0], axis=1), [[0, 1, 2, 3]] * 100)


def test_resampling_depends_on_the_generator_alone():
    log_weight = np.random.default_rng(0).normal(size=(5, 8))
    np.random.seed(3)  # noqa: NPY002
    first, second, other = (
        equally_weighted(numbered(5, 8), log_weight, np.random.default_rng(seed)) for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_weights_that_do_not_sum_are_refused(rng):
    for wrong in (np.nan, np.inf):
        log_weight = np.zeros((3, 4))
        log_weight[1, 2] = wrong
        with pytest.raises(ShapeError, match=r"log_weight of pose 1 hold NaN, plus infinity or no weight above 0"):
            equally_weighted(numbered(3, 4), log_weight, rng)
    with pytest.raises(ShapeError, match=r"pose 2"):
        equally_weighted(numbered(3, 4), np.array([[0.0] * 4, [0.0] * 4, [-np.inf] * 4]), rng)
    with pytest.raises(ShapeError, match=r"count at least 1, got shape \(3, 4\) and 0"):
        equally_weighted(numbered(3, 4), np.zeros((3, 4)), rng, count=0)


@pytest.mark.refusal
def test_weights_of_other_hypotheses_are_refused(rng):
    with pytest.raises(ShapeError, match=r"log_weight must be \(3, 4\) like the hypotheses"):
        equally_weighted(numbered(3, 4), np.zeros((3, 5)), rng)
