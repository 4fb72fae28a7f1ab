import itertools

import numpy as np
import pytest
from scipy.stats import chi, norm

from vipe.errors import ShapeError
from vipe.evaluate import lifting_calibration
from vipe.evaluate.lifting_calibration import (
    CALIBRATION_LEVELS,
    CalibrationCurve,
    coordinate_calibration,
    density_calibration,
    interval_calibration,
    interval_width,
    radial_calibration,
    rank_histogram,
)

LEVELS = np.array(CALIBRATION_LEVELS)


def gaussian(rng, deviation, n=1500, m=200, joints=2, shift=0.0):
    """Truth of unit deviation in every coordinate around another place each, and samples of another deviation."""
    place = np.concatenate([np.zeros((n, 1, 3)), rng.normal(0, 5, size=(n, joints, 3))], axis=1)
    noise = rng.normal(size=(n, m + 1, joints + 1, 3))
    noise[:, :, 0] = 0
    return (place[:, None] + deviation * noise[:, 1:]).astype(np.float32), place + noise[:, 0] + shift


def log_normal(points, deviation):
    """Log density of isotropic Gaussians around the origin, up to a constant."""
    return -(points**2).sum(axis=-1) / (2 * deviation**2)


def along_x(*samples):
    poses = np.zeros((1, len(samples), 2, 3))
    poses[0, :, 1, 0] = samples
    return poses


def exchangeable(samples):
    """Every order of some numbers: the first is the truth, the others are samples."""
    orders = np.array(list(itertools.permutations(samples)), dtype=float)
    poses, truth = np.zeros((len(orders), len(samples) - 1, 2, 3)), np.zeros((len(orders), 2, 3))
    poses[:, :, 1, :], truth[:, 1, :] = orders[:, 1:, None], orders[:, :1]
    return poses, truth


def test_there_are_21_levels():
    np.testing.assert_allclose(LEVELS, np.arange(0, 1.01, 0.05))


def test_radial_coverage_by_hand():
    # Median 1, distances 1, 0, 2: the quantiles at 0.25, 0.5, 1 are 0.5, 1, 2. The truth is 0.9 from the median.
    curve = radial_calibration(along_x(0, 1, 3), along_x(1.9)[0], levels=(0.25, 0.5, 1.0))
    assert curve.coverage.tolist() == [0, 1, 1]
    assert curve.ece == pytest.approx((0.25 + 0.5 + 0) / 3)
    assert curve.signed_area == pytest.approx((-0.25 + 0.5 + 0) / 3)


def test_radial_coverage_is_that_of_the_loop_that_defines_it(rng):
    poses, truth = rng.normal(size=(9, 11, 5, 3)), 1.3 * rng.normal(size=(9, 5, 3))
    covered = np.zeros((21, 4))
    for n, j in itertools.product(range(9), range(1, 5)):
        middle = np.median(poses[n, :, j], axis=0)
        distances = np.linalg.norm(poses[n, :, j] - middle, axis=1)
        for i, level in enumerate(LEVELS):
            covered[i, j - 1] += np.quantile(distances, level) > np.linalg.norm(truth[n, j] - middle)
    curve = radial_calibration(poses, truth)
    np.testing.assert_allclose(curve.parts, covered / 9)
    assert curve.ece == pytest.approx(np.abs(np.median(covered / 9, axis=1) - LEVELS).mean())


def test_hypotheses_that_are_all_one_pose_cover_nothing_not_even_the_truth_there():
    assert not radial_calibration(along_x(2, 2, 2), along_x(2)[0]).coverage.any()


@pytest.mark.parametrize("deviation", [0.5, 1.0, 2.0])
def test_radial_coverage_of_gaussians_has_its_closed_form(deviation, rng):
    curve = radial_calibration(*gaussian(rng, deviation))
    expected = chi(3).cdf(deviation * chi(3).ppf(LEVELS))
    np.testing.assert_allclose(curve.coverage[:-1], expected[:-1], atol=0.05)
    assert curve.ece == pytest.approx(np.abs(expected - LEVELS)[:-1].mean(), abs=0.03)
    assert np.sign(round(curve.signed_area, 1)) == np.sign(deviation - 1)  # negative: overconfident


