"""Clips on their way into an index that has clips already: at its rate, as a store, and only those that are new."""

__all__ = ["as_store", "check_source", "lacking", "new_clips", "those"]

import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vipe.clips import Clip
from vipe.errors import ArgumentError, StoreError
from vipe.geometry.canonical import canonicalize_array
from vipe.index.folder.clip_table import ClipNote, ClipReader
from vipe.index.folder.frames import matching_rows
from vipe.index.folder.manifest import Manifest, PartNote
from vipe.index.folder.writing import ROOM, Filter, opened
from vipe.similar_names import lacks_clip
from vipe.store import PassedOver, PoseStore

_ROWS = 16384  # at a time
_SAME_POSE = 1e-3  # torso lengths by which two canonical poses of one recorded pose may differ


def check_source(source: object, where: object) -> None:
    """Refuse what clips cannot be added from.

    Raises:
        ArgumentError: If it is neither a store nor clips, or a filter is given for clips.
    """
    if isinstance(source, PoseStore):
        return
    if where is not None:
        raise ArgumentError("where chooses rows of a store; leave clips out yourself")
    if isinstance(source, str | Path | Clip):
        raise ArgumentError(
            f"source must be a PoseStore or clips, got {type(source).__name__}; open it (`vipe.PoseStore.open`), "
            "read it (`vipe.read`), or give a list of clips"
        )


@contextmanager
def as_store(
    path: Path, source: PoseStore | Iterable[Clip], manifest: Manifest, fps: float | None
) -> Iterator[PoseStore]:
    """What is added as a store, at the rate of the index; clips become one for as long as it takes."""
    held = None if manifest.fps == "all" else fps if manifest.fps == "unknown" else manifest.fps
    if fps is not None and fps != held:
        raise StoreError(f"{path}: holds {_rate(manifest.fps)}, cannot add {_rate(fps)}")
    if isinstance(source, PoseStore):
        if manifest.fps not in ("unknown", source.fps or "all"):
            raise StoreError(
                f"{path}: holds {_rate(manifest.fps)}, store {source.path} {_rate(source.fps or 'all')}; ingest the "
                "sources at the rate of the index"
            )
        yield source
        return
    with tempfile.TemporaryDirectory(prefix=ROOM, dir=path) as room:
        yield PoseStore.create(Path(room) / "store", source, fps=held)


def new_clips(
    store: PoseStore, where: Filter | None, path: Path, manifest: Manifest, there: Sequence[pa.Table]
) -> tuple[list[ClipNote], tuple[PassedOver, ...]]:
    """The clips of a store that an index has not, and those that it has.

    Clips of a part of format 1 or 2, which does not note what they hold, are known again by name and canonical poses.

    Args:
        store: Where they come from.
        where: Which of its rows.
        path: Folder of the index.
        manifest: Of the index.
        there: The clips of each part. There may be very many, so nothing here is done to each of them in Python.

    Raises:
        StoreError: If a clip has the name of another one, there is none, or `where` names one that the store lacks.
    """
    if isinstance(where, Mapping) and "clip" in where:
        names = dict.fromkeys(store.clip_table()["clip"].to_pylist())
        if lack := lacking(store.path, where["clip"], names):
            raise StoreError(f"{lack}; nothing was added")
    reader = ClipReader()
    for batch in store.batches(_ROWS, where=where):
        reader.add(batch)
    reader.end_clip()
    notes, known = reader.take(), pa.concat_tables(there)
    by_content = pc.index_in(pa.array([note.digest for note in notes], pa.binary(32)), known["digest"].combine_chunks())
    by_name = pc.index_in(pa.array([note.clip for note in notes], pa.string()), known["clip"].combine_chunks())
    ends = np.cumsum([len(clips) for clips in there])
    new, twins = [], {}
    for note, same, named in zip(notes, by_content.to_pylist(), by_name.to_pylist(), strict=True):
        if same is not None:
            twins[note.clip] = known["clip"][same].as_py()
        elif named is None:
            new.append(note)
        elif known["digest"][named].as_py() is None and _is_the_same(
            store, where, note.clip, path, manifest, manifest.parts[int(np.searchsorted(ends, named, side="right"))]
        ):
            twins[note.clip] = note.clip
        else:
            raise StoreError(
                f"{path}: has another clip named {note.clip!r}; remove that first (`vipe index remove {path} --clip "
                f"{note.clip}`), or ingest this one under another name"
            )
    if not new and not twins:
        raise StoreError(f"{path}: nothing to add: no pose of {store.path} matches")
    if not twins:
        return new, ()
    sources = store.table(["clip", "source"], those(where, list(twins))).group_by("clip").aggregate([("source", "min")])
    source_of = dict(zip(sources["clip"].to_pylist(), sources["source_min"].to_pylist(), strict=True))
    return new, tuple(PassedOver(clip, source_of[clip], twin) for clip, twin in twins.items())


def lacking(path: Path, wanted: object, there: Collection[str]) -> str:
    """What to say of names of clips that are not there, since others may be meant; "" if all are.

    Args:
        path: Whose clips they should be.
        wanted: A name, or several; anything else names none.
        there: The names that are there.
    """
    names = [wanted] if isinstance(wanted, str) else list(wanted) if isinstance(wanted, Iterable) else []
    missing = [name for name in names if name not in there]
    if not missing:
        return ""
    more = f" ({len(missing) - 1} more of those given are not there)" if len(missing) > 1 else ""
    return f"{lacks_clip(path, missing[0], there)}{more}"


def _is_the_same(
    store: PoseStore, where: Filter | None, clip: str, path: Path, manifest: Manifest, note: PartNote
) -> bool:
    """Whether a clip of a store is that of its name in a part: the same frames, the same poses."""
    table = store.table(["frame", "pose"], those(where, [clip]))
    canonical = canonicalize_array(np.array(table["pose"].combine_chunks().flatten()).reshape(-1, 17, 3))
    keep = ~canonical.degenerate
    with opened(path, manifest, [note], ("frames.parquet", "poses.npy")) as (part,):
        labels = part.labels()
        rows = matching_rows(labels, {"clip": clip})
        places = rows if part.left is None else part.left[rows]
        return np.array_equal(table["frame"].to_numpy()[keep], labels["frame"].to_numpy()[rows]) and np.allclose(
            canonical.poses[keep], part.poses[places], atol=_SAME_POSE
        )


def those(where: Filter | None, clips: Sequence[str]) -> Filter:
    """A filter that matches, of what another matches, only some clips."""
    if isinstance(where, pc.Expression):
        both: pc.Expression = where & pc.field("clip").isin(clips)
        return both
    return {**(where or {}), "clip": clips}


def _rate(fps: float | str) -> str:
    return {"all": "all frames", "unknown": "frames of an unknown rate"}.get(str(fps), f"{fps} frames/s")
