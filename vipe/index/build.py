"""Building an index folder from a pose store: streamed, beside its place, then renamed."""

__all__ = ["RowProgress", "write_index"]

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float32, Int64

from vipe.arrays import Array
from vipe.atomic_write import atomic_write
from vipe.embed.encoder import Encoder
from vipe.errors import IndexFormatError, ShapeError, StoreError
from vipe.geometry.canonical import canonicalize_array
from vipe.index.engines import ENGINES
from vipe.index.frames import frame_ids, frame_table, open_writer
from vipe.index.manifest import EncoderNote, Manifest, write_manifest
from vipe.index.recipe import automatic, is_shipped, load_recipe
from vipe.store import PoseStore

RowProgress = Callable[[int, int], None]
"""Called with the rows done and the rows in all."""

_ROWS = 16384  # poses at a time: some 20 MB with all that is made of them


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
    chosen = None if recipe == "auto" else load_recipe(recipe)  # before anything is read, because it may be wrong
    total = len(store.table(columns=["frame"], where=where))
    with _new_folder(path) as folder:
        encoder.save(folder / "encoder")
        ids: list[Int64[Array, " rows"]] = []
        clips: set[str] = set()
        done = kept = 0
        with (
            open_writer(folder / "frames.parquet") as frames,
            (folder / "embeddings.npy").open("wb") as embeddings,
        ):
            _write_header(embeddings, 0, encoder.dim)
            for batch in store.batches(_ROWS, where=where):
                recorded = np.array(batch.column("pose").flatten()).reshape(-1, 17, 3)
                canonical = canonicalize_array(recorded)
                keep = ~canonical.degenerate
                vectors = _encode(encoder, recorded[keep])
                table = frame_table(
                    batch, frame_ids(batch.column("clip"), batch.column("frame")), canonical.poses, keep
                )
                embeddings.write(vectors.data)  # `tofile` would not say that the disk is full
                kept += len(vectors)
                frames.write_table(table, row_group_size=_ROWS)
                ids.append(table["id"].to_numpy())
                clips.update(pc.unique(table["clip"]).to_pylist())
                done += len(batch)
                if progress is not None:
                    progress(done, total)
            _write_header(embeddings, kept, encoder.dim)
        if kept == 0:
            raise StoreError(f"{path}: nothing to index: {done} poses match, none has a canonical pose")
        _refuse_shared_ids(np.concatenate(ids), folder / "frames.parquet", path)
        if chosen is None:
            chosen = automatic(kept)
        vectors = np.load(folder / "embeddings.npy", mmap_mode="r")
        ENGINES[chosen.engine].build(chosen, vectors, encoder.metric).save(folder / "index.faiss")
        write_manifest(
            folder,
            Manifest(
                library=version("vipe-pose"),
                encoder=EncoderNote(encoder.name, encoder.fingerprint, encoder.dim, encoder.metric),
                recipe=chosen.name if is_shipped(chosen) else chosen,
                poses=kept,
                clips=len(clips),
                left_out=done - kept,
                files={},
            ),
        )


@contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill, renamed to `path` if nothing failed."""
    if path.exists():
        raise IndexFormatError(f"{path}: is there already; give another path or remove it")
    try:
        with atomic_write(path) as folder:
            folder.mkdir()
            yield folder
    except OSError as error:
        raise IndexFormatError(f"{path}: cannot be written: {error.strerror or error}") from error


def _encode(encoder: Encoder, poses: Float32[Array, "rows 17 3"]) -> Float32[Array, "rows D"]:
    vectors = np.ascontiguousarray(encoder.encode_poses(poses), dtype=np.float32)
    if vectors.shape != (len(poses), encoder.dim) or not np.isfinite(vectors).all():
        raise ShapeError(
            f"encoder {encoder.name} must give {(len(poses), encoder.dim)} finite numbers, got {vectors.shape} "
            f"of which {int((~np.isfinite(vectors)).sum())} are not finite"
        )
    return vectors


def _write_header(file: BinaryIO, rows: int, dim: int) -> None:
    """Write the .npy header, and again when the number of rows is known: its length does not depend on that number."""
    file.seek(0)
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, dim)}
    np.lib.format.write_array_header_1_0(file, header)


def _refuse_shared_ids(ids: Int64[Array, " N"], frames: Path, path: Path) -> None:
    order = np.argsort(ids, kind="stable")
    same = np.flatnonzero(ids[order[1:]] == ids[order[:-1]])
    if len(same):
        table = pq.read_table(frames, columns=["clip", "frame"])
        first, second = (table.slice(int(order[same[0] + i]), 1).to_pylist()[0] for i in (0, 1))
        raise StoreError(
            f"{path}: clip {first['clip']!r} frame {first['frame']} and clip {second['clip']!r} frame "
            f"{second['frame']} have one id ({len(same)} such pairs); is a clip twice in the store?"
        )
