"""People to lift, and small untrained lifters of every kind."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from vipe.lift.lifter import TrainedLifter
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


@pytest.fixture(scope="session", params=sorted(NETWORKS))
def lifter(request):
    return untrained(request.param)


@pytest.fixture
def people(bent):
    """Twelve people, noise 0.03, each without two of the limb joints."""
    view = View(name="side", azimuth=0.7, elevation=0.2)
    return simulate_keypoints(bent(12, seed=1), view, noise=MISSING_2, generator=np.random.default_rng(0))
