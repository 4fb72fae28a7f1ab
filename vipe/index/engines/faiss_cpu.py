"""FAISS on the CPU: searches embeddings, or codes of them and then the best embeddings (numpy, FAISS)."""

__all__ = ["FaissCPU"]

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from jaxtyping import Float32, Int64

from vipe.arrays import Array, blocks
from vipe.cores import cores
from vipe.embed.encoder import Metric
from vipe.errors import IndexFormatError
from vipe.index.neighbours import Neighbours
from vipe.index.recipe import Recipe

_CODES = {"fp16": faiss.ScalarQuantizer.QT_fp16, "int8": faiss.ScalarQuantizer.QT_8bit}
_TRAINED_ON = 100_000  # embeddings, evenly taken
_BLOCK = 65536  # embeddings added at a time: 20 MB of 78 numbers
_LEAST_IN_LIST = 40  # poses a list: with fewer FAISS warns that its centres are badly placed
_LEAST_LISTS = 8  # that are searched, so that a small index finds its neighbours
_SHARE_OF_LISTS = 8  # an eighth of the lists is searched
_LANES = 16  # numbers that FAISS decodes at a time; with another length it falls back to code that is 10 times slower
# Above this many queries times dimensions FAISS would turn to BLAS, which is off by 1e-5 in a squared distance and
# stalls for a second where another process holds the cores; its SIMD path does neither.
_NO_BLAS = 2**31 - 1
# A forked process has none of its parent's threads, but OpenMP would wait for them without end: it starts with one.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: faiss.omp_set_num_threads(1))
_MAPPED = getattr(faiss, "IO_FLAG_MMAP_IFC", 0)  # FAISS before 1.11 reads the file into memory
_FEW = 20_000  # allowed rows: so few are compared one by one in less time than their lists are searched


