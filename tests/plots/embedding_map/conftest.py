"""A small archive, its index, and a map of it that nothing slow laid out."""

import numpy as np
import pytest

from vipe.embed import Embedder
from vipe.embed.vvipe.network import VVIPE, VVIPEConfig
from vipe.index import PoseIndex
from vipe.plots.embedding_map.labels import label_map
from vipe.plots.embedding_map.layout import EmbeddingMap
from vipe.simulate.motion import synthesize
from vipe.store import PoseStore


@pytest.fixture(scope="session")
def embedder():
    return Embedder(VVIPE.untrained(VVIPEConfig(dim=8, width=32, blocks=1), seed=0))


@pytest.fixture(scope="session")
def motion(tmp_path_factory):
    clips = synthesize(minutes=0.5, fps=8.0, generator=np.random.default_rng(0))
    return PoseStore.create(tmp_path_factory.mktemp("map") / "store", clips)


@pytest.fixture(scope="session")
def index(motion, embedder, tmp_path_factory):
    return PoseIndex.build(motion, embedder, tmp_path_factory.mktemp("map") / "index", recipe="flat")


@pytest.fixture(scope="session")
def layout(index, embedder):
    """The first two numbers of each embedding as its place; every second pose."""
    rows = np.arange(0, len(index), 2)
    vectors = np.array(index.embeddings[rows])
    apart = np.sort(np.linalg.norm(vectors[:, None] - vectors, axis=-1), axis=1)
    return EmbeddingMap(
        rows=rows,
        xy=vectors[:, :2].copy(),
        embeddings=vectors,
        reach=apart[:, 15].astype(np.float32),
        method="umap",
        encoder=embedder.fingerprint,
        settings={"n_neighbors": 15},
    )


@pytest.fixture(scope="session")
def labels(index, layout):
    pytest.importorskip("sklearn")
    return label_map(index, layout, generator=np.random.default_rng(0))
