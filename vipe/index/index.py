"""PoseIndex: an archive's poses as a folder that can be searched (numpy)."""

__all__ = ["PoseIndex"]

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Float32, Float64, Int64, Integer, Shaped

from vipe.arrays import Array
from vipe.clips import Clip
from vipe.detections import Keypoints
from vipe.embed import AffineSignature, find_encoder
from vipe.embed.encoder import Encoder
from vipe.errors import ArgumentError, IndexFormatError, ShapeError, VipeError
from vipe.index import grow
from vipe.index.build import RowProgress, write_index
from vipe.index.checks import compared, verify
from vipe.index.engines import Engine, gpu_number
from vipe.index.frames import Where, matching_rows
from vipe.index.manifest import Manifest, read_manifest, refuse_other_encoder
from vipe.index.neighbours import Neighbours
from vipe.index.part import Part, recipe_of
from vipe.index.radius import Within, check_radius, rows_within
from vipe.index.recipe import Recipe, Search, load_recipe, name_of, named
from vipe.index.rows import Rows, Stacked
from vipe.index.tuning import AT, WANTED, Find, NobodyFound, People, Tuned, check_recall, simulated_people, tune
from vipe.store import PoseStore

T = TypeVar("T")

_MAPPED = ("embeddings.npy", "poses.npy", "index.faiss")
_LABEL = 36  # bytes of a row of the frame table: three numbers, and a code for each text
_TRIES = 5  # to open an index that somebody is changing


