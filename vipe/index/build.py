"""Building an index folder from a pose store: streamed, gone on with after an interrupt, then renamed.

A build works in a hidden folder beside its path, `.NAME.unfinished`. About every 260,000 poses it notes how far it is,
always between two clips. An interrupt or a kill leaves the folder, and the next build of the same store by the same
encoder at the same path goes on from the last note; any other build there, and any error, removes it.
"""

__all__ = ["Encoding", "RowProgress", "write_index"]

import hashlib
import os
import pickle
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32

from vipe.arrays import Array
from vipe.atomic_write import atomic_write, locked
from vipe.embed.encoder import Encoder
from vipe.errors import ArgumentError, IndexFormatError, ShapeError, StoreError, VipeError
from vipe.geometry.canonical import canonicalize_array
from vipe.index.engines import ENGINES
from vipe.index.folder.checks import note_of
from vipe.index.folder.clip_table import ClipNote, ClipReader, check_ids, clip_runs, table_of
from vipe.index.folder.frames import frame_table
from vipe.index.folder.manifest import EncoderNote, Manifest, write_manifest
from vipe.index.folder.part_writer import PartWriter
from vipe.index.folder.writing import as_write_error
from vipe.index.recipe import automatic, load_recipe, named
from vipe.store import PoseStore

RowProgress = Callable[[int, int], None]
"""Called with the rows done and the rows in all."""

FIRST_PART = "parts/00001"

_ROWS = 16384  # poses at a time: some 20 MB with all that is made of them
_CHECKPOINT = 1 << 18  # poses after which it is noted how far a build is: a few seconds


def write_index(
    store: PoseStore,
    encoder: Encoder,
    path: Path,
    *,
    recipe: str | Path,
    progress: RowProgress | None,
    where: Mapping[str, object] | pc.Expression | None,
) -> None:
    """Embed a store's poses and write the index folder; `PoseIndex.build` documents it."""
    _check_kinds(store, encoder)
    chosen = None if recipe == "auto" else load_recipe(recipe)  # before anything is read, because it may be wrong
    if chosen is not None:
        ENGINES[chosen.engine].check(chosen)
        chosen.refuse_other_metric(encoder.name, encoder.metric)
    if path.exists():
        raise IndexFormatError(f"{path}: is there already; give another path or remove it")
    total = len(store.table(columns=["frame"], where=where))
    with as_write_error(path), _workplace(path) as work:
        folder, state = work / "index", work / "state.json"
        going = _Going.found(state, folder / FIRST_PART, _key(store, encoder, where))
        if not going.kept:
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder / "encoder", ignore_errors=True)
        (folder / "parts").mkdir(parents=True, exist_ok=True)
        encoder.save(folder / "encoder")
        writer = PartWriter(folder / FIRST_PART, encoder.dim, rows=going.kept, pieces=going.pieces)
        try:
            going = _fill(writer, encoder, store.batches(_ROWS, where=where), going, state, total, progress)
            if not going.kept:
                raise StoreError(f"{path}: nothing to index: {going.read} poses match, none has a canonical pose")
            clips = table_of(going.clips)
            check_ids(clips, path)
            if chosen is None:
                chosen = automatic(going.kept, encoder.dim)
            part = writer.finish(chosen, encoder.metric, clips, FIRST_PART)
        finally:
            writer.close()
        manifest = Manifest(
            library=version("vipe-pose"),
            encoder=EncoderNote(encoder.name, encoder.fingerprint, encoder.dim, encoder.metric),
            recipe=named(chosen),
            automatic=recipe == "auto",
            fps=store.fps or "all",
            left_out=going.left_out,
            files={
                file.relative_to(folder).as_posix(): note_of(file)
                for file in sorted((folder / "encoder").rglob("*"))
                if file.is_file()
            },
            parts=[part],
        )
        write_manifest(folder, manifest)
        with atomic_write(path) as beside:
            folder.rename(beside)


