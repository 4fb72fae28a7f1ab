"""The canonical pose: what it forgets, what it keeps, and the way back."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from vipe.errors import ShapeError
from vipe.geometry import (
    REFERENCE_LENGTHS,
    bone_lengths,
    bone_vectors,
    canonical_rotation,
    canonicalize,
    canonicalize_array,
    kabsch,
    planes,
    random_rotation,
    with_bone_lengths,
)
from vipe.geometry.bones import SHORTEST
from vipe.skeletons import load

H36M17 = load("h36m17")
ANCHORS = [H36M17.index(joint) for joint in ("left_hip", "right_hip", "spine")]
TARGETS = np.array([[0.0, -1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
REFERENCE = torch.tensor(REFERENCE_LENGTHS, dtype=torch.float64)
BATCHES = pytest.mark.parametrize("batch", [(), (4,), (2, 3), (0,)], ids=["one pose", "a clip", "clips", "no pose"])


def by_scipy(poses):
    """The definition, word for word, in float64: lengths first, then Kabsch for three anchors."""
    body = np.zeros(poses.shape)
    for parent, child in H36M17.bones:
        bone = poses[:, child] - poses[:, parent]
        length = REFERENCE_LENGTHS[child - 1]
        body[:, child] = body[:, parent] + length * bone / np.linalg.norm(bone, axis=-1, keepdims=True)
    rotation = np.array([Rotation.align_vectors(TARGETS, one[ANCHORS])[0].as_matrix() for one in body])
    return body @ rotation.transpose(0, 2, 1), rotation


# What it is


def test_float32_is_within_1e_5_of_scipy_in_float64(people):
    poses = people(500, dtype=torch.float32)
    expected, rotation = by_scipy(poses.double().numpy())
    for found in (canonicalize(poses), canonicalize_array(poses.numpy())):
        assert not found.degenerate.any()
        np.testing.assert_allclose(np.asarray(found.poses), expected, atol=1e-5, rtol=0)
        np.testing.assert_allclose(np.asarray(found.rotation), rotation, atol=1e-5, rtol=0)


def test_float64_is_scipy_s_to_rounding(people):
    poses = people(200)
    expected, _ = by_scipy(poses.numpy())
    np.testing.assert_allclose(canonicalize(poses).poses.numpy(), expected, atol=1e-12, rtol=0)


def test_has_the_pelvis_at_0_and_the_reference_body(people):
    poses = canonicalize(people(50)).poses
    assert not poses[:, 0].any()
    torch.testing.assert_close(bone_lengths(poses, H36M17.parents), REFERENCE.expand(50, 16))


def test_points_left_to_minus_y_and_the_spine_up(people):
    poses = canonicalize(people(200)).poses
    left, right, spine = poses[:, ANCHORS].unbind(1)
    assert (left[:, 1] < right[:, 1]).all()
    assert (spine[:, 2] > 0).all()
    assert ((right - left)[:, 0].abs() < 1e-12).all()  # hips and spine span the plane of y and z
    assert (spine[:, 0].abs() < 1e-12).all()


def test_the_reference_body_is_symmetric_with_a_torso_of_one():
    lengths = dict(zip((H36M17.joints[child] for _, child in H36M17.bones), REFERENCE_LENGTHS, strict=True))
    assert lengths["spine"] + lengths["thorax"] == pytest.approx(1)
    assert all(lengths[left] == lengths[right] for left, right in H36M17.mirror)


# What it forgets


def test_does_not_depend_on_place_turn_size_or_build(people, generator):
    poses = people(100)
    expected = canonicalize(poses).poses
    rotation = random_rotation(100, generator=generator)
    lengths = torch.rand(100, 16, generator=generator, dtype=torch.float64) + 0.1
    for changed in (poses + 7, poses @ rotation.mT, 1000 * poses, with_bone_lengths(poses, lengths, H36M17.parents)):
        torch.testing.assert_close(canonicalize(changed).poses, expected)


def test_twice_is_once(people):
    once = canonicalize(people(100))
    twice = canonicalize(once.poses)
    torch.testing.assert_close(twice.poses, once.poses)
    torch.testing.assert_close(twice.rotation, torch.eye(3, dtype=torch.float64).expand(100, 3, 3))
    torch.testing.assert_close(twice.scale, torch.ones(100, dtype=torch.float64))


# What it keeps


def test_a_mirrored_person_is_the_mirror_image(people):
    poses = people(100)
    swapped = list(H36M17.mirrored)
    mirrored = canonicalize((poses * torch.tensor([-1.0, 1.0, 1.0]))[:, swapped])
    expected = canonicalize(poses).poses[:, swapped] * torch.tensor([1.0, -1.0, 1.0])
    torch.testing.assert_close(mirrored.poses, expected)
    torch.testing.assert_close(torch.linalg.det(mirrored.rotation), torch.ones(100, dtype=torch.float64))


def test_keeps_the_angles_between_bones(people):
    poses = people(100)
    before, after = (
        torch.nn.functional.normalize(bone_vectors(p, H36M17.parents), dim=-1)
        for p in (poses, canonicalize(poses).poses)
    )
    torch.testing.assert_close(before @ before.mT, after @ after.mT)


@BATCHES
def test_restores_the_input(batch, people):
    poses = people(*batch, dtype=torch.float32)
    found = canonicalize(poses)
    assert found.poses.shape == poses.shape
    assert found.lengths.shape == (*batch, 16)
    assert found.scale.shape == found.degenerate.shape == batch
    torch.testing.assert_close(found.restore(), poses, atol=1e-5, rtol=0)


@BATCHES
def test_arrays_are_the_tensors_at_rest(batch, people):
    poses = people(*batch, dtype=torch.float32)
    arrays, tensors = canonicalize_array(poses.numpy()), canonicalize(poses)
    for name in ("poses", "rotation", "lengths", "root", "degenerate", "scale"):
        found, expected = getattr(arrays, name), getattr(tensors, name).numpy()
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(arrays.restore(), poses.numpy(), atol=1e-5)


def test_says_the_length_of_the_torso_in_metres(people):
    poses = people(20)
    torso = sum((poses[:, b] - poses[:, a]).norm(dim=-1) for a, b in ((0, 7), (7, 8)))
    torch.testing.assert_close(canonicalize(poses).scale, torso)


# Where it is not defined


def degenerate_poses(pose):
    """Variants of a good pose, each with one thing that cannot be."""
    names = {name: H36M17.index(name) for name in H36M17.joints}

    def moved(joint, place):
        result = pose.clone()
        result[names[joint]] = place
        return result

    pelvis, right, left = (pose[names[joint]] for joint in ("pelvis", "right_hip", "left_hip"))
    line = pose.clone()
    line[names["left_hip"]] = 2 * pelvis - right
    line[names["spine"]] = 3 * right - 2 * pelvis
    return {
        "one point": pelvis.expand(17, 3).clone(),
        "origin": torch.zeros_like(pose),
        "hips on one side": moved("left_hip", right),
        "hips at the pelvis": moved("left_hip", pelvis).index_copy(0, torch.tensor([1]), pelvis[None]),
        "no spine": moved("spine", pelvis),
        "spine along the hips": line,
        "wrist in the elbow": moved("left_wrist", pose[names["left_elbow"]]),
        "all on one line": torch.arange(17.0, dtype=pose.dtype)[:, None] * (right - left),
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_degenerate_rows_are_told_and_finite_and_come_back(dtype, people):
    good = people(dtype=dtype)
    rows = {"good": good, **degenerate_poses(good)}
    poses = torch.stack(list(rows.values()))
    found = canonicalize(poses)
    assert found.degenerate.tolist() == [False] + [True] * (len(rows) - 1)
    for field in (found.poses, found.rotation, found.lengths, found.scale):
        assert field.isfinite().all()
    torch.testing.assert_close(found.rotation @ found.rotation.mT, torch.eye(3, dtype=dtype).expand(len(rows), 3, 3))
    torch.testing.assert_close(found.restore(), poses, atol=1e-5, rtol=0)


def test_a_bone_without_length_stays_without(people):
    pose = people()
    pose[13] = pose[12]
    found = canonicalize(pose)
    torch.testing.assert_close(found.poses[13], found.poses[12])
    assert found.lengths[12] <= SHORTEST


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_everywhere(dtype, people):
    good = people(dtype=dtype)
    poses = torch.stack([good, *degenerate_poses(good).values()]).requires_grad_()
    found = canonicalize(poses)
    weights = torch.linspace(-1, 1, 51, dtype=dtype).reshape(17, 3)
    (
        (found.poses * weights).sum() + found.rotation.sum() + found.scale.sum() + found.restore().square().sum()
    ).backward()
    assert poses.grad.isfinite().all()


def test_gradients_are_right(people):
    poses = people(3).requires_grad_()

    def values(x):
        found = canonicalize(x)
        return found.poses, found.rotation, found.lengths, found.restore()

    assert torch.autograd.gradcheck(values, (poses,), atol=1e-6)


def test_the_canonical_rotation_is_kabsch_s(generator):
    u, v = torch.randn(2, 100, 3, dtype=torch.float64, generator=generator)
    rotation, flat = canonical_rotation(u, v)
    anchors = torch.stack([-u / 2, u / 2, v], dim=-2)
    torch.testing.assert_close(rotation, kabsch(anchors, torch.from_numpy(TARGETS).expand(100, 3, 3)))
    assert not flat.any()


@pytest.mark.parametrize("angle", [1e-7, 1e-5, 1e-3, 1e-2, 0.1])
def test_the_canonical_rotation_is_a_rotation_however_flat(angle, generator):
    u = torch.randn(200, 3, generator=generator)
    aside = torch.linalg.cross(u, torch.randn(200, 3, generator=generator))
    rotation, _ = canonical_rotation(u, 2 * u + angle * aside)
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand(200, 3, 3), atol=2e-6, rtol=0)


# From numpy


def test_many_blocks_are_as_one(people, monkeypatch):
    poses = people(1000, dtype=torch.float32).numpy()
    whole = canonicalize_array(poses)
    threads = torch.get_num_threads()
    monkeypatch.setattr(planes.in_blocks, "__defaults__", (64,))
    parts = canonicalize_array(poses)
    assert torch.get_num_threads() == threads
    for name in ("poses", "rotation", "lengths", "root", "degenerate"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), atol=1e-6)


@pytest.mark.parametrize("change", [np.asfortranarray, lambda x: x[::-1][::-1], lambda x: x.astype(np.float64)])
def test_takes_arrays_of_any_layout_and_leaves_them_alone(change, people):
    poses = people(10, dtype=torch.float32).numpy()
    given = change(poses)
    given.flags.writeable = False
    np.testing.assert_allclose(canonicalize_array(given).poses, canonicalize_array(poses).poses, atol=1e-6)
    np.testing.assert_array_equal(given, poses)


@pytest.mark.refusal
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("joint", [0, 8, 16])
def test_names_a_pose_that_is_not_finite(bad, joint, people):
    poses = people(10, dtype=torch.float32).numpy()
    poses[7, joint, 1] = bad
    with pytest.raises(ShapeError, match="finite, pose 7 is not"):
        canonicalize_array(poses)


@pytest.mark.refusal
@pytest.mark.parametrize("shape", [(17, 2), (16, 3), (51,), (4, 51), ()])
def test_refuses_other_shapes(shape):
    with pytest.raises(ShapeError, match=r"\(17, 3\)"):
        canonicalize(torch.zeros(shape))
    with pytest.raises(ShapeError, match=r"\(17, 3\)"):
        canonicalize_array(np.zeros(shape, np.float32))


@pytest.mark.mocap
def test_real_poses_agree_with_scipy_and_come_back(mocap):
    from vipe.readers import read

    clip = next(iter(read(mocap / "cmu.tar.xz"))).to(H36M17)
    poses = clip.positions[::10][:200]
    found = canonicalize_array(poses)
    np.testing.assert_allclose(found.poses, by_scipy(poses.astype(np.float64))[0], atol=1e-5, rtol=0)
    np.testing.assert_allclose(found.restore(), poses, atol=1e-5, rtol=0)
    assert not found.degenerate.any()
