"""Conventions name skeletons and joints that exist, and say the same of both sides of the body."""

import tomllib
from importlib import resources

import numpy as np
import pytest

from vipe.detections import Keypoints
from vipe.errors import SkeletonError
from vipe.retrieve import BONE_GROUPS
from vipe.skeletons import known, load
from vipe.skeletons.joint_conventions import (
    ARCHIVE,
    UNKNOWN,
    JointConvention,
    convention_of,
    conventions,
    load_convention,
)
from vipe.skeletons.working import COCO13, COCO13_MIRRORED, without_side


def table(name):
    folder = resources.files("vipe.skeletons").joinpath("conventions")
    return tomllib.loads(folder.joinpath(f"{name}.toml").read_text("utf-8"))


@pytest.mark.parametrize("name", conventions())
def test_the_skeletons_of_a_convention_exist_and_can_be_searched_with(name):
    for skeleton in table(name)["skeletons"]:
        assert skeleton in known()
        assert convention_of(skeleton) == name
        body = load(skeleton)
        if skeleton not in ("h36m32", "mpi_inf_3dhp17", "mpi_inf_3dhp28", "coco13"):  # of files of 3D joints, or itself
            assert COCO13.name in body.conversions


def test_no_skeleton_has_two_conventions():
    named = [skeleton for name in conventions() for skeleton in table(name)["skeletons"]]
    assert len(named) == len(set(named))


@pytest.mark.parametrize(
    ("skeleton", "convention"),
    [
        ("coco17", "coco"),
        ("coco133", "coco"),
        ("halpe26", "coco"),
        ("openpose18", "openpose"),
        ("openpose25", "openpose"),
        ("openpose25b", "openpose"),
        ("mediapipe33", "blazepose"),
        ("h36m17", "h36m"),
        ("coco13", ARCHIVE),
        ("lsp14", UNKNOWN),
        ("mpii16", UNKNOWN),
        ("a skeleton of my own", UNKNOWN),
    ],
)
def test_a_skeleton_has_the_convention_of_who_writes_it(skeleton, convention):
    assert convention_of(skeleton) == convention


@pytest.mark.parametrize("name", conventions())
def test_tables_speak_of_joints_and_bones_that_there_are(name):
    said, joints = table(name), {without_side(joint) for joint in COCO13.joints}
    assert set(said) <= {"skeletons", "source", "mean", "spread", "bones"}
    assert set(said.get("mean", {})) | set(said.get("spread", {})) <= joints
    assert set(said.get("bones", {})) <= set(BONE_GROUPS)
    assert "spread" not in said or set(said["spread"]) == joints  # a joint that is left out would be exact
    assert all(value > 0 for part in ("spread", "bones") for value in said.get(part, {}).values())


@pytest.mark.parametrize("name", conventions())
def test_both_sides_are_marked_alike(name):
    convention = load_convention(name)
    assert convention.name == name and convention.source
    mirrored = list(COCO13_MIRRORED)
    np.testing.assert_array_equal(convention.mean[mirrored], convention.mean * [1, -1, 1])
    np.testing.assert_array_equal(convention.spread[mirrored], convention.spread)


def test_the_numbers_are_those_of_the_table():
    coco, said = load_convention("coco"), table("coco")
    for joint in ("shoulder", "hip", "ankle"):
        row = COCO13.index(f"right_{joint}")
        assert coco.mean[row].tolist() == said["mean"][joint]
        assert coco.spread[row] == said["spread"][joint]
    assert not coco.mean[COCO13.index("nose")].any()
    assert coco.bones == said["bones"]
    np.testing.assert_array_equal(coco.offsets, JointConvention.STRENGTH * coco.mean)


def test_the_archives_own_convention_alone_is_exact():
    assert [name for name in conventions() if load_convention(name).is_exact] == [ARCHIVE]
    archive = load_convention(ARCHIVE)
    assert not archive.offsets.any() and not archive.spread.any() and not archive.bones


def test_what_nobody_tells_covers_what_is_known():
    unknown = load_convention(UNKNOWN)
    assert not unknown.mean.any()
    for name in conventions():
        known_offset = np.linalg.norm(load_convention(name).offsets, axis=1)
        assert (known_offset <= 2 * unknown.spread).all()
        assert (load_convention(name).spread <= unknown.spread).all()


def test_the_tables_cannot_be_written_to():
    for array in (load_convention("coco").mean, load_convention("coco").spread):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_convention_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(SkeletonError, match=r"no convention of joints 'cocoo'; there are archive, blazepose, coco, "):
        load_convention("cocoo")


def test_keypoints_know_every_convention():
    xy = np.random.default_rng(0).uniform(1, 400, (1, 13, 2))
    for name in conventions():
        assert Keypoints.of(xy, convention=name).convention == name


def test_blazepose_has_offsets_of_its_own_near_openposes():
    own, other = (load_convention(name).mean for name in ("blazepose", "openpose"))
    assert 0.01 < np.abs(own - other).max() < 0.03
