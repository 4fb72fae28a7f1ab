"""People to lift, and small lifters of every kind: untrained networks, and a prior fitted to a few poses."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from vipe.lift.lifter import TrainedLifter
from vipe.lift.ppca import AlignmentConfig, MixtureOfPPCA, align_poses
from vipe.lift.ppca.lifter import PPCAConfig, PPCALifter
from vipe.lift.registry import NETWORKS
from vipe.simulate import View, simulate_keypoints
from vipe.simulate.detector import MISSING_2

SMALL = {"width": 32, "blocks": 1, "flow_width": 16, "context": 16, "couplings": 2, "critic_width": 16, "latent": 8}


def small(kind):
    """The configuration of a lifter of this kind, with small networks."""
    config = NETWORKS[kind].config_type
    names = {field.name for field in fields(config)}
    return config(**{name: value for name, value in SMALL.items() if name in names})


def untrained(kind, seed=3):
    """A lifter with random weights, and statistics of batch normalization that are not those it starts with."""
    model = NETWORKS[kind].untrained(small(kind), seed=seed)
    generator = torch.Generator().manual_seed(4)
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer += 0.2 * torch.rand(buffer.shape, generator=generator)
    return TrainedLifter(model, card="# A test", origin={"seed": seed})


@pytest.fixture(scope="session")
def prior(bent):
    """A mixture of two Gaussians, fitted to aligned poses of people whose bones are bent."""
    poses = bent(400, seed=2)
    alignment = align_poses(poses, AlignmentConfig(components=4, mirror=False, passes=3))
    return MixtureOfPPCA(2, 6, random_state=0).fit(alignment.align(poses)[:, 1:].reshape(-1, 48))


@pytest.fixture(scope="session")
def ppca(prior):
    """The closed-form lifter of that prior."""
    return PPCALifter.fit(
        prior, PPCAConfig(angles=24, tilt=(0.0, 0.3), roll=(0.0,)), card="# A test", origin={"seed": 0}
    )


@pytest.fixture(scope="session", params=sorted([*NETWORKS, "ppca"]))
def lifter(request):
    return request.getfixturevalue("ppca") if request.param == "ppca" else untrained(request.param)


@pytest.fixture
def people(bent):
    """Twelve people, noise 0.03, each without two of the limb joints."""
    view = View(name="side", azimuth=0.7, elevation=0.2)
    return simulate_keypoints(bent(12, seed=1), view, noise=MISSING_2, generator=np.random.default_rng(0))
