"""How much of an index has to be searched for a wanted recall, measured on its own poses (numpy).

People are simulated: poses of the index, each seen by a camera all around it, with a detector's noise. A person is
found if a pose like theirs is among the k nearest. Of those whom comparing every pose finds, a recipe should find most.
"""

__all__ = [
    "AT",
    "WANTED",
    "Find",
    "NobodyFound",
    "People",
    "Trial",
    "Tuned",
    "check_recall",
    "simulated_people",
    "tune",
    "with_search",
]

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec
import numpy as np
from jaxtyping import Bool, Float32, Int64

from vipe.arrays import Array
from vipe.embed.encoder import Encoder
from vipe.errors import VipeError
from vipe.index.neighbours import Neighbours
from vipe.index.recipe import Recipe, Search
from vipe.simulate import random_views, simulate_keypoints

WANTED, AT = 0.99, 200
"""Recall that "auto" is tuned for, and among how many: as many as the camera check of a query takes."""

_COUNT = 300  # people
_NOISE = 0.03  # torso lengths
_TORSO = 0.5  # metres
_LIKE = 0.1  # torso lengths: mean distance of the joints of two poses that are the same moment, as Hit@k has it
_SEED = 0
_STEP = 2**0.5  # by which a trial looks at more than the one before
_LEAST = Search(lists=1 / 1024, effort=16)
_MOST_EFFORT = 16_384


class NobodyFound(VipeError):
    """Comparing every pose finds nobody, so that no share of them can be measured."""


Find = Callable[[Search, Float32[Array, "Q D"], int], Neighbours]
"""The k nearest rows of each query, by what is searched."""


class People(NamedTuple):
    """Whom to look for."""

    queries: Float32[Array, "Q D"]
    poses: Float32[Array, "Q 17 3"] | None
    """Canonical, whom they show; None if nobody knows."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One setting."""

    search: Search
    recall: float
    nearest: float
    """Share of the k nearest by comparing every pose that are among the k found; 1 if answers are exact."""
    milliseconds: float
    """A query, one at a time, on this machine as busy as it was."""


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
    """The recipe that was found, and how."""

    recipe: Recipe
    wanted: float
    k: int
    people: int
    """Those counted: found by comparing every pose, if they are simulated."""
    recall: float
    trials: tuple[Trial, ...]

    @property
    def nearest(self) -> float:
        """`Trial.nearest` of the setting that was found."""
        return self.trials[-1].nearest

    @property
    def reached(self) -> bool:
        """Whether the recall that was wanted was measured."""
        return self.recall >= self.wanted


def simulated_people(encoder: Encoder, rows: int, poses: Callable[[Int64[Array, " Q"]], Array]) -> People:
    """Poses of an index as a camera somewhere around them sees them, with noise of 0.03 torso lengths.

    Args:
        encoder: Of the index.
        rows: How many poses it has; people are taken evenly from them.
        poses: Gives canonical poses of some rows.
    """
    chosen = np.unique(np.linspace(0, rows - 1, min(rows, _COUNT)).astype(np.int64))
    canonical = np.asarray(poses(chosen), dtype=np.float32)
    generator = np.random.default_rng(_SEED)
    seen = simulate_keypoints(
        canonical * _TORSO, random_views(len(chosen), generator=generator), noise=_NOISE, generator=generator
    )
    return People(np.ascontiguousarray(encoder.encode_keypoints(seen), dtype=np.float32), canonical)


def check_recall(recall: float) -> None:
    """Refuse what is no share.

    Raises:
        VipeError: If it is not above 0, or is above 1.
    """
    if not 0 < recall <= 1:
        raise VipeError(f"recall must be above 0 and at most 1, got {recall}")


def with_search(recipe: Recipe, search: Search) -> Recipe:
    """The recipe with another search, of which nobody has measured what to expect."""
    return recipe if search == recipe.search else msgspec.structs.replace(recipe, search=search, expected={})


