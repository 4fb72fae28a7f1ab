"""FAISS on a GPU: the rows of a `FaissCPU`, copied there; what a GPU cannot do is done on the CPU (numpy, FAISS)."""

__all__ = ["FaissGPU", "gpu_number"]

import re
from typing import Any

import faiss
import numpy as np
from jaxtyping import Float32, Int64

from vipe.arrays import Array, blocks
from vipe.embed.encoder import Metric
from vipe.errors import VipeError, install_line
from vipe.index.engines.faiss_cagra import LEAST_BUILT
from vipe.index.engines.faiss_cpu import FaissCPU, lists_searched
from vipe.index.neighbours import Neighbours
from vipe.index.recipe import Recipe
from vipe.pretrained import check_device

_FAISS: Any = faiss  # its GPU half is there in builds for GPUs only
_DEEPEST = 2048  # neighbours that FAISS finds on a GPU
_DEEPEST_WALK = 1024  # that cuVS finds by walking a graph
_MOST_LISTS = 2048  # that FAISS searches on a GPU
_MARGIN = 16  # neighbours more than wanted: products on a GPU are off by 1e-5, so the last ones may change places
_BLOCK = 262_144  # embeddings copied at a time


class FaissGPU(FaissCPU):
    """Searches on a GPU.

    `flat` is compared there in float32; `fp16`, `int8` and codes of 4 bits without lists in float16, which takes two
    bytes a number; `ivf` with its codes. `ivf-pq` has its lists there with float16 in them: a GPU knows no codes of 4
    bits that it searches quickly. `cagra` is the graph, walked there. The best are compared again by the embeddings on
    the CPU, so distances are the same. Filters, and more than 2,048 neighbours by code (of a graph 1,024), are searched
    on the CPU; of lists at most 2,048 are searched.
    """

    def __init__(
        self,
        index: faiss.Index,
        recipe: Recipe,
        vectors: Float32[Array, "N D"],
        metric: Metric,
        on_gpu: Any = (None, None),
    ) -> None:
        """Use `of`."""
        super().__init__(index, recipe, vectors, metric)
        self._on_gpu, self._resources = on_gpu

    @classmethod
    def of(cls, engine: FaissCPU, gpu: int) -> "FaissGPU":
        """Copy an engine's rows to a GPU.

        Args:
            engine: It stays beside, for what is done on the CPU.
            gpu: Number of the GPU.

        Raises:
            VipeError: If the recipe has no form on a GPU, or the GPU has too little memory.
        """
        try:
            there = _copied(engine, gpu)
        except RuntimeError as error:  # how FAISS reports that memory is not enough
            raise VipeError(f"cuda:{gpu}: cannot hold the index: {str(error).splitlines()[0]}") from error
        return cls(engine.index, engine.recipe, engine._vectors, engine._metric, there)

    def searching(self, recipe: Recipe) -> "FaissGPU":
        """See `Engine`."""
        return type(self)(self.index, recipe, self._vectors, self._metric, (self._on_gpu, self._resources))

    def search(self, queries: Float32[Array, "Q D"], k: int, allowed: Int64[Array, " M"] | None = None) -> Neighbours:
        """See `Engine`."""
        depth = min(self.recipe.depth(k) + _MARGIN, len(self._vectors))
        walked = self.recipe.has_graph and len(self._vectors) >= LEAST_BUILT
        if allowed is not None or depth > (_DEEPEST_WALK if walked else _DEEPEST):
            return super().search(queries, k, allowed)
        queries, options = np.ascontiguousarray(queries), None
        if self.recipe.has_lists:
            self._on_gpu.nprobe = min(lists_searched(self.recipe, self.index.nlist), _MOST_LISTS)
        if walked:
            options = _FAISS.SearchParametersCagra()
            options.itopk_size = min(max(self.recipe.search.effort, depth), _DEEPEST_WALK)
        _, rows = self._on_gpu.search(self._wide(queries), depth, params=options)
        return self._best(queries, np.asarray(rows, dtype=np.int64), k, None)

    def _wide(self, queries: Float32[Array, "Q D"]) -> Float32[Array, "Q wide"]:
        """With zeros behind, if the codes there have them."""
        more = self._on_gpu.d - queries.shape[1]
        return np.pad(queries, ((0, 0), (0, more))) if more else queries


