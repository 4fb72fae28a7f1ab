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
