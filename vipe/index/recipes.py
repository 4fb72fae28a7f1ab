"""Recipes: the kinds of FAISS index that can hold the embeddings, by name."""

__all__ = ["RECIPES", "Recipe", "padded", "recipe_name"]

import math
from collections.abc import Callable
from dataclasses import dataclass

import faiss
import numpy as np
from jaxtyping import Float32

from vipe.arrays import Array
from vipe.embed.encoder import Metric
from vipe.errors import VipeError

_EXACT_UP_TO = 100_000  # poses: 2 ms a query when compared one by one, so there is nothing to gain
_TRAINED_ON = 100_000  # embeddings, evenly taken
_BLOCK = 65536
_LEAST_IN_LIST = 40  # poses a list that FAISS asks for before it calls its centres well placed
_LANES = 16  # numbers that FAISS decodes at a time; with another length it falls back to code that is 10 times slower


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A kind of index, and how much deeper than asked it is searched, the rest being compared exactly.

    Coded numbers put poses in a slightly wrong order. So the nearest `deeper` times k by code, and `beyond` more, are
    compared again by the embeddings themselves.
    """

    name: str
    code: int | None  # FAISS's scalar quantizer; None keeps float32
    deeper: float = 1.0
    beyond: int = 0
    lists: bool = False  # sorted into lists by nearness to centres, of which the nearest eighth is searched

    @property
    def exact(self) -> bool:
        """Whether FAISS's own order is the exact one."""
        return self.code is None

    def depth(self, k: int) -> int:
        """How many to ask FAISS for when k are wanted."""
        return int(self.deeper * k) + self.beyond

    def index(self, vectors: Float32[Array, "N D"], metric: Metric) -> faiss.Index:
        """An index that holds the vectors, which may be mapped from a file: they are taken in blocks."""
        kind = faiss.METRIC_INNER_PRODUCT if metric == "ip" else faiss.METRIC_L2
        if self.code is None:
            index: faiss.Index = faiss.IndexFlat(vectors.shape[1], kind)
            take: Callable[[Array], Array] = np.ascontiguousarray
        else:
            dim, take = self.dim(vectors.shape[1]), padded
            index = (
                self._in_lists(dim, kind, len(vectors))
                if self.lists
                else faiss.IndexScalarQuantizer(dim, self.code, kind)
            )
            index.train(padded(vectors[:: -(-len(vectors) // _TRAINED_ON)]))
        for start in range(0, len(vectors), _BLOCK):
            index.add(take(vectors[start : start + _BLOCK]))
        return index

    def _in_lists(self, dim: int, kind: int, poses: int) -> faiss.IndexIVFScalarQuantizer:
        count = max(1, min(math.isqrt(poses), poses // _LEAST_IN_LIST))
        centres = faiss.IndexFlat(dim, kind)
        index = faiss.IndexIVFScalarQuantizer(centres, dim, count, self.code or 0, kind, False)
        index.own_fields = True
        centres.this.disown()  # type: ignore[attr-defined]
        index.nprobe = min(count, max(8, count // 8))
        return index

    def dim(self, dim: int) -> int:
        """Of the vectors that FAISS holds, for embeddings of some length."""
        return dim if self.exact else -(-dim // _LANES) * _LANES


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(name="flat", code=None),
        Recipe(name="fp16", code=faiss.ScalarQuantizer.QT_fp16, deeper=1.1, beyond=16),
        Recipe(name="int8", code=faiss.ScalarQuantizer.QT_8bit, deeper=3.0, beyond=64),
        Recipe(name="ivf", code=faiss.ScalarQuantizer.QT_fp16, deeper=1.1, beyond=16, lists=True),
    )
}
"""Flat compares float32 numbers; the others are coded in 2 bytes or 1 a number, and ivf compares an eighth of them."""


def padded(vectors: Float32[Array, "*N D"]) -> Float32[Array, "*N padded"]:
    """Vectors with zeros behind, so that their length suits FAISS's codes; neither metric sees them."""
    more = -vectors.shape[-1] % _LANES
    return np.pad(vectors, [(0, 0)] * (vectors.ndim - 1) + [(0, more)])


def recipe_name(recipe: str, poses: int) -> str:
    """The recipe a name stands for; "auto" is the one this version chooses for so many poses.

    Raises:
        VipeError: If there is none of that name.
    """
    if recipe == "auto":
        return "flat" if poses <= _EXACT_UP_TO else "fp16"
    if recipe not in RECIPES:
        raise VipeError(f"no recipe {recipe!r}; known are auto, {', '.join(RECIPES)}")
    return recipe