class Encoding:
    """Poses of a store on their way into a part: made canonical, embedded, written, and their clips noted."""

    def __init__(self, encoder: Encoder, writer: PartWriter) -> None:
        self._encoder, self._writer, self._clips = encoder, writer, ClipReader()
        self.left_out = 0
        """Poses without a canonical pose."""

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows of a store that follow those before."""
        if not len(batch):
            return
        recorded = np.array(batch.column("pose").flatten()).reshape(-1, 17, 3)
        canonical = canonicalize_array(recorded)
        keep = ~canonical.degenerate
        self._clips.add(batch, keep)
        vectors = _encode(self._encoder, recorded[keep])
        self._writer.write(frame_table(batch, keep), canonical.poses[keep], vectors)
        self.left_out += int(np.count_nonzero(~keep))

    def take_clips(self) -> list[ClipNote]:
        """The clips of what was taken so far, of which no more will come."""
        self._clips.end_clip()
        return self._clips.take()


def _check_kinds(store: object, embedder: object) -> None:
    if not isinstance(store, PoseStore):
        known = f"; open it: vipe.PoseStore.open({str(store)!r})" if isinstance(store, str | Path) else ""
        raise ArgumentError(f"store must be a PoseStore, got {type(store).__name__}{known}")
    if isinstance(embedder, type):
        raise ArgumentError(f"embedder must be an encoder, got the class {embedder.__name__}; call it")
    if not isinstance(embedder, Encoder):
        known = f"; load it: vipe.Embedder.from_pretrained({embedder!r})" if isinstance(embedder, str) else ""
        raise ArgumentError(f"embedder must be an encoder, got {type(embedder).__name__}{known}")


class _Going(msgspec.Struct, frozen=True):
    """How far a build is."""

    key: str
    """Of store, rows and encoder."""
    read: int = 0
    kept: int = 0
    left_out: int = 0
    pieces: int = 0
    clips: list[ClipNote] = []

    @classmethod
    def found(cls, state: Path, part: Path, key: str) -> "_Going":
        """What an interrupted build of the same noted, if all that it wrote is there; else a beginning."""
        beginning = cls(key)
        try:
            noted = msgspec.json.decode(state.read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return beginning
        return noted if noted.key == key and PartWriter.holds(part, noted.kept, noted.pieces) else beginning

    def write(self, state: Path) -> None:
        with atomic_write(state, replace=True) as file:
            file.write_bytes(msgspec.json.encode(self))


def _fill(
    writer: PartWriter,
    encoder: Encoder,
    batches: Iterator[pa.RecordBatch],
    going: _Going,
    state: Path,
    total: int,
    progress: RowProgress | None,
) -> _Going:
    """Encode what a build has not read yet; how far it is goes to `state`."""
    encoding, clips = Encoding(encoder, writer), list(going.clips)
    done, noted, left_out = 0, going.read, going.left_out
    for whole in batches:
        batch = whole.slice(max(0, going.read - done))  # of what was read before, nothing
        start = done + len(whole) - len(batch)
        done += len(whole)
        cut = _last_start(batch) if done - noted >= _CHECKPOINT else 0
        if cut:
            encoding.add(batch.slice(0, cut))
            clips += encoding.take_clips()
            writer.checkpoint()
            noted = start + cut
            _Going(going.key, noted, writer.rows, left_out + encoding.left_out, writer.pieces, clips).write(state)
        encoding.add(batch.slice(cut))
        if progress is not None:
            progress(done, total)
    clips += encoding.take_clips()
    return _Going(going.key, done, writer.rows, left_out + encoding.left_out, writer.pieces, clips)


def _last_start(batch: pa.RecordBatch) -> int:
    """Where the last clip of a batch starts; 0 if that cannot be told."""
    return 0 if not len(batch) else list(clip_runs(batch.column("clip")))[-1][0]


def _key(store: PoseStore, encoder: Encoder, where: object) -> str:
    """The same for the same rows of the same store, by the same encoder."""
    try:
        asked = pickle.dumps(where)
    except (TypeError, AttributeError, pickle.PicklingError):  # a generator, say: such a build begins anew
        asked = os.urandom(16)
    return hashlib.sha256(pickle.dumps((store.fingerprint, encoder.fingerprint, asked))).hexdigest()


def _encode(encoder: Encoder, poses: Float32[Array, "rows 17 3"]) -> Float32[Array, "rows D"]:
    vectors = np.ascontiguousarray(encoder.encode_poses(poses), dtype=np.float32)
    if vectors.shape != (len(poses), encoder.dim) or not np.isfinite(vectors).all():
        raise ShapeError(
            f"encoder {encoder.name} must give {(len(poses), encoder.dim)} finite numbers, got {vectors.shape} "
            f"of which {int((~np.isfinite(vectors)).sum())} are not finite"
        )
    return vectors


@contextmanager
def _workplace(path: Path) -> Iterator[Path]:
    """The folder that a build to a path works in, locked; an interrupt leaves it if a next build can go on from it."""
    path = Path(os.path.realpath(path))
    work = path.with_name(f".{path.name}.unfinished")
    made = [folder for folder in path.parents if not folder.exists()]

    def refuse() -> None:
        raise IndexFormatError(f"{path}: is being built by another process; wait for it, or give another path")

    def clear() -> None:
        shutil.rmtree(work, ignore_errors=True)

    try:
        work.mkdir(parents=True, exist_ok=True)
        with locked(work, refuse):
            try:
                yield work
            except Exception as error:
                clear()
                if isinstance(error, VipeError) and str(work) in str(error):  # of a file that nobody will find there
                    told = str(error).replace(str(work / "index"), str(path))
                    raise IndexFormatError(told) from error
                raise
            except BaseException:  # an interrupt
                if not (work / "state.json").exists():
                    clear()
                raise
            clear()
    finally:
        for folder in made:
            with suppress(OSError):  # something is in it
                folder.rmdir()
