import numpy as np
import pytest

from vipe.errors import ShapeError
from vipe.geometry import canonicalize_array
from vipe.lift import Hypotheses


@pytest.fixture
def hypotheses(bent):
    poses = bent(12, seed=1).reshape(3, 4, 17, 3)
    poses = poses - poses[:, :, :1]
    weight = np.array([[0.1, 0.2, 0.3, 0.4]] * 3)
    return Hypotheses(poses=poses, log_weight=np.log(weight).astype(np.float32))


def test_mean_and_spread_are_weighted(hypotheses):
    weight = np.array([0.1, 0.2, 0.3, 0.4])
    for row in range(3):
        poses = hypotheses.poses[row].astype(np.float64)
        mean = np.average(poses, axis=0, weights=weight)
        np.testing.assert_allclose(hypotheses.mean()[row], mean, atol=1e-6)
        spread = np.cov(poses[:, 13].T, aweights=weight, bias=True)
        np.testing.assert_allclose(hypotheses.spread()[row, 13], spread, atol=1e-6)


def test_weights_sum_to_one_even_where_all_are_tiny(hypotheses):
    tiny = Hypotheses(poses=hypotheses.poses, log_weight=hypotheses.log_weight - 1000)
    np.testing.assert_allclose(tiny.weight, hypotheses.weight, rtol=1e-4)


def test_canonical_hypotheses_are_the_canonical_poses(hypotheses):
    expected = canonicalize_array(hypotheses.poses.reshape(12, 17, 3)).poses
    np.testing.assert_array_equal(hypotheses.canonical().poses.reshape(12, 17, 3), expected)


def test_rows_are_people(hypotheses):
    part = hypotheses[1:]
    assert len(part) == 2
    np.testing.assert_array_equal(part.poses, hypotheses.poses[1:])
    assert part.log_density is None
    assert repr(hypotheses) == "Hypotheses(3 people, 4 poses each)"


@pytest.mark.refusal
def test_arrays_that_do_not_fit_are_refused(hypotheses):
    poses, weight = hypotheses.poses, hypotheses.log_weight
    with pytest.raises(ShapeError, match=r"hypotheses must be \(N, M, 17, 3\), got shape \(4, 17, 3\)"):
        Hypotheses(poses=poses[0], log_weight=weight[0])
    with pytest.raises(ShapeError, match=r"log_density must be \(3, 4\), got \(3, 3\)"):
        Hypotheses(poses=poses, log_weight=weight, log_density=weight[:, :3])


def test_a_pose_that_is_not_finite_is_refused(hypotheses):
    poses = hypotheses.poses.copy()
    poses[1, 2, 3, 0] = np.nan
    with pytest.raises(ShapeError, match="a pose of person 1 is not finite"):
        Hypotheses(poses=poses, log_weight=hypotheses.log_weight)
