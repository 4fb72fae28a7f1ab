"""PoseIndex: an archive's poses as a folder that can be searched (numpy)."""

__all__ = ["PoseIndex"]

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.compute as pc

from vipe.clips import Clip
from vipe.detections import Keypoints
from vipe.embed import find_encoder
from vipe.embed.encoder import Encoder
from vipe.errors import IndexFormatError
from vipe.index import grow
from vipe.index.build import RowProgress, write_index
from vipe.index.engines import gpu_number
from vipe.index.folder.checks import verify
from vipe.index.folder.frames import Where
from vipe.index.folder.manifest import Manifest, read_manifest, refuse_other_encoder
from vipe.index.newcomers import check_source
from vipe.index.parts import Parts
from vipe.index.recipe import load_recipe, named
from vipe.index.searchable import Searchable
from vipe.index.tuning import AT, WANTED, NobodyFound, People, Tuned, check_recall, simulated_people, tune
from vipe.store import PoseStore

_TRIES = 5  # to open an index that somebody is changing


class PoseIndex(Searchable):
    """The embeddings of an archive's poses, the frames they come from, and the encoder that made them.

    A folder: `manifest.json`, `encoder/`, and a part or several with `embeddings.npy`, `poses.npy`, `frames.parquet`
    and `index.faiss`. It needs neither the store it was built from nor the encoder's own folder. Make one with `build`,
    or `open` one.

    Rows count the poses that are left, in the order in which they were added. An object is one version of the index:
    `add`, `remove` and `compact` give another one, and this one goes on as it is, whoever changes the folder. What
    names a pose in every version is its id.
    """

    def __init__(
        self, path: Path, manifest: Manifest, parts: Parts, encoder: Encoder | None = None, device: str = "cpu"
    ) -> None:
        """Use `build` or `open`."""
        super().__init__(path, manifest, parts, encoder, device)
        self.change: grow.Change | None = None
        """What the `add`, `remove` or `compact` did that gave this object."""
        self.tuned: Tuned | None = None
        """What the `build` with recipe "auto" that gave this object measured; None if it had nothing to tune."""

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
            VipeError: If there is no such recipe, its file is not one, or it is for encoders of another metric.
            ArgumentError: If `store` or `embedder` has the wrong type.
        """
        check_recall(recall)
        write_index(store, embedder, Path(path), recipe=recipe, progress=progress, where=where)
        index = cls.open(path, embedder)
        if not index.manifest.automatic or not index._recipe.has_lists:
            return index
        found = None
        with suppress(NobodyFound):  # of poses so far apart that no measure is possible; it searches as its recipe says
            found = index.tune(recall)
        index = cls.open(path, embedder)
        index.tuned = found
        return index

    def exactness(self, measured: str | None = None) -> str:
        """A line on how far answers are those of comparing every pose, of the recipe as it searches now.

        Args:
            measured: What was measured on this index, in place of what the recipe states.
        """
        recipe, name = self._recipe, self.manifest.encoder.name
        if not recipe.exact and name not in recipe.expected and self.holds(find_encoder("default")):
            name = "default"  # as recipes call the embedding that comes with the library
        return recipe.exactness(name, measured)

    @classmethod
    def open(cls, path: str | Path, embedder: Encoder | None = None, *, device: str = "cpu") -> "PoseIndex":
        """Open an index after comparing its files with the manifest's checksums; FAISS reads nothing before.

        Codes, embeddings and poses are mapped, so memory does not grow with them. Files that were compared since they
        were last written are not read again (`vipe.index.folder.checks`); `verify` reads all.

        Args:
            path: The folder.
            embedder: The encoder that built the index; another one is refused. By default the
                index's own copy is used.
            device: What finds neighbours: "cpu"; or "cuda", "cuda:1", to which codes or embeddings are copied. It needs
                FAISS for GPUs (extra `cuda12` or `cuda13`, in place of faiss-cpu), torch for GPUs, and a recipe with a
                form there: all but `hnsw`. Searches with a filter, and of parts from which poses were removed, run on
                the CPU. What ranks poses (`vipe.query`) computes there, too, and so does the index's own copy of its
                encoder.

        Raises:
            IndexFormatError: If a file is missing, cut or altered, or the format version is another.
            EncoderMismatch: If another encoder built it.
            VipeError: If there is no such device, FAISS or torch is not built for it, or the recipe has no form there.
        """
        path, gpu = Path(path), gpu_number(device)
        for attempt in range(_TRIES):
            manifest = read_manifest(path)
            refuse_other_encoder(path, manifest, embedder)
            try:
                parts = Parts.opened(path, manifest)
                if gpu is not None:
                    parts = parts.each(lambda part: part.on_gpu(gpu))
                return cls(path, manifest, parts, embedder, device)
            except IndexFormatError:
                # A writer may have removed what this manifest names: then there is another one.
                if attempt == _TRIES - 1 or read_manifest(path).checksum == manifest.checksum:
                    raise
        raise AssertionError

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
            StoreError: If the index has another clip of one's name, the rates differ, there is nothing to add, or
                `where` names a clip that the store lacks.
            IndexFormatError: If the folder cannot be written, or a file of it is not as it was.
        """
        check_source(source, where)
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
            VipeError: If there is no such recipe, its file is not one, or it is for encoders of another metric.
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
        if people is None:
            asked = simulated_people(self.encoder, len(self), self.poses)
        else:
            asked = People(np.ascontiguousarray(self.encoder.encode_keypoints(people), dtype=np.float32), None)
        find, exactly = self._parts.by_search(self._recipe), self._parts.exactly
        found = tune(
            self._recipe, find, exactly, asked, self.poses, recall=recall, k=min(k, len(self)), progress=progress
        )
        if found.reached:
            grow.retune(self.path, found.recipe.search, on_wait=on_wait)
        return found

    def verify(self) -> None:
        """Compare every byte of the folder with its manifest's checksums, as it is now.

        Raises:
            IndexFormatError: If a file is missing, cut or altered; names it, what was found and what was expected.
        """
        verify(self.path)

    def recoded(self, recipe: str | Path) -> "PoseIndex":
        """The same rows searched by another recipe, in memory and not in the folder: to compare recipes."""
        chosen = load_recipe(recipe)
        chosen.refuse_other_metric(self.manifest.encoder.name, self.manifest.encoder.metric)
        manifest = msgspec.structs.replace(self.manifest, recipe=named(chosen))
        gpu, parts = gpu_number(self.device), self._parts.each(lambda part: part.recoded(chosen))
        if gpu is not None:
            parts = parts.each(lambda part: part.on_gpu(gpu))
        return type(self)(self.path, manifest, parts, self._given, self.device)

    def _changed(self, change: grow.Change) -> "PoseIndex":
        index = type(self).open(self.path, self._given, device=self.device)
        index.change = change
        kept = {part.note.folder for part in index._parts}
        for part in self._parts:
            if part.note.folder not in kept:
                part.supersede()
        return index
