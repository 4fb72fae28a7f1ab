"""Fixtures that any test may use."""

import fcntl
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from vipe.embed import Embedder
from vipe.embed.vvipe.network import VVIPE, VVIPEConfig
from vipe.geometry import axis_angle, bone_vectors, from_bone_vectors
from vipe.skeletons import load

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Build something slow once for all workers of a test run: gives the folder `name` that `build(folder)` filled."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # each worker has a folder of its own in it

    def built(name, build):
        folder, done = shared / name, shared / f"{name}.done"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the other worker waits here, and then has nothing to do
            if not done.exists():
                folder.mkdir()
                build(folder)
                done.touch()
        return folder

    return built


@pytest.fixture(scope="session")
def mocap():
    """Folder of real motion capture beside the project; the test skips where there is none."""
    folder = SHARED / "mocap"
    if not folder.is_dir():
        pytest.skip("no real motion capture beside the project (../shared/mocap)")
    return folder


@pytest.fixture(scope="session")
def real_keypoints():
    """Folder of real 2D keypoints beside the project; the test skips where there is none."""
    folder = SHARED / "keypoints"
    if not folder.is_dir():
        pytest.skip("no real keypoints beside the project (../shared/keypoints)")
    return folder


@pytest.fixture(scope="session")
def standing():
    """One person standing upright, facing +x, metres, z up, on the working skeleton (their left is +y)."""
    return np.array(
        [
            [0, 0, 0.95],
            [0, -0.12, 0.93],
            [0, -0.12, 0.50],
            [0, -0.12, 0.08],
            [0, 0.12, 0.93],
            [0, 0.12, 0.50],
            [0, 0.12, 0.08],
            [0, 0, 1.18],
            [0, 0, 1.44],
            [0.1, 0, 1.58],
            [0, 0, 1.72],
            [0, 0.18, 1.42],
            [0, 0.22, 1.14],
            [0.05, 0.22, 0.89],
            [0, -0.18, 1.42],
            [0, -0.22, 1.14],
            [0.05, -0.22, 0.89],
        ],
        dtype=np.float32,
    )


@pytest.fixture(scope="session")
def bent(standing):
    """Makes `n` different poses from a seed, bones bent by at most so many radians."""
    return lambda n, seed, most=0.6: _bent(standing, n, seed, most)


@pytest.fixture(scope="session")
def embedder():
    """Random weights, with statistics of batch normalization that are not those it starts with."""
    model = VVIPE.untrained(VVIPEConfig(width=48), seed=3)
    generator = torch.Generator().manual_seed(4)
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer += 0.2 * torch.rand(buffer.shape, generator=generator)
    return Embedder(model, card="# A test")


def _bent(standing, n, seed, most):
    """The standing person with every bone turned by up to `most` radians, facing anywhere, somewhere on the floor."""
    generator = torch.Generator().manual_seed(seed)
    vectors = bone_vectors(torch.from_numpy(standing), load("h36m17").parents).expand(n, 16, 3)
    axes = torch.randn(n, 16, 3, generator=generator)
    turned = axis_angle(axes, most * torch.rand(n, 16, generator=generator)) @ vectors[..., None]
    up = torch.tensor([0.0, 0.0, 1.0]).expand(n, 3)
    heading = axis_angle(up, 6.28 * torch.rand(n, generator=generator))
    root = torch.rand(n, 3, generator=generator) * torch.tensor([4.0, 4.0, 0.2]) + torch.tensor([0.0, 0.0, 0.8])
    return from_bone_vectors(turned[..., 0] @ heading.mT, load("h36m17").parents, root).float().numpy()
