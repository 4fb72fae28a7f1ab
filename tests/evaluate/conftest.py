"""A small archive whose neighbours are known, under an index of affine signatures."""

import numpy as np
import pytest

from vipe.clips import Clip
from vipe.embed import AffineSignature
from vipe.geometry.canonical import canonicalize_array
from vipe.index import PoseIndex
from vipe.skeletons import load
from vipe.store import PoseStore


@pytest.fixture(scope="session")
def store(standing, tmp_path_factory):
    """Three clips of 100 frames at 10 frames/s that go through five poses every five seconds, again and again.

    The first two go through the same poses, the third through poses of its own.
    """
    rng = np.random.default_rng(0)
    shared, own = (standing + rng.normal(0, 0.12, size=(5, 17, 3)) for _ in range(2))
    clips = []
    for name, poses in (("first", shared), ("second", shared), ("third", own)):
        keys = poses[np.arange(11) % 5] + rng.normal(0, 0.02, size=(11, 17, 3))
        at = np.arange(100) / 10
        low = at.astype(int)
        part = (at - low)[:, None, None]
        blend = ((1 - part) * keys[low] + part * keys[low + 1]).astype(np.float32)
        positions = 0.5 * canonicalize_array(blend).poses  # everybody has the reference body, half a metre of torso
        clips.append(Clip(name=name, skeleton=load("h36m17"), positions=positions, fps=10.0))
    return PoseStore.create(tmp_path_factory.mktemp("store") / "store", clips)


@pytest.fixture(scope="session")
def index(store, tmp_path_factory):
    return PoseIndex.build(store, AffineSignature(), tmp_path_factory.mktemp("affine") / "index")