class FaissCPU:
    """A FAISS index of the embeddings or of their codes, and the embeddings for the exact comparison."""

    def __init__(self, index: faiss.Index, recipe: Recipe, vectors: Float32[Array, "N D"], metric: Metric) -> None:
        """Use `build` or `open`."""
        self.index = index
        self._recipe = recipe
        self._vectors = vectors
        self._metric = metric
        self._last: tuple[Int64[Array, " M"], Any] | None = None

    @classmethod
    def build(cls, recipe: Recipe, vectors: Float32[Array, "N D"], metric: Metric) -> "FaissCPU":
        """See `Engine`."""
        kind = faiss.METRIC_INNER_PRODUCT if metric == "ip" else faiss.METRIC_L2
        index: faiss.Index
        take: Callable[[Array], Array]
        if recipe.exact:
            index, take = faiss.IndexFlat(vectors.shape[1], kind), np.ascontiguousarray
        else:
            dim, code, take = _held_dim(recipe, vectors.shape[1]), _CODES[recipe.code], _padded
            lists = _lists(dim, code, kind, len(vectors)) if recipe.lists else None
            index = lists or faiss.IndexScalarQuantizer(dim, code, kind)
            index.train(_padded(vectors[:: -(-len(vectors) // _TRAINED_ON)]))
        for rows in blocks(len(vectors), _BLOCK):
            index.add(take(vectors[rows]))
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
        expected = (len(vectors), _held_dim(recipe, vectors.shape[1]), metric)
        if found != expected:
            raise IndexFormatError(
                f"{file}: holds (poses, dim, metric) {found}, expected {expected} as its manifest and embeddings have; "
                "build it again"
            )
        if not isinstance(index, kind := _kind(recipe)):
            raise IndexFormatError(
                f"{file}: is a {type(index).__name__}, recipe {recipe.name} makes a {kind.__name__}; build it again"
            )
        if fresh and recipe.exact and not _holds(index, vectors):
            raise IndexFormatError(f"{file}: holds other embeddings than embeddings.npy beside it; build it again")
        return cls(index, recipe, vectors, metric)

    def save(self, file: Path) -> None:
        """See `Engine`."""
        try:
            faiss.write_index(self.index, str(file))
        except RuntimeError as error:  # how FAISS reports a full disk
            raise OSError(f"FAISS: {str(error).splitlines()[0]}") from error

    def search(self, queries: Float32[Array, "Q D"], k: int, allowed: Int64[Array, " M"] | None = None) -> Neighbours:
        """See `Engine`. One query runs on one core, several on all: threads cost a single one more than they bring."""
        recipe = self._recipe
        count = len(self._vectors) if allowed is None else len(allowed)
        if recipe.lists and allowed is not None and count <= _FEW:
            return self._exactly(queries, allowed, k)
        options = None if allowed is None else self._only(allowed)
        depth = min(recipe.depth(k), count)
        with _settings(threads=1 if len(queries) == 1 else None):
            value, rows = self.index.search(queries if recipe.exact else _padded(queries), depth, params=options)
        if (rows < 0).any():  # the lists that were searched hold fewer
            return self._exactly(queries, np.arange(len(self._vectors)) if allowed is None else allowed, k)
        if recipe.exact:
            return _nearest(rows, 1 - value if self._metric == "ip" else value)
        squared = self._squared(queries, rows)
        order = np.argsort(squared, axis=1, kind="stable")[:, :k]
        return _nearest(np.take_along_axis(rows, order, axis=1), np.take_along_axis(squared, order, axis=1))

    def _only(self, allowed: Int64[Array, " M"]) -> faiss.SearchParameters:
        if self._last is not None and self._last[0] is allowed:
            selected = self._last[1]
        else:
            selected = self._selected(allowed)
            if not allowed.flags.writeable:  # those of a part that are left, in every search the same
                self._last = allowed, selected
        only = {"sel": selected}
        if self._recipe.lists:
            return faiss.SearchParametersIVF(nprobe=self.index.nprobe, **only)  # type: ignore[call-arg, attr-defined]
        return faiss.SearchParameters(**only)

    def _selected(self, allowed: Int64[Array, " M"]) -> faiss.IDSelector:
        bits = np.zeros(len(self._vectors), dtype=bool)
        bits[allowed] = True
        # FAISS's stubs know the C++ signature only; from an array the selector also keeps the array alive.
        return faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))  # type: ignore[call-arg, arg-type]

    def _exactly(self, queries: Float32[Array, "Q D"], allowed: Int64[Array, " M"], k: int) -> Neighbours:
        """The nearest of some rows, each compared."""
        squared = self._squared(queries, np.broadcast_to(allowed, (len(queries), len(allowed))))
        order = np.argsort(squared, axis=1, kind="stable")[:, :k]
        return _nearest(allowed[order], np.take_along_axis(squared, order, axis=1))

    def _squared(self, queries: Float32[Array, "Q D"], rows: Int64[Array, "Q K"]) -> Float32[Array, "Q K"]:
        """Squared distances by the embeddings themselves."""
        squared = np.empty(rows.shape, dtype=np.float32)
        for query, (own, near) in enumerate(zip(queries, rows, strict=True)):
            vectors = np.asarray(self._vectors[near])
            if self._metric == "ip":
                squared[query] = 1 - vectors @ own
            else:
                squared[query] = np.square(vectors - own).sum(axis=1)
        return squared


def _holds(index: faiss.Index, vectors: Float32[Array, "N D"]) -> bool:
    """Whether a flat index holds exactly these embeddings."""
    flat: Any = index
    held = faiss.rev_swig_ptr(flat.get_xb(), vectors.size).reshape(vectors.shape)
    return all(np.array_equal(held[rows], vectors[rows]) for rows in blocks(len(vectors), _BLOCK))


def _kind(recipe: Recipe) -> type[faiss.Index]:
    if recipe.exact:
        return faiss.IndexFlat
    return faiss.IndexIVFScalarQuantizer if recipe.lists else faiss.IndexScalarQuantizer


def _lists(dim: int, code: int, kind: int, poses: int) -> faiss.IndexIVFScalarQuantizer:
    """An empty index of as many lists as the root of the number of poses."""
    count = max(1, min(math.isqrt(poses), poses // _LEAST_IN_LIST))
    centres = faiss.IndexFlat(dim, kind)
    index = faiss.IndexIVFScalarQuantizer(centres, dim, count, code, kind, False)
    index.own_fields = True
    centres.this.disown()  # type: ignore[attr-defined]
    index.nprobe = min(count, max(_LEAST_LISTS, count // _SHARE_OF_LISTS))
    return index


def _held_dim(recipe: Recipe, dim: int) -> int:
    """Length of the vectors that FAISS holds, for embeddings of some length."""
    return dim if recipe.exact else -(-dim // _LANES) * _LANES


def _padded(vectors: Float32[Array, "*N D"]) -> Float32[Array, "*N padded"]:
    """Vectors with zeros behind, so that their length suits FAISS's codes; neither metric changes."""
    more = -vectors.shape[-1] % _LANES
    return np.pad(vectors, [(0, 0)] * (vectors.ndim - 1) + [(0, more)])


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
