"""FAISS on the CPU: searches embeddings, or codes of them and then the best embeddings (numpy, FAISS)."""

__all__ = ["FaissCPU", "faiss_metric", "lists_searched"]

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from jaxtyping import Float32, Int64

from vipe.arrays import Array, blocks
from vipe.cores import cores
from vipe.embed.encoder import Metric
from vipe.errors import IndexFormatError, VipeError
from vipe.index.engines.engine import Engine
from vipe.index.neighbours import Neighbours
from vipe.index.recipe import Recipe

_BLOCK = 65536  # embeddings added at a time: 20 MB of 78 numbers
_FAISS: Any = faiss  # for what its stubs do not know
_LEAST_LISTS = 8  # that are searched, so that a small index finds its neighbours
_CONSTRUCTION = 100  # poses kept while a graph is built: FAISS's efConstruction
# Above this many queries times dimensions FAISS would turn to BLAS, which is off by 1e-5 in a squared distance and
# stalls for a second where another process holds the cores; its SIMD path does neither.
_NO_BLAS = 2**31 - 1
# A forked process has none of its parent's threads, but OpenMP would wait for them without end: it starts with one.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: faiss.omp_set_num_threads(1))
_MAPPED = getattr(faiss, "IO_FLAG_MMAP_IFC", 0)  # FAISS before 1.11 reads the file into memory
_FEW = 20_000  # allowed rows: so few are compared one by one in less time than their lists are searched
_A_LIST = 40  # embeddings that a list's centre is trained on, at least: FAISS asks for 39
_SPARSE = 10  # a graph of which less than this part is allowed is not walked: most steps would lead nowhere


