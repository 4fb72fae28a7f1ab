"""UMAP (McInnes et al. 2018) by umap-learn, from neighbours that are known already (numpy)."""

__all__ = ["umap_layout"]

import warnings

import numpy as np
from jaxtyping import Float32

from vipe.arrays import Array
from vipe.errors import MissingExtra
from vipe.plots.embedding_map.nearest import Graph

_WIDE = 10.0  # of the start, as umap-learn itself scales one


def umap_layout(
    vectors: Float32[Array, "N D"], graph: Graph, start: Float32[Array, "N 2"], seed: int, *, min_dist: float = 0.1
) -> Float32[Array, "N 2"]:
    """Lay vectors out in the plane.

    Args:
        vectors: What is laid out.
        graph: As many neighbours of each as the layout keeps near.
        start: Where each begins: principal components keep the large distances that a random or a spectral start loses
            (Kobak & Linderman 2021), and do not take long.
        seed: Of the draws; same seed, same layout, on one core.
        min_dist: How near points may come; umap-learn's.

    Raises:
        MissingExtra: If umap-learn is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import umap
    except ImportError as error:
        raise MissingExtra.of("maps need umap-learn", "maps") from error
    neighbours = graph.rows.shape[1]
    model = umap.UMAP(
        n_neighbors=neighbours,
        min_dist=min_dist,
        init=np.asarray(start / max(float(np.abs(start).max()), 1e-12) * _WIDE, dtype=np.float32),
        random_state=seed,
        n_jobs=1,  # of several, draws would depend on which comes first
        precomputed_knn=(graph.rows, graph.distances, None),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*precomputed_knn.*")  # new points have a way of their own
        placed = model.fit_transform(np.asarray(vectors))
    return np.asarray(placed, dtype=np.float32)
