"""Adding clips to an index, removing some, and making one part of several.

One process writes at a time, by the lock of the folder, which ends with the process. It writes new files beside those
that are there, replaces the manifest, and then removes what no manifest names and nobody reads. So a kill at any moment
leaves the index as it was or as it should be, and the next writer clears away what it finds.

New clips go into a part of their own, together with the small parts at the end: as long as the last part has less than
twice the rows of what is to be written, and both have at most `_MERGED` rows, it is written anew with them. So parts
halve from one to the next at least, and a row is copied a few times at most. What an `add` costs is bounded by
`_MERGED`, whatever the size of the index. Parts of about this size stay as they are until `compact`.
"""

__all__ = ["Change", "add", "compact", "remove", "retune"]

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from vipe.arrays import Array, blocks
from vipe.atomic_write import atomic_write
from vipe.clips import Clip
from vipe.embed.encoder import Encoder
from vipe.errors import VipeError
from vipe.index.build import Encoding, RowProgress
from vipe.index.engines import ENGINES
from vipe.index.folder.checks import note_of
from vipe.index.folder.clip_table import check_ids, table_of
from vipe.index.folder.frames import SCHEMA, matching_rows
from vipe.index.folder.manifest import Manifest, PartNote, RemovedNote, refuse_other_encoder
from vipe.index.folder.part import Part, recipe_of
from vipe.index.folder.part_writer import PartWriter
from vipe.index.folder.writing import Filter, OnWait, new_part, next_folder, opened, replace_parts, writing
from vipe.index.newcomers import as_store, lacking, new_clips, those
from vipe.index.recipe import Recipe, Search, automatic, load_recipe, named
from vipe.index.tuning import with_search
from vipe.store import PassedOver, PoseStore

_MERGED = 1 << 17  # rows: a part that is written in about a second
_SMALL = 10_000  # rows of a part that is compared whole, because codes of so few save nothing
_ROWS = 16384  # at a time


class Change(NamedTuple):
    """What an `add`, a `remove` or a `compact` did."""

    poses: int = 0
    """That were added or removed."""
    clips: int = 0
    """That were added, or of which nothing is left."""
    passed_over: tuple[PassedOver, ...] = ()
    """Clips that were not added, because an identical one is there."""
    left_out: int = 0
    """Poses that were not added, because they have no canonical pose."""


def add(
    path: Path,
    source: PoseStore | Iterable[Clip],
    encoder: Encoder,
    *,
    where: Filter | None = None,
    fps: float | None = None,
    progress: RowProgress | None = None,
    on_wait: OnWait | None = None,
) -> Change:
    """Add clips to an index; `PoseIndex.add` documents it."""
    with writing(path, on_wait) as manifest, as_store(path, source, manifest, fps) as store:
        refuse_other_encoder(path, manifest, encoder)
        with opened(path, manifest, manifest.parts, ("clips.parquet",)) as parts:
            there = [part.clips() for part in parts]
            new, passed_over = new_clips(store, where, path, manifest, there)
        check_ids(pa.concat_tables([*there, table_of(new)]), path)
        if not new:
            return Change(passed_over=passed_over)
        if passed_over:
            where = those(where, [note.clip for note in new])
        total = sum(note.rows for note in new)
        first = _first_to_merge([note.left for note in manifest.parts], total)
        folder, poses, left_out = next_folder(path, manifest), 0, 0
        with (
            suppress(_Nothing),
            opened(path, manifest, manifest.parts[first:], _ALL) as parts,
            new_part(path, folder, manifest) as writer,
        ):
            kept = _copy(writer, parts)
            copied, encoding = writer.rows, Encoding(encoder, writer)
            done = 0
            for batch in store.batches(_ROWS, where=where):
                encoding.add(batch)
                done += len(batch)
                if progress is not None:
                    progress(done, total)
            clips = table_of(encoding.take_clips())
            poses, left_out = writer.rows - copied, encoding.left_out
            if not poses:
                raise _Nothing
            recipe = _recipe_of_part(path, manifest, writer.rows, manifest.poses + poses)
            note = writer.finish(recipe, manifest.encoder.metric, pa.concat_tables([*kept, clips]), folder)
        if not poses:
            return Change(passed_over=passed_over, left_out=left_out)
        changed = msgspec.structs.replace(manifest, left_out=manifest.left_out + left_out)
        replace_parts(path, changed, [*manifest.parts[:first], note])
        return Change(poses, len(clips), passed_over, left_out)


def remove(path: Path, which: Filter | Int64[Array, " ids"], *, on_wait: OnWait | None = None) -> Change:
    """Remove rows by a filter or by their ids; `PoseIndex.remove` documents it."""
    with writing(path, on_wait) as manifest:
        notes: list[PartNote] = []
        with opened(path, manifest, manifest.parts, ("clips.parquet", "frames.parquet")) as parts:
            if isinstance(which, Mapping) and "clip" in which:
                there = dict.fromkeys(name for part in parts for name in part.clips()["clip"].to_pylist())
                if lack := lacking(path, which["clip"], there):
                    raise VipeError(f"{lack}; nothing was removed")
            for part in parts:
                note = _without(path, part, which)
                notes += [] if note is None else [note]
        gone = manifest.poses - sum(note.left for note in notes)
        if not gone:
            raise VipeError(f"{path}: no pose matches; nothing was removed")
        if not notes:
            raise VipeError(f"{path}: that would remove every pose; remove the folder instead")
        replace_parts(path, manifest, notes)
        return Change(gone, manifest.clips - sum(note.clips for note in notes))


