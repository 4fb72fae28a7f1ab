"""PoseIndex: an archive's poses as a folder that can be searched (numpy)."""

__all__ = ["PoseIndex"]

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Float32, Float64, Int64, Integer, Shaped

from vipe.arrays import Array, blocks
from vipe.embed import AffineSignature, find_encoder
from vipe.embed.encoder import Encoder
from vipe.errors import ArgumentError, EncoderMismatch, IndexFormatError, ShapeError, VipeError
from vipe.index.build import RowProgress, write_index
from vipe.index.engines import ENGINES, Engine
from vipe.index.frames import Where, check_table, matching_rows, read_labels, read_poses
from vipe.index.manifest import Manifest, verify
from vipe.index.neighbours import Neighbours
from vipe.index.recipe import Recipe, load_recipe, shipped_recipes
from vipe.store import PoseStore

T = TypeVar("T")

_BLOCK = 65536  # embeddings checked at a time


class PoseIndex:
    """The embeddings of an archive's poses, the frames they come from, and the encoder that made them.

    A folder: `manifest.json`, `index.faiss`, `embeddings.npy`, `frames.parquet` and `encoder/`. It needs neither the
    store it was built from nor the encoder's own folder. Make one with `build`, or `open` one.
    """

    def __init__(self, path: Path, manifest: Manifest, engine: Engine, encoder: Encoder | None = None) -> None:
        self.path = path
        self.manifest = manifest
        self._engine = engine
        self._given = encoder
        self._made: dict[Any, Any] = {}

    @classmethod
    def build(
        cls,
        store: PoseStore,
        embedder: Encoder,
        path: str | Path,
        *,
        recipe: str | Path = "auto",
        progress: RowProgress | None = None,
        where: Mapping[str, object] | pc.Expression | None = None,
    ) -> "PoseIndex":
        """Embed every pose of a store and write the index, whole or not at all.

        Poses are read, made canonical and embedded a block at a time. Memory grows with the store by FAISS's copy of
        the embeddings and eight bytes a pose. Poses without a canonical pose (hips and spine on one line) are left
        out; `info()["left_out"]` is their number.

        Args:
            store: The poses.
            embedder: Any encoder; the index holds a copy of it.
            path: The folder to make; must not exist.
            recipe: Name of a recipe that comes with the library, or path of a .toml file of your own; `indexes/` has
                the files to copy. "flat" compares a query with every embedding; "fp16" and "int8" with codes of half
                and a quarter of the size, and then the best of them with the embeddings; "ivf" with the codes of the
                nearest eighth of its lists only. "auto" chooses by the number of poses. The index holds a copy.
            progress: Called after each block with the poses done and the poses in all.
            where: Index only these rows of the store, as in `PoseStore.table`.

        Raises:
            IndexFormatError: If something is at `path` already, or the folder cannot be written.
            StoreError: If no pose is left to index, or two frames of the store have one id.
            VipeError: If there is no such recipe, or its file is not one.
            ArgumentError: If `store` or `embedder` has the wrong type.
        """
        _check_kinds(store, embedder)
        write_index(store, embedder, Path(path), recipe=recipe, progress=progress, where=where)
        return cls.open(path, embedder)

    @classmethod
    def open(cls, path: str | Path, embedder: Encoder | None = None) -> "PoseIndex":
        """Open an index after comparing every file's checksum; FAISS reads nothing before.

        Args:
            path: The folder.
            embedder: The encoder that built the index; another one is refused. By default the
                index's own copy is used.

        Raises:
            IndexFormatError: If a file is missing, cut or altered, or the format version is another.
            EncoderMismatch: If another encoder built it.
        """
        path = Path(path)
        manifest = verify(path)
        _refuse_other_encoder(path, manifest, embedder)
        vectors = _read_embeddings(path, manifest)
        check_table(path / "frames.parquet", manifest.poses)
        recipe = _recipe(path, manifest)
        engine = ENGINES[recipe.engine].open(path / "index.faiss", recipe, vectors, manifest.encoder.metric)
        return cls(path, manifest, engine, embedder)

    def __len__(self) -> int:
        return self.manifest.poses

    def __repr__(self) -> str:
        encoder = self.manifest.encoder
        return f"PoseIndex({str(self.path)!r}, {len(self)} poses, {encoder.name} {encoder.fingerprint})"

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder that built the index.

        Raises:
            EncoderMismatch: If the copy in the index has not the manifest's fingerprint.
        """
        if self._given is not None:
            return self._given
        encoder = find_encoder(str(self.path / "encoder"))
        _refuse_other_encoder(self.path, self.manifest, encoder)
        return encoder

    @cached_property
    def labels(self) -> pa.Table:
        """The frame table without poses: id, clip, frame, time, subject, action and source of each row."""
        return read_labels(self.path / "frames.parquet")

    @cached_property
    def _frames(self) -> dict[str, Shaped[Array, " N"]]:
        return {name: self.labels[name].to_numpy() for name in self.labels.column_names}

    @cached_property
    def clip_codes(self) -> Int64[Array, " N"]:
        """A number for the clip of each row; the same number means the same clip."""
        codes: Int64[Array, " N"] = self._columns["clip"][0].astype(np.int64)
        return codes

    @cached_property
    def times(self) -> Float64[Array, " N"]:
        """Time of each row in its source clip, seconds."""
        return self._columns["time"][0]

    @property
    def is_learned(self) -> bool:
        """Whether the embeddings are learned, so that any two, of keypoints or poses, compare by their distance.

        The affine signature is not: it compares keypoints with poses only.
        """
        return self.manifest.encoder.name != AffineSignature.name

    def holds(self, encoder: Encoder) -> bool:
        """Whether this encoder, with these weights, made the embeddings."""
        return self.manifest.encoder.fingerprint == encoder.fingerprint

    def cached(self, make: Callable[["PoseIndex"], T]) -> T:
        """What a function makes of this index: made at the first call, and kept as long as the index is."""
        if make not in self._made:
            self._made[make] = make(self)
        made: T = self._made[make]
        return made

    def look_up(self, column: str, rows: Int64[Array, "*any"], blank: object) -> Shaped[Array, "*any"]:
        """Values of a column at some rows.

        Args:
            column: One of `frames()`.
            rows: Of this index; -1 is an empty place.
            blank: The value of an empty place.

        Raises:
            VipeError: If there is no such column.
        """
        if column not in self._columns:
            raise VipeError(f"no column {column!r}; the columns of an index are {', '.join(self._columns)}")
        values, words = self._columns[column]
        empty = rows < 0
        taken = values[np.where(empty, 0, rows)]
        if words is None:
            return np.where(empty, np.array(blank, dtype=values.dtype), taken)
        found = words[taken]
        found[empty] = blank
        return found

    @cached_property
    def _columns(self) -> dict[str, tuple[Shaped[Array, " N"], Shaped[Array, " words"] | None]]:
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

    @cached_property
    def embeddings(self) -> Float32[Array, "N D"]:
        """The embeddings of all rows, float32 as the encoder gave them; mapped from the file, not read."""
        return _read_embeddings(self.path, self.manifest)

    @cached_property
    def canonical(self) -> Float32[Array, "N 17 3"]:
        """The canonical poses of all rows, in torso lengths. Read once and kept: do not write into it."""
        return read_poses(self.path / "frames.parquet")

    def poses(self, rows: Integer[Array, "*hits"]) -> Float32[Array, "*hits 17 3"]:
        """The canonical poses of some rows.

        Raises:
            ShapeError: If a row is not of this index; -1, the empty place of `Hits`, is not.
        """
        if rows.size and not (rows.min() >= 0 and rows.max() < len(self)):
            raise ShapeError(f"rows must lie in 0 ... {len(self) - 1}, got {rows.min()} ... {rows.max()}")
        return self.canonical[rows]

    def frames(self) -> dict[str, Shaped[Array, " N"]]:
        """The frame table without poses as arrays: id, clip, frame, time, subject, action and source of each row."""
        return dict(self._frames)

    def rows(self, where: Where) -> Int64[Array, " M"]:
        """Rows that match a filter, ascending.

        Args:
            where: A value or a list of values by column of `frames()`, all of which must hold; an Arrow expression;
                or row numbers.

        Raises:
            VipeError: If there is no such column or row, or a value has not the column's type.
        """
        return matching_rows(self.labels, where)

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
        queries = np.atleast_2d(np.ascontiguousarray(z, dtype=np.float32))
        dim = self.manifest.encoder.dim
        if queries.ndim != 2 or queries.shape[1] != dim:
            raise ShapeError(f"z must be (Q, {dim}) for index {self.path}, got shape {np.shape(z)}")
        finite = np.isfinite(queries).all(axis=1)
        if not finite.all():
            raise ShapeError(f"z must be finite; query {int(np.argmin(finite))} is not")
        if k < 1:
            raise VipeError(f"k must be at least 1, got {k}")
        k = min(k, len(self) if allowed is None else len(allowed))
        if k == 0 or not len(queries):
            return Neighbours(
                np.empty((len(queries), k), dtype=np.int64), np.empty((len(queries), k), dtype=np.float32)
            )
        return self._engine.search(queries, k, allowed)

    def info(self) -> dict[str, Any]:
        """The manifest in plain values: encoder, recipe, counts, bytes."""
        manifest = self.manifest
        return {
            "path": str(self.path),
            "poses": manifest.poses,
            "clips": manifest.clips,
            "left_out": manifest.left_out,
            "recipe": manifest.recipe.name if isinstance(manifest.recipe, Recipe) else manifest.recipe,
            "encoder": manifest.encoder.name,
            "fingerprint": manifest.encoder.fingerprint,
            "dim": manifest.encoder.dim,
            "metric": manifest.encoder.metric,
            "bytes": sum(note.bytes for note in manifest.files.values()),
            "format_version": manifest.format_version,
            "library": manifest.library,
        }


def _check_kinds(store: object, embedder: object) -> None:
    if not isinstance(store, PoseStore):
        known = f"; open it: vipe.PoseStore.open({str(store)!r})" if isinstance(store, str | Path) else ""
        raise ArgumentError(f"store must be a PoseStore, got {type(store).__name__}{known}")
    if isinstance(embedder, type):
        raise ArgumentError(f"embedder must be an encoder, got the class {embedder.__name__}; call it")
    if not isinstance(embedder, Encoder):
        known = f"; load it: vipe.Embedder.from_pretrained({embedder!r})" if isinstance(embedder, str) else ""
        raise ArgumentError(f"embedder must be an encoder, got {type(embedder).__name__}{known}")


def _refuse_other_encoder(path: Path, manifest: Manifest, encoder: Encoder | None) -> None:
    built = manifest.encoder
    if encoder is not None and encoder.fingerprint != built.fingerprint:
        raise EncoderMismatch(
            f"index {path} was built by encoder {built.name} {built.fingerprint} (D {built.dim}), this one is "
            f"{encoder.name} {encoder.fingerprint} (D {encoder.dim}); rebuild, or load {built.fingerprint}"
        )


def _read_embeddings(path: Path, manifest: Manifest) -> Float32[Array, "N D"]:
    file = path / "embeddings.npy"
    try:
        vectors: Float32[Array, "N D"] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:  # of its header
        raise IndexFormatError(f"{file}: is no array of numbers ({error}); build the index again") from error
    if vectors.dtype != np.float32 or not vectors.flags.c_contiguous:
        raise IndexFormatError(f"{file}: holds {vectors.dtype}, expected float32 by rows; build the index again")
    if vectors.shape != (expected := (manifest.poses, manifest.encoder.dim)):
        raise IndexFormatError(f"{file}: holds (poses, dim) {vectors.shape}, its manifest has {expected}")
    for rows in blocks(len(vectors), _BLOCK):
        if not np.isfinite(vectors[rows]).all():
            raise IndexFormatError(f"{file}: has embeddings that are not finite; build the index again")
    return vectors


def _recipe(path: Path, manifest: Manifest) -> Recipe:
    """The recipe that an index was built by: one that comes with the library, or one of the user's own."""
    if isinstance(manifest.recipe, Recipe):
        return manifest.recipe
    if manifest.recipe not in shipped_recipes():
        raise IndexFormatError(
            f"{path}: recipe is {manifest.recipe!r}, expected one of {', '.join(shipped_recipes())}; build it again"
        )
    return load_recipe(manifest.recipe)