class FaissCPU:
    """A FAISS index of the embeddings or of their codes, and the embeddings for the exact comparison."""

    def __init__(self, index: faiss.Index, recipe: Recipe, vectors: Float32[Array, "N D"], metric: Metric) -> None:
        """Use `build` or `open`."""
        self.index: Any = index
        self.recipe = recipe
        self._vectors = vectors
        self._metric = metric
        self._last: tuple[Int64[Array, " M"], Any] | None = None

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """See `Engine`. Any FAISS builds them."""

    @classmethod
    def build(cls, recipe: Recipe, vectors: Float32[Array, "N D"], metric: Metric) -> "FaissCPU":
        """See `Engine`."""
        vectors = np.ascontiguousarray(vectors)
        index = cls._empty(recipe, vectors, metric)
        try:
            with _settings(threads=None):
                if not index.is_trained:
                    index.train(_held(recipe, vectors[_training_rows(recipe, index, len(vectors))]))
                for rows in blocks(len(vectors), _BLOCK):
                    index.add(_held(recipe, vectors[rows]))
        except RuntimeError as error:  # such as more lists than poses
            raise VipeError(
                f"recipe {recipe.name}: FAISS cannot make {recipe.factory!r} of {len(vectors):,} poses: "
                f"{str(error).strip().rpartition('failed: ')[2].splitlines()[-1].strip()}"
            ) from error
        return cls(index, recipe, vectors, metric)

    @classmethod
    def open(
        cls, file: Path, recipe: Recipe, vectors: Float32[Array, "N D"], metric: Metric, *, fresh: bool = True
    ) -> "FaissCPU":
        """See `Engine`. Codes stay in the file, from which they are mapped."""
        try:
            index = faiss.read_index(str(file), _MAPPED)
        except RuntimeError as error:
            raise IndexFormatError(
                f"{file}: this FAISS ({faiss.__version__}) cannot read it; build it again"
            ) from error
        found = (index.ntotal, index.d, "ip" if index.metric_type == faiss.METRIC_INNER_PRODUCT else "l2")
        expected = (len(vectors), recipe.held_dim(vectors.shape[1]), metric)
        if found != expected:
            raise IndexFormatError(
                f"{file}: holds (poses, dim, metric) {found}, expected {expected} as its manifest and embeddings have; "
                "build it again"
            )
        if not isinstance(index, kind := type(cls._empty(recipe, vectors, metric))):
            raise IndexFormatError(
                f"{file}: is a {type(index).__name__}, recipe {recipe.name} makes a {kind.__name__}; build it again"
            )
        if fresh and recipe.exact and not _holds(index, vectors):
            raise IndexFormatError(f"{file}: holds other embeddings than embeddings.npy beside it; build it again")
        return cls(index, recipe, vectors, metric)

    def save(self, file: Path) -> None:
        """See `Engine`.

        Python writes the file: FAISS's own writer says nothing if the disk is full when it closes it.
        """
        refused: list[OSError] = []
        with file.open("wb") as out:

            def write(chunk: bytes) -> None:
                try:
                    out.write(chunk)
                except OSError as error:
                    refused.append(error)
                    raise

            try:
                _FAISS.write_index(self.index, _FAISS.PyCallbackIOWriter(write))
            except (RuntimeError, SystemError, OSError) as error:  # by its version FAISS puts another in its place
                if refused:
                    raise refused[0] from None
                if isinstance(error, OSError):
                    raise
                raise OSError(f"FAISS: {str(error).splitlines()[0]}") from error

    def on_gpu(self, gpu: int) -> "Engine":
        """See `Engine`."""
        from vipe.index.engines.faiss_gpu import FaissGPU  # which is made of this class

        return FaissGPU.of(self, gpu)

    def searching(self, recipe: Recipe) -> "FaissCPU":
        """See `Engine`."""
        return type(self)(self.index, recipe, self._vectors, self._metric)

    def exactly(self, queries: Float32[Array, "Q D"], k: int, allowed: Int64[Array, " M"] | None = None) -> Neighbours:
        """See `Engine`."""
        with _settings(threads=1 if len(queries) == 1 else None):
            return self._compared(np.ascontiguousarray(queries), k, self._every() if allowed is None else allowed)

    def search(self, queries: Float32[Array, "Q D"], k: int, allowed: Int64[Array, " M"] | None = None) -> Neighbours:
        """See `Engine`. One query runs on one core, several on all: threads cost a single one more than they bring."""
        recipe = self.recipe
        queries = np.ascontiguousarray(queries)
        count = len(self._vectors) if allowed is None else len(allowed)
        with _settings(threads=1 if len(queries) == 1 else None):
            if allowed is not None and self._is_few(count):
                return self._compared(queries, k, allowed)
            depth = min(recipe.depth(k), count)
            value, rows = self.index.search(_held(recipe, queries), depth, params=self._options(allowed, depth))
            if recipe.exact:
                return _nearest(rows, 1 - value if self._metric == "ip" else value)
            return self._best(queries, rows, k, allowed)

    @classmethod
    def _empty(cls, recipe: Recipe, vectors: Float32[Array, "N D"], metric: Metric) -> Any:
        """An index of no embedding yet, for as many as there are."""
        dim = vectors.shape[1]
        try:
            index: Any = faiss.index_factory(
                recipe.held_dim(dim), recipe.factory_for(dim, len(vectors)), faiss_metric(metric)
            )
        except RuntimeError as error:
            raise VipeError(
                f"recipe {recipe.name}: FAISS cannot make {recipe.factory!r} of embeddings of {dim} numbers: "
                f"{str(error).splitlines()[-1].strip()}"
            ) from error
        if recipe.has_graph:
            index.hnsw.efConstruction = _CONSTRUCTION
        return index

    def _best(
        self, queries: Float32[Array, "Q D"], rows: Int64[Array, "Q depth"], k: int, allowed: Int64[Array, " M"] | None
    ) -> Neighbours:
        """The k nearest of what was found by code, by the embeddings themselves."""
        short = (rows < 0).any(axis=1)  # the lists or the graph that were searched hold fewer
        near = _first(rows, self._squared(queries, rows), k)
        if short.any():
            every = self._every() if allowed is None else allowed
            near.rows[short], near.distance[short] = self._compared(queries[short], k, every)
        return near

    def _every(self) -> Int64[Array, " N"]:
        return np.arange(len(self._vectors))

    def _is_few(self, count: int) -> bool:
        """Whether so many allowed rows are better compared one by one."""
        recipe = self.recipe
        if recipe.has_graph:
            return count <= max(_FEW, len(self._vectors) // _SPARSE)
        if recipe.factory.startswith("PQ"):  # whose search in FAISS takes no filter
            return True
        return recipe.has_lists and count <= _FEW

    def _options(self, allowed: Int64[Array, " M"] | None, depth: int) -> Any:
        """How much of the index is searched, and which rows may be found."""
        only = {} if allowed is None else {"sel": self._selector(allowed)}
        recipe = self.recipe
        if recipe.has_lists:
            return _FAISS.SearchParametersIVF(nprobe=lists_searched(recipe, self.index.nlist), **only)
        if recipe.has_graph:
            share = 1.0 if allowed is None else len(allowed) / len(self._vectors)
            effort = max(depth, int(recipe.search.effort / share))
            return _FAISS.SearchParametersHNSW(efSearch=effort, **only)
        return _FAISS.SearchParameters(**only) if only else None

    def _selector(self, allowed: Int64[Array, " M"]) -> Any:
        if self._last is not None and self._last[0] is allowed:
            return self._last[1]
        selector = self._selected(allowed)
        if not allowed.flags.writeable:  # those of a part that are left, in every search the same
            self._last = allowed, selector
        return selector

    def _selected(self, allowed: Int64[Array, " M"]) -> faiss.IDSelector:
        bits = np.zeros(len(self._vectors), dtype=bool)
        bits[allowed] = True
        # From an array the selector also keeps the array alive.
        return faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))  # type: ignore[call-arg, arg-type]

    def _compared(self, queries: Float32[Array, "Q D"], k: int, allowed: Int64[Array, " M"]) -> Neighbours:
        value = np.empty((len(queries), k), dtype=np.float32)
        rows = np.empty((len(queries), k), dtype=np.int64)
        allowed = np.ascontiguousarray(allowed, dtype=np.int64)
        nearest = _FAISS.knn_inner_products_by_idx if self._metric == "ip" else _FAISS.knn_L2sqr_by_idx
        given, answer = map(_FAISS.swig_ptr, (queries, self._vectors, allowed)), map(_FAISS.swig_ptr, (value, rows))
        sizes = (queries.shape[1], len(queries), len(self._vectors), len(allowed), k)
        nearest(*given, *sizes, *answer, 0)  # 0: the same allowed rows for every query
        squared = 1 - value if self._metric == "ip" else value
        order = np.lexsort((rows, squared), axis=1)  # of equal ones the first
        return _nearest(np.take_along_axis(rows, order, axis=1), np.take_along_axis(squared, order, axis=1))

    def _squared(self, queries: Float32[Array, "Q D"], rows: Int64[Array, "Q K"]) -> Float32[Array, "Q K"]:
        """Squared distances by the embeddings themselves; infinite where no row is."""
        squared = np.empty(rows.shape, dtype=np.float32)
        arrays = map(_FAISS.swig_ptr, (squared, queries, self._vectors, np.ascontiguousarray(rows)))
        if self._metric == "ip":
            _FAISS.fvec_inner_products_by_idx(*arrays, queries.shape[1], *rows.shape)
            np.subtract(1, squared, out=squared)
        else:
            _FAISS.fvec_L2sqr_by_idx(*arrays, queries.shape[1], *rows.shape)
        return squared


