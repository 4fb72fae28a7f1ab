import numpy as np
import pytest

from vipe.errors import VipeError
from vipe.lift.aggregation.reduce import reduce_hypotheses
from vipe.lift.hypotheses import Hypotheses


def of(poses, weight=None):
    people, each = poses.shape[:2]
    weight = np.full((people, each), 1 / each) if weight is None else weight
    return Hypotheses(poses=poses.astype(np.float32), log_weight=np.log(weight).astype(np.float32))


@pytest.fixture
def clouds(rng):
    """Two people with three groups of poses each, of 10, 20 and 30."""
    centers = rng.normal(size=(2, 3, 17, 3))
    group = rng.permutation(np.repeat([0, 1, 2], [10, 20, 30]))
    return centers, group, of(centers[:, group] + 0.01 * rng.normal(size=(2, 60, 17, 3)))


def test_groups_of_poses_become_their_means_and_shares_the_largest_first(clouds, rng):
    _, group, hypotheses = clouds
    few = reduce_hypotheses(hypotheses, 3, rng)
    for place, size in enumerate((30, 20, 10)):
        np.testing.assert_allclose(few.weight[:, place], size / 60, atol=1e-6)
        mean = hypotheses.poses[:, group == (size // 10 - 1)].mean(axis=1)
        np.testing.assert_allclose(few.poses[:, place], mean, atol=1e-5)
    assert few.log_density is None


def test_one_hypothesis_is_the_mean_of_all_and_all_of_them_are_themselves(clouds, rng):
    hypotheses = clouds[2]
    one = reduce_hypotheses(hypotheses, 1, rng)
    np.testing.assert_allclose(one.poses[:, 0], hypotheses.mean(), atol=1e-5)
    every = reduce_hypotheses(hypotheses, 60, rng)
    for row in range(2):
        np.testing.assert_array_equal(np.unique(every.poses[row], axis=0), np.unique(hypotheses.poses[row], axis=0))
    np.testing.assert_allclose(every.weight, 1 / 60, atol=1e-6)


def test_weights_of_hypotheses_count(clouds, rng):
    _, group, hypotheses = clouds
    weight = np.where(group == 0, 8.0, 1.0) * np.linspace(1, 2, 60)
    weight = np.broadcast_to(weight / weight.sum(), (2, 60))
    few = reduce_hypotheses(of(hypotheses.poses, weight), 3, rng)
    share = weight[0, group == 0]
    np.testing.assert_allclose(few.weight[:, 0], share.sum(), atol=1e-5)
    mean = np.einsum("m,nmjc->njc", share / share.sum(), hypotheses.poses[:, group == 0])
    np.testing.assert_allclose(few.poses[:, 0], mean, atol=1e-5)
    np.testing.assert_allclose(few.mean(), of(hypotheses.poses, weight).mean(), atol=1e-5)


def test_equal_hypotheses_leave_the_rest_without_weight(rng):
    pose = rng.normal(size=(1, 1, 17, 3)).repeat(8, axis=1)
    few = reduce_hypotheses(of(pose), 3, rng)
    np.testing.assert_allclose(few.weight, [[1, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(few.poses, pose[:, :3], atol=1e-6)


def test_the_generator_alone_decides(rng):
    hypotheses = of(rng.normal(size=(3, 40, 17, 3)))
    first, second = (reduce_hypotheses(hypotheses, 5, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first.poses, second.poses)
    assert np.abs(reduce_hypotheses(hypotheses, 5, np.random.default_rng(5)).poses - first.poses).max() > 0


def test_a_row_is_clustered_by_itself_and_nobody_gives_nothing(clouds, rng):
    hypotheses = clouds[2]
    both = reduce_hypotheses(hypotheses, 3, rng)
    alone = reduce_hypotheses(hypotheses[1:], 3, rng)
    np.testing.assert_allclose(alone.poses[0], both.poses[1], atol=1e-5)
    assert reduce_hypotheses(hypotheses[:0], 3, rng).poses.shape == (0, 3, 17, 3)


def test_too_many_or_no_hypotheses_are_refused(clouds, rng):
    for k in (0, 61):
        with pytest.raises(VipeError, match=f"k must be 1 to 60, the number of hypotheses of a person, got {k}"):
            reduce_hypotheses(clouds[2], k, rng)
