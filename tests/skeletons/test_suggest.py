"""A body proposed from topology and bone lengths alone."""

import numpy as np
import pytest
from readers.rig_files import rig

from vipe.errors import SkeletonError
from vipe.skeletons.suggest import propose


def proposed(joints, names=None):
    at = np.array([joint.at for joint in joints])
    parents = [joint.parent for joint in joints]
    offsets = at - np.where(np.array(parents)[:, None] >= 0, at[parents], 0)
    return propose(names or [f"n{i}" for i in range(len(joints))], parents, offsets)


@pytest.mark.parametrize(
    "built",
    [{}, {"a_pose": True}, {"fingers": True}, {"twists": True}, {"spines": 7}, {"hip_joints": True}, {"helper": True}],
    ids=lambda built: next(iter(built), "plain"),
)
def test_a_body_without_names_is_found(built):
    joints = rig(**built)
    found = proposed(joints)
    for role, i in found.roles.joints.items():
        if role not in ("head", "head_end"):  # without the top of the head, head and neck cannot be told apart
            assert joints[i].role == role
    assert 0.3 < found.sure < 0.8


def test_names_make_it_surer_and_decide_on_sides():
    joints = rig()
    named = proposed(joints, [joint.role for joint in joints])
    assert named.sure > proposed(joints).sure + 0.2
    swapped = proposed(
        joints, [j.role.replace("left", "x").replace("right", "left").replace("x", "right") for j in joints]
    )
    assert joints[swapped.roles.joints["left_knee"]].role == "right_knee"


@pytest.mark.parametrize("without", ["neck", "left_shoulder", "right_hip"])
def test_what_lacks_a_limb_or_a_head_is_no_body(without):
    joints = rig()
    gone = next(i for i, joint in enumerate(joints) if joint.role == without)
    below = {gone}
    for i, joint in enumerate(joints):
        if joint.parent in below:
            below.add(i)
    kept = [i for i in range(len(joints)) if i not in below]
    for i in kept:
        joints[i].parent = kept.index(joints[i].parent) if joints[i].parent >= 0 else -1
    with pytest.raises(SkeletonError, match="no body was found"):
        proposed([joints[i] for i in kept])
