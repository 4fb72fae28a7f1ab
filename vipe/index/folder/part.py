"""A part of an index as it is read: its files mapped, and which of its rows are left (numpy, Arrow)."""

__all__ = ["Part", "recipe_of", "remove_unused"]

import importlib
import importlib.util
import os
import shutil
import weakref
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64

from vipe.arrays import Array, blocks
from vipe.errors import IndexFormatError
from vipe.index.engines import ENGINES, Engine
from vipe.index.folder.checks import Comparison
from vipe.index.folder.clip_table import clips_of_labels, read_clips
from vipe.index.folder.frames import check_table, read_labels, read_poses
from vipe.index.folder.manifest import EncoderNote, PartNote
from vipe.index.recipe import Recipe, load_recipe, shipped_recipes

fcntl: Any = importlib.import_module("fcntl") if importlib.util.find_spec("fcntl") else None

_FILES = ("index.faiss", "embeddings.npy", "clips.parquet", "poses.npy", "frames.parquet")  # the locked one last
_BLOCK = 65536  # rows checked at a time


class Part:
    """The files of a part, compared before with the manifest; each is opened where it is needed.

    As long as it is held, no writer removes the files: it shares a lock on the frame table (see `remove_unused`).

    Args:
        index: Folder of the index.
        note: What its manifest says of the part.
        encoder: Likewise.
        comparison: Whether a file's content has to be looked at.

    Raises:
        IndexFormatError: If a file is not what the manifest says, or a writer has removed the part.
    """

    def __init__(self, index: Path, note: PartNote, encoder: EncoderNote, comparison: Comparison) -> None:
        self.folder, self.note = index / note.folder, note
        self._index, self._encoder, self._comparison = index, encoder, comparison
        self._superseded: list[tuple[Path, str]] = []
        self._end = _hold(self, self.folder / "frames.parquet", self._superseded)
        self.left: Int64[Array, " left"] | None = None if note.removed is None else self._read_left()

    def check(self) -> None:
        """Look at all that a search will read.

        Raises:
            IndexFormatError: If it is not what the manifest says.
        """
        check_table(self.folder / "frames.parquet", self.note.rows, with_poses=not self._has_poses)
        _ = self.embeddings, self.engine
        if self._has_poses:
            _ = self.poses

    @cached_property
    def embeddings(self) -> Float32[Array, "rows D"]:
        """Of all rows, removed ones too; mapped."""
        return self._mapped("embeddings.npy", (self._encoder.dim,), "embeddings")

    @cached_property
    def poses(self) -> Float32[Array, "rows 17 3"]:
        """Canonical poses of all rows; mapped, but of a part of format 1 or 2, of which they are read whole."""
        if not self._has_poses:
            return read_poses(self.folder / "frames.parquet")
        return self._mapped("poses.npy", (17, 3), "poses")

    @cached_property
    def engine(self) -> Engine:
        """What finds neighbours among all rows."""
        file, recipe = self.folder / "index.faiss", recipe_of(self.folder, self.note.recipe)
        return ENGINES[recipe.engine].open(
            file, recipe, self.embeddings, self._encoder.metric, fresh=self._comparison.is_fresh(file)
        )

    def labels(self) -> pa.Table:
        """The frame table of the rows that are left."""
        labels = read_labels(self.folder / "frames.parquet")
        return labels if self.left is None else labels.take(pa.array(self.left))

    def clips(self) -> pa.Table:
        """The clips of which a row is left, with the number of rows that are (`vipe.index.folder.clip_table`)."""
        clips = self.all_clips()
        if self.left is None:
            return clips
        left = np.diff(np.searchsorted(self.left, np.cumsum(np.r_[0, clips["rows"].to_numpy()])))
        place = clips.schema.get_field_index("rows")
        return clips.set_column(place, clips.schema.field(place), pa.array(left)).filter(pa.array(left > 0))

    def all_clips(self) -> pa.Table:
        """The clips of all rows in its files."""
        if "clips.parquet" in self.note.files:
            return read_clips(self.folder / "clips.parquet", self.note.rows)
        return clips_of_labels(read_labels(self.folder / "frames.parquet"))

    def recoded(self, recipe: Recipe) -> "Part":
        """The same rows coded by another recipe, in memory."""
        part = Part(self._index, self.note, self._encoder, self._comparison)
        part.engine = ENGINES[recipe.engine].build(recipe, self.embeddings, self._encoder.metric)
        return part

    def searching(self, recipe: Recipe) -> "Part":
        """The same, searched as a recipe says, if it is coded by that one; else as it is."""
        mine = self.engine.recipe
        if msgspec.structs.replace(mine, search=recipe.search, expected={}) != msgspec.structs.replace(
            recipe, expected={}
        ):
            return self
        part = Part(self._index, self.note, self._encoder, self._comparison)
        part.engine = self.engine.searching(recipe)
        return part

    def on_gpu(self, gpu: int) -> "Part":
        """The same rows searched by a GPU."""
        part = Part(self._index, self.note, self._encoder, self._comparison)
        part.engine = self.engine.on_gpu(gpu)
        return part

    def close(self) -> None:
        """Let writers remove its files."""
        self._end()

    def supersede(self) -> None:
        """Say that no manifest names it any more: its files go with it, unless another process reads them."""
        self._superseded.append((self._index, self.note.folder))

    def held_bytes(self) -> int:
        """Bytes of memory that it takes beside what is mapped: 8 for each row left, if others were removed."""
        own = 0 if self.left is None else self.left.nbytes
        return own + (0 if self._has_poses else self.note.rows * 17 * 3 * 4)

    @property
    def _has_poses(self) -> bool:
        return "poses.npy" in self.note.files

    def _mapped(self, name: str, line: tuple[int, ...], what: str) -> Float32[Array, "rows ..."]:
        file = self.folder / name
        try:  # a copy on write: what somebody writes into it never reaches the file
            lines: Float32[Array, "rows ..."] = np.load(file, mmap_mode="c", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:  # of its header
            raise IndexFormatError(f"{file}: is no array of numbers ({error}); build the index again") from error
        if lines.dtype != np.float32 or not lines.flags.c_contiguous:
            raise IndexFormatError(f"{file}: holds {lines.dtype}, expected float32 by rows; build the index again")
        if lines.shape != (expected := (self.note.rows, *line)):
            kind = "(poses, dim) " if what == "embeddings" else ""
            raise IndexFormatError(f"{file}: holds {kind}{lines.shape}, its manifest has {expected}")
        if self._comparison.is_fresh(file):
            for rows in blocks(len(lines), _BLOCK):
                if not np.isfinite(lines[rows]).all():
                    raise IndexFormatError(f"{file}: has {what} that are not finite; build the index again")
        return lines

    def _read_left(self) -> Int64[Array, " left"]:
        if (removed := self.note.removed) is None:
            raise AssertionError
        file, rows = self._index / removed.file, self.note.rows
        try:
            bits = np.load(file, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise IndexFormatError(f"{file}: is no array of numbers ({error}); build the index again") from error
        if bits.dtype != np.uint8 or bits.shape != (-(-rows // 8),):
            raise IndexFormatError(f"{file}: does not hold a bit for each of {rows} rows; build the index again")
        left = np.flatnonzero(np.unpackbits(bits, count=rows) == 0)
        left.flags.writeable = False
        if len(left) != self.note.left:
            raise IndexFormatError(
                f"{file}: says that {len(left)} rows are left, the manifest {self.note.left}; build the index again"
            )
        return left


def remove_unused(index: Path, folder: str) -> None:
    """Remove the files of a part that the manifest no longer names, unless somebody still reads it.

    Systems without locks have no way to ask; there they are removed, and files that are mapped stay whole until they
    are closed.
    """
    try:
        handle = os.open(index / folder / "frames.parquet", os.O_RDONLY)
    except OSError:  # without a frame table it is the rest of one that was half removed
        _remove(index, folder)
        return
    try:
        _remove_held(handle, index, folder)
    finally:
        os.close(handle)


def recipe_of(path: Path, recipe: str | Recipe) -> Recipe:
    """The recipe that a manifest names, or holds if it is one of the user's own.

    Raises:
        IndexFormatError: If there is no such recipe.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in shipped_recipes():
        raise IndexFormatError(
            f"{path}: recipe is {recipe!r}, expected one of {', '.join(shipped_recipes())}; build it again"
        )
    return load_recipe(recipe)


def _hold(part: Part, file: Path, superseded: list[tuple[Path, str]]) -> Callable[[], object]:
    """Share the lock of a file until the part is gone, and see that no writer took it away just before."""
    gone = IndexFormatError(f"{file}: was removed while it was being opened; open the index again")
    try:
        handle = os.open(file, os.O_RDONLY)
    except OSError as error:
        raise gone from error
    end = weakref.finalize(part, _let_go, handle, os.getpid(), superseded)
    try:
        _flock(handle, None if fcntl is None else fcntl.LOCK_SH)
    except BlockingIOError as error:  # it is being removed
        raise gone from error
    if os.fstat(handle).st_nlink == 0:
        raise gone
    return end


def _let_go(handle: int, process: int, superseded: list[tuple[Path, str]]) -> None:
    """End a part; the process that superseded it removes its files, a child of it shares its lock and does not."""
    try:
        for index, folder in superseded if os.getpid() == process else ():
            _remove_held(handle, index, folder)
    finally:
        os.close(handle)


def _remove_held(handle: int, index: Path, folder: str) -> None:
    """Remove a part whose frame table is open, if nobody else has it open, and no other index took its place."""
    try:
        _flock(handle, None if fcntl is None else fcntl.LOCK_EX)
        if os.path.samestat(os.fstat(handle), (index / folder / "frames.parquet").stat()):
            _remove(index, folder)
    except (BlockingIOError, FileNotFoundError):
        return


def _remove(index: Path, folder: str) -> None:
    if folder == ".":
        for name in _FILES:
            (index / name).unlink(missing_ok=True)
    else:
        shutil.rmtree(index / folder, ignore_errors=True)


def _flock(handle: int, kind: int | None) -> None:
    """Lock a file, or raise BlockingIOError; on a system or file system without locks do nothing."""
    if kind is None:
        return
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return
