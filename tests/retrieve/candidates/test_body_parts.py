"""Parts of the body by name: which joints they are, and what people keep of them."""

import numpy as np
import pytest

from vipe.detections import Keypoints
from vipe.errors import ArgumentError, VipeError
from vipe.retrieve.candidates.body_parts import BODY_PARTS, joint_weights, only_joints
from vipe.skeletons.working import COCO13, H36M17


@pytest.fixture
def people(rng):
    mask = np.ones((2, 13), dtype=bool)
    mask[1, COCO13.index("left_wrist")] = False
    return Keypoints.of(rng.uniform(10, 500, size=(2, 13, 2)), mask)


def seen(people):
    return [{joint for joint, own in zip(COCO13.joints, mask, strict=True) if own} for mask in people.mask]


def counting(joints):
    return {joint for joint, own in zip(H36M17.joints, joint_weights(joints), strict=True) if own}


def test_parts_cover_the_body_and_have_sides():
    assert counting(tuple(BODY_PARTS)) == set(H36M17.joints)
    assert counting(("upper",)) | counting(("lower",)) == set(H36M17.joints)
    assert not counting(("upper",)) & counting(("lower",))
    assert counting(("arms",)) == counting(("left_arm", "right_arm"))
    assert counting(("left_leg",)) == {"left_hip", "left_knee", "left_ankle"}
    assert {joint.replace("left", "right") for joint in BODY_PARTS["left_arm"]} == set(BODY_PARTS["right_arm"])


def test_the_last_name_says_how_much_a_joint_counts():
    weight = joint_weights({"torso": 2, "left_hip": 0, "nose": 0.5})
    assert weight[H36M17.index("left_hip")] == 0
    assert weight[H36M17.index("right_hip")] == 2
    assert weight[H36M17.index("nose")] == 0.5
    assert weight.sum() == 6 * 2 + 0.5


def test_people_keep_the_named_keypoints_that_were_seen(people):
    upper = {"nose", *(f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist"))}
    kept = only_joints(people, ("upper",), 6)
    assert seen(kept) == [upper, upper - {"left_wrist"}]
    np.testing.assert_array_equal(kept.xy[kept.mask], people.xy[kept.mask])
    assert seen(only_joints(people, {"torso": 3.0, "head": 3.0}, 4))[0] == {
        *(f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "hip")),
        "nose",
    }


@pytest.mark.refusal
@pytest.mark.parametrize(
    ("joints", "error", "message"),
    [
        ("upper", ArgumentError, "sequence of names or weights by name, got 'upper'"),
        (5, ArgumentError, "got 5"),
        ((), VipeError, "no joint counts"),
        ({"upper": 0}, VipeError, "no joint counts"),
        ({"upper": -1}, VipeError, "weight of upper must be finite and at least 0, got -1"),
        ({"upper": np.inf}, VipeError, "weight of upper must be finite"),
        ({"upper": "1"}, ArgumentError, "weight of upper must be a number, got '1'"),
        ({"upper": True}, ArgumentError, "weight of upper must be a number"),
        (("uper",), VipeError, "no part or joint 'uper'; parts are head, torso"),
    ],
)
def test_refuses_names_and_weights_that_mean_nothing(joints, error, message):
    with pytest.raises(error, match=message):
        joint_weights(joints)


def test_refuses_keypoints_that_no_search_could_use(people):
    with pytest.raises(
        VipeError, match=r"4 keypoints are named \(nose, left_shoulder, left_elbow, left_wrist\), at least 6"
    ):
        only_joints(people, ("head", "left_arm"), 6)
    with pytest.raises(VipeError, match=r"0 keypoints are named \(none\)"):
        only_joints(people, ("spine", "thorax"), 4)
    with pytest.raises(VipeError, match="weights must be equal"):
        only_joints(people, {"upper": 1, "lower": 2}, 4)
