import numpy as np
import pytest

import vipe
from vipe.clips import Clip
from vipe.errors import ShapeError, SkeletonError, VipeError
from vipe.geometry.upright import upright_pose
from vipe.readers.bvh_writer import write_bvh
from vipe.skeletons import Skeleton, load

BODY = load("h36m17")
ARM = Skeleton(name="arm", joints=("shoulder", "elbow", "wrist"), parents=(-1, 0, 1), unit=0.01, up="y")


def clip(positions, skeleton=BODY, fps=25.0):
    return Clip(name="walk", skeleton=skeleton, positions=np.asarray(positions, dtype=np.float32), fps=fps)


def back(path, skeletons=()):
    (read,) = vipe.read(path, skeletons=skeletons)
    return read


def channels(path):
    """Channels of each joint."""
    lines = path.read_text().split("MOTION")[0].splitlines()
    named = [line.split()[1] for line in lines if line.split()[0] in ("ROOT", "JOINT")]
    return dict(zip(named, [int(line.split()[1]) for line in lines if "CHANNELS" in line], strict=True))


@pytest.mark.parametrize("rest", [None, upright_pose()], ids=["first frame", "upright"])
def test_what_is_written_is_read_again(bent, tmp_path, rest):
    moving = bent(20, seed=0)
    write_bvh(tmp_path / "a.bvh", clip(moving, fps=29.97), rest)
    read = back(tmp_path / "a.bvh")
    np.testing.assert_allclose(read.positions, moving, atol=1e-5)
    assert read.skeleton.name == "h36m17"
    assert read.fps == pytest.approx(29.97)


def test_another_reader_reads_the_same(bent, tmp_path):
    pybvh = pytest.importorskip("pybvh", reason="pybvh, of the extra `test`, is not installed")
    moving = bent(5, seed=1)
    write_bvh(tmp_path / "a.bvh", clip(moving), upright_pose())
    other = pybvh.read_bvh_file(tmp_path / "a.bvh")
    names, places = list(other.joint_names), other.joint_positions()
    np.testing.assert_allclose(places[:, [names.index(joint) for joint in BODY.joints]], moving, atol=1e-4)


def test_only_the_root_has_positions(bent, tmp_path):
    write_bvh(tmp_path / "a.bvh", clip(bent(6, seed=2)))
    found = channels(tmp_path / "a.bvh")
    assert {name for name, count in found.items() if count == 6} == {"pelvis"}
    assert set(found.values()) == {3, 6}


def test_bones_that_turn_against_their_siblings_hang_on_joints_of_their_own(bent, standing, tmp_path):
    write_bvh(tmp_path / "a.bvh", clip(bent(6, seed=2)))
    added = channels(tmp_path / "a.bvh").keys() - set(BODY.joints)
    thorax = {f"thorax_{child}" for child in ("nose", "left_shoulder", "right_shoulder")}
    assert added == thorax | {f"pelvis_{child}" for child in ("right_hip", "left_hip", "spine")}
    write_bvh(tmp_path / "b.bvh", clip(np.stack([standing, standing + 1])))
    assert channels(tmp_path / "b.bvh").keys() == set(BODY.joints)  # a rigid body needs none


def test_a_bone_that_changes_its_length_is_refused(standing, tmp_path):
    longer = standing.copy()
    longer[3] += [0, 0, -0.02]
    with pytest.raises(ShapeError, match=r"that to right_ankle changes by 20\.0 mm; give all frames one body"):
        write_bvh(tmp_path / "a.bvh", clip([standing, longer]))


def test_the_rest_pose_has_no_rotation(tmp_path):
    write_bvh(tmp_path / "a.bvh", clip([upright_pose()]), upright_pose())
    values = (tmp_path / "a.bvh").read_text().splitlines()[-1].split()
    assert np.abs(np.array(values, dtype=float)).max() < 1e-4


def test_a_bone_that_points_back_is_turned_by_half(tmp_path):
    straight = np.array([[0, 0, 0], [0.3, 0, 0], [0.5, 0, 0]])
    folded = np.array([[0, 0, 0], [-0.3, 0, 0], [-0.1, 0, 0]])
    write_bvh(tmp_path / "a.bvh", clip([straight, folded], ARM))
    np.testing.assert_allclose(back(tmp_path / "a.bvh", [ARM]).positions, [straight, folded], atol=1e-5)


def test_a_bone_without_length_does_no_harm(tmp_path):
    flat = np.array([[[0, 0, 0], [0, 0, 0], [0.2, 0, 0]], [[0, 0, 0], [0, 0, 0], [0, 0.2, 0]]])
    write_bvh(tmp_path / "a.bvh", clip(flat, ARM))
    np.testing.assert_allclose(back(tmp_path / "a.bvh", [ARM]).positions, flat, atol=1e-5)


def test_unit_and_up_axis_are_those_of_the_skeleton(tmp_path, rng):
    away = rng.normal(size=(4, 3, 3))
    moving = np.cumsum(away / np.linalg.norm(away, axis=-1, keepdims=True) * [[[1], [0.3], [0.2]]], axis=1)
    write_bvh(tmp_path / "a.bvh", clip(moving, ARM))
    np.testing.assert_allclose(back(tmp_path / "a.bvh", [ARM]).positions, moving, atol=1e-5)
    first = (tmp_path / "a.bvh").read_text().split("Frame Time: 0.04\n")[1].split()[:3]
    x, y, z = moving[0, 0]
    np.testing.assert_allclose(np.array(first, dtype=float), [100 * x, 100 * z, -100 * y], atol=1e-3)


def test_angles_do_not_jump_by_whole_turns(standing, tmp_path):
    angle = np.linspace(0, 3 * np.pi, 40)
    c, s, zero, one = np.cos(angle), np.sin(angle), 0 * angle, 1 + 0 * angle
    turns = np.stack([np.stack([c, -s, zero], -1), np.stack([s, c, zero], -1), np.stack([zero, zero, one], -1)], 1)
    write_bvh(tmp_path / "a.bvh", clip(standing @ np.swapaxes(turns, 1, 2)))
    rows = (tmp_path / "a.bvh").read_text().split("Frame Time: 0.04\n")[1].splitlines()
    turned = np.array([row.split()[3] for row in rows], dtype=float)
    np.testing.assert_allclose(turned, np.rad2deg(angle), atol=1e-3)


def test_what_no_rig_can_be_made_of_is_refused(standing, tmp_path):
    sited = load("bandai")
    with pytest.raises(SkeletonError, match="convert the clip to h36m17"):
        write_bvh(tmp_path / "a.bvh", clip(np.zeros((1, len(sited), 3)), sited))
    pair = Skeleton(name="pair", joints=("a", "b"), parents=(-1, -1))
    with pytest.raises(SkeletonError, match="several roots"):
        write_bvh(tmp_path / "a.bvh", clip(np.zeros((1, 2, 3)), pair))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_line(standing, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(VipeError, match="the motion cannot be written"):
        write_bvh(tmp_path / "file" / "a.bvh", clip([standing]))


@pytest.mark.refusal
def test_a_rest_pose_of_other_joints_is_refused(standing, tmp_path):
    with pytest.raises(ShapeError, match="rest pose must be"):
        write_bvh(tmp_path / "a.bvh", clip([standing]), np.zeros((3, 3)))
