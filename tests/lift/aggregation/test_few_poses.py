import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from vipe.errors import ShapeError, VipeError
from vipe.geometry.upright import upright_pose
from vipe.lift.aggregation.few_poses import _linked, modes
from vipe.lift.hypotheses import Hypotheses


def hypotheses(poses, weight=None):
    poses = np.asarray(poses, dtype=np.float32)
    weight = np.ones(poses.shape[:2]) if weight is None else np.asarray(weight)
    with np.errstate(divide="ignore"):
        return Hypotheses(poses=poses, log_weight=np.log(weight / weight.sum(1, keepdims=True)).astype(np.float32))


def around(pose, count, rng, noise=0.01):
    return pose + noise * rng.normal(size=(count, 17, 3))


def mirrored(pose):
    return pose * [1, 1, -1] + [0, 0, 0.4]


def scattered(count, rng):
    """Poses at all distances from each other up to some tenths of a metre."""
    return upright_pose() + 0.1 * rng.normal(size=(count, 1, 3)) + 0.01 * rng.normal(size=(count, 17, 3))


def mean_distance(poses):
    return np.linalg.norm(poses[:, None] - poses[None], axis=-1).mean(axis=-1)


def test_two_bodies_are_two_modes_with_their_shares(rng):
    pose = upright_pose().astype(np.float64)
    poses = np.concatenate([around(pose, 14, rng), around(mirrored(pose), 6, rng)])
    order = rng.permutation(20)
    (found,) = modes(hypotheses(poses[order][None]))
    assert found.share.tolist() == pytest.approx([0.7, 0.3])
    np.testing.assert_array_equal(found.member, (order >= 14).astype(int))
    np.testing.assert_allclose(found.poses[0], pose, atol=0.06)
    np.testing.assert_allclose(found.poses[1], mirrored(pose), atol=0.06)


def test_weights_count_not_numbers(rng):
    pose = upright_pose().astype(np.float64)
    poses = np.concatenate([around(pose, 14, rng), around(mirrored(pose), 6, rng)])
    weight = np.concatenate([np.full(14, 1.0), np.full(6, 14.0)])
    (found,) = modes(hypotheses(poses[None], weight[None]))
    assert found.share.tolist() == pytest.approx([6 * 14 / 98, 14 / 98])
    assert found.member.tolist() == [1] * 14 + [0] * 6


def test_a_weight_is_as_good_as_a_repetition(rng):
    poses = scattered(20, rng)
    times = rng.integers(1, 6, size=20)
    (weighted,) = modes(hypotheses(poses[None], times[None].astype(float)), apart=0.16, least=0.0)
    (repeated,) = modes(hypotheses(np.repeat(poses, times, axis=0)[None]), apart=0.16, least=0.0)
    assert 1 < len(weighted) < 20
    np.testing.assert_allclose(weighted.share, repeated.share, atol=1e-6)
    np.testing.assert_array_equal(weighted.poses, repeated.poses)
    np.testing.assert_array_equal(np.repeat(weighted.member, times), repeated.member)


@pytest.mark.parametrize("apart", [0.06, 0.12, 0.2])
def test_groups_are_those_of_average_linkage(rng, apart):
    distance = mean_distance(scattered(40, rng))
    own = _linked(distance, np.full(40, 1 / 40), apart)
    expected = fcluster(linkage(squareform(distance, checks=False), "average"), apart, "distance")
    assert 1 < len(set(own.tolist())) < 40
    np.testing.assert_array_equal(own[:, None] == own, expected[:, None] == expected)


def test_a_mode_is_the_hypothesis_in_the_middle_of_its_group(rng):
    poses = around(upright_pose(), 9, rng)
    weight = rng.uniform(0.5, 2, size=9)
    (found,) = modes(hypotheses(poses[None], weight[None]))
    middle = (mean_distance(poses) @ weight).argmin()
    assert found.row.tolist() == [middle]
    np.testing.assert_array_equal(found.poses[0], poses[middle].astype(np.float32))


def test_a_small_group_counts_for_the_mode_that_is_nearest(rng):
    pose = upright_pose().astype(np.float64)
    near, far = (pose + np.array([x, 0, 0]) for x in (0.3, 2))
    poses = np.concatenate([around(pose, 60, rng), around(far, 38, rng), around(near, 2, rng)])
    (found,) = modes(hypotheses(poses[None]), least=0.05)
    assert found.share.tolist() == pytest.approx([0.62, 0.38])
    (found,) = modes(hypotheses(poses[None]), least=0.01)
    assert found.share.tolist() == pytest.approx([0.6, 0.38, 0.02])


def test_however_scattered_there_is_a_mode_and_shares_sum_to_one(rng):
    poses = 5 * rng.normal(size=(3, 30, 17, 3))
    assert [found.share.tolist() for found in modes(hypotheses(poses))] == [[pytest.approx(1.0)]] * 3
    for found in modes(hypotheses(0.04 * poses), apart=0.43, least=0.03):
        assert len(found) > 1
        assert found.share.sum() == pytest.approx(1)
        assert (np.diff(found.share) <= 0).all()


def test_more_hypotheses_than_are_linked_are_all_counted(rng, monkeypatch):
    pose = upright_pose().astype(np.float64)
    poses = np.concatenate([around(pose, 70, rng), around(mirrored(pose), 30, rng)])
    monkeypatch.setattr("vipe.lift.aggregation.few_poses._LINKED", 20)
    (found,) = modes(hypotheses(poses[rng.permutation(100)][None]))
    assert found.share.tolist() == pytest.approx([0.7, 0.3])
    assert len(found.member) == 100


def test_equal_hypotheses_are_one_mode():
    (found,) = modes(hypotheses(np.repeat(upright_pose()[None, None], 5, axis=1)))
    assert (len(found), found.share.tolist()) == (1, [1.0])


def test_nobody_has_no_modes():
    assert modes(hypotheses(np.zeros((0, 4, 17, 3)))) == ()


def test_people_do_not_depend_on_each_other(rng):
    poses = upright_pose() + 0.15 * rng.normal(size=(2, 30, 17, 3))
    both = modes(hypotheses(poses))
    for row in range(2):
        (alone,) = modes(hypotheses(poses[row : row + 1]))
        np.testing.assert_array_equal(alone.member, both[row].member)


def test_settings_out_of_range_are_refused():
    one = hypotheses(np.zeros((1, 2, 17, 3)))
    with pytest.raises(VipeError, match="apart must be above 0"):
        modes(one, apart=0.0)
    with pytest.raises(VipeError, match="least 0 to 1"):
        modes(one, least=1.5)
    with pytest.raises(ShapeError, match="at least one hypothesis a person"):
        modes(hypotheses(np.zeros((2, 0, 17, 3))))
