import numpy as np
import pytest
import torch

from vipe.evaluate.baselines.lift_then_align import LiftedPoses, aligned_likeness
from vipe.geometry import random_rotation
from vipe.geometry.procrustes import align
from vipe.simulate import CameraRig, simulate_keypoints


def unit(poses):
    poses = torch.tensor(poses)
    poses = poses - poses.mean(1, keepdim=True)
    return poses / poses.flatten(1).norm(dim=1)[:, None, None]


def test_likeness_is_what_aligning_every_pair_by_itself_leaves(bent):
    a, b = unit(bent(9, seed=1)), unit(bent(70, seed=2))
    scale, rotation, shift = align(a[:, None].double(), b[None].double())
    left = b - (scale[..., None, None] * (a[:, None].double() @ rotation.mT) + shift[..., None, :])
    likeness = aligned_likeness(a, b)
    torch.testing.assert_close(1 - likeness.double().square(), left.square().sum((-2, -1)), atol=1e-5, rtol=0)
    assert likeness.min() < 0.95  # not only pairs that are alike


def test_a_turned_copy_is_alike_and_a_mirrored_one_is_not(bent, generator):
    poses = unit(bent(20, seed=1))
    turned = poses @ random_rotation(20, generator=generator, dtype=torch.float32).mT
    torch.testing.assert_close(aligned_likeness(poses, turned).diagonal(), torch.ones(20), atol=1e-5, rtol=0)
    mirrored = poses * torch.tensor([1.0, -1.0, 1.0])
    assert aligned_likeness(poses, mirrored).diagonal().max() < 0.999


def test_people_are_compared_by_what_they_are_lifted_to(embedder, bent, rng):
    people = simulate_keypoints(bent(12, seed=1), CameraRig.load("h36m"), noise=0.0, generator=rng)
    lifter = LiftedPoses(embedder)
    described = lifter.describe(people)
    lifted = unit(embedder.decode(embedder.encode_keypoints(people)))
    np.testing.assert_allclose(described, lifted.numpy(), atol=1e-6)
    likeness = lifter.compare(described[:5], described)
    np.testing.assert_array_equal(likeness.argmax(1), np.arange(5))
    assert likeness.shape == (5, 12)
    assert LiftedPoses(embedder, "mine").name == "mine" != lifter.name == "lift, then Procrustes"
    np.testing.assert_allclose(likeness[2:3], lifter.compare(described[2:3], described), atol=1e-6)


def test_degenerate_sets_give_numbers():
    flat = torch.zeros(2, 17, 3)
    flat[0, :, 0] = torch.linspace(-1, 1, 17)
    flat[0] /= flat[0].norm()
    likeness = aligned_likeness(flat, flat)
    assert torch.isfinite(likeness).all()
    assert likeness[0, 0] == pytest.approx(1, abs=1e-3)