def test_the_median_over_joints_hides_a_bad_joint_and_the_parts_show_it(rng):
    poses, truth = gaussian(rng, 1.0, joints=3)
    poses[:, :, 2] = truth[:, None, 2] + 4 + 0.1 * rng.normal(size=(1500, 200, 3))
    curve = radial_calibration(poses, truth)
    assert curve.ece < 0.04
    assert curve.part_ece[1] > 0.45
    assert (curve.part_ece[[0, 2]] < 0.04).all()


def test_the_root_takes_no_part(rng):
    poses, truth = gaussian(rng, 1.0, n=50, m=20)
    moved, goal = poses.copy(), truth.copy()
    moved[:, :, 0], goal[:, 0] = 7, 9
    for calibration in (radial_calibration, lambda *case: coordinate_calibration(*case)["z"]):
        np.testing.assert_array_equal(calibration(moved, goal).parts, calibration(poses, truth).parts)
    np.testing.assert_allclose(interval_width(moved), interval_width(poses))


@pytest.mark.parametrize("m", [2, 3, 4])
def test_exchangeable_truth_and_samples_are_calibrated_exactly_for_few_samples_too(m):
    poses, truth = exchangeable(range(m + 1))
    for curve in (*coordinate_calibration(poses, truth).values(), *interval_calibration(poses, truth).values()):
        np.testing.assert_allclose(curve.coverage, curve.levels)
    curve = density_calibration(poses[:, :, 1, 0], truth[:, 1, 0])
    np.testing.assert_allclose(curve.coverage, LEVELS)


def test_ties_between_truth_and_samples_favour_no_side():
    poses, truth = exchangeable([0, 0, 1, 1, 1])
    np.testing.assert_allclose(coordinate_calibration(poses, truth)["y"].coverage, LEVELS)
    np.testing.assert_allclose(density_calibration(np.zeros((3, 5)), np.zeros(3)).coverage, LEVELS)


def test_coordinate_coverage_by_hand():
    # The truth lies above one of three samples: its place is uniform in 1/4 to 2/4.
    curve = coordinate_calibration(along_x(0, 2, 3), along_x(1)[0], levels=(0.25, 0.375, 0.5, 0.9))["x"]
    assert curve.coverage.tolist() == [0, 0.5, 1, 1]
    curve = interval_calibration(along_x(0, 2, 3), along_x(1)[0], levels=(0.0, 0.25, 0.5))["x"]
    assert curve.coverage.tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("deviation", [0.5, 1.0, 2.0])
def test_coordinate_coverage_of_gaussians_has_its_closed_form(deviation, rng):
    poses, truth = gaussian(rng, 1.0)
    poses[..., 2] = (1 - deviation) * poses[..., 2].mean(axis=1, keepdims=True) + deviation * poses[..., 2]
    curves = coordinate_calibration(poses, truth)
    assert list(curves) == ["x", "y", "z"]
    expected = norm.cdf(deviation * norm.ppf(LEVELS))
    np.testing.assert_allclose(curves["z"].coverage, expected, atol=0.04)
    assert curves["z"].ece == pytest.approx(np.abs(expected - LEVELS).mean(), abs=0.02)
    assert abs(curves["z"].signed_area) < 0.02
    assert curves["x"].ece < 0.02
    assert curves["y"].ece < 0.02


def test_a_truth_below_the_samples_gives_coordinates_a_positive_area(rng):
    curve = coordinate_calibration(*gaussian(rng, 1.0, shift=-0.5))["y"]
    np.testing.assert_allclose(curve.coverage, norm.cdf(norm.ppf(LEVELS) + 0.5), atol=0.04)
    assert curve.signed_area > 0.1


@pytest.mark.parametrize("deviation", [0.5, 1.0, 2.0])
def test_interval_coverage_of_gaussians_has_its_closed_form(deviation, rng):
    poses, truth = gaussian(rng, deviation)
    ends = norm.ppf([0.75, 0.95])
    for curve in interval_calibration(poses, truth).values():
        np.testing.assert_allclose(curve.coverage, 2 * norm.cdf(deviation * ends) - 1, atol=0.04)
        assert abs(curve.signed_area) < 0.03 if deviation == 1 else np.sign(curve.signed_area) == np.sign(deviation - 1)


