"""One version of an index as it is read: its rows, what is known of them, and searches among them (numpy)."""

__all__ = ["Searchable"]

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Float32, Float64, Int64, Integer, Shaped

from vipe.arrays import Array
from vipe.embed import AffineSignature, find_encoder
from vipe.embed.encoder import Encoder
from vipe.errors import ShapeError, VipeError
from vipe.index.engines import Engine
from vipe.index.folder.columns import Columns
from vipe.index.folder.frames import Where
from vipe.index.folder.manifest import Manifest, refuse_other_encoder
from vipe.index.folder.part import recipe_of
from vipe.index.neighbours import Neighbours
from vipe.index.parts import Parts
from vipe.index.radius import Within, check_radius, rows_within
from vipe.index.recipe import Recipe, name_of
from vipe.index.rows import Stacked

T = TypeVar("T")

_MAPPED = ("embeddings.npy", "poses.npy", "index.faiss")
_LABEL = 36  # bytes of a row of the frame table: three numbers, and a code for each text


class Searchable:
    """The rows of an index, and what finds the nearest of them; `PoseIndex` says where they come from.

    Rows count the poses that are left, in the order in which they were added.
    """

    def __init__(
        self, path: Path, manifest: Manifest, parts: Parts, encoder: Encoder | None = None, device: str = "cpu"
    ) -> None:
        """Use `PoseIndex.build` or `PoseIndex.open`."""
        self.path = path
        self.device = device
        """Where neighbours are found, and where whatever ranks them computes; as torch names it."""
        self.manifest = manifest
        self._parts = parts
        self._given = encoder
        self._made: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self._parts.rows)

    def __repr__(self) -> str:
        encoder = self.manifest.encoder
        return f"{type(self).__name__}({str(self.path)!r}, {len(self)} poses, {encoder.name} {encoder.fingerprint})"

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder that built the index, on its device unless one was given.

        Raises:
            EncoderMismatch: If the copy in the index has not the manifest's fingerprint.
        """
        if self._given is not None:
            return self._given
        encoder = find_encoder(str(self.path / "encoder"), device=self.device)
        refuse_other_encoder(self.path, self.manifest, encoder)
        return encoder

    @property
    def is_learned(self) -> bool:
        """Whether the embeddings are learned, so that any two, of keypoints or poses, compare by their distance.

        The affine signature is not: it compares keypoints with poses only.
        """
        return self.manifest.encoder.name != AffineSignature.name

    def holds(self, encoder: Encoder) -> bool:
        """Whether this encoder, with these weights, made the embeddings."""
        return self.manifest.encoder.fingerprint == encoder.fingerprint

    @property
    def engines(self) -> tuple[Engine, ...]:
        """What searches each part, for whoever wants to look into it."""
        return tuple(part.engine for part in self._parts)

    def cached(self, make: Callable[[Self], T]) -> T:
        """What a function makes of this index: made at the first call, and kept as long as the index is."""
        if make not in self._made:
            self._made[make] = make(self)
        made: T = self._made[make]
        return made

    def search(self, z: Float[Array, "*Q D"], k: int, where: Where | None = None) -> Neighbours:
        """Find the rows nearest to embeddings.

        One query runs on one core, several on all.

        Args:
            z: Q embeddings by this index's encoder, or one.
            k: How many neighbours of each; if fewer rows match, all of those.
            where: Search only rows that match, as in `rows`.

        Raises:
            ShapeError: If `z` has another length than the index's embeddings, or is not finite.
            VipeError: If `k` is below 1; or as in `rows`.
        """
        allowed = None if where is None else self.rows(where)
        return self.nearest(z, k, allowed)

    def nearest(self, z: Float[Array, "*Q D"], k: int, allowed: Int64[Array, " M"] | None = None) -> Neighbours:
        """Find neighbours as `search` does, among row numbers as `rows` gives them.

        Returns:
            Distances are Euclidean for an encoder of metric l2; sqrt(1 - inner product) for ip, which for the
            affine signature is the relative residual of the best affine camera.
        """
        queries = self._queries(z)
        if k < 1:
            raise VipeError(f"k must be at least 1, got {k}")
        return self._parts.nearest(queries, k, allowed)

    def within(self, z: Float[Array, "*Q D"], radius: float, where: Where | None = None) -> Within:
        """Find all rows within a distance of embeddings: exactly, for every recipe.

        Every embedding is compared, in blocks; memory is that of the result.

        Args:
            z: Q embeddings by this index's encoder, or one.
            radius: The largest distance, as `nearest` gives it; a row at just this distance is there.
            where: Search only rows that match, as in `rows`.

        Raises:
            ShapeError: If `z` has another length than the index's embeddings, or is not finite.
            VipeError: If `radius` is negative or not finite; or as in `rows`.
        """
        queries = self._queries(z)
        check_radius(radius)
        allowed = None if where is None else self.rows(where)
        return rows_within(self._parts.embeddings, queries, radius, self.manifest.encoder.metric, allowed)

    def rows(self, where: Where) -> Int64[Array, " M"]:
        """Rows that match a filter, ascending.

        Args:
            where: A value or a list of values by column of `frames()`, all of which must hold; an Arrow expression;
                or row numbers.

        Raises:
            VipeError: If there is no such column or row, or a value has not the column's type.
        """
        return self._columns.matching(where)

    @property
    def labels(self) -> pa.Table:
        """The frame table: id, clip, frame, time, subject, action and source of each row."""
        return self._columns.labels

    def frames(self) -> dict[str, Shaped[Array, " N"]]:
        """The frame table as arrays: id, clip, frame, time, subject, action and source of each row."""
        return dict(self._columns.arrays)

    @cached_property
    def clip_codes(self) -> Int64[Array, " N"]:
        """A number for the clip of each row; the same number means the same clip."""
        codes: Int64[Array, " N"] = self._columns.codes("clip").astype(np.int64)
        return codes

    @property
    def times(self) -> Float64[Array, " N"]:
        """Time of each row in its source clip, seconds."""
        return self._columns.codes("time")

    def look_up(self, column: str, rows: Int64[Array, "*any"], blank: object) -> Shaped[Array, "*any"]:
        """Values of a column at some rows.

        Args:
            column: One of `frames()`.
            rows: Of this index; -1 is an empty place.
            blank: The value of an empty place.

        Raises:
            VipeError: If there is no such column.
        """
        return self._columns.look_up(column, rows, blank)

    @cached_property
    def embeddings(self) -> Float32[Array, "N D"]:
        """The embeddings of all rows, float32 as the encoder gave them: do not write into it.

        Mapped from the file if the index is one part of which nothing was removed, else a copy; `vectors` reads some.
        """
        return self._parts.embeddings.whole()

    @cached_property
    def canonical(self) -> Float32[Array, "N 17 3"]:
        """The canonical poses of all rows, in torso lengths: do not write into it. `poses` reads some.

        Mapped as `embeddings`; of an index of format 1 or 2 they are read.
        """
        return self.pose_rows.whole()

    @property
    def pose_rows(self) -> Stacked:
        """The canonical poses, to be read where they are needed."""
        return self._parts.poses

    def poses(self, rows: Integer[Array, "*hits"]) -> Float32[Array, "*hits 17 3"]:
        """The canonical poses of some rows, in torso lengths.

        Raises:
            ShapeError: If a row is not of this index; -1, the empty place of `Hits`, is not.
        """
        self._check_rows(rows)
        return self.pose_rows.take(rows)

    def vectors(self, rows: Integer[Array, "*hits"]) -> Float32[Array, "*hits D"]:
        """The embeddings of some rows.

        Raises:
            ShapeError: As in `poses`.
        """
        self._check_rows(rows)
        return self._parts.embeddings.take(rows)

    def info(self) -> dict[str, Any]:
        """What the index holds, in plain values: encoder, recipe, counts, and bytes on disk and in memory.

        `bytes_mapped` are those of files that are mapped: the system reads what is needed, and takes it back. Of the
        others `bytes_opened` is what an open index holds, and `bytes_labels` what the frame table adds at the first
        query that names clips, without its words, of which each counts once.
        """
        manifest = self.manifest
        files = manifest.all_files()
        return {
            "path": str(self.path),
            "poses": len(self),
            "clips": manifest.clips,
            "removed": sum(part.note.rows for part in self._parts) - len(self),
            "parts": len(self._parts),
            "left_out": manifest.left_out,
            "recipe": name_of(manifest.recipe),
            **self._searched(),
            "encoder": manifest.encoder.name,
            "fingerprint": manifest.encoder.fingerprint,
            "dim": manifest.encoder.dim,
            "metric": manifest.encoder.metric,
            "fps": manifest.fps,
            "bytes": sum(note.bytes for note in files.values()),
            "bytes_mapped": sum(note.bytes for name, note in files.items() if name.endswith(_MAPPED)),
            "bytes_opened": sum(part.held_bytes() for part in self._parts),
            "bytes_labels": _LABEL * len(self),
            "format_version": manifest.format_version,
            "library": manifest.library,
        }

    @property
    def _recipe(self) -> Recipe:
        return recipe_of(self.path, self.manifest.recipe)

    @cached_property
    def _columns(self) -> Columns:
        return Columns(self._parts.labels())

    def _searched(self) -> dict[str, float | int]:
        """What a search looks at, of a recipe that can be tuned."""
        recipe = self._recipe
        lists = {"lists_searched": round(recipe.search.lists, 5)} if recipe.has_lists else {}
        return {**lists, **({"effort": recipe.search.effort} if recipe.has_graph else {})}

    def _check_rows(self, rows: Integer[Array, "*hits"]) -> None:
        if rows.size and not (rows.min() >= 0 and rows.max() < len(self)):
            raise ShapeError(f"rows must lie in 0 ... {len(self) - 1}, got {rows.min()} ... {rows.max()}")

    def _queries(self, z: Float[Array, "*Q D"]) -> Float32[Array, "Q D"]:
        """Embeddings to search with, checked."""
        queries = np.atleast_2d(np.ascontiguousarray(z, dtype=np.float32))
        dim = self.manifest.encoder.dim
        if queries.ndim != 2 or queries.shape[1] != dim:
            raise ShapeError(f"z must be (Q, {dim}) for index {self.path}, got shape {np.shape(z)}")
        finite = np.isfinite(queries).all(axis=1)
        if not finite.all():
            raise ShapeError(f"z must be finite; query {int(np.argmin(finite))} is not")
        return queries
