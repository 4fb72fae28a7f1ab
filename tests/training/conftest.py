"""Poses for the tests of what trainings share."""

import pytest

from vipe.simulate import View, simulate_keypoints


@pytest.fixture(scope="session")
def data(bent):
    """Poses to train on, and poses to validate on."""
    return bent(200, seed=1), bent(40, seed=2)


@pytest.fixture
def poses(bent):
    return bent(60, seed=1)


@pytest.fixture
def people(poses, rng):
    """The poses as one camera sees them, exactly."""
    return simulate_keypoints(poses, View(name="side", azimuth=0.7, elevation=0.2), noise=0.0, generator=rng)
