"""Embeddings with a prior, and synthetic motion, for the tests of generation."""

import numpy as np
import pytest

from vipe.embed import Embedder
from vipe.embed.generation.prior import Prior
from vipe.simulate.motion import synthesize


@pytest.fixture(scope="session")
def default():
    return Embedder.from_pretrained("default")


@pytest.fixture(scope="session")
def moved():
    clips = synthesize(minutes=1.0, fps=5.0, generator=np.random.default_rng(5))
    return np.concatenate([clip.positions for clip in clips])


@pytest.fixture(scope="session")
def prior(default, moved):
    return Prior.fit(default.encode_poses(moved))


@pytest.fixture(params=["v-vipe", "towers"])
def model(request):
    """Each kind of embedding, with a prior."""
    if request.param == "v-vipe":
        return request.getfixturevalue("embedder"), None
    return request.getfixturevalue("default"), request.getfixturevalue("prior")
