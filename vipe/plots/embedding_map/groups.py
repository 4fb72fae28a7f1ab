"""What a map can be coloured by besides its labels: clusters and density, both of the embedding (numpy)."""

__all__ = ["clusters", "density"]

import numpy as np
from jaxtyping import Float32, Int64

from vipe.arrays import Array
from vipe.errors import MissingExtra
from vipe.plots.embedding_map.layout import EmbeddingMap


def clusters(layout: EmbeddingMap, count: int = 12, *, generator: np.random.Generator) -> Int64[Array, " N"]:
    """A number for each pose by k-means of the embeddings, from 0 for the cluster of most poses.

    Clusters are of the embedding, not of the plane: where a map tears a cluster apart, one colour shows on two islands.

    Args:
        layout: The map.
        count: How many; fewer where the map has fewer poses.
        generator: Of the first centres.

    Raises:
        MissingExtra: If scikit-learn is not installed.
    """
    try:
        from sklearn.cluster import KMeans
    except ImportError as error:
        raise MissingExtra.of("maps need scikit-learn", "maps") from error
    seed = int(generator.integers(2**31))
    found = KMeans(min(count, len(layout)), n_init=1, random_state=seed).fit_predict(layout.embeddings)
    sizes = np.bincount(found)
    rank = np.empty(len(sizes), dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    numbers: Int64[Array, " N"] = rank[found]
    return numbers


def density(layout: EmbeddingMap) -> Float32[Array, " N"]:
    """How many poses are like each one, as a rank from 0 (the rarest) to 1 (the most usual).

    By the distance to the 15th nearest pose of the map, in the embedding: layouts spread dense places out and draw
    sparse ones together, so the density of points on the map is another one.
    """
    order = np.argsort(-layout.reach, kind="stable")
    rank = np.empty(len(layout), dtype=np.float32)
    rank[order] = np.linspace(0, 1, len(layout), dtype=np.float32)
    return rank
