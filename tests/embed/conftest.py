"""Bodies in many poses, and an untrained V-VIPE, for the tests of encoders."""

import pytest
import torch

from vipe.embed import Embedder
from vipe.embed.vvipe import VVIPE, VVIPEConfig
from vipe.geometry import axis_angle, bone_vectors, from_bone_vectors, random_rotation
from vipe.skeletons import load

PARENTS = load("h36m17").parents


def _bent(standing, n, seed, most=0.6):
    """The standing person with every bone turned by up to `most` radians, facing anywhere, somewhere on the floor."""
    generator = torch.Generator().manual_seed(seed)
    vectors = bone_vectors(torch.from_numpy(standing), PARENTS).expand(n, 16, 3)
    axes = torch.randn(n, 16, 3, generator=generator)
    turned = axis_angle(axes, most * torch.rand(n, 16, generator=generator)) @ vectors[..., None]
    up = torch.tensor([0.0, 0.0, 1.0]).expand(n, 3)
    heading = axis_angle(up, 6.28 * torch.rand(n, generator=generator))
    root = torch.rand(n, 3, generator=generator) * torch.tensor([4.0, 4.0, 0.2]) + torch.tensor([0.0, 0.0, 0.8])
    return from_bone_vectors(turned[..., 0] @ heading.mT, PARENTS, root).float().numpy()


@pytest.fixture(scope="session")
def bent(standing):
    """Makes `n` different poses from a seed."""
    return lambda n, seed: _bent(standing, n, seed)


@pytest.fixture
def data(bent):
    """Poses to train on, and poses to validate on."""
    return bent(200, seed=1), bent(40, seed=2)


@pytest.fixture
def poses(bent):
    return bent(60, seed=1)


@pytest.fixture
def turned(poses, generator):
    """The same poses, each turned anyhow, moved and scaled."""
    rotation = random_rotation(len(poses), generator=generator, dtype=torch.float32).numpy()
    return (poses @ rotation.transpose(0, 2, 1)) * 1.7 + [[[3.0, -2.0, 1.0]]]


@pytest.fixture(scope="session")
def embedder():
    """Random weights, with statistics of batch normalization that are not those it starts with."""
    model = VVIPE.untrained(VVIPEConfig(width=48), seed=3)
    generator = torch.Generator().manual_seed(4)
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer += 0.2 * torch.rand(buffer.shape, generator=generator)
    return Embedder(model, card="# A test")
