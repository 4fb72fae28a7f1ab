import numpy as np
import pytest

import vipe
from vipe.clips import Clip
from vipe.skeletons import Skeleton, load
from vipe.writers import write
from vipe.writers.rig import known_rigs, load_rig

BODY = load("h36m17")


def back(path, skeletons=()):
    (read,) = vipe.read(path, skeletons=skeletons)
    return read


def hierarchy(path):
    """Name, parent, OFFSET and number of channels of each joint, in the order of the file."""
    joints, open_ = [], []
    for line in path.read_text().partition("MOTION")[0].splitlines():
        words = line.split()
        if words[0] in ("ROOT", "JOINT", "End"):
            joints.append([" ".join(words[1:]), open_[-1] if open_ else -1])
        elif words[0] == "{":
            open_.append(len(joints) - 1)
        elif words[0] == "}":
            open_.pop()
        elif words[0] == "OFFSET":
            joints[-1].append(np.array(words[1:], dtype=float))
        elif words[0] == "CHANNELS":
            joints[-1].append(words[2:])
    return joints


def rows(path):
    lines = path.read_text().partition("MOTION\n")[2].splitlines()[2:]
    return np.array([line.split() for line in lines], dtype=float)


@pytest.mark.parametrize("kind", ["moving", "recorded"])
def test_what_is_written_is_read_again(kind, request, tmp_path):
    clip = request.getfixturevalue(kind)(fps=29.97)
    error = write(tmp_path / "a.bvh", clip)
    read = back(tmp_path / "a.bvh")
    np.testing.assert_allclose(read.positions, clip.positions, atol=1e-4)
    assert error < 1e-4
    assert read.skeleton.name == "h36m17"
    assert read.fps == pytest.approx(29.97)


@pytest.mark.parametrize("names", known_rigs())
def test_another_reader_reads_the_same(recorded, names, tmp_path):
    pybvh = pytest.importorskip("pybvh", reason="pybvh, of the extra `test`, is not installed")
    clip, rig = recorded(8), load_rig(names)
    write(tmp_path / "a.bvh", clip, names=names)
    other = pybvh.read_bvh_file(tmp_path / "a.bvh")
    found, places = list(other.joint_names), other.joint_positions() * rig.unit
    if rig.up == "y":
        x, y, z = np.moveaxis(places, -1, 0)
        places = np.stack([x, -z, y], axis=-1)
    for joint in rig.joints:
        if joint.at in BODY.joints:
            expected = clip.positions[:, BODY.index(joint.at)]
            np.testing.assert_allclose(places[:, found.index(joint.name)], expected, atol=1e-4)


@pytest.mark.parametrize("names", known_rigs())
def test_only_the_root_has_positions_and_a_joint_without_children_has_an_end(recorded, names, tmp_path):
    write(tmp_path / "a.bvh", recorded(4), names=names)
    joints = hierarchy(tmp_path / "a.bvh")
    turns = ["Zrotation", "Xrotation", "Yrotation"]
    assert joints[0][3] == ["Xposition", "Yposition", "Zposition", *turns]
    assert joints[0][2].tolist() == [0, 0, 0]
    assert all(joint[3] == turns for joint in joints[1:] if joint[0] != "Site")
    parents = {joint[1] for joint in joints}
    assert all(number in parents for number, joint in enumerate(joints) if joint[0] != "Site")
    assert "-0.000000" not in (tmp_path / "a.bvh").read_text()


@pytest.mark.parametrize(("names", "unit", "up"), [("h36m17", 1, 2), ("mixamo", 100, 1), ("unreal", 100, 1)])
def test_at_rest_the_arms_are_out_and_the_legs_down_in_the_unit_and_axes_of_the_file(moving, names, unit, up, tmp_path):
    clip = moving(4)
    write(tmp_path / "a.bvh", clip, names=names)
    joints = {joint[0].removeprefix("mixamorig:"): joint[2] for joint in hierarchy(tmp_path / "a.bvh")}
    forearm, shin = {
        "h36m17": ("left_wrist", "left_ankle"),
        "mixamo": ("LeftHand", "LeftFoot"),
        "unreal": ("hand_l", "foot_l"),
    }[names]

    def length(a, b):
        return unit * np.linalg.norm(clip.positions[0, BODY.index(a)] - clip.positions[0, BODY.index(b)])

    down = np.zeros(3)
    down[up] = -length("left_knee", "left_ankle")
    np.testing.assert_allclose(joints[forearm], [length("left_elbow", "left_wrist"), 0, 0], atol=1e-3)
    np.testing.assert_allclose(joints[shin], down, atol=1e-3)


def test_angles_do_not_jump(standing, tmp_path):
    angle = np.linspace(0, 3 * np.pi, 60)  # a somersault and a half turns the angle in the middle through 90 degrees
    c, s, zero, one = np.cos(angle), np.sin(angle), 0 * angle, 1 + 0 * angle
    for name, turn in {
        "spin": [[c, -s, zero], [s, c, zero], [zero, zero, one]],
        "somersault": [[one, zero, zero], [zero, c, -s], [zero, s, c]],
        "cartwheel": [[c, zero, s], [zero, one, zero], [-s, zero, c]],
    }.items():
        turned = np.einsum("ijt,kj->tki", np.array(turn), standing)
        clip = Clip(name=name, skeleton=BODY, positions=turned, fps=30.0)
        write(tmp_path / f"{name}.bvh", clip)
        found = rows(tmp_path / f"{name}.bvh")[:, 3:]
        assert np.abs(np.diff(found, axis=0)).max() < 20, name
        np.testing.assert_allclose(back(tmp_path / f"{name}.bvh").positions, clip.positions, atol=1e-4)


@pytest.mark.parametrize("up", ["x", "y", "z", "-x", "-y", "-z"])
def test_unit_and_up_axis_of_a_skeleton_of_your_own_are_its_own(up, tmp_path, rng):
    joints = ("shoulder", "elbow", "wrist")
    arm = Skeleton(name="arm", joints=joints, parents=(-1, 0, 1), unit=0.01, up=up)
    away = rng.normal(size=(4, 3, 3))
    moving = np.cumsum(away / np.linalg.norm(away, axis=-1, keepdims=True) * [[[1], [0.3], [0.2]]], axis=1)
    write(tmp_path / "a.bvh", Clip(name="arm", skeleton=arm, positions=moving, fps=25.0))
    np.testing.assert_allclose(back(tmp_path / "a.bvh", [arm]).positions, moving, atol=1e-5)
    if up == "y":
        x, y, z = moving[0, 0]
        np.testing.assert_allclose(rows(tmp_path / "a.bvh")[0, :3], [100 * x, 100 * z, -100 * y], atol=1e-3)