def test_interval_width_of_gaussians_has_its_closed_form(rng):
    poses, _ = gaussian(rng, 1.0, n=200)
    width = interval_width(poses * [1, 1, 3])
    np.testing.assert_allclose(width, 2 * norm.ppf([[0.75], [0.95]]) * [[1, 1, 3]], rtol=0.04)


def test_interval_width_by_hand():
    np.testing.assert_allclose(interval_width(along_x(0, 1, 2, 3, 4), (0.0, 0.5, 1.0))[:, 0], [0, 2, 4])


@pytest.mark.parametrize("deviation", [0.7, 1.0, 1.5])
def test_density_coverage_of_gaussians_has_its_closed_form(deviation, rng):
    samples, truth = deviation * rng.normal(size=(3000, 100, 6)), rng.normal(size=(3000, 6))
    curve = density_calibration(log_normal(samples, deviation), log_normal(truth, deviation))
    np.testing.assert_allclose(curve.coverage, chi(6).cdf(deviation * chi(6).ppf(LEVELS)), atol=0.03)
    assert np.sign(round(curve.signed_area, 1)) == np.sign(deviation - 1)
    np.testing.assert_array_equal(curve.parts[:, 0], curve.coverage)


def test_density_coverage_by_hand():
    # One of three samples is denser than the truth: its place is uniform in 1/4 to 2/4.
    curve = density_calibration(np.array([[5.0, 1.0, 0.0]]), np.array([2.0]), levels=(0.25, 0.375, 0.5))
    assert curve.coverage.tolist() == [0, 0.5, 1]


def test_density_sees_a_miss_between_two_modes_that_balls_around_the_median_do_not(rng):
    side = np.where(rng.random((1500, 101)) < 0.5, -4, 4)
    points = np.zeros((1500, 101, 3))
    points[..., 0] = side
    points += rng.normal(size=points.shape)
    truth = rng.normal(size=(1500, 3))  # where there is no sample
    mode = np.array([4, 0, 0])
    density, at_truth = (np.logaddexp(log_normal(x - mode, 1), log_normal(x + mode, 1)) for x in (points, truth))
    assert density_calibration(density, density[:, 0]).ece < 0.03
    assert density_calibration(density, at_truth).signed_area < -0.3
    poses = np.concatenate([np.zeros((1500, 101, 1, 3)), points[:, :, None]], axis=2)
    inside = np.concatenate([np.zeros((1500, 1, 3)), truth[:, None]], axis=1)
    assert radial_calibration(poses, inside).signed_area > -0.3


def test_a_truth_that_the_model_excludes_is_outside_of_every_region():
    curve = density_calibration(np.zeros((4, 9)), np.full(4, -np.inf))
    assert curve.coverage[:-2].tolist() == [0] * 19


def test_ranks_fall_into_their_bins(rng):
    values = np.tile(np.arange(9.0), (5, 1))
    histogram = rank_histogram(values, np.array([-1.0, 0.5, 4.5, 8.5, 8.5]), rng, bins=5)
    assert histogram.counts.tolist() == [2, 0, 1, 0, 2]  # ranks 0, 1, 5, 9, 9 of 0 to 9
    assert histogram.expected.tolist() == [1] * 5
    assert histogram.p_value == pytest.approx(0.4060058, abs=1e-6)  # chi-square 4 with 4 degrees of freedom


def test_bins_of_more_ranks_expect_more(rng):
    histogram = rank_histogram(np.tile(np.arange(10.0), (22, 1)), np.full(22, -1.0), rng, bins=4)
    assert histogram.expected.tolist() == [6, 6, 6, 4]  # 11 ranks: 0-2, 3-5, 6-8, 9-10
    assert histogram.counts.tolist() == [22, 0, 0, 0]


