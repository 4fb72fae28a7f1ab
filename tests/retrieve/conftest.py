"""A small archive under an index of each metric."""

import numpy as np
import pytest

from vipe.clips import Clip
from vipe.detections import Keypoints
from vipe.embed import AffineSignature, Embedder
from vipe.embed.vvipe.network import VVIPE, VVIPEConfig
from vipe.index import PoseIndex
from vipe.skeletons import load
from vipe.skeletons.working import COCO13_IN_H36M17
from vipe.store import PoseStore


@pytest.fixture(scope="session")
def store(standing, tmp_path_factory):
    rng = np.random.default_rng(0)
    clips = [
        Clip(
            name=name,
            skeleton=load("h36m17"),
            positions=(standing + rng.normal(0, 0.1, size=(60, 17, 3))).astype(np.float32),
            fps=10.0,
        )
        for name in ("first", "second")
    ]
    return PoseStore.create(tmp_path_factory.mktemp("store") / "store", clips)


@pytest.fixture(scope="session")
def affine(store, tmp_path_factory):
    return PoseIndex.build(store, AffineSignature(), tmp_path_factory.mktemp("affine") / "index")


@pytest.fixture(scope="session")
def learned(store, tmp_path_factory):
    embedder = Embedder(VVIPE.untrained(VVIPEConfig(dim=8, width=32, blocks=1), seed=0))
    return PoseIndex.build(store, embedder, tmp_path_factory.mktemp("learned") / "index")


@pytest.fixture(scope="session", params=["affine", "v-vipe"])
def index(request, affine, learned):
    return affine if request.param == "affine" else learned


@pytest.fixture
def people(affine, rng):
    """Affine views, free of noise, of the archive's first 12 poses; row i misses i joints, at most 7."""
    points = affine.canonical[:12, COCO13_IN_H36M17].astype(np.float64)
    xy = points @ rng.normal(0, 80, size=(12, 3, 2)) + rng.normal(0, 300, size=(12, 1, 2))
    mask = np.ones((12, 13), dtype=bool)
    for row in range(12):
        mask[row, rng.permutation(13)[: min(row, 7)]] = False
    return Keypoints.of(xy, mask)


@pytest.fixture
def of_coco17():
    """A person whose keypoints are of another skeleton than every search expects."""
    return Keypoints(
        xy=np.zeros((1, 17, 2), dtype=np.float32),
        mask=np.ones((1, 17), dtype=bool),
        confidence=np.ones((1, 17), dtype=np.float32),
        image_id=("a",),
        person=np.zeros(1, dtype=np.int64),
        skeleton=load("coco17"),
    )
