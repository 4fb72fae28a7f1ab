"""Families of joint names: tables that do not contradict themselves, and what fits them."""

import pytest
from readers.rig_files import FAMILIES, rig

from vipe.skeletons.families import families, match_family
from vipe.skeletons.roles import LIMBS


def matched(joints):
    lengths = [1.0] * len(joints)
    return match_family([joint.name for joint in joints], [joint.parent for joint in joints], lengths)


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_a_family_has_words_for_all_limbs_and_none_twice(family):
    assert {part for limb in LIMBS for part in limb} <= family.side.keys()
    for parts in (family.middle, family.side):
        words = [word for spelled in parts.values() for word in spelled]
        assert len(set(words)) == len(words)
        assert all(word == word.lower() and word.isalnum() for word in words)


@pytest.mark.parametrize("naming", FAMILIES)
def test_every_role_is_its_joint(naming):
    joints = rig(naming, fingers=True, twists=True, hip_joints=True)
    found, _, lacks = matched(joints)
    assert (found is not None, lacks) == (True, "")
    for role, i in found.roles.joints.items():
        if role != "hips" or joints[i].role == "hips":
            assert joints[i].role == role


def test_a_file_without_an_elbow_is_told_so():
    joints = [joint for joint in rig() if joint.role != "left_wrist"]
    found, _, lacks = matched(joints)
    assert found is None
    assert lacks == "nearest family upleg, without a joint for left wrist"


def test_names_in_another_tree_are_no_body():
    joints = rig()
    for joint in joints[1:]:
        joint.parent = 0
    assert matched(joints)[0] is None
