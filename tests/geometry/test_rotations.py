"""Rotations: uniform, proper, from the generator alone."""

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from vipe.geometry import axis_angle, random_rotation


@pytest.mark.parametrize("batch", [(), (4,), (2, 3), (0,)])
def test_draws_proper_rotations(batch, generator):
    rotation = random_rotation(*batch, generator=generator)
    assert rotation.shape == (*batch, 3, 3)
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3, dtype=torch.float64).expand(*batch, 3, 3))
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(batch, dtype=torch.float64))


def test_draws_uniformly(generator):
    rotation = random_rotation(40_000, generator=generator)
    # Haar measure: the mean matrix is 0, entries have variance 1/3, the angle has mean pi/2 + 2/pi.
    angle = ((rotation.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1).acos()
    assert rotation.mean(0).abs().max() < 0.02
    torch.testing.assert_close(rotation.var(0), torch.full((3, 3), 1 / 3, dtype=torch.float64), atol=0.01, rtol=0)
    assert angle.mean().item() == pytest.approx(math.pi / 2 + 2 / math.pi, abs=0.01)


def test_depends_on_the_generator_alone():
    before = torch.get_rng_state()
    first, second = (random_rotation(8, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_axis_angle_is_scipy_s(generator):
    axis = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    angle = 6 * torch.rand(20, generator=generator, dtype=torch.float64) - 3
    rotvec = angle[:, None] * axis / axis.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(axis_angle(axis, angle), torch.from_numpy(Rotation.from_rotvec(rotvec).as_matrix()))


def test_a_quarter_turn_about_z_takes_x_to_y():
    turned = axis_angle(torch.tensor([0.0, 0.0, 5.0]), torch.tensor([math.pi / 2])) @ torch.tensor([1.0, 0.0, 0.0])
    torch.testing.assert_close(turned, torch.tensor([[0.0, 1.0, 0.0]]), atol=1e-6, rtol=0)


def test_no_axis_is_no_turn():
    torch.testing.assert_close(axis_angle(torch.zeros(3), torch.tensor(1.0)), torch.eye(3))