class PoseIndex:
    """The embeddings of an archive's poses, the frames they come from, and the encoder that made them.

    A folder: `manifest.json`, `encoder/`, and a part or several with `embeddings.npy`, `poses.npy`, `frames.parquet`
    and `index.faiss`. It needs neither the store it was built from nor the encoder's own folder. Make one with `build`,
    or `open` one.

    Rows count the poses that are left, in the order in which they were added. An object is one version of the index:
    `add`, `remove` and `compact` give another one, and this one goes on as it is, whoever changes the folder. What
    names a pose in every version is its id.
    """

    def __init__(self, path: Path, manifest: Manifest, parts: Sequence[Part], encoder: Encoder | None = None) -> None:
        """Use `build` or `open`."""
        self.path = path
        self.manifest = manifest
        self.change: grow.Change | None = None
        """What the `add`, `remove` or `compact` did that gave this object."""
        self._parts = tuple(parts)
        self._rows = Rows([part.note.rows for part in parts], [part.left for part in parts])
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
        recall: float = WANTED,
        progress: RowProgress | None = None,
        where: Mapping[str, object] | pc.Expression | None = None,
    ) -> "PoseIndex":
        """Embed every pose of a store and write the index, whole or not at all.

        Poses are read, made canonical and embedded a block at a time. Memory grows with the store by what FAISS holds
        of them. Poses without a canonical pose (hips and spine on one line) are left out; `info()["left_out"]` is
        their number. After an interrupt or a kill, the same build goes on where it was (`vipe.index.build`).

        Args:
            store: The poses.
            embedder: Any encoder; the index holds a copy of it.
            path: The folder to make; must not exist.
            recipe: Name of a recipe that comes with the library, or path of a .toml file of your own; `indexes/` has
                the files to copy. "flat" compares a query with every embedding; "fp16" and "int8" with codes of half
                and a quarter of the size, and then the best of them with the embeddings; "ivf" and the smaller "ivf-pq"
                with the codes of their nearest lists only; "hnsw" walks a graph. "auto" chooses by the number of poses,
                and then tunes what it chose. The index holds a copy.
            recall: What "auto" is tuned for, as in `tune`.
            progress: Called after each block with the poses done and the poses in all.
            where: Index only these rows of the store, as in `PoseStore.table`.

        Raises:
            IndexFormatError: If something is at `path` already, or the folder cannot be written.
            StoreError: If no pose is left to index, or two frames of the store have one id.
            VipeError: If there is no such recipe, or its file is not one.
            ArgumentError: If `store` or `embedder` has the wrong type.
        """
        _check_kinds(store, embedder)
        check_recall(recall)
        write_index(store, embedder, Path(path), recipe=recipe, progress=progress, where=where)
        index = cls.open(path, embedder)
        if not index.manifest.automatic or not index._recipe.has_lists:
            return index
        with suppress(NobodyFound):  # of poses so far apart that no measure is possible; it searches as its recipe says
            index.tune(recall)
        return cls.open(path, embedder)

    @classmethod
    def open(cls, path: str | Path, embedder: Encoder | None = None, *, device: str = "cpu") -> "PoseIndex":
        """Open an index after comparing its files with the manifest's checksums; FAISS reads nothing before.

        Codes, embeddings and poses are mapped, so memory does not grow with them. Files that were compared since they
        were last written are not read again (`vipe.index.checks`); `verify` reads all.

        Args:
            path: The folder.
            embedder: The encoder that built the index; another one is refused. By default the
                index's own copy is used.
            device: What finds neighbours: "cpu"; or "cuda", "cuda:1", to which codes or embeddings are copied. It needs
                FAISS for GPUs (extra `cuda12` or `cuda13`, in place of faiss-cpu) and a recipe with a form there: flat,
                fp16, int8, ivf. Searches with a filter, and of parts from which poses were removed, run on the CPU.

        Raises:
            IndexFormatError: If a file is missing, cut or altered, or the format version is another.
            EncoderMismatch: If another encoder built it.
            VipeError: If there is no such device, FAISS is not built for it, or the recipe has no form there.
        """
        path, gpu = Path(path), gpu_number(device)
        for attempt in range(_TRIES):
            manifest = read_manifest(path)
            refuse_other_encoder(path, manifest, embedder)
            try:
                index = cls._of(path, manifest, embedder)
                return index if gpu is None else cls(path, manifest, [p.on_gpu(gpu) for p in index._parts], embedder)
            except IndexFormatError:
                # A writer may have removed what this manifest names: then there is another one.
                if attempt == _TRIES - 1 or read_manifest(path).checksum == manifest.checksum:
                    raise
        raise AssertionError

    @classmethod
    def _of(cls, path: Path, manifest: Manifest, embedder: Encoder | None) -> "PoseIndex":
        comparison = compared(path, manifest)
        parts = [Part(path, note, manifest.encoder, comparison) for note in manifest.parts]
        for part in parts:
            part.check()
        comparison.remember()
        return cls(path, manifest, parts, embedder)

    def add(
        self,
        source: PoseStore | Iterable[Clip],
        *,
        where: Mapping[str, object] | pc.Expression | None = None,
        fps: float | None = None,
        progress: RowProgress | None = None,
        on_wait: Callable[[], None] | None = None,
    ) -> "PoseIndex":
        """Add clips. What that costs depends on them, and not on the size of the index.

        Clips that are there already, by rate and recorded poses, are passed over, whatever their names; so adding a
        store again adds only what is new in it. All of the others are added or, on any error, none.

        Args:
            source: A store; or clips, such as `vipe.read(path)` gives, which are converted to the working skeleton and
                thinned to the rate of the index.
            where: Only these rows of a store, as in `PoseStore.table`.
            fps: Rate to thin clips to, of an index that does not know its own (format 1 and 2).
            progress: Called after each block with the new poses done and those in all.
            on_wait: Called if another process is changing the index, before waiting for it.

        Returns:
            The longer index; its `change` says what was added and what was passed over. If nothing is new, it is of
            the same poses.

        Raises:
            StoreError: If the index has another clip of one's name, the rates differ, or there is nothing to add.
            IndexFormatError: If the folder cannot be written, or a file of it is not as it was.
        """
        if where is not None and not isinstance(source, PoseStore):
            raise ArgumentError("where chooses rows of a store; leave clips out yourself")
        if not isinstance(source, PoseStore) and isinstance(source, str | Path | Clip):
            raise ArgumentError(
                f"source must be a PoseStore or clips, got {type(source).__name__}; open it "
                "(`vipe.PoseStore.open`), read it (`vipe.read`), or give a list of clips"
            )
        change = grow.add(self.path, source, self.encoder, where=where, fps=fps, progress=progress, on_wait=on_wait)
        return self._changed(change)

    def remove(self, where: Where, *, on_wait: Callable[[], None] | None = None) -> "PoseIndex":
        """Remove poses: they are not found any more, and their clips may be added again under the same names.

        Their bytes stay on disk until `compact`, or until an `add` writes their part anew. Ids of the others stay.

        Args:
            where: Which, as in `rows`, such as {"clip": ["walk", "sit"]}. Row numbers are those of this object.
            on_wait: As in `add`.

        Returns:
            The shorter index; its `change` says what was removed.

        Raises:
            VipeError: If no pose matches, none would be left, or a clip that is named is not there; or as in `rows`.
            IndexFormatError: As in `add`.
        """
        if isinstance(where, Mapping):  # read twice, which a generator cannot be
            where = {name: list(some) if isinstance(some, Iterator) else some for name, some in where.items()}
        rows = self.rows(where)  # says what is wrong with it
        which = np.asarray(self.look_up("id", rows, -1)) if isinstance(where, np.ndarray) else where
        return self._changed(grow.remove(self.path, which, on_wait=on_wait))

    def compact(
        self,
        *,
        recipe: str | Path | None = None,
        progress: RowProgress | None = None,
        on_wait: Callable[[], None] | None = None,
    ) -> "PoseIndex":
        """Write what is left as one part: searches look in one place, and the bytes of removed poses are given back.

        Nothing is embedded again; rows and ids stay. The old parts are removed with this object; if other processes
        have them open, by the next process that changes the index.

        Args:
            recipe: Another recipe than that of the index, as in `build`.
            progress: Called after each block with the poses done and the poses in all.
            on_wait: As in `add`.

        Raises:
            VipeError: If there is no such recipe, or its file is not one.
            IndexFormatError: As in `add`.
        """
        return self._changed(grow.compact(self.path, recipe=recipe, progress=progress, on_wait=on_wait))

    def tune(
        self,
        recall: float = WANTED,
        *,
        k: int = AT,
        people: Keypoints | None = None,
        progress: Callable[[int, int], None] | None = None,
        on_wait: Callable[[], None] | None = None,
    ) -> Tuned:
        """Find the least that has to be searched for a wanted recall, and search so from now on.

        No code is written anew: the manifest notes the share of lists, or the effort, that was found. This object goes
        on as it is; open the index again. If the recall is not reached, nothing is changed.

        Args:
            recall: The share that is wanted: of simulated people found by comparing every pose, those still found; of
                your own, the k nearest that are still found.
            k: Among how many they are to be found.
            people: Whom to look for instead of simulated people: keypoints as the index will be asked with.
            progress: Called with the settings tried and those there may be.
            on_wait: As in `add`.

        Returns:
            The setting that was found, and all that were tried.

        Raises:
            VipeError: If the recipe compares every pose, or `recall` or `k` is out of range.
            ShapeError: If the encoder cannot encode `people`.
            IndexFormatError: As in `add`.
        """
        asked = simulated_people(self.encoder, len(self), self.poses)
        if people is not None:
            asked = People(np.ascontiguousarray(self.encoder.encode_keypoints(people), dtype=np.float32), None)
        found = tune(self._recipe, self._by(), self._exactly, asked, self.poses, recall=recall, k=k, progress=progress)
        if found.reached:
            grow.retune(self.path, found.recipe.search, on_wait=on_wait)
        return found

    @property
    def _recipe(self) -> Recipe:
        return recipe_of(self.path, self.manifest.recipe)

    def _by(self) -> Find:
        """`nearest` by recipes that differ in what is searched."""

        @lru_cache(maxsize=1)
        def searching(search: Search) -> PoseIndex:
            recipe = msgspec.structs.replace(self._recipe, search=search)
            parts = [part.searching(recipe) for part in self._parts]
            return type(self)(self.path, self.manifest, parts, self._given)

        return lambda search, queries, k: searching(search).nearest(queries, k)

    def _exactly(self, queries: Float32[Array, "Q D"], k: int) -> Neighbours:
        """`nearest` by comparing every row."""
        return self._merged(queries, k, None, lambda engine, *asked: engine.exactly(*asked))

    def _searched(self) -> dict[str, float | int]:
        """What a search looks at, of a recipe that can be tuned."""
        recipe = self._recipe
        lists = {"lists_searched": round(recipe.search.lists, 5)} if recipe.has_lists else {}
        return {**lists, **({"effort": recipe.search.effort} if recipe.has_graph else {})}

    def verify(self) -> None:
        """Compare every byte of the folder with its manifest's checksums, as it is now.

        Raises:
            IndexFormatError: If a file is missing, cut or altered; names it, what was found and what was expected.
        """
        verify(self.path)

    def recoded(self, recipe: str | Path) -> "PoseIndex":
        """The same rows searched by another recipe, in memory and not in the folder: to compare recipes."""
        chosen = load_recipe(recipe)
        manifest = msgspec.structs.replace(self.manifest, recipe=named(chosen))
        return type(self)(self.path, manifest, [part.recoded(chosen) for part in self._parts], self._given)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """What searches each part, for whoever wants to look into it."""
        return tuple(part.engine for part in self._parts)

    def _changed(self, change: grow.Change) -> "PoseIndex":
        index = type(self).open(self.path, self._given)
        index.change = change
        kept = {part.note.folder for part in index._parts}
        for part in self._parts:
            if part.note.folder not in kept:
                part.supersede()
        return index

    def __len__(self) -> int:
        return len(self._rows)

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
        refuse_other_encoder(self.path, self.manifest, encoder)
        return encoder

    @cached_property
    def labels(self) -> pa.Table:
        """The frame table: id, clip, frame, time, subject, action and source of each row."""
        tables = [part.labels() for part in self._parts]
        return (
            pa.concat_tables(tables).unify_dictionaries().combine_chunks()
        )  # one piece, so arrays of it are no copies

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
        """The embeddings of all rows, float32 as the encoder gave them: do not write into it.

        Mapped from the file if the index is one part of which nothing was removed, else a copy; `vectors` reads some.
        """
        return self._vectors.whole()

    @cached_property
    def canonical(self) -> Float32[Array, "N 17 3"]:
        """The canonical poses of all rows, in torso lengths: do not write into it. `poses` reads some.

        Mapped as `embeddings`; of an index of format 1 or 2 they are read.
        """
        return self.pose_rows.whole()

    @cached_property
    def pose_rows(self) -> Stacked:
        """The canonical poses, to be read where they are needed."""
        return Stacked(self._rows, [part.poses for part in self._parts])

    @cached_property
    def _vectors(self) -> Stacked:
        return Stacked(self._rows, [part.embeddings for part in self._parts])

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
        return self._vectors.take(rows)

    def _check_rows(self, rows: Integer[Array, "*hits"]) -> None:
        if rows.size and not (rows.min() >= 0 and rows.max() < len(self)):
            raise ShapeError(f"rows must lie in 0 ... {len(self) - 1}, got {rows.min()} ... {rows.max()}")

    def frames(self) -> dict[str, Shaped[Array, " N"]]:
        """The frame table as arrays: id, clip, frame, time, subject, action and source of each row."""
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
        queries = self._queries(z)
        if k < 1:
            raise VipeError(f"k must be at least 1, got {k}")
        k = min(k, len(self) if allowed is None else len(allowed))
        if k == 0 or not len(queries):
            return Neighbours(
                np.empty((len(queries), k), dtype=np.int64), np.empty((len(queries), k), dtype=np.float32)
            )
        return self._merged(queries, k, allowed, lambda engine, *asked: engine.search(*asked))

    def _merged(
        self,
        queries: Float32[Array, "Q D"],
        k: int,
        allowed: Int64[Array, " M"] | None,
        search: Callable[[Engine, Float32[Array, "Q D"], int, Int64[Array, " m"] | None], Neighbours],
    ) -> Neighbours:
        """The k nearest of all parts."""
        found = []
        for number, part in enumerate(self._parts):
            places = self._rows.in_part(number, allowed)
            count = self._rows.count(number) if allowed is None or places is None else len(places)
            if count:
                found.append((number, search(part.engine, queries, min(k, count), places)))
        return self._rows.merged(found, k)

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
        return rows_within(self._vectors, queries, radius, self.manifest.encoder.metric, allowed)

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


def _check_kinds(store: object, embedder: object) -> None:
    if not isinstance(store, PoseStore):
        known = f"; open it: vipe.PoseStore.open({str(store)!r})" if isinstance(store, str | Path) else ""
        raise ArgumentError(f"store must be a PoseStore, got {type(store).__name__}{known}")
    if isinstance(embedder, type):
        raise ArgumentError(f"embedder must be an encoder, got the class {embedder.__name__}; call it")
    if not isinstance(embedder, Encoder):
        known = f"; load it: vipe.Embedder.from_pretrained({embedder!r})" if isinstance(embedder, str) else ""
        raise ArgumentError(f"embedder must be an encoder, got {type(embedder).__name__}{known}")
