"""A graph of neighbours that a GPU builds and walks (CAGRA), and its copy for the CPU (numpy, FAISS)."""

__all__ = ["FaissCagra"]

from typing import Any

import faiss
import numpy as np
from jaxtyping import Float32

from vipe.arrays import Array
from vipe.embed.encoder import Metric
from vipe.errors import VipeError, install_line
from vipe.index.engines.faiss_cpu import FaissCPU, faiss_metric
from vipe.index.recipe import Recipe

_FAISS: Any = faiss  # this half of it is there in builds with cuVS only
LEAST_BUILT = 1024
"""Poses from which a GPU builds the graph: among fewer there is little to choose, and comparing all is quick."""


class FaissCagra(FaissCPU):
    """A graph in which each pose has as many neighbours as the recipe says, chosen so that a walk reaches all others.

    Building takes a GPU and FAISS with cuVS. What lies on disk is the graph as FAISS walks it on a CPU
    (`IndexHNSWCagra`: the graph's one level, entered at poses drawn at random), so any FAISS opens and searches it;
    `PoseIndex.open(device="cuda")` takes it back to a GPU. The embeddings are in the file once more, as float32.

    Reference:
        Ootomo et al. 2023, CAGRA: highly parallel graph construction and approximate nearest neighbor search for GPUs.
    """

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """See `Engine`."""
        if not hasattr(faiss, "GpuIndexCagra"):
            raise VipeError(
                f"recipe {recipe.name}: a GPU builds its graph, and this FAISS ({faiss.__version__}) is built without "
                f"cuVS; install one with it in its place: pip uninstall faiss-cpu, then {install_line('cuda13')}; "
                "or take recipe hnsw"
            )
        if not _FAISS.get_num_gpus():
            raise VipeError(f"recipe {recipe.name}: a GPU builds its graph, and FAISS finds none; take recipe hnsw")

    @classmethod
    def build(cls, recipe: Recipe, vectors: Float32[Array, "N D"], metric: Metric) -> "FaissCagra":
        """See `Engine`. All embeddings go to the first GPU at once."""
        cls.check(recipe)
        vectors = np.ascontiguousarray(vectors)
        index = cls._empty(recipe, vectors, metric)
        if len(vectors) < LEAST_BUILT:
            index.add(vectors)  # by the CPU
            return cls(index, recipe, vectors, metric)
        config = _FAISS.GpuIndexCagraConfig()
        config.device = 0
        config.graph_degree, config.intermediate_graph_degree = recipe.degree, 2 * recipe.degree
        config.guarantee_connectivity = True  # clips are islands: no walk would come from one to the other
        try:
            there = _FAISS.GpuIndexCagra(_FAISS.StandardGpuResources(), vectors.shape[1], faiss_metric(metric), config)
            there.train(vectors)  # which adds them
        except RuntimeError as error:  # how FAISS reports that memory is not enough
            raise VipeError(f"recipe {recipe.name}: cuda:0: {str(error).splitlines()[0]}") from error
        index.base_level_only = True
        there.copyTo(index)
        return cls(index, recipe, vectors, metric)

    @classmethod
    def _empty(cls, recipe: Recipe, vectors: Float32[Array, "N D"], metric: Metric) -> Any:
        if not hasattr(faiss, "IndexHNSWCagra"):
            raise VipeError(f"recipe {recipe.name}: this FAISS ({faiss.__version__}) is too old for it, expected 1.11")
        # FAISS counts half of the neighbours of the lowest level, which is all of this graph.
        return _FAISS.IndexHNSWCagra(vectors.shape[1], recipe.degree // 2, faiss_metric(metric))
