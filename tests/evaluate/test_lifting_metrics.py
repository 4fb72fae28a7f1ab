import numpy as np
import pytest
from scipy.stats import chi

from vipe.errors import ShapeError
from vipe.evaluate import lifting_metrics
from vipe.evaluate.lifting_metrics import (
    AUC_THRESHOLDS,
    CPS_JOINTS,
    PCK_JOINTS,
    auc,
    best_of,
    cps,
    mpjpe,
    n_mpjpe,
    p_mpjpe,
    pck,
    worst_of,
)

METRICS = [mpjpe, n_mpjpe, p_mpjpe, pck, auc, cps]


@pytest.fixture
def case(rng):
    """Six poses of a person's size with seven hypotheses each, whose joints are off by about 10 cm."""
    truth = rng.normal(0, 0.3, size=(6, 17, 3))
    truth[:, 0] = 0
    poses = truth[:, None] + rng.normal(0, 0.06, size=(6, 7, 17, 3))
    poses[:, :, 0] = 0
    return poses, truth


def off_by(*distances, joints=17):
    """One pose with all its joints at the root but `joints` apart, and one hypothesis that is off by such distances."""
    truth = np.arange(3.0 * joints).reshape(1, joints, 3)
    poses = truth[:, None].copy()
    poses[0, 0, : len(distances), 1] += distances
    return poses, truth


def similar(pose, target):
    """The pose after rotation, scale and shift by an SVD (Umeyama 1991), one pose at a time."""
    a, b = pose - pose.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    turn = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    return (s * turn).sum() / (a * a).sum() * a @ (u * turn @ vt).T + target.mean(0)


def test_mpjpe_of_two_joints_is_the_mean_of_their_distances():
    truth = np.zeros((1, 2, 3))
    poses = np.array([[[[0, 0, 0], [3, 4, 0]], [[0, 0, 0], [0, 0, 1]]]], dtype=float)
    assert mpjpe(poses, truth).tolist() == [[2.5, 0.5]]


def test_n_mpjpe_forgives_size_only(case):
    poses, truth = case
    np.testing.assert_allclose(n_mpjpe(3 * truth[:, None], truth), 0, atol=1e-12)
    np.testing.assert_allclose(n_mpjpe(5 * poses, truth), n_mpjpe(poses, truth))
    assert (n_mpjpe(truth[:, None, :, [1, 0, 2]], truth) > 0.05).all()


def test_n_mpjpe_takes_the_scale_of_the_least_squared_error(case):
    poses, truth = case
    scales = np.linspace(0.5, 1.5, 2001)
    tried = ((scales[:, None, None] * poses[2, 3] - truth[2]) ** 2).sum(axis=(1, 2))
    best = scales[tried.argmin()] * poses[2, 3]
    assert n_mpjpe(poses, truth)[2, 3] == pytest.approx(np.linalg.norm(best - truth[2], axis=1).mean(), abs=1e-4)


def test_n_mpjpe_never_reflects_and_leaves_a_point_a_point(case):
    _, truth = case
    at_the_root = np.linalg.norm(truth, axis=-1).mean(axis=-1)
    np.testing.assert_allclose(n_mpjpe(-truth[:, None], truth)[:, 0], at_the_root)
    np.testing.assert_allclose(n_mpjpe(0 * truth[:, None], truth)[:, 0], at_the_root)


def test_p_mpjpe_is_the_distance_left_after_an_svd(case):
    poses, truth = case
    slow = [
        [np.linalg.norm(similar(pose, goal) - goal, axis=1).mean() for pose in row]
        for row, goal in zip(poses, truth, strict=True)
    ]
    np.testing.assert_allclose(p_mpjpe(poses, truth), slow, rtol=1e-6)


def test_p_mpjpe_forgives_the_view_and_not_the_mirror(case):
    _, truth = case
    turned = 2 * truth[:, None, :, [2, 0, 1]] + 1  # a cyclic exchange of the axes is a rotation
    np.testing.assert_allclose(p_mpjpe(turned, truth), 0, atol=1e-7)
    assert (p_mpjpe(truth[:, None] * [1, 1, -1], truth) > 0.05).all()


def test_fourteen_joints_count_for_pck_and_sixteen_for_cps():
    assert PCK_JOINTS == (1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15, 16)
    assert CPS_JOINTS == (0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16)


def test_pck_counts_the_joints_closer_than_the_threshold():
    # Joint 0 does not count; joint 2 is off by the threshold itself.
    assert pck(*off_by(9, 0.125, 0.25, 0.375), threshold=0.25)[0, 0] == pytest.approx(12 / 14)
    assert pck(*off_by(0, 0.1, 0.2), joints=[1, 2])[0, 0] == 0.5


def test_auc_is_the_mean_of_pck_over_31_thresholds(case):
    poses, truth = case
    assert len(AUC_THRESHOLDS) == 31
    assert AUC_THRESHOLDS[-1] == pytest.approx(0.15)
    slow = np.mean([pck(poses, truth, threshold) for threshold in AUC_THRESHOLDS], axis=0)
    np.testing.assert_allclose(auc(poses, truth), slow)


def test_auc_of_the_true_pose_is_not_quite_one():
    assert auc(*off_by(0))[0, 0] == pytest.approx(30 / 31)
    assert auc(*off_by(0, 0.0075), joints=[1])[0, 0] == pytest.approx(29 / 31)  # 10 mm is the first threshold above