def tune(
    recipe: Recipe,
    find: Find,
    exactly: Callable[[Float32[Array, "Q D"], int], Neighbours],
    people: People,
    poses: Callable[[Int64[Array, "Q K"]], Array],
    *,
    recall: float = WANTED,
    k: int = AT,
    progress: Callable[[int, int], None] | None = None,
) -> Tuned:
    """Find the least of an index that has to be searched for a wanted recall.

    Args:
        recipe: One with lists or a graph.
        find: Searches by it.
        exactly: Compares every pose.
        people: Whom to look for. If their poses are known, recall is the share of people found by comparing every pose
            who are still found; if not, the share of the k nearest that are.
        poses: Gives canonical poses of some rows.
        recall: The share that is wanted.
        k: Among how many.
        progress: Called with the trials done and those there may be.

    Returns:
        The recipe with the first setting that reached it; if none did, with the one that searches all.

    Raises:
        VipeError: If the recipe has nothing to tune, or `recall` or `k` is out of range.
        NobodyFound: If comparing every pose finds none of the people.
    """
    if not (recipe.has_lists or recipe.has_graph):
        raise VipeError(f"recipe {recipe.name} compares every pose: there is nothing to tune; use ivf or hnsw")
    check_recall(recall)
    if k < 1:
        raise VipeError(f"k must be at least 1, got {k}")
    exact = exactly(people.queries, k)
    counted = _found(exact.rows, people, poses) if people.poses is not None else np.ones(len(people.queries), bool)
    if not counted.any():
        raise NobodyFound(f"comparing every pose finds nobody among {k}: recall has no meaning; give a larger k")
    some = people._replace(queries=people.queries[counted])
    if people.poses is not None:
        some = some._replace(poses=people.poses[counted])
    trials: list[Trial] = []
    searches = list(_searches(recipe))
    for number, search in enumerate(searches):
        trials.append(_tried(search, find, some, exact.rows[counted], poses, k))
        if progress is not None:
            progress(number + 1, len(searches))
        if trials[-1].recall >= recall:
            break
    last = trials[-1]
    return Tuned(
        recipe=with_search(recipe, last.search),
        wanted=recall,
        k=k,
        people=int(counted.sum()),
        recall=last.recall,
        trials=tuple(trials),
    )


def _searches(recipe: Recipe) -> Iterator[Search]:
    """Settings, each of which looks at more than the one before; the last at all that it can."""
    lists, effort = _LEAST.lists, float(_LEAST.effort)
    while (lists < 1) if recipe.has_lists else (effort < _MOST_EFFORT):
        yield Search(lists=lists, effort=recipe.search.effort) if recipe.has_lists else Search(effort=round(effort))
        lists, effort = lists * _STEP, effort * _STEP
    yield Search(lists=1.0) if recipe.has_lists else Search(effort=_MOST_EFFORT)


def _tried(
    search: Search,
    find: Find,
    people: People,
    exact: Int64[Array, "Q K"],
    poses: Callable[[Int64[Array, "Q K"]], Array],
    k: int,
) -> Trial:
    find(search, people.queries[:1], k)  # the first search of a setting reads pages
    start = time.perf_counter()
    rows = np.concatenate([find(search, one[None], k).rows for one in people.queries])
    taken = time.perf_counter() - start
    nearest = float(np.mean([np.isin(*pair).mean() for pair in zip(exact, rows, strict=True)]))
    recall = nearest if people.poses is None else float(_found(rows, people, poses).mean())
    return Trial(search=search, recall=recall, nearest=nearest, milliseconds=1e3 * taken / len(people.queries))


def _found(
    rows: Int64[Array, "Q K"], people: People, poses: Callable[[Int64[Array, "Q K"]], Array]
) -> Bool[Array, " Q"]:
    """Of whom a row shows the same pose: canonical joints that are 0.1 torso lengths apart on average, or less."""
    if people.poses is None:
        raise AssertionError
    found = np.empty(len(rows), dtype=bool)
    for person, near in enumerate(rows):
        apart = np.linalg.norm(poses(near) - people.poses[person], axis=-1).mean(axis=-1)
        found[person] = (apart <= _LIKE).any()
    return found