@pytest.mark.parametrize(("deviation", "alike"), [(1.0, True), (0.5, False), (2.0, False)])
def test_ranks_are_uniform_exactly_where_samples_follow_the_truth(deviation, alike, rng):
    poses, truth = gaussian(rng, deviation, n=2000, m=50)
    histogram = rank_histogram(poses[:, :, 1:], truth[:, 1:], rng, bins=17)
    assert histogram.counts.shape == (17, 2, 3)
    assert (histogram.counts.sum(axis=0) == 2000).all()
    assert (histogram.p_value > 1e-3).all() if alike else (histogram.p_value < 1e-6).all()
    edges, middle = histogram.counts[[0, -1]].mean(), histogram.counts[8].mean()
    assert alike or (edges > 2 * middle) == (deviation < 1)


def test_the_chi_square_test_errs_as_often_as_it_says(rng):
    values, truth = rng.normal(size=(400, 30, 300)), rng.normal(size=(400, 300))
    p = rank_histogram(values, truth, rng, bins=10).p_value  # 31 ranks: bins of unequal size
    assert np.mean(p < 0.1) == pytest.approx(0.1, abs=0.06)


def test_ties_take_a_random_place_from_the_generator():
    values, truth = np.zeros((2000, 19)), np.zeros(2000)
    first, second = (rank_histogram(values, truth, np.random.default_rng(seed)) for seed in (1, 1))
    np.testing.assert_array_equal(first.counts, second.counts)
    assert first.p_value > 1e-3
    assert (first.counts > 50).all()


@pytest.mark.parametrize("calibration", [radial_calibration, coordinate_calibration, interval_calibration])
def test_curves_do_not_depend_on_blocks(calibration, rng, monkeypatch):
    poses, truth = gaussian(rng, 0.8, n=7, m=6)

    def curves():
        result = calibration(poses, truth)
        return [result] if isinstance(result, CalibrationCurve) else list(result.values())

    whole, width = curves(), interval_width(poses)
    monkeypatch.setattr(lifting_calibration, "_NUMBERS", 2 * poses[0].size)
    for one, other in zip(whole, curves(), strict=True):
        np.testing.assert_allclose(one.parts, other.parts)
    np.testing.assert_allclose(interval_width(poses), width)


def test_one_hypothesis_has_no_calibration(rng):
    poses, truth = np.zeros((3, 1, 17, 3)), np.zeros((3, 17, 3))
    for calibration in (radial_calibration, coordinate_calibration, interval_calibration):
        with pytest.raises(ShapeError, match=r"at least 2 for each pose, got 1"):
            calibration(poses, truth)
    with pytest.raises(ShapeError, match=r"at least 2 for each pose, got 1"):
        interval_width(poses)
    with pytest.raises(ShapeError, match=r"at least 2 samples of each pose, got 1"):
        density_calibration(np.zeros((3, 1)), np.zeros(3))
    with pytest.raises(ShapeError, match=r"at least 2 samples of each pose, got 1"):
        rank_histogram(np.zeros((3, 1)), np.zeros(3), rng)


def test_what_has_no_rank_or_level_is_refused(rng):
    poses, truth = np.zeros((0, 5, 17, 3)), np.zeros((0, 17, 3))
    with pytest.raises(ShapeError, match=r"one pose and one joint besides the root"):
        coordinate_calibration(poses, truth)
    with pytest.raises(ShapeError, match=r"one pose and one joint besides the root"):
        radial_calibration(np.zeros((2, 5, 1, 3)), np.zeros((2, 1, 3)))
    with pytest.raises(ShapeError, match=r"hold NaN, which has no rank"):
        density_calibration(np.full((2, 3), np.nan), np.zeros(2))
    with pytest.raises(ShapeError, match=r"levels must be probabilities"):
        density_calibration(np.zeros((2, 3)), np.zeros(2), levels=(0.5, 1.1))
    with pytest.raises(ShapeError, match=r"bins must lie from 2 to M \+ 1 = 4 for 3 hypotheses, got 5"):
        rank_histogram(np.zeros((2, 3)), np.zeros(2), rng, bins=5)


@pytest.mark.refusal
def test_densities_of_other_poses_are_refused():
    with pytest.raises(ShapeError, match=r"got shapes \(2, 3\) and \(3,\)"):
        density_calibration(np.zeros((2, 3)), np.zeros(3))
