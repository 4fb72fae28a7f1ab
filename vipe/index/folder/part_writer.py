"""A part of an index as it is written: block by block, then coded for its engine (numpy, Arrow)."""

__all__ = ["PartWriter"]

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32

from vipe.arrays import Array
from vipe.embed.encoder import Metric
from vipe.index.engines import ENGINES
from vipe.index.folder.checks import note_of
from vipe.index.folder.clip_table import write_clips
from vipe.index.folder.frames import open_writer
from vipe.index.folder.manifest import PartNote
from vipe.index.recipe import Recipe, named

_FILES = ("clips.parquet", "embeddings.npy", "frames.parquet", "index.faiss", "poses.npy")
_GROUP = 65536  # rows of the frame table that are read and written at a time


class PartWriter:
    """Fills the folder of a part; in memory is one block at a time.

    The frame table is written in pieces that are joined at the end, because a Parquet file that was cut cannot be gone
    on with. So a writer can go on from any `checkpoint`.

    Args:
        folder: Of the part; made if it is not there.
        dim: Length of embeddings.
        rows: If it goes on, the rows of the checkpoint; what was written after it is dropped.
        pieces: Likewise.

    Raises:
        OSError: If the disk refuses, here as in every method.
    """

    def __init__(self, folder: Path, dim: int, *, rows: int = 0, pieces: int = 0) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.rows, self.pieces = folder, rows, pieces
        self._frames: pq.ParquetWriter | None = None
        self._embeddings = _GrowingArray(folder / "embeddings.npy", (dim,), rows)
        self._poses = _GrowingArray(folder / "poses.npy", (17, 3), rows)

    @staticmethod
    def holds(folder: Path, rows: int, pieces: int) -> bool:
        """Whether a folder holds what a checkpoint says, so that a writer can go on from it."""
        arrays = [folder / "embeddings.npy", folder / "poses.npy"]
        frames = [folder / f"frames-{number:05d}.parquet" for number in range(pieces)]
        try:
            return all(file.is_file() for file in frames) and all(
                len(np.load(file, mmap_mode="r", allow_pickle=False)) >= rows for file in arrays
            )
        except (OSError, ValueError, EOFError):
            return False

    def write(self, labels: pa.Table, poses: Float32[Array, "N 17 3"], vectors: Float32[Array, "N D"]) -> None:
        """Add rows: their lines of the frame table, canonical poses and embeddings."""
        if not len(labels):
            return
        if self._frames is None:
            self._frames = open_writer(self._piece(self.pieces))
        self._frames.write_table(labels, row_group_size=_GROUP)
        self._poses.write(poses)
        self._embeddings.write(vectors)
        self.rows += len(labels)

    def checkpoint(self) -> None:
        """Bring all that was written to the disk; `rows` and `pieces` are what it takes to go on from here."""
        if self._frames is not None:
            self._frames.close()
            self._frames, self.pieces = None, self.pieces + 1
        self._embeddings.flush()
        self._poses.flush()

    def finish(self, recipe: Recipe, metric: Metric, clips: pa.Table, folder: str) -> PartNote:
        """Code the embeddings by a recipe, and say what a manifest has to say of the part.

        Args:
            recipe: Of the engine.
            metric: Of the embeddings.
            clips: That the rows are of, in order (`vipe.index.folder.clip_table`).
            folder: Where the part will lie in the index.
        """
        self.checkpoint()
        self.close()
        self._join()
        write_clips(self.folder / "clips.parquet", clips)
        vectors = np.load(self.folder / "embeddings.npy", mmap_mode="r")
        ENGINES[recipe.engine].build(recipe, vectors, metric).save(self.folder / "index.faiss")
        files = {name: note_of(self.folder / name) for name in _FILES}
        for other in self.folder.glob("frames-*.parquet"):
            other.unlink()  # at the very end, because without them nothing can be gone on with
        return PartNote(
            folder=folder,
            rows=self.rows,
            clips=len(clips),
            recipe=named(recipe),
            files=files,
        )

    def close(self) -> None:
        """Close its files; they stay."""
        if self._frames is not None:
            frames, self._frames = self._frames, None
            frames.close()
        self._embeddings.close()
        self._poses.close()

    def _piece(self, number: int) -> Path:
        return self.folder / f"frames-{number:05d}.parquet"

    def _join(self) -> None:
        """The pieces of the frame table as one file; they stay until the part is finished."""
        with open_writer(self.folder / "frames.parquet") as writer:
            for number in range(self.pieces):
                with pq.ParquetFile(self._piece(number), page_checksum_verification=True) as file:
                    for group in range(file.num_row_groups):
                        writer.write_table(file.read_row_group(group), row_group_size=_GROUP)


class _GrowingArray:
    """A .npy file of float32 whose number of lines is known at the end."""

    def __init__(self, file: Path, line: tuple[int, ...], rows: int) -> None:
        self._line, self._rows = line, rows
        self._file: BinaryIO = file.open("r+b" if rows else "wb")
        self._write_header()
        self._file.truncate(self._file.tell() + rows * int(np.prod(line)) * 4)
        self._file.seek(0, os.SEEK_END)

    def write(self, lines: Float32[Array, "N ..."]) -> None:
        self._file.write(np.ascontiguousarray(lines, dtype="<f4").data)  # `tofile` would not say that the disk is full
        self._rows += len(lines)

    def flush(self) -> None:
        """The header tells how many lines there are, so that the file is an array at any time."""
        self._write_header()
        self._file.seek(0, os.SEEK_END)
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _write_header(self) -> None:
        """Its length does not depend on the number of lines."""
        self._file.seek(0)
        header = {"descr": "<f4", "fortran_order": False, "shape": (self._rows, *self._line)}
        np.lib.format.write_array_header_1_0(self._file, header)
