"""t-SNE (van der Maaten & Hinton 2008) by openTSNE, which is faster, or else by scikit-learn (numpy)."""

__all__ = ["has_opentsne", "tsne_layout"]

import importlib
import importlib.util
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float32

from vipe.arrays import Array
from vipe.errors import MissingExtra
from vipe.plots.embedding_map.nearest import Graph

_START = 1e-4  # standard deviation of the start along x (Kobak & Berens 2019)
_EARLY, _LATE = 250, 500  # iterations with and without exaggeration
_TOLD = 25  # iterations between two reports


def has_opentsne() -> bool:
    """Whether openTSNE is installed."""
    return importlib.util.find_spec("openTSNE") is not None


def tsne_layout(
    vectors: Float32[Array, "N D"],
    graph: Graph,
    start: Float32[Array, "N 2"],
    *,
    perplexity: float = 30.0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Float32[Array, "N 2"]:
    """Lay vectors out in the plane. Nothing is drawn at random: the start is given.

    Args:
        vectors: What is laid out.
        graph: At least three times the perplexity of neighbours of each, itself counted.
        start: Where each begins, such as principal components.
        perplexity: About how many neighbours each keeps near.
        workers: Cores.
        progress: Called with iterations done and in all; never by scikit-learn.

    Raises:
        MissingExtra: If neither is installed.
    """
    begin = (start / max(float(start[:, 0].std()), 1e-12) * _START).astype(np.float64)
    layout = _by_opentsne if has_opentsne() else _by_sklearn
    return layout(vectors, graph, begin, perplexity, workers, progress)


def _by_opentsne(
    vectors: Float32[Array, "N D"],  # noqa: ARG001
    graph: Graph,
    start: Float[Array, "N 2"],
    perplexity: float,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> Float32[Array, "N 2"]:
    parts = ("openTSNE", "openTSNE.affinity", "openTSNE.nearest_neighbors")
    package, affinity, nearest = (importlib.import_module(part) for part in parts)
    others = slice(1, min(int(3 * perplexity), graph.rows.shape[1] - 1) + 1)
    known = nearest.PrecomputedNeighbors(graph.rows[:, others], graph.distances[:, others].astype(np.float64))
    affinities = affinity.PerplexityBasedNN(perplexity=perplexity, knn_index=known, n_jobs=workers)
    layout = package.TSNEEmbedding(start, affinities, n_jobs=workers)
    for exaggeration, momentum, iterations, before in ((12, 0.5, _EARLY, 0), (1, 0.8, _LATE, _EARLY)):
        for done in range(0, iterations, _TOLD):
            layout = layout.optimize(_TOLD, exaggeration=exaggeration, momentum=momentum)
            if progress is not None:
                progress(before + done + _TOLD, _EARLY + _LATE)
    return np.asarray(layout, dtype=np.float32)


def _by_sklearn(
    vectors: Float32[Array, "N D"],
    graph: Graph,  # noqa: ARG001
    start: Float[Array, "N 2"],
    perplexity: float,
    workers: int,
    progress: Callable[[int, int], None] | None,  # noqa: ARG001
) -> Float32[Array, "N 2"]:
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise MissingExtra.of("maps need scikit-learn", "maps") from error
    model = TSNE(2, perplexity=perplexity, init=start.astype(np.float32), n_jobs=workers, max_iter=_EARLY + _LATE)
    return np.asarray(model.fit_transform(np.asarray(vectors)), dtype=np.float32)
