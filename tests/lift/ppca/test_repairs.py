import numpy as np
import pytest

from vipe.lift.ppca.prior.repairs import EXCHANGES, best_exchange, moved_joint
from vipe.skeletons.working import H36M17


@pytest.fixture
def world(bent):
    return bent(30, seed=7)


@pytest.mark.parametrize("name", EXCHANGES)
def test_an_exchange_undoes_itself_and_keeps_the_trunk(name):
    order = np.array(EXCHANGES[name])
    np.testing.assert_array_equal(order[order], np.arange(17))
    trunk = [H36M17.index(joint) for joint in ("pelvis", "spine", "thorax", "nose", "head")]
    np.testing.assert_array_equal(order[trunk], trunk)
    assert (order != np.arange(17)).any()


@pytest.mark.parametrize("name", ["legs", "arms", "all limbs"])
def test_exchanged_limbs_are_found_by_what_undoing_them_gains(name, ppca, world):
    broken = world[:, list(EXCHANGES[name])]
    best, gain = best_exchange(ppca, broken, ppca.pose_log_likelihood(broken, world=True))
    assert (np.array(list(EXCHANGES))[best] == name).mean() > 0.9
    expected = ppca.pose_log_likelihood(world, world=True) - ppca.pose_log_likelihood(broken, world=True)
    assert (gain >= expected - 1e-9).all()
    _, none = best_exchange(ppca, world, ppca.pose_log_likelihood(world, world=True))
    assert np.median(none) < 0 < np.median(gain)


@pytest.mark.parametrize("joint", ["left_wrist", "right_ankle", "head", "pelvis"])
def test_the_joint_that_slipped_is_named_and_moved_back(joint, ppca, world, rng):
    number = H36M17.index(joint)
    broken = world.astype(np.float64)
    broken[:, number] += 0.6 * np.array([0.6, -0.64, 0.48])
    moved = moved_joint(ppca, broken)
    assert (moved.joint == number).mean() > 0.8
    right = moved.joint == number
    others = np.arange(17) != number
    np.testing.assert_array_equal(moved.poses[right][:, others], broken[right][:, others])
    off = np.linalg.norm(moved.poses[right, number] - world[right, number], axis=-1)
    assert np.median(off) < 0.3
    assert (moved.gain > 0).all()
    before, after = (ppca.pose_log_likelihood(poses, world=True) for poses in (broken, moved.poses))
    assert (after > before).mean() > 0.95


def test_the_gain_is_that_of_the_best_place_of_a_joint(ppca, world):
    """The density along no direction rises any more; pose, heading and component held."""
    moved = moved_joint(ppca, world[:1])
    number = int(moved.joint[0])
    start = ppca.pose_log_likelihood(world[:1], world=True)[0]
    tries = np.repeat(world[:1].astype(np.float64), 200, axis=0)
    tries[:, number] += np.random.default_rng(0).normal(size=(200, 3)) * 0.2
    assert (ppca.pose_log_likelihood(tries, world=True) - start).max() < moved.gain[0] + 1.0


def test_turning_and_moving_the_person_changes_no_verdict(ppca, world):
    broken = world.copy()
    broken[:, 13] += [0.5, 0.1, 0.2]
    c, s = np.cos(1.0), np.sin(1.0)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    one, other = moved_joint(ppca, broken), moved_joint(ppca, broken @ turn.T + [1, 2, 0])
    np.testing.assert_array_equal(one.joint, other.joint)
    np.testing.assert_allclose(one.gain, other.gain, rtol=1e-3)
    np.testing.assert_allclose(one.poses @ turn.T + [1, 2, 0], other.poses, atol=1e-4)


def test_nobody_has_nothing_to_repair(ppca, world):
    assert len(moved_joint(ppca, world[:0]).joint) == 0
