import numpy as np
import pytest

from vipe.embed.generation.joint_limits import JOINT_ANGLES, JointLimits, joint_angles
from vipe.errors import VipeError
from vipe.skeletons import load

BODY = load("h36m17")


def test_angles_of_a_standing_person(standing):
    angles = dict(zip(JOINT_ANGLES, np.degrees(joint_angles(standing[None])[0]), strict=True))
    assert angles["left knee bend"] == pytest.approx(0, abs=0.1)
    assert angles["right hip up"] == pytest.approx(-90, abs=0.1)
    assert angles["left elbow bend"] > 1
    assert angles["trunk twist"] == pytest.approx(0, abs=0.1)
    assert angles["neck forward"] > 20


def test_a_knee_bends_back_and_a_raised_thigh_points_forward(standing):
    lifted = standing.copy()  # faces +x: the right thigh raised, the shank hanging
    lifted[2] = lifted[1] + [0.43, 0, 0]
    lifted[3] = lifted[2] + [0, 0, -0.42]
    angles = dict(zip(JOINT_ANGLES, np.degrees(joint_angles(lifted[None])[0]), strict=True))
    assert angles["right hip forward"] == pytest.approx(90, abs=0.1)
    assert angles["right knee bend"] == pytest.approx(90, abs=0.1)
    assert angles["right knee forward"] == pytest.approx(-90, abs=0.1)
    bent_forward = standing.copy()
    bent_forward[3] = bent_forward[2] + [0.42, 0, 0]
    angles = dict(zip(JOINT_ANGLES, np.degrees(joint_angles(bent_forward[None])[0]), strict=True))
    assert angles["right knee forward"] == pytest.approx(90, abs=0.1)


def test_angles_depend_on_neither_place_nor_size_and_mirror(poses, turned):
    np.testing.assert_allclose(joint_angles(turned.astype(np.float32)), joint_angles(poses), atol=2e-3)
    mirrored = joint_angles(poses[:, list(BODY.mirrored)] * np.array([1, -1, 1], np.float32))
    swap = {"left": "right", "right": "left"}
    for column, name in enumerate(JOINT_ANGLES):
        side, rest = name.split(" ", 1)
        own = joint_angles(poses)[:, column]
        if side in swap:
            np.testing.assert_allclose(mirrored[:, JOINT_ANGLES.index(f"{swap[side]} {rest}")], own, atol=1e-3)
        else:
            sign = -1 if rest in ("right", "twist") else 1
            np.testing.assert_allclose(mirrored[:, column], sign * own, atol=1e-3)


def test_limits_are_those_of_the_data(moved):
    limits = JointLimits.learn(moved, quantile=0.0)
    assert limits.within(moved).all()
    assert set(limits.broken(moved[:5])[0]) == set()
    broken = moved[:1].copy()
    knee, ankle = BODY.index("right_knee"), BODY.index("right_ankle")
    pelvis_to_hip = broken[:, 1] - broken[:, 0]
    broken[:, ankle] = broken[:, knee] + 3 * pelvis_to_hip  # a shank out to the side
    assert "right knee outward" in limits.broken(broken)[0]


def test_limits_of_too_few_poses_or_of_another_quantile_are_refused(poses):
    with pytest.raises(VipeError, match="at least 100 poses, got 60"):
        JointLimits.learn(poses)
    with pytest.raises(VipeError, match="quantile"):
        JointLimits.learn(np.concatenate([poses, poses]), quantile=0.5)


def test_limits_leave_out_the_quantile_and_add_the_slack_outward_the_same_for_both_sides(moved):
    angles = joint_angles(moved)
    knees = [JOINT_ANGLES.index(f"{side} knee bend") for side in ("left", "right")]
    both = np.concatenate([angles[:, knee] for knee in knees])
    limits = JointLimits.learn(moved, quantile=0.1, slack=0.05)
    low, high = np.quantile(both, [0.1, 0.9])
    np.testing.assert_allclose(limits.low[knees], low - 0.05, atol=1e-3)
    np.testing.assert_allclose(limits.high[knees], high + 0.05, atol=1e-3)
