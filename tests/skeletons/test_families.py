"""Families of joint names: tables that do not contradict themselves, and what fits them."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from readers.rig_files import FAMILIES, Joint, rig, without

from vipe.skeletons.families import families, match_family
from vipe.skeletons.roles import LIMBS, body_skeleton


def matched(joints):
    lengths = [1.0] * len(joints)
    return match_family([joint.name for joint in joints], [joint.parent for joint in joints], lengths)


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_a_family_has_words_for_all_limbs_and_none_twice_but_shoulder_and_foot(family):
    assert {part for limb in LIMBS for part in limb} <= family.side.keys()
    for parts in (family.middle, family.side):
        words = Counter(word for spelled in parts.values() for word in spelled)
        assert {word for word, count in words.items() if count > 1} <= {"shoulder", "foot"}
        assert all(word == word.lower() and word.isalnum() for word in words)


@pytest.mark.parametrize("naming", FAMILIES)
def test_every_role_is_its_joint(naming):
    joints = rig(naming, fingers=True, twists=True, hip_joints=True)
    found, _, lacks = matched(joints)
    assert (found is not None, lacks) == (True, "")
    for role, i in found.roles.joints.items():
        if role != "hips" or joints[i].role == "hips":
            assert joints[i].role == role


@pytest.mark.parametrize(("naming", "lacking"), [("ipi", "collar"), ("fortress", "toe")])
def test_a_word_of_two_roles_stands_for_the_one_that_a_body_needs(naming, lacking):
    joints = without(rig(naming), {f"left_{lacking}", f"right_{lacking}"})
    found, _, lacks = matched(joints)
    assert (found is not None, lacks) == (True, "")
    assert all(joints[i].role in (role, "hips") for role, i in found.roles.joints.items())


@pytest.mark.parametrize(("naming", "family"), [("upleg", "upleg"), ("unity", "upper_lower_leg")])
def test_of_two_families_the_one_whose_usual_words_they_are_is_taken(naming, family):
    joints = rig(naming)
    for side, x in (("Left", 0.09), ("Right", -0.09)):  # helpers whose name another family has for the hip
        hip = next(i for i, joint in enumerate(joints) if joint.role == f"{side.lower()}_hip")
        knee = next(joint for joint in joints if joint.role == f"{side.lower()}_knee")
        knee.parent = len(joints)
        joints.append(Joint(f"{side}Thigh", "helper", hip, np.array([x, 0, 0.7])))
    order = [i for i, joint in enumerate(joints) if joint.role != "helper" and "knee" not in joint.role]
    order.sort(key=lambda i: joints[i].role.endswith(("ankle", "toe")))
    first = [i for i in order if not joints[i].role.endswith(("ankle", "toe"))]
    whole = [*first, *(i for i, joint in enumerate(joints) if joint.role == "helper")]
    whole += [i for i, joint in enumerate(joints) if "knee" in joint.role]
    whole += [i for i in order if i not in first]
    place = {i: at for at, i in enumerate(whole)}
    ordered = [replace(joints[i], parent=place.get(joints[i].parent, -1)) for i in whole]
    found, others, _ = matched(ordered)
    assert (found.name, [other.name for other in others]) == (family, ["thigh"])
    assert ordered[found.roles.joints["left_hip"]].role == "left_hip"


def test_the_thorax_lies_near_the_base_of_the_neck():
    joints = rig()
    names, parents = [joint.name for joint in joints], [joint.parent for joint in joints]
    lengths = [1.0] * len(joints)
    found, _, _ = match_family(names, parents, lengths)
    none = (0.0, 0.0, 0.0)
    body = body_skeleton("x", names, parents, lengths, found.roles, nose=none, crown=none, unit=1.0, up="z")
    thorax = body.conversions["h36m17"]["thorax"]
    assert thorax == pytest.approx({"LeftArm": 0.125, "RightArm": 0.125, "Neck": 0.75})


def test_a_file_without_a_wrist_is_told_so():
    joints = [joint for joint in rig() if joint.role != "left_wrist"]
    found, _, lacks = matched(joints)
    assert found is None
    assert lacks == "nearest family upleg, without a joint for left wrist"


def test_names_in_another_tree_are_no_body():
    joints = rig()
    for joint in joints[1:]:
        joint.parent = 0
    assert matched(joints)[0] is None
