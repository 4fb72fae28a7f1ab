import os

import numpy as np
import pytest

from vipe.errors import ShapeError, SkeletonError
from vipe.skeletons import Skeleton, convert, detect, known, load

MOCAP = ["bandai", "cc_base", "cmu_asf"]

TABLE = """
name = "stick"
unit = 0.01
up = "y"
joints = [{ name = "root" }, { name = "left_tip", parent = "root" }, { name = "right_tip", parent = "root" }]
mirror = [["left_tip", "right_tip"]]
[[sites]]
name = "crown"
joint = "root"
offset = [0, 0.5, 0]
[to.h36m17]
pelvis = ["left_tip", "right_tip"]
head = "crown"
nose = { root = 0.25, crown = 0.75 }
spine = false
"""


@pytest.fixture
def stick(tmp_path):
    path = tmp_path / "stick.toml"
    path.write_text(TABLE)
    return load(str(path))


@pytest.mark.parametrize("name", known())
def test_every_table_is_a_tree_whose_mirror_is_an_involution(name):
    skeleton = load(name)
    roots = sum(parent < 0 for parent in skeleton.parents)
    assert roots == 1 or "unit" in skeleton.unstated  # keypoints and markers may hang on nothing
    assert all(parent < child for child, parent in enumerate(skeleton.parents))
    mirrored = np.array(skeleton.mirrored)
    np.testing.assert_array_equal(mirrored[mirrored], np.arange(len(skeleton)))


@pytest.mark.parametrize("name", MOCAP)
def test_motion_capture_gives_every_joint_of_the_working_skeleton(name):
    matrix, mask = load(name).weights(load("h36m17"))
    assert mask.all()
    np.testing.assert_allclose(matrix.sum(axis=1), 1)


@pytest.mark.parametrize("name", [*MOCAP, "coco17"])
def test_conversion_commutes_with_mirroring(name, rng):
    source, target = load(name), load("h36m17")
    positions = rng.normal(size=(5, len(source), 3)).astype(np.float32)
    mirror_then_convert, _ = convert(positions[:, source.mirrored], source, target)
    convert_then_mirror, _ = convert(positions, source, target)
    np.testing.assert_allclose(mirror_then_convert, convert_then_mirror[:, target.mirrored], atol=1e-6)


def test_conversion_takes_weighted_means_and_masks_what_cannot_be_derived(stick):
    positions = np.array([[[0, 0, 0], [1, 0, 0], [3, 0, 0], [0, 4, 0]]], dtype=np.float32)
    target = load("h36m17")
    converted, mask = convert(positions, stick, target)
    np.testing.assert_allclose(converted[0, target.index("pelvis")], [2, 0, 0])
    np.testing.assert_allclose(converted[0, target.index("nose")], [0, 3, 0])
    assert mask[target.index("head")]
    assert not mask[target.index("spine")]
    np.testing.assert_array_equal(converted[0, target.index("spine")], 0)


def test_the_working_skeleton_gives_the_query_skeleton():
    _, mask = load("h36m17").weights(load("coco13"))
    assert mask.all()


def test_top_of_head_cannot_be_derived_from_coco():
    _, mask = load("coco17").weights(load("h36m17"))
    assert [joint for joint, given in zip(load("h36m17").joints, mask, strict=True) if not given] == ["head"]


@pytest.mark.parametrize("name", known())
def test_a_skeleton_is_told_from_its_joint_names(name):
    skeleton = load(name)
    sites = {site.name for site in skeleton.sites}
    names = [joint for joint in skeleton.joints if joint not in sites]
    found = load(detect(names).name)
    assert found.name == name or set(found.joints) == set(skeleton.joints)  # the same names in another order


def test_joints_a_table_does_not_know_are_ignored_and_unused_ones_may_be_absent():
    names = [joint for joint in load("cc_base").joints if "Toe" not in joint and joint not in ("nose", "head")]
    found = detect([*names, "Sword"])
    assert found.name == "cc_base"
    assert found.joints == (*names, "nose", "head")
    assert all(parent < child for child, parent in enumerate(found.parents))


