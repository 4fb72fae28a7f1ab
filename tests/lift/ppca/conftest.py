"""Poses that a known model made, and where they face."""

from dataclasses import dataclass

import numpy as np
import pytest

from vipe.lift.ppca.prior.alignment import normalized
from vipe.lift.ppca.prior.gaussian import PPCA


@dataclass(frozen=True)
class Planted:
    aligned: np.ndarray  # (N, 17, 3), facing +x
    angles: np.ndarray
    recorded: np.ndarray  # turned, moved, of many sizes


def turn(poses, angles):
    """Slow twin of `turned`: by rotation matrices."""
    c, s, o = np.cos(angles), np.sin(angles), np.zeros_like(angles)
    matrices = np.stack([np.stack([c, -s, o], -1), np.stack([s, c, o], -1), np.stack([o, o, o + 1], -1)], -2)
    return np.einsum("nij,nkj->nki", matrices, poses)


def same_angle(a, b, atol):
    """Angles that agree up to whole turns."""
    np.testing.assert_allclose(np.exp(1j * np.asarray(a)), np.exp(1j * np.asarray(b)), atol=atol)


@pytest.fixture(scope="session")
def planted(standing):
    """People who stand with their limbs moved along four directions, facing anywhere."""
    draws = np.random.default_rng(5)
    directions = draws.normal(size=(4, 17, 3)) * np.array([1.0, 0.6, 0.3])
    strength = draws.normal(size=(600, 4)) * [0.08, 0.06, 0.05, 0.04]
    poses = standing - standing[0] + np.einsum("nj,jkc->nkc", strength, directions)
    poses += 0.002 * draws.normal(size=poses.shape)
    angles = draws.uniform(-np.pi, np.pi, len(poses))
    sizes, places = draws.uniform(0.8, 1.3, (600, 1, 1)), draws.uniform(-3, 3, (600, 1, 3))
    return Planted(normalized(poses), angles, turn(poses, angles) * sizes + places)


@pytest.fixture
def gaussian(rng):
    """Six dimensions, two of them wide."""
    basis = np.linalg.qr(rng.normal(size=(6, 6)))[0][:2]
    return PPCA(mean=rng.normal(size=6), basis=basis, variance=np.array([4.0, 2.0]), noise=0.3)
