"""Joint names without prefix, case and separators, and the sides in them."""

import pytest

from vipe.skeletons.names import Plain, bare, plain_names, sided

BODY = ["Hips", "Spine", "LeftUpLeg", "RightUpLeg", "LeftArm", "RightArm", "Head"]


@pytest.mark.parametrize(
    "spell",
    ["{}", "mixamorig:{}", "mixamorig7:{}", "Armature|{}", "a:b:{}", "Jesse_{}", "mixamorig{}", "My_Rig_{}", "{}_jnt"],
)
def test_what_most_names_share_is_no_part_of_them(spell):
    assert [name.key for name in plain_names([spell.format(joint) for joint in BODY])] == [j.lower() for j in BODY]


def test_few_names_keep_what_they_share():
    assert [name.key for name in plain_names(["arm_upper", "arm_lower"])] == ["armupper", "armlower"]


def test_a_side_that_most_names_share_is_kept():
    names = plain_names([f"L_{part}" for part in "abcdefgh"])
    assert all(next(iter(sided(name)))[0] == "left" for name in names)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("l", "hip"), ("left", "hip")),
        (("thigh", "r"), ("right", "thigh")),
        (("bip01", "l", "upperarm"), ("left", "upperarm")),
        (("lefthip",), ("left", "hip")),
        (("rshldr",), ("right", "shldr")),
        (("hipright",), ("right", "hip")),
        (("j", "bip", "l", "hand"), ("left", "hand")),
        (("head",), ("", "head")),
    ],
)
def test_a_side_is_found_where_programs_put_it(words, meant):
    assert meant in list(sided(Plain(words)))


def test_separators_alone_are_a_name_too():
    assert [bare(name) for name in (":", "_", "a:", "|b")] == [":", "_", "a", "b"]
    assert len(plain_names([":", "_", " ", "-", ".", "|"])) == 6


def test_numbers_that_count_the_joints_are_left_out_and_those_of_chains_kept():
    counted = [f"{name}_{i:03}" for i, name in enumerate(("Hips", "Spine_01", "Spine_02", "Arm_l", "Arm_r", "Head"))]
    assert [name.key for name in plain_names(counted)] == ["hips", "spine01", "spine02", "arml", "armr", "head"]
    chains = [f"{name}_{i:02}" for name in ("arm", "leg", "tail") for i in (1, 2)]
    assert [name.key for name in plain_names(chains)] == ["arm01", "arm02", "leg01", "leg02", "tail01", "tail02"]


def test_a_number_that_all_names_end_with_is_left_out():
    names = [f"{name}1" for name in ("Hips", "LeftArm", "RightArm", "Head", "Neck", "Spine1")]
    assert [name.key for name in plain_names(names)] == ["hips", "leftarm", "rightarm", "head", "neck", "spine1"]