def retune(path: Path, search: Search, *, on_wait: OnWait | None = None) -> None:
    """Search the parts that are coded by the recipe of the index as given from now on; no file is written but one."""
    with writing(path, on_wait) as manifest:
        held = recipe_of(path, manifest.recipe)

        def changed(noted: str | Recipe) -> str | Recipe:
            own = recipe_of(path, noted)
            return named(with_search(own, search)) if own.factory == held.factory else noted

        notes = [msgspec.structs.replace(part, recipe=changed(part.recipe)) for part in manifest.parts]
        replace_parts(path, msgspec.structs.replace(manifest, recipe=changed(manifest.recipe)), notes)


def compact(
    path: Path,
    *,
    recipe: str | Path | None = None,
    progress: RowProgress | None = None,
    on_wait: OnWait | None = None,
) -> Change:
    """Write the rows that are left as one part; `PoseIndex.compact` documents it."""
    asked = None if recipe in (None, "auto") else load_recipe(str(recipe))
    if asked is not None:
        ENGINES[asked.engine].check(asked)
    with writing(path, on_wait) as manifest:
        auto = recipe == "auto" or (recipe is None and manifest.automatic)
        if asked is not None:
            asked.refuse_other_metric(manifest.encoder.name, manifest.encoder.metric)
        if asked is None:
            asked = _automatic(path, manifest, manifest.poses) if auto else recipe_of(path, manifest.recipe)
        noted = named(asked)
        manifest = msgspec.structs.replace(manifest, recipe=noted, automatic=auto)
        only = manifest.parts[0]
        if len(manifest.parts) == 1 and only.removed is None and only.recipe == noted and "poses.npy" in only.files:
            return Change()
        folder = next_folder(path, manifest)
        with opened(path, manifest, manifest.parts, _ALL) as parts, new_part(path, folder, manifest) as writer:
            clips = _copy(writer, parts, progress, manifest.poses)
            note = writer.finish(asked, manifest.encoder.metric, pa.concat_tables(clips), folder)
        replace_parts(path, manifest, [note])
        return Change()


_ALL = None  # every file of a part


class _Nothing(Exception):
    """Ends an `add` without a part."""


def _first_to_merge(left: Sequence[int], rows: int) -> int:
    """Number of the first part that is written anew with so many new rows; the number of parts if none is.

    >>> _first_to_merge([1000, 300, 100], 60), _first_to_merge([1000, 300, 100], 40)
    (1, 3)
    """
    first = len(left)
    while first and left[first - 1] < 2 * rows and left[first - 1] + rows <= _MERGED:
        first -= 1
        rows += left[first]
    return first


def _copy(
    writer: PartWriter, parts: Sequence[Part], progress: RowProgress | None = None, total: int = 0
) -> list[pa.Table]:
    """Write what is left of parts, in order; returns the clips of each."""
    clips: list[pa.Table] = []
    for part in parts:
        labels = part.labels().cast(SCHEMA)
        for block in blocks(len(labels), _ROWS):
            places: Any = block if part.left is None else part.left[block]
            writer.write(labels[block], part.poses[places], part.embeddings[places])
            if progress is not None:
                progress(writer.rows, total)
        clips.append(part.clips())
    return clips


def _recipe_of_part(path: Path, manifest: Manifest, rows: int, total: int) -> Recipe:
    if rows < _SMALL:
        return load_recipe("flat")
    return _automatic(path, manifest, total) if manifest.automatic else recipe_of(path, manifest.recipe)


def _automatic(path: Path, manifest: Manifest, poses: int) -> Recipe:
    """What "auto" means for so many poses: the recipe of the index, as it was tuned, if it is that one."""
    chosen, held = automatic(poses, manifest.encoder.dim), recipe_of(path, manifest.recipe)
    return held if held.name == chosen.name else chosen


def _without(path: Path, part: Part, which: Filter | Int64[Array, " ids"]) -> PartNote | None:
    """A part's note without some rows; None if none would be left."""
    labels, note = part.labels(), part.note
    if isinstance(which, np.ndarray):
        matching = np.flatnonzero(np.isin(labels["id"].to_numpy(), which))
    else:
        matching = matching_rows(labels, which)
    if not len(matching):
        return note
    stays = np.ones(len(labels), dtype=bool)
    stays[matching] = False
    if not stays.any():
        return None
    left = np.flatnonzero(stays) if part.left is None else part.left[stays]
    gone = np.ones(note.rows, dtype=bool)
    gone[left] = False
    number = "00000" if note.folder == "." else note.folder.removeprefix("parts/")
    name = f"removed/{number}-{note.rows - len(left)}.npy"
    with atomic_write(path / name, replace=True) as file:
        np.save(file, np.packbits(gone))
    found = note_of(path / name)
    clips = len(pc.unique(labels["clip"].filter(pa.array(stays))))
    removed = RemovedNote(name, note.rows - len(left), found.bytes, found.sha256)
    return msgspec.structs.replace(note, removed=removed, clips=clips)
