"""A small archive, an encoder of each metric, and an index of it."""

import faiss
import numpy as np
import pytest

from vipe.clips import Clip
from vipe.embed import AffineSignature, Embedder
from vipe.embed.vvipe.network import VVIPE, VVIPEConfig
from vipe.index import PoseIndex
from vipe.skeletons import load
from vipe.store import PoseStore


def make_clip(standing, name, frames, seed, action=""):
    """Someone standing who jitters by 10 cm a frame."""
    noise = np.random.default_rng(seed).normal(0, 0.1, size=(frames, 17, 3))
    positions = (standing + noise).astype(np.float32)
    return Clip(name=name, skeleton=load("h36m17"), positions=positions, fps=10.0, subject=f"s{seed}", action=action)


@pytest.fixture(scope="session")
def store(standing, tmp_path_factory):
    clips = [
        make_clip(standing, "walk", 40, 1, "walking"),
        make_clip(standing, "sit", 30, 2, "sitting"),
        make_clip(standing, "übung", 20, 3, "walking"),
    ]
    return PoseStore.create(tmp_path_factory.mktemp("store") / "store", clips)


@pytest.fixture(scope="session")
def learned():
    return Embedder(VVIPE.untrained(VVIPEConfig(dim=8, width=32, blocks=1), seed=0))


@pytest.fixture(scope="session", params=["affine", "v-vipe"])
def encoder(request, learned):
    return AffineSignature() if request.param == "affine" else learned


@pytest.fixture
def index(store, encoder, tmp_path):
    return PoseIndex.build(store, encoder, tmp_path / "index")


@pytest.fixture
def folder(store, learned, tmp_path):
    PoseIndex.build(store, learned, tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture
def no_faiss(monkeypatch):
    """FAISS must not see a byte of a file that is not as it was written."""

    def read_index(*_):
        raise AssertionError("FAISS was asked to read")

    monkeypatch.setattr(faiss, "read_index", read_index)
