"""Other libraries that find nearest neighbours, for index.py: each builds once and then answers as our recipes do."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

DEPTH = 200
_LONG = 3.0  # CPU seconds
Search = Callable[[np.ndarray, int], np.ndarray]


class Measured(NamedTuple):
    """A search, what it took to make it, and what plain FAISS does inside."""

    name: str
    search: Search
    build: float  # CPU seconds
    bytes: float | None  # a pose
    plain: Search | None = None


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def cpu_seconds(work: Callable[[], object]) -> float:
    """The least of three, after one that warms caches; what takes seconds is done once."""
    first = timed(work)[1]
    return first if first > _LONG else min(timed(work)[1] for _ in range(3))


def hnswlib_of(vectors: np.ndarray, metric: str) -> Measured:
    import hnswlib

    graph = hnswlib.Index(space=metric, dim=vectors.shape[1])
    graph.init_index(max_elements=len(vectors), ef_construction=100, M=16, random_seed=0)
    _, seconds = timed(lambda: graph.add_items(vectors, num_threads=2))

    def search(z: np.ndarray, k: int) -> np.ndarray:
        graph.set_ef(max(k, 200))
        return graph.knn_query(z, k, num_threads=1 if len(z) == 1 else 2)[0].astype(np.int64)

    return Measured("hnswlib, M 16, ef 200", search, seconds, 4.0 * vectors.shape[1] + 140)


def usearch_of(vectors: np.ndarray, metric: str) -> Measured:
    from usearch.index import Index

    graph = Index(
        ndim=vectors.shape[1],
        metric=metric if metric == "ip" else "l2sq",
        dtype="f32",
        connectivity=16,
        expansion_add=100,
        expansion_search=200,
    )
    _, seconds = timed(lambda: graph.add(np.arange(len(vectors)), vectors, threads=2))

    def search(z: np.ndarray, k: int) -> np.ndarray:
        return np.atleast_2d(graph.search(z if len(z) > 1 else z[0], k, threads=1 if len(z) == 1 else 2).keys).astype(
            np.int64
        )

    return Measured("usearch, M 16, ef 200", search, seconds, graph.memory_usage / len(vectors))


def scann_of(vectors: np.ndarray, metric: str) -> Measured:
    import scann

    def build() -> Any:
        leaves = 2000
        builder = scann.scann_ops_pybind.builder(vectors, DEPTH, "dot_product" if metric == "ip" else "squared_l2")
        builder = builder.tree(num_leaves=leaves, num_leaves_to_search=100, training_sample_size=160_000)
        return builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(500).build()

    searcher, seconds = timed(build)

    def search(z: np.ndarray, k: int) -> np.ndarray:
        if len(z) == 1:
            return searcher.search(z[0], final_num_neighbors=k)[0][None].astype(np.int64)
        return searcher.search_batched(z, final_num_neighbors=k)[0].astype(np.int64)

    return Measured("ScaNN, 100 of 2,000 leaves, reorder 500", search, seconds, None)


def sklearn_of(vectors: np.ndarray, _metric: str) -> Measured:
    from sklearn.neighbors import NearestNeighbors

    # Inner products of poses whose norms are equal rank as distances do.
    found, seconds = timed(lambda: NearestNeighbors(algorithm="brute", n_jobs=2).fit(vectors))
    return Measured(
        "scikit-learn, brute",
        lambda z, k: found.kneighbors(z, k, return_distance=False).astype(np.int64),
        seconds,
        4.0 * vectors.shape[1],
    )


PEERS: dict[str, Callable[[np.ndarray, str], Measured]] = {
    "hnswlib": hnswlib_of,
    "usearch": usearch_of,
    "scann": scann_of,
    "sklearn": sklearn_of,
}
"""By package; each gets the vectors and their metric, l2 or ip."""
