"""The pieces that motion is made of: limbs of two bones, curves in time, bodies, limits."""

import math

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from vipe.simulate.motion.actor import Actor
from vipe.simulate.motion.body import CHANNELS, LIMITS, limit, sample_body
from vipe.simulate.motion.figure import figure
from vipe.simulate.motion.ik import elbow_angles, middle_joint, reach_for_bend, turn_from_down
from vipe.simulate.motion.timing import interpolate, minimum_jerk, swing_height, wander
from vipe.skeletons import load


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def directions(count, generator):
    vectors = generator.standard_normal((count, 3))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_the_middle_joint_is_a_bone_away_from_both_ends(generator):
    root = generator.standard_normal((100, 3))
    end = root + directions(100, generator) * generator.uniform(0.15, 0.69, (100, 1))
    pole = directions(100, generator)
    middle = middle_joint(root, end, pole, 0.4, 0.3)
    np.testing.assert_allclose(np.linalg.norm(middle - root, axis=-1), 0.4)
    np.testing.assert_allclose(np.linalg.norm(end - middle, axis=-1), 0.3)
    line = (end - root) / np.linalg.norm(end - root, axis=-1, keepdims=True)
    side = pole - (pole * line).sum(-1, keepdims=True) * line
    assert (((middle - root) * side).sum(-1) > 0).all()


def test_reach_follows_the_law_of_cosines():
    bend = np.array([0.0, np.pi / 2, 2.0])
    wanted = [0.82, math.hypot(0.42, 0.4), math.sqrt(0.42**2 + 0.4**2 - 2 * 0.42 * 0.4 * math.cos(np.pi - 2.0))]
    np.testing.assert_allclose(reach_for_bend(0.42, 0.4, bend), wanted)


def test_turning_from_down_takes_down_there_and_keeps_lengths(generator):
    way, vector = directions(50, generator), generator.standard_normal((50, 3))
    np.testing.assert_allclose(turn_from_down(way, np.broadcast_to([0.0, 0.0, -1.0], (50, 3))), way, atol=1e-9)
    turned = turn_from_down(way, vector)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), np.linalg.norm(vector, axis=-1))


@pytest.mark.parametrize("side", ["left", "right"])
def test_an_arm_told_to_reach_a_point_reaches_it(side, generator):
    """Forward kinematics of the angles brings the wrist to the target, seen from the shoulder."""
    body = sample_body("somebody", generator)
    actor = Actor(body, generator)
    joints, sign = load("h36m17").joints, 1 if side == "left" else -1
    for _ in range(20):
        target = directions(1, generator)[0] * generator.uniform(0.35, 0.95) * body.arm
        target[0] = abs(target[0])
        angles = elbow_angles(tuple(target), 0.6, body.upper_arm, body.forearm, sign)
        controls = np.zeros((1, len(CHANNELS)))
        controls[0, CHANNELS.index("z")] = 2.0
        for name, value in actor.arm_channels(side, angles).items():
            controls[0, CHANNELS.index(name)] = value
        pose = figure(body, controls, actor.footwork(np.array([0.0])))[0]
        found = pose[joints.index(f"{side}_wrist")] - pose[joints.index(f"{side}_shoulder")]
        np.testing.assert_allclose(found, target, atol=1e-6)


def test_curves_agree_with_scipy_between_rests():
    knots = [[(0.0, 0.0), (0.0 + 1e-9, 0.0), (1.0, 2.0), (2.5, 3.0), (3.0, 2.0), (4.0, 2.0)], [(0.0, 5.0)]]
    times = np.linspace(0, 4, 200)
    found = interpolate(knots, times)
    np.testing.assert_array_equal(found[:, 1], 5.0)
    inner = (times > 1.0) & (times < 3.0)  # at the ends scipy does not come to rest
    x, y = np.array(knots[0][2:]).T
    x, y = np.r_[0.0, x], np.r_[0.0, y]
    np.testing.assert_allclose(found[inner, 0], PchipInterpolator(x, y)(times)[inner], atol=1e-9)


