"""Bodies in many poses, and untrained encoders of every kind, for the tests of encoders."""

import numpy as np
import pytest
import torch

from vipe.detections import Keypoints
from vipe.embed import AffineSignature, Embedder
from vipe.embed.prvipe.network import PrVIPE, PrVIPEConfig, PrVIPENetwork
from vipe.embed.towers.network import Towers, TowersConfig
from vipe.geometry import random_rotation
from vipe.simulate import View, simulate_keypoints
from vipe.skeletons import load

BODY = load("h36m17")


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


@pytest.fixture
def people(poses, rng):
    """The poses as one camera sees them, exactly."""
    return simulate_keypoints(poses, View(name="side", azimuth=0.7, elevation=0.2), noise=0.0, generator=rng)


@pytest.fixture(scope="session")
def mirrored():
    """The other side's joints, in a space whose y (canonical, world) points the other way."""
    return lambda poses: poses[:, list(BODY.mirrored)] * np.array([1.0, -1.0, 1.0], dtype=np.float32)


@pytest.fixture(scope="session")
def mirrored_keypoints():
    """The other side's keypoints, in an image whose x points the other way."""
    swap = list(load("coco13").mirrored)
    return lambda people: Keypoints.of(people.xy[:, swap] * np.array([-1.0, 1.0]), people.mask[:, swap])


@pytest.fixture(scope="session")
def encoders(embedder, towers, prvipe):
    """One of every kind."""
    return {"affine": AffineSignature(), "v-vipe": embedder, "towers": towers, "pr-vipe": prvipe}


@pytest.fixture(scope="session")
def towers():
    return Embedder(Towers.untrained(TowersConfig(width=64), seed=3), card="# A test")


@pytest.fixture(scope="session")
def prvipe():
    network = PrVIPENetwork.untrained(PrVIPEConfig(width=32, dim=4, samples=6), seed=3)
    with torch.no_grad():
        network.net.output.weight *= 30  # an untrained one puts everybody at one place
    return PrVIPE(network, card="# A test")