def test_cps_is_the_area_under_the_curve_of_correct_poses(rng):
    truth = rng.normal(0, 0.3, size=(20, 17, 3))
    sizes = rng.uniform(0, 0.15, size=(20, 5, 1, 1))
    sizes[0] = 1e-4  # below the first threshold
    sizes[1] = 0.5  # beyond the last one
    poses = truth[:, None] + sizes * rng.normal(size=(20, 5, 17, 3))
    thresholds = np.arange(1, 301)
    correct = np.empty((20, 5, 300))
    for n in range(20):
        for m in range(5):
            distance = 1000 * np.linalg.norm(similar(poses[n, m], truth[n]) - truth[n], axis=1)
            correct[n, m] = [(np.delete(distance, 7) < t).all() for t in thresholds]
    np.testing.assert_allclose(cps(poses, truth), np.trapezoid(correct, thresholds))
    score = np.trapezoid(correct.any(axis=1).mean(axis=0), thresholds)
    assert best_of(cps(poses, truth), (5,), higher_is_better=True)[5].mean() == pytest.approx(score)


def test_cps_goes_from_0_to_299():
    assert cps(*off_by(0))[0, 0] == 299
    assert cps(*off_by(0, 9, 0, 9))[0, 0] == 0


def test_cps_does_not_judge_the_spine(case):
    _, truth = case
    moved = truth[:, None].copy()
    moved[:, :, 7, 0] += 0.1
    error = np.array([np.linalg.norm(similar(m[0], t) - t, axis=1) for m, t in zip(moved, truth, strict=True)])
    assert (error.argmax(axis=1) == 7).all()
    assert (cps(moved, truth)[:, 0] > 300 - 1000 * error.max(axis=1)).all()


def test_best_and_worst_look_at_the_first_hypotheses():
    values = np.array([[3.0, 4.0, 1.0], [2.0, 1.0, 5.0]])
    assert {m: v.tolist() for m, v in best_of(values, (1, 2, 3)).items()} == {1: [3, 2], 2: [3, 1], 3: [1, 1]}
    assert {m: v.tolist() for m, v in worst_of(values, (1, 3)).items()} == {1: [3, 2], 3: [4, 5]}
    assert best_of(values, (3,), higher_is_better=True)[3].tolist() == [4, 5]
    assert worst_of(values, (3,), higher_is_better=True)[3].tolist() == [1, 1]


def test_best_of_gaussian_samples_falls_as_the_least_of_chi_variables(rng):
    poses = np.zeros((3000, 200, 2, 3), dtype=np.float32)
    poses[:, :, 1] = rng.normal(size=(3000, 200, 3))
    error = mpjpe(poses, np.zeros((3000, 2, 3)))
    least, most = best_of(error), worst_of(error)
    r = np.linspace(0, 12, 2001)
    below = chi(3).cdf(r)
    for count in (1, 5, 10, 50, 200):
        # The mean of a positive number is the integral of the chance to exceed r; the root is the second joint.
        smallest, largest = np.trapezoid((1 - below) ** count, r) / 2, np.trapezoid(1 - below**count, r) / 2
        assert least[count].mean() == pytest.approx(smallest, abs=4 * least[count].std() / np.sqrt(3000))
        assert most[count].mean() == pytest.approx(largest, abs=4 * most[count].std() / np.sqrt(3000))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)
def test_a_metric_does_not_depend_on_the_blocks_it_works_in(metric, case, monkeypatch):
    whole = metric(*case)
    monkeypatch.setattr(lifting_metrics, "_NUMBERS", 2 * case[0][0].size)
    np.testing.assert_allclose(metric(*case), whole)
    assert whole.dtype == np.float64


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)
def test_no_poses_have_no_values(metric):
    assert metric(np.zeros((0, 4, 17, 3)), np.zeros((0, 17, 3))).shape == (0, 4)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(metric, value, case):
    poses, truth = case
    truth[3, 2, 1] = value
    with pytest.raises(ShapeError, match=r"truth hold NaN or infinity, expected finite"):
        metric(poses, truth)
    poses[0, 0, 0, 0], poses[0, 0, 1, 0] = value, -value
    with pytest.raises(ShapeError, match=r"hypotheses hold NaN or infinity"):
        metric(poses, truth)


def test_more_hypotheses_than_there_are_are_refused():
    with pytest.raises(ShapeError, match=r"best of 200 .* from 1 to 5; draw more hypotheses, or give counts="):
        best_of(np.zeros((2, 5)), (1, 5, 200))
    with pytest.raises(ShapeError, match=r"best of 0"):
        best_of(np.zeros((2, 5)), (0,))


def test_joints_of_another_skeleton_must_be_named(case):
    poses, truth = case
    for metric in (pck, auc, cps):
        with pytest.raises(ShapeError, match=r"within the poses' 14 joints, got .*give joints="):
            metric(poses[:, :, :14], truth[:, :14])
        assert metric(poses[:, :, :14], truth[:, :14], joints=range(14)).shape == (6, 7)
    with pytest.raises(ShapeError, match=r"at least one"):
        pck(poses, truth, joints=[])


@pytest.mark.refusal
@pytest.mark.parametrize(
    ("poses", "truth", "message"),
    [
        ((4, 17, 3), (4, 17, 3), r"\(N, M, J, 3\), got shape \(4, 17, 3\)"),
        ((4, 2, 17, 2), (4, 17, 2), r"\(N, M, J, 3\), got shape \(4, 2, 17, 2\)"),
        ((4, 0, 17, 3), (4, 17, 3), r"at least 1 for each pose, got 0"),
        ((4, 2, 17, 3), (1, 17, 3), r"truth must be \(4, 17, 3\) like the hypotheses, got shape \(1, 17, 3\)"),
        ((4, 2, 17, 3), (4, 16, 3), r"truth must be \(4, 17, 3\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(poses, truth, message):
    with pytest.raises(ShapeError, match=message):
        mpjpe(np.zeros(poses), np.zeros(truth))
