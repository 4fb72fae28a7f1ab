"""Fixtures that any test may use."""

from pathlib import Path

import numpy as np
import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


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