def test_curves_pass_their_knots_hold_and_never_overshoot(generator):
    times = np.cumsum(generator.uniform(0.1, 1.0, 30))
    values = generator.standard_normal(30)
    values[10] = values[11]
    fine = np.linspace(times[0], times[-1], 5000)
    found = interpolate([list(zip(times, values, strict=True))], fine)[:, 0]
    np.testing.assert_allclose(interpolate([list(zip(times, values, strict=True))], times)[:, 0], values, atol=1e-9)
    held = (fine >= times[10]) & (fine <= times[11])
    np.testing.assert_allclose(found[held], values[10], atol=1e-9)
    for i in range(29):
        within = found[(fine >= times[i]) & (fine <= times[i + 1])]
        assert within.min() >= min(values[i : i + 2]) - 1e-9
        assert within.max() <= max(values[i : i + 2]) + 1e-9


def test_movements_start_and_end_at_rest():
    phase = np.array([0.0, 1e-4, 0.5, 1 - 1e-4, 1.0])
    np.testing.assert_allclose(minimum_jerk(phase), [0, 0, 0.5, 1, 1], atol=1e-6)
    np.testing.assert_allclose(swing_height(phase)[[0, 1, 3, 4]], 0, atol=1e-6)
    assert swing_height(np.linspace(0, 1, 1001)).max() == pytest.approx(1.0)


def test_wandering_is_smooth_centred_and_about_one_wide(generator):
    times = np.arange(0, 200, 1 / 30)
    values = wander(times, 8, 0.5, generator)
    assert values.shape == (len(times), 8)
    assert abs(values.mean()) < 0.15
    assert 0.8 < values.std() < 1.2
    assert np.abs(np.diff(values, 2, axis=0)).max() * 900 < 200


def test_no_channel_passes_its_limit_and_comfortable_ones_are_untouched(generator):
    wild = generator.normal(0, 5, (200, len(CHANNELS)))
    limited = limit(wild)
    for i, channel in enumerate(CHANNELS):
        name = channel.removeprefix("left_").removeprefix("right_")
        if name in LIMITS:
            low, high = LIMITS[name]
            assert limited[:, i].min() >= low - 1e-12
            assert limited[:, i].max() <= high + 1e-12
            easy = np.abs(wild[:, i] - (low + high) / 2) < 0.89 * (high - low) / 2
            np.testing.assert_allclose(limited[easy, i], wild[easy, i], atol=1e-12)
        else:
            np.testing.assert_array_equal(limited[:, i], wild[:, i])


def test_bodies_are_people(generator):
    bodies = [sample_body(f"body-{i}", generator) for i in range(200)]
    heights = np.array([body.height for body in bodies])
    assert 1.5 <= heights.min() < 1.6 < 1.85 < heights.max() <= 2.0
    for body in bodies:
        assert 0.45 < body.leg / body.height < 0.55
        assert 0.27 < body.arm / body.height < 0.37
        crown = body.standing + body.torso + body.neck[2] + body.crown[2]
        assert 0.88 < crown / body.height < 1.12


def test_channels_go_no_faster_than_muscles_allow(generator):
    actor = Actor(sample_body("somebody", generator), generator)
    start = actor.value("left_arm_forward")
    actor.keep(1.0, ["left_arm_forward"])
    actor.key(1.01, left_arm_forward=3.0)
    assert abs(actor.value("left_arm_forward") - start) < 0.01
    actor.key(2.0, left_arm_forward=3.0)
    assert actor.value("left_arm_forward") == 3.0


def test_a_knot_replaces_what_was_planned_for_later(generator):
    actor = Actor(sample_body("somebody", generator), generator)
    actor.key(1.0, head_twist=0.5)
    actor.key(2.0, head_twist=-0.5)
    actor.key(1.5, head_twist=0.1)
    assert [time for time, _ in actor.knots["head_twist"]] == [0.0, 1.0, 1.5]


def test_feet_rest_between_steps(generator):
    actor = Actor(sample_body("somebody", generator), generator)
    actor.step("left", 1.0, 0.5, (0.4, 0.1), 0.2, 0.1)
    times = np.linspace(0, 3, 61)
    feet = actor.footwork(times)
    left = feet.ankles[:, 0]
    assert np.ptp(left[times <= 1.0], axis=0).max() == 0
    np.testing.assert_allclose(left[times >= 1.5], [[0.4, 0.1, actor.body.sole]] * (times >= 1.5).sum())
    assert left[:, 2].max() > actor.body.sole + 0.09
    assert feet.bearing[times > 2, 0].min() == 1
    assert feet.bearing[np.isclose(times, 1.25), 0].max() == 0
    assert math.isclose(feet.yaw[-1, 0], 0.2)