def gpu_number(device: str) -> int | None:
    """The GPU that a device names: None for "cpu", 0 for "cuda", 1 for "cuda:1".

    Raises:
        VipeError: If it is no such name, this FAISS or torch is built for CPUs, or there is no such GPU.

    >>> gpu_number("cpu") is None
    True
    """
    if device == "cpu":
        return None
    named = re.fullmatch(r"cuda(?::(\d{1,3}))?", device)
    if named is None:
        raise VipeError(f'device is {device!r}, expected "cpu", "cuda" or "cuda:0"')
    if not hasattr(faiss, "StandardGpuResources"):
        raise VipeError(
            f"device {device}: this FAISS ({faiss.__version__}) is built for CPUs; install one for GPUs in its place: "
            f"pip uninstall faiss-cpu, then {install_line('cuda12')}, or cuda13 in place of cuda12"
        )
    number, count = int(named[1] or 0), _FAISS.get_num_gpus()
    if number >= count:
        raise VipeError(f"device {device}: FAISS finds {count} GPUs")
    check_device(device)  # torch computes there, too
    return number


def _copied(engine: FaissCPU, gpu: int) -> tuple[Any, Any]:
    """The index on the GPU, and the resources that must live as long."""
    recipe, vectors, metric = engine.recipe, engine._vectors, engine.index.metric_type
    resources, dim = _FAISS.StandardGpuResources(), vectors.shape[1]
    if recipe.factory.startswith("HNSW"):
        raise VipeError(f"recipe {recipe.name} has no form on a GPU; use cagra, flat, fp16, int8, ivf or ivf-pq")
    if recipe.has_lists and ",SQ" in recipe.factory:
        return _FAISS.index_cpu_to_gpu(resources, gpu, engine.index, _FAISS.GpuClonerOptions()), resources
    if recipe.has_graph and len(vectors) >= LEAST_BUILT:
        if not hasattr(faiss, "GpuIndexCagra"):
            raise VipeError(
                f"recipe {recipe.name}: this FAISS ({faiss.__version__}) is built without cuVS, which walks its graph "
                f"on a GPU; install one with it in its place: {install_line('cuda13')}"
            )
        config = _FAISS.GpuIndexCagraConfig()
        config.device = gpu
        copied = _FAISS.GpuIndexCagra(resources, dim, metric, config)
        copied.copyFrom(engine.index)
        return copied, resources
    if recipe.has_lists:
        config = _FAISS.GpuIndexIVFScalarQuantizerConfig()
        config.device = gpu
        centres = _FAISS.index_cpu_to_gpu(
            resources, gpu, faiss.downcast_index(engine.index.quantizer), _FAISS.GpuClonerOptions()
        )
        fp16, lists = faiss.ScalarQuantizer.QT_fp16, engine.index.nlist
        copied = _FAISS.GpuIndexIVFScalarQuantizer(resources, centres, dim, lists, fp16, metric, False, config)
        copied.train(np.ascontiguousarray(vectors[:1]))  # float16 has nothing to learn, and the centres are there
        resources = (centres, resources)  # of which FAISS owns neither
    else:
        config = _FAISS.GpuIndexFlatConfig()
        config.device, config.useFloat16 = gpu, not (recipe.exact or recipe.has_graph)
        copied = _FAISS.GpuIndexFlat(resources, dim, metric, config)
    for rows in blocks(len(vectors), _BLOCK):
        copied.add(np.ascontiguousarray(vectors[rows]))
    return copied, resources