def _holds(index: faiss.Index, vectors: Float32[Array, "N D"]) -> bool:
    """Whether a flat index holds exactly these embeddings."""
    flat: Any = index
    held = faiss.rev_swig_ptr(flat.get_xb(), vectors.size).reshape(vectors.shape)
    return all(np.array_equal(held[rows], vectors[rows]) for rows in blocks(len(vectors), _BLOCK))


def faiss_metric(metric: Metric) -> int:
    """FAISS's number for a metric."""
    return int(faiss.METRIC_INNER_PRODUCT if metric == "ip" else faiss.METRIC_L2)


def lists_searched(recipe: Recipe, lists: int) -> int:
    """Of so many lists those that are searched: the share that the recipe says, and eight at least."""
    return min(lists, max(_LEAST_LISTS, round(recipe.search.lists * lists)))


def _training_rows(recipe: Recipe, index: faiss.Index, count: int) -> Int64[Array, " n"]:
    """Rows spread evenly over all: as many as the recipe says, or as its lists need."""
    wanted = max(recipe.training, _A_LIST * getattr(index, "nlist", 0))
    return np.arange(count) if wanted >= count else np.linspace(0, count - 1, wanted).round().astype(np.int64)


def _held(recipe: Recipe, vectors: Float32[Array, "*N D"]) -> Float32[Array, "*N held"]:
    """Vectors as FAISS holds them: with zeros behind where that suits its codes; neither metric changes."""
    more = recipe.held_dim(vectors.shape[-1]) - vectors.shape[-1]
    return np.pad(vectors, [(0, 0)] * (vectors.ndim - 1) + [(0, more)]) if more else np.ascontiguousarray(vectors)


def _first(rows: Int64[Array, "Q K"], squared: Float32[Array, "Q K"], k: int) -> Neighbours:
    """The k nearest of some rows, nearest first; of equal ones the first."""
    order = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return _nearest(np.take_along_axis(rows, order, axis=1), np.take_along_axis(squared, order, axis=1))


def _nearest(rows: Int64[Array, "Q K"], squared: Float32[Array, "Q K"]) -> Neighbours:
    # Rounding may bring a perfect match just below zero.
    return Neighbours(rows, np.sqrt(np.maximum(squared, 0), dtype=np.float32))


@contextmanager
def _settings(threads: int | None) -> Iterator[None]:
    """FAISS's settings are the process's: set for one search and put back."""
    threads_before, blas_before = faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold
    try:
        faiss.cvar.distance_compute_blas_threshold = _NO_BLAS
        faiss.omp_set_num_threads(threads or cores(threads_before))
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = blas_before
        faiss.omp_set_num_threads(threads_before)
