"""The folder of an index as its one writer sees it: the lock, parts to read and to write, and what is cleared away.

A writer writes new files beside those that are there, replaces the manifest, and then removes what no manifest names
and nobody reads. What a killed one leaves, the next one clears away.
"""

__all__ = [
    "ROOM",
    "Filter",
    "OnWait",
    "as_write_error",
    "new_part",
    "next_folder",
    "opened",
    "replace_parts",
    "writing",
]

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from vipe.atomic_write import atomic_write, locked, remove_abandoned
from vipe.errors import IndexFormatError
from vipe.index.folder.checks import compared, note_of
from vipe.index.folder.clip_table import write_clips
from vipe.index.folder.manifest import Manifest, PartNote, read_manifest, write_manifest
from vipe.index.folder.part import Part, remove_unused
from vipe.index.folder.part_writer import PartWriter
from vipe.index.recipe import automatic, name_of
from vipe.printable import in_short

OnWait: TypeAlias = Callable[[], None]
Filter: TypeAlias = Mapping[str, object] | pc.Expression

ROOM = ".clips-"
"""How the folders begin in which clips become a store while they are added."""


@contextmanager
def as_write_error(path: Path) -> Iterator[None]:
    """Raise errors of the disk as an IndexFormatError of one line."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise IndexFormatError(f"{path}: cannot be written: {in_short(error)}") from error


@contextmanager
def writing(path: Path, on_wait: OnWait | None) -> Iterator[Manifest]:
    """Be the one who writes; before and after, what nobody needs is cleared away."""
    read_manifest(path)  # says what is wrong with it
    with as_write_error(path), locked(path, on_wait):
        manifest = read_manifest(path)
        _clear(path, manifest)
        yield manifest
        _clear(path, read_manifest(path))


@contextmanager
def opened(
    path: Path, manifest: Manifest, notes: Sequence[PartNote], files: Sequence[str] | None
) -> Iterator[list[Part]]:
    """Parts of which some files, or all, are read. One without a table of its clips tells them by its frame table."""
    some = set()
    for note in notes:
        wanted = set(note.files if files is None else files) & set(note.files)
        if files is not None and "clips.parquet" not in note.files:
            wanted.add("frames.parquet")
        some |= {(Path(note.folder) / name).as_posix() for name in wanted}
        some |= set() if note.removed is None else {note.removed.file}
    comparison = compared(path, manifest, some)
    parts = [Part(path, note, manifest.encoder, comparison) for note in notes]
    try:
        yield parts
    finally:
        for part in parts:
            part.close()


def next_folder(path: Path, manifest: Manifest) -> str:
    """Of the next part: a number above all others, those on their way out included."""
    names = [note.folder for note in manifest.parts] + [f"parts/{one.name}" for one in (path / "parts").glob("*")]
    numbers = [int(found[1]) for name in names if (found := re.fullmatch(r"parts/([0-9]{5,9})", name))]
    return f"parts/{max(numbers, default=0) + 1:05d}"


@contextmanager
def new_part(path: Path, folder: str, manifest: Manifest) -> Iterator[PartWriter]:
    """What writes a part, which appears when all of it is written."""
    with atomic_write(path / folder) as beside:
        writer = PartWriter(beside, manifest.encoder.dim)
        try:
            yield writer
        finally:
            writer.close()


def replace_parts(path: Path, manifest: Manifest, notes: Sequence[PartNote]) -> None:
    """Make other parts those that count."""
    parts = [_with_clips(path, manifest, note) for note in notes]
    changed = msgspec.structs.replace(manifest, parts=parts, library=version("vipe-pose"))
    if manifest.automatic and (chosen := automatic(changed.poses, changed.encoder.dim)).name != name_of(changed.recipe):
        changed = msgspec.structs.replace(changed, recipe=chosen.name)
    write_manifest(path, changed)


def _with_clips(path: Path, manifest: Manifest, note: PartNote) -> PartNote:
    """The note of a part of format 1 or 2, with a table of its clips, which spares the next `add` its frame table."""
    if "clips.parquet" in note.files:
        return note
    with opened(path, manifest, [note], ("frames.parquet",)) as parts:
        clips = parts[0].all_clips()
    with atomic_write(path / note.folder / "clips.parquet", replace=True) as file:
        write_clips(file, clips)
    files = {**note.files, "clips.parquet": note_of(path / note.folder / "clips.parquet")}
    return msgspec.structs.replace(note, files=files)


def _clear(path: Path, manifest: Manifest) -> None:
    """Remove what no manifest names and nobody reads, and what killed processes left."""
    for room in path.glob(f"{ROOM}*"):
        shutil.rmtree(room, ignore_errors=True)
    remove_abandoned(path, r"(?:manifest|checked)\.json|clips\.parquet")
    folders = {note.folder for note in manifest.parts}
    files = {path / note.removed.file for note in manifest.parts if note.removed is not None}
    if (path / "parts").is_dir():
        remove_abandoned(path / "parts", "[0-9]+")
        for one in (path / "parts").iterdir():
            if re.fullmatch("[0-9]{5,9}", one.name) and f"parts/{one.name}" not in folders:
                remove_unused(path, f"parts/{one.name}")
    if (path / "removed").is_dir():
        remove_abandoned(path / "removed", r"[0-9]+-[0-9]+\.npy")
        for one in (path / "removed").glob("*.npy"):
            if one not in files:
                one.unlink(missing_ok=True)
    if "." not in folders:
        remove_unused(path, ".")
