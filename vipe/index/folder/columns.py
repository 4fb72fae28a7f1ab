"""The frame table of an index as arrays: values of a column at some rows, and which rows match (numpy, Arrow)."""

__all__ = ["Columns"]

from functools import cached_property

import numpy as np
import pyarrow as pa
from jaxtyping import Int64, Shaped

from vipe.arrays import Array
from vipe.errors import VipeError
from vipe.index.folder.frames import Where, matching_rows


class Columns:
    """The labels of all rows of an index.

    Args:
        labels: The frame table: id, clip, frame, time, subject, action and source of each row, in one piece.
    """

    def __init__(self, labels: pa.Table) -> None:
        self.labels = labels

    @cached_property
    def arrays(self) -> dict[str, Shaped[Array, " N"]]:
        """Each column as one array, text as text."""
        return {name: self.labels[name].to_numpy() for name in self.labels.column_names}

    def codes(self, column: str) -> Shaped[Array, " N"]:
        """A column as one array, text as a code: the same code means the same text."""
        return self._coded[column][0]

    def look_up(self, column: str, rows: Int64[Array, "*any"], blank: object) -> Shaped[Array, "*any"]:
        """Values of a column at some rows; `Searchable.look_up` documents it."""
        if column not in self._coded:
            raise VipeError(f"no column {column!r}; the columns of an index are {', '.join(self._coded)}")
        values, words = self._coded[column]
        empty = rows < 0
        taken = values[np.where(empty, 0, rows)]
        if words is None:
            return np.where(empty, np.array(blank, dtype=values.dtype), taken)
        found = words[taken]
        found[empty] = blank
        return found

    def matching(self, where: Where) -> Int64[Array, " M"]:
        """Rows that match a filter, ascending; `Searchable.rows` documents it."""
        return matching_rows(self.labels, where)

    @cached_property
    def _coded(self) -> dict[str, tuple[Shaped[Array, " N"], Shaped[Array, " words"] | None]]:
        """Each column as one array; text as a code a row and the word of each code, so that a look-up is cheap."""
        columns: dict[str, tuple[Shaped[Array, " N"], Shaped[Array, " words"] | None]] = {}
        for name in self.labels.column_names:
            whole = self.labels[name].combine_chunks()
            if pa.types.is_dictionary(whole.type):
                words = whole.dictionary.to_numpy(zero_copy_only=False).astype(object)
                columns[name] = (whole.indices.to_numpy(), words)
            else:
                columns[name] = (whole.to_numpy(), None)
        return columns
