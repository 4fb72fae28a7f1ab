"""Where the rows of an index lie: its parts one after the other, without what was removed (numpy).

A row is a place among the poses that are left, so whatever counts, takes or searches rows never meets a removed one.
Adding, merging and compacting leave every row where it was; removing moves those behind it, and an opened index goes on
with the rows that it was opened with. What stays for ever is the id of a frame.
"""

__all__ = ["Rows", "Stacked"]

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64, Integer, Shaped

from vipe.arrays import Array
from vipe.index.neighbours import Neighbours


class Rows:
    """The rows of parts, as one sequence.

    Args:
        sizes: Rows in the files of each part.
        left: Of each part the rows that are left, ascending; None where nothing was removed.
    """

    def __init__(self, sizes: Sequence[int], left: Sequence[Int64[Array, " _"] | None]) -> None:
        self.left = tuple(left)
        counts = [size if some is None else len(some) for size, some in zip(sizes, self.left, strict=True)]
        self.starts: Int64[Array, " parts+1"] = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def count(self, part: int) -> int:
        """Rows that are left of a part."""
        return int(self.starts[part + 1] - self.starts[part])

    def in_part(self, part: int, rows: Int64[Array, " M"] | None) -> Int64[Array, " m"] | None:
        """Places in a part's files of those rows, ascending, that lie in it; None is all of them."""
        left = self.left[part]
        if rows is None:
            return left
        first, last = np.searchsorted(rows, self.starts[part : part + 2])
        within: Int64[Array, " m"] = rows[first:last] - self.starts[part]
        return within if left is None else left.take(within)

    def of_part(self, part: int, places: Int64[Array, "*any"]) -> Int64[Array, "*any"]:
        """The rows that places in a part's files are; each must be left."""
        left = self.left[part]
        within = places if left is None else np.searchsorted(left, places)
        return np.asarray(within + self.starts[part])

    def merged(self, found: Sequence[tuple[int, Neighbours]], k: int) -> Neighbours:
        """The k nearest of what several parts found, by places in their files."""
        each = [Neighbours(self.of_part(part, near.rows), near.distance) for part, near in found]
        if len(each) == 1:
            return each[0]
        rows = np.concatenate([near.rows for near in each], axis=1)
        distance = np.concatenate([near.distance for near in each], axis=1)
        order = np.argsort(distance, axis=1, kind="stable")[:, :k]
        return Neighbours(np.take_along_axis(rows, order, axis=1), np.take_along_axis(distance, order, axis=1))


class Stacked:
    """An array a part, as one with a line for each row; they may be mapped, and are read where they are needed."""

    def __init__(self, rows: Rows, arrays: Sequence[Shaped[Array, "_ ..."]]) -> None:
        self._rows, self._arrays = rows, arrays

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, rows: Integer[Array, "*any"]) -> Shaped[Array, "..."]:
        """The lines of some rows, in a new array."""
        if len(self._arrays) == 1 and self._rows.left[0] is None:
            return np.asarray(self._arrays[0][rows])
        flat = rows.ravel()
        of_part = np.searchsorted(self._rows.starts, flat, side="right") - 1
        lines = np.empty((len(flat), *self._arrays[0].shape[1:]), dtype=self._arrays[0].dtype)
        for part in np.unique(of_part).tolist():
            own = of_part == part
            within, left = flat[own] - self._rows.starts[part], self._rows.left[part]
            lines[own] = self._arrays[part][within if left is None else left[within]]
        return lines.reshape(*rows.shape, *lines.shape[1:])

    def whole(self) -> Shaped[Array, "N ..."]:
        """The lines of all rows: the file itself, mapped, if it is one and nothing was removed; else a copy."""
        if len(self._arrays) == 1 and self._rows.left[0] is None:
            return self._arrays[0]
        lines = np.empty((len(self), *self._arrays[0].shape[1:]), dtype=self._arrays[0].dtype)
        for part, array in enumerate(self._arrays):
            left, own = self._rows.left[part], lines[self._rows.starts[part] : self._rows.starts[part + 1]]
            if left is None:
                own[:] = array
            else:
                np.take(array, left, axis=0, out=own)
        return lines
