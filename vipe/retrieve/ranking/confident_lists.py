"""How long a list of hits has to be to hold a right one nine times in ten: split-conformal lengths (numpy)."""

__all__ = ["LEVELS", "ConfidentLists"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from vipe.arrays import Array
from vipe.errors import ShapeError, VipeError
from vipe.retrieve.ranking.evidence import VOTERS

LEVELS: tuple[float, ...] = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99)
"""Confidences that lengths are learned for."""

_GROUPS = 8  # of queries at most, by the probability of their first hit: a sure one needs a short list
_IN_GROUP = 140  # queries at least: with 99 the longest of their lists is that for 99%


@dataclass(frozen=True, kw_only=True)
class ConfidentLists:
    """How many first hits hold a right one with some confidence, if the archive holds the moment.

    Queries fall into groups by the probability of their first hit. In each group, and for each confidence, the length
    is the split-conformal quantile of the place of the first right hit among n held-out queries: the
    ceil(confidence (n + 1))-th least. For a further query of the same kind as those a list of that length then holds a
    right hit with at least that probability, whatever the probabilities of the ranking are worth (Vovk et al. 2005;
    Angelopoulos & Bates 2023, sec. 1.1; groups: sec. 4.1). It holds on average over such queries, not for each person,
    and not for another kind of photos or archive.

    Raises:
        ShapeError: If the table has not a row for each group and a column for each level, ascending.
    """

    levels: tuple[float, ...]  # ascending
    starts: tuple[float, ...]  # probability of the first hit at which each group but the first starts, ascending
    lengths: tuple[tuple[int | None, ...], ...]  # of each group by level; None where no ranked list is long enough

    def __post_init__(self) -> None:
        columns = {len(self.levels), *(len(row) for row in self.lengths)}
        ascending = all(list(values) == sorted(set(values)) for values in (self.levels, self.starts))
        if len(columns) > 1 or not self.levels or len(self.lengths) != len(self.starts) + 1 or not ascending:
            raise ShapeError(
                "confident lists: expected a row of lengths for each group and a column for each level, got "
                f"{len(self.lengths)} rows, {len(self.starts)} starts, {sorted(columns)} columns"
            )

    def of(self, first: Float[Array, " Q"], confidence: float) -> Int64[Array, " Q"]:
        """How many first hits each query needs; 0 where no list is long enough.

        Between two levels that of the higher one is taken.

        Args:
            first: Probability of each query's first hit.
            confidence: From the least of `levels` to the greatest.

        Raises:
            VipeError: If it is not.

        >>> lists = ConfidentLists(levels=(0.5, 0.9), starts=(0.6,), lengths=((3, None), (1, 4)))
        >>> lists.of(np.array([0.2, 0.7]), 0.8).tolist()
        [0, 4]
        """
        if not self.levels[0] <= confidence <= self.levels[-1]:
            least, most = self.levels[0], self.levels[-1]
            raise VipeError(f"confidence must be from {least:g} to {most:g}, got {confidence:g}; 0.9 is nine in ten")
        level = int(np.searchsorted(self.levels, confidence - 1e-9))
        of_group = np.array([row[level] or 0 for row in self.lengths], dtype=np.int64)
        return np.asarray(of_group[np.searchsorted(self.starts, first, side="right")])

    @classmethod
    def learn(
        cls, first: Float[Array, " N"], place: Int64[Array, " N"], levels: Sequence[float] = LEVELS
    ) -> "ConfidentLists":
        """Find the lengths from queries whose truth is known, and of which each has a right pose in its archive.

        Less sure queries never get shorter lists: where chance has it otherwise, the longer one holds for both.

        Args:
            first: Probability of each query's first hit.
            place: Of the first right hit, from 0; `VOTERS` or more where none of the ranked ones is.
            levels: Confidences, ascending.
        """
        groups = int(np.clip(len(first) // _IN_GROUP, 1, _GROUPS))
        starts = np.unique(np.round(np.quantile(first, np.arange(1, groups) / groups), 3))
        group = np.searchsorted(starts, first, side="right")
        rows: list[tuple[int | None, ...]] = []
        longest = np.zeros(len(levels))
        for number in reversed(range(len(starts) + 1)):
            ordered = np.sort(place[group == number])
            ranks = [math.ceil(level * (len(ordered) + 1)) for level in levels]
            least = [ordered[rank - 1] + 1 if rank <= len(ordered) else math.inf for rank in ranks]
            longest = np.maximum(longest, least)
            rows.append(tuple(int(length) if length <= VOTERS else None for length in longest))
        return cls(levels=tuple(levels), starts=tuple(starts.tolist()), lengths=tuple(reversed(rows)))
