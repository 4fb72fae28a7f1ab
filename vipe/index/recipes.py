"""Recipes: the kinds of FAISS index that can hold the embeddings, by name."""

__all__ = ["empty_index", "recipe_name"]

import faiss

from vipe.embed.encoder import Metric
from vipe.errors import VipeError

_AUTO = "flat"  # exact, and fast enough up to millions of poses
_RECIPES = ("flat",)


def recipe_name(recipe: str) -> str:
    """The recipe a name stands for; "auto" is the one this version would choose.

    Raises:
        VipeError: If there is none of that name.
    """
    if recipe == "auto":
        return _AUTO
    if recipe not in _RECIPES:
        raise VipeError(f"no recipe {recipe!r}; known are auto, {', '.join(_RECIPES)}")
    return recipe


def empty_index(recipe: str, dim: int, metric: Metric) -> faiss.Index:
    """An index of that recipe with nothing in it: "flat" compares a query with every embedding."""
    assert recipe == "flat"
    return faiss.IndexFlatIP(dim) if metric == "ip" else faiss.IndexFlatL2(dim)
