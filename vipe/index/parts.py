"""The parts of an index as one: their rows one after the other, and the nearest of all of them (numpy)."""

__all__ = ["Parts"]

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64

from vipe.arrays import Array
from vipe.index.engines import Engine
from vipe.index.folder.checks import compared
from vipe.index.folder.manifest import Manifest
from vipe.index.folder.part import Part
from vipe.index.neighbours import Neighbours
from vipe.index.recipe import Recipe, Search
from vipe.index.rows import Rows, Stacked
from vipe.index.tuning import Find


class Parts:
    """What searches see of the parts of an index: the rows that are left, in the order in which they were added."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._each = tuple(parts)
        self.rows = Rows([part.note.rows for part in self._each], [part.left for part in self._each])

    @classmethod
    def opened(cls, path: Path, manifest: Manifest) -> "Parts":
        """Open the parts that a manifest lists, after comparing all files of the index with it.

        Raises:
            IndexFormatError: If a file is missing, cut or altered, or not what a search expects.
        """
        comparison = compared(path, manifest)
        parts = [Part(path, note, manifest.encoder, comparison) for note in manifest.parts]
        for part in parts:
            part.check()
        comparison.remember()
        return cls(parts)

    def __len__(self) -> int:
        return len(self._each)

    def __iter__(self) -> Iterator[Part]:
        return iter(self._each)

    def each(self, change: Callable[[Part], Part]) -> "Parts":
        """The same rows, of parts that differ in how they are searched."""
        return Parts([change(part) for part in self._each])

    def by_search(self, recipe: Recipe) -> Find:
        """`nearest` by recipes that differ from this one in what is searched."""

        @lru_cache(maxsize=1)
        def searching(search: Search) -> Parts:
            other = msgspec.structs.replace(recipe, search=search)
            return self.each(lambda part: part.searching(other))

        return lambda search, queries, k: searching(search).nearest(queries, k)

    @cached_property
    def embeddings(self) -> Stacked:
        """The embeddings of all rows, to be read where they are needed."""
        return Stacked(self.rows, [part.embeddings for part in self._each])

    @cached_property
    def poses(self) -> Stacked:
        """The canonical poses of all rows, to be read where they are needed."""
        return Stacked(self.rows, [part.poses for part in self._each])

    def labels(self) -> pa.Table:
        """The frame table of all rows, in one piece, so that arrays of it are no copies."""
        tables = [part.labels() for part in self._each]
        return pa.concat_tables(tables).unify_dictionaries().combine_chunks()

    def nearest(self, queries: Float32[Array, "Q D"], k: int, allowed: Int64[Array, " M"] | None = None) -> Neighbours:
        """The k nearest rows of each query, or all if there are fewer; each part is searched by its recipe.

        Args:
            queries: Embeddings.
            k: How many.
            allowed: Only these rows, ascending.
        """
        return self._merged(queries, k, allowed, lambda engine, *asked: engine.search(*asked))

    def exactly(self, queries: Float32[Array, "Q D"], k: int) -> Neighbours:
        """`nearest` by comparing every row."""
        return self._merged(queries, k, None, lambda engine, *asked: engine.exactly(*asked))

    def _merged(
        self,
        queries: Float32[Array, "Q D"],
        k: int,
        allowed: Int64[Array, " M"] | None,
        search: Callable[[Engine, Float32[Array, "Q D"], int, Int64[Array, " m"] | None], Neighbours],
    ) -> Neighbours:
        """The k nearest of all parts."""
        k = min(k, len(self.rows) if allowed is None else len(allowed))
        if k == 0 or not len(queries):
            nobody = (len(queries), k)
            return Neighbours(np.empty(nobody, dtype=np.int64), np.empty(nobody, dtype=np.float32))
        found = []
        for number, part in enumerate(self._each):
            places = self.rows.in_part(number, allowed)
            count = self.rows.count(number) if allowed is None or places is None else len(places)
            if count:
                found.append((number, search(part.engine, queries, min(k, count), places)))
        return self.rows.merged(found, k)