def test_a_users_table_is_a_file_and_wins(stick):
    found = detect(["root", "left_tip", "right_tip"], extra=[stick])
    assert found.name == "stick"
    assert found.joints == ("root", "left_tip", "right_tip", "crown")


def test_an_unknown_skeleton_names_the_nearest_and_what_is_missing():
    names = [joint for joint in load("bandai").joints if joint not in ("Hand_L", "Neck")]
    with pytest.raises(SkeletonError, match=r"nearest known one is bandai, of which 2 are missing: Hand_L, Neck"):
        detect(names)


def test_restricting_hangs_joints_on_the_nearest_ancestor_that_stays():
    leg = load("h36m17").restricted(["pelvis", "left_ankle"])
    assert leg.parents == (-1, 0)


@pytest.mark.refusal
def test_positions_of_another_skeleton_are_refused():
    with pytest.raises(ShapeError, match=r"must end in \(17, dim\), got shape \(2, 13, 3\)"):
        convert(np.zeros((2, 13, 3)), load("h36m17"), load("coco13"))


@pytest.mark.refusal
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("root = 0.25", "root = 0.5"), "sum to 1.25"),
        (("unit = 0.01", "units = 0.01"), "unknown units; a table has far_ends, joints, mirror, name"),
        (('"crown"\njoint', '"root"\njoint'), "listed twice: root"),
        (('up = "y"', 'up = "w"'), "up must be 'y' or 'z'"),
        (('parent = "root" }, { name = "right', 'parent = "nobody" }, { name = "right'), "not a skeleton table"),
        (('["left_tip", "right_tip"]]', '["left_tip", "tail"]]'), "not listed: tail"),
        (("[to.h36m17]", "[to.h36m17"), "not a skeleton table"),
        (("offset = [0, 0.5, 0]", "offset = [0, 0.5]"), "not a skeleton table"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(tmp_path, change, message):
    path = tmp_path / "broken.toml"
    assert change[0] in TABLE
    path.write_text(TABLE.replace(*change))
    with pytest.raises(SkeletonError, match=message):
        load(str(path))


def test_a_name_that_is_neither_known_nor_a_file_lists_the_known_ones():
    with pytest.raises(SkeletonError, match="known are aic14, bandai, cc_base, cmu_asf"):
        load("mixamo")


def test_a_missing_joint_or_conversion_is_named():
    with pytest.raises(SkeletonError, match="has no joint 'tail'"):
        load("h36m17").index("tail")
    with pytest.raises(SkeletonError, match="no conversion to bandai"):
        load("h36m17").weights(load("bandai"))


def test_a_users_table_wins_even_over_one_that_explains_more_of_the_file():
    mine = Skeleton(name="mine", joints=("nose",), parents=(-1,))
    assert detect(load("coco17").joints, extra=[mine]).name == "mine"


def test_a_table_that_was_edited_is_read_anew(tmp_path):
    path = tmp_path / "stick.toml"
    path.write_text(TABLE)
    first = load(str(path))
    assert load(str(path)) is first
    path.write_text(TABLE.replace("0.01", "0.02"))
    assert load(str(path)).unit == 0.02


@pytest.mark.refusal
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_in_place_of_a_table_is_said_to_be_one(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(SkeletonError, match=r"pipe.toml: is a pipe, .*expected the table of a skeleton"):
        load(str(tmp_path / "pipe.toml"))


def test_a_number_beyond_all_floats_is_refused_in_one_line(tmp_path):
    (tmp_path / "huge.toml").write_text(
        f'name = "huge"\nunit = 1{"0" * 400}\njoints = [{{ name = "root" }}]\n', encoding="utf-8"
    )
    with pytest.raises(SkeletonError, match="not a skeleton table"):
        load(str(tmp_path / "huge.toml"))
