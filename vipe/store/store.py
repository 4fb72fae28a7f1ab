"""PoseStore: an archive of poses as a folder of Parquet files, one row a frame (numpy and Arrow)."""

__all__ = ["PoseStore", "Where"]

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from jaxtyping import Float32, Int64

from vipe.arrays import Array, blocks
from vipe.atomic_write import atomic_write, locked, remove_abandoned
from vipe.clips import Clip
from vipe.errors import StoreError, VipeError
from vipe.store.bodies import Note, merged
from vipe.store.identical import Motions, PassedOver
from vipe.store.ingest import Ingest
from vipe.store.parts import (
    COUNT,
    GROUP_ROWS,
    SCHEMA,
    SKELETON,
    Footer,
    as_store_error,
    check_count,
    check_order,
    distinct,
    part_name,
    parts_of,
    rate,
    read_count,
    read_footer,
    write_count,
    write_part,
)

Where: TypeAlias = Mapping[str, Any] | pc.Expression | None
"""Which rows: a value or a collection of values by column, all of which must hold; an Arrow expression; None is all."""

_LEAST_FPS, _MOST_FPS = 1e-4, 1e5  # a frame in three hours; the highest that a clip may have
_NO_CLIP = "no clip to store; the source is empty"


class PoseStore:
    """Poses of many clips on the working skeleton, on disk: Parquet parts that any Arrow reader can read.

    Columns: `clip` (a name, unique in the store), `frame` and `time` (counted in the source clip), `subject`,
    `action`, `source`, `fps` (of the source clip), `pose` (51 float32: 17 joints of h36m17 in metres, world space,
    z up). The rows of a clip follow each other, in time. The schema's metadata give format, skeleton, target rate and
    licence.

    Opening reads the parts' footers only. Rows are read later, in order, and their checksums are compared then.
    """

    def __init__(self, path: Path, parts: Sequence[Path], footers: Sequence[Footer]) -> None:
        """Use `open` or `create`."""
        self.path = path
        self.passed_over: tuple[PassedOver, ...] = ()
        """Clips that `create` or `append` did not store because an identical one was there; empty after `open`."""
        self.new_notes: tuple[Note, ...] = ()
        """The notes of the clips that `create` or `append` stored; empty after `open`."""
        self._parts = tuple(parts)
        self._footers = tuple(footers)
        verified = pads.ParquetFragmentScanOptions(page_checksum_verification=True, pre_buffer=False)
        layout = pads.ParquetFileFormat(default_fragment_scan_options=verified)
        self._dataset = pads.dataset([str(part) for part in parts], schema=SCHEMA, format=layout)

    @classmethod
    def create(
        cls,
        path: str | Path,
        *sources: Iterable[Clip],
        fps: float | None = None,
        licence: str = "",
        on_clip: Callable[[Clip, int], None] | None = None,
        on_skip: Callable[[VipeError], None] | None = None,
        keep_identical: bool = False,
    ) -> "PoseStore":
        """Write clips to a new store, one at a time, in bounded memory.

        The store appears at `path` when all is written; on any error nothing is left behind. Clips are converted to
        h36m17 and thinned to `fps`. Where two share a name, the later one is qualified by the folders of its source
        ("b/walk").

        Of several sources, a clip that is identical to one of an earlier source is passed over and listed in
        `passed_over`. Identical clips have the same poses, as the store keeps them, and the same original rate;
        `vipe/store/identical.py` has the whole rule. Identical clips within one source are all stored.

        Args:
            path: Folder to make; its parents are made too.
            *sources: Clips, at least one; each source may be a generator. `read_sources` makes one of each path.
            fps: Keep the frames nearest to this many equal steps a second; all of a clip that has no more, or if None.
            licence: Licence of the motion; by default that of the first clip.
            on_clip: Called after each clip with the clip as it came and the number of rows kept of it.
            on_skip: Called with the error of each clip that cannot be converted to h36m17, or is no body.
            keep_identical: Store identical clips as well.

        Raises:
            StoreError: If `path` exists, there is no clip, two clips have one name and one source, a torso has no human
                size (and there is no `on_skip`), or the disk refuses.
            SkeletonError: If a clip cannot be converted to h36m17 and there is no `on_skip`.
        """
        path = Path(path)
        _check_fps(fps)
        if path.exists():
            raise StoreError(
                f"{path}: exists already; append to it (`vipe ingest --append`), delete it, or choose another path"
            )
        motions = Motions() if len(sources) > 1 and not keep_identical else None
        clips = Ingest(sources, store=path, fps=fps, motions=motions, on_skip=on_skip)
        with as_store_error(path), atomic_write(path) as folder:
            folder.mkdir()
            if not write_part(folder / part_name(0), clips, fps=fps, licence=licence, on_clip=on_clip, store=path):
                raise StoreError(f"{path}: {_NO_CLIP}")
            write_count(folder / COUNT, 1)
        store = cls.open(path)
        store.passed_over = tuple(clips.passed_over)
        store.new_notes = store.notes
        return store

    @classmethod
    def open(cls, path: str | Path) -> "PoseStore":
        """Open a store that exists.

        Raises:
            StoreError: If it is not a store, a part of it is cut or not of this format, or parts do not belong
                together; names the file and what was expected.
        """
        path = Path(path)
        counted = read_count(path)  # before its parts are listed: somebody may append meanwhile
        parts = parts_of(path) if path.is_dir() else []
        if not parts:
            raise StoreError(f"{path}: {_instead(path)}; expected a store as `vipe ingest` or `vipe synth` makes it")
        footers = [read_footer(part) for part in parts]
        for part, footer in zip(parts, footers, strict=True):
            if footer.fps != footers[0].fps:
                raise StoreError(f"{part}: holds {rate(footer.fps)}, the parts before it {rate(footers[0].fps)}")
        check_order(parts, footers)
        check_count(path, len(parts), counted)
        return cls(path, parts, footers)

    def append(
        self,
        *sources: Iterable[Clip],
        fps: float | None = None,
        on_clip: Callable[[Clip, int], None] | None = None,
        on_skip: Callable[[VipeError], None] | None = None,
        keep_identical: bool = False,
        on_wait: Callable[[], None] | None = None,
    ) -> "PoseStore":
        """Add clips as a new part; thinned as the store is.

        Clips that are identical to one of the store, or of an earlier source, are passed over as in `create`. So
        appending an archive again adds only what is new in it. The part appears when all of it is written; on any
        error the store stays as it was. Another process that appends to the store waits meanwhile.

        Args:
            *sources: Clips, at least one, as in `create`. Where the store has a clip's name, it is qualified.
            fps: If given, must be the store's target rate.
            on_clip: As in `create`.
            on_skip: As in `create`.
            keep_identical: Store identical clips as well.
            on_wait: Called if another process appends to the store, before waiting for it.

        Returns:
            The longer store, or one of the same length if nothing is new; this object still has the rows it was opened
            with.

        Raises:
            StoreError: As in `create`, or if the rate is not the store's.
            SkeletonError: As in `create`.
        """
        _check_fps(fps)
        PoseStore.open(self.path)  # says what is wrong with it
        with locked(self.path, on_wait):
            remove_abandoned(
                self.path, rf"part-\d+\.parquet|{re.escape(COUNT)}"
            )  # of whatever number: a killed process is done with it
            now = PoseStore.open(self.path)  # somebody may have appended since
            if fps is not None and fps != now.fps:
                raise StoreError(f"{self.path}: holds {rate(now.fps)}, cannot append {rate(fps)}; make another store")
            clips = Ingest(
                sources,
                store=self.path,
                fps=now.fps,
                names={clip["clip"] for clip in now.clips()},
                motions=None if keep_identical else Motions.of(now._scan(["clip", "fps", "pose"], None, GROUP_ROWS)),
                on_skip=on_skip,
            )
            part = self.path / part_name(1 + int(now._parts[-1].stem.removeprefix("part-")))
            with suppress(_NothingNew), as_store_error(part), atomic_write(part) as file:
                follows = now._footers[-1].digest
                if not write_part(
                    file, clips, fps=now.fps, licence="", on_clip=on_clip, store=self.path, follows=follows
                ):
                    if clips.passed_over:
                        raise _NothingNew
                    raise StoreError(f"{self.path}: {_NO_CLIP}")
            with suppress(OSError), atomic_write(self.path / COUNT, replace=True) as file:
                # On a full disk the store has a part more than it counts, which is as good as before.
                write_count(file, len(parts_of(self.path)))
        store = PoseStore.open(self.path)  # somebody may have appended since, too
        store.passed_over = tuple(clips.passed_over)
        store.new_notes = _notes(
            footer for own, footer in zip(store._parts, store._footers, strict=True) if own == part
        )
        return store

    def __len__(self) -> int:
        with as_store_error(self.path):
            return int(self._dataset.count_rows())

    @property
    def fps(self) -> float | None:
        """Rate that clips were thinned to, frames a second; None if all frames are stored."""
        return self._footers[0].fps

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the footers of its parts: another one, if the store holds anything else."""
        return hashlib.sha256(" ".join(footer.digest for footer in self._footers).encode()).hexdigest()

    @property
    def summary(self) -> dict[str, Any]:
        """Counts, rate, skeleton and licence, for JSON; `frames` and `seconds` count the clips before thinning."""
        clips = self.clips()
        return {
            "clips": len(clips),
            "rows": len(self),
            "frames": sum(footer.frames for footer in self._footers),
            "seconds": round(sum(footer.seconds for footer in self._footers), 3),
            "fps": self.fps,
            "subjects": len({clip["subject"] for clip in clips} - {""}),
            "actions": len({clip["action"] for clip in clips} - {""}),
            "skeleton": SKELETON,
            "licence": "; ".join(distinct(licence for footer in self._footers for licence in footer.licences)),
            "parts": len(self._parts),
            "bytes": sum(part.stat().st_size for part in self._parts),
        }

    @property
    def rigs(self) -> list[dict[str, Any]]:
        """The rigs that the clips were read with, with the mean lengths of their bodies in metres.

        Each has `rig` (the name of its skeleton), `clips`, `height`, `thigh`, `shin`, `upper arm`, `forearm`, `trunk`,
        `head` (thorax to the top of the head), and the heights of the `shortest` and `tallest`. Clips of a part that an
        older version wrote are not in it.
        """
        return list(merged(footer.bodies for footer in self._footers if footer.bodies is not None)["rigs"])

    @property
    def notes(self) -> tuple[Note, ...]:
        """What readers assumed or left out, and what is doubtful about bodies, each with the number of clips."""
        return _notes(self._footers)

    def clips(self) -> list[dict[str, Any]]:
        """One dict a clip, in the order of the rows: clip, first_row, rows, fps, subject, action, source."""
        return [dict(row) for row in self.clip_table().to_pylist()]

    def clip_table(self) -> pa.Table:
        """One row a clip, in the order of the store: clip, first_row, rows, fps, subject, action, source."""
        columns = ["clip", "fps", "subject", "action", "source"]
        first: list[pa.RecordBatch] = []
        starts: list[int] = []
        row, last = 0, None
        for batch in self._scan(columns, None, GROUP_ROWS):
            for start in _run_starts(batch.column("clip")):
                # A clip may go on across batches.
                if start > 0 or batch.column("clip")[0].as_py() != last:
                    first.append(batch.slice(start, 1))
                    starts.append(row + start)
            row += len(batch)
            last = batch.column("clip")[-1].as_py()
        table = pa.Table.from_batches(first)
        rows = np.diff([*starts, row])
        table = table.add_column(1, "first_row", pa.array(starts, pa.int64()))
        return table.add_column(2, "rows", pa.array(rows, pa.int64()))

    def poses(self, where: Where = None) -> Float32[Array, "N 17 3"]:
        """Poses in metres, in the order of the store.

        Raises:
            StoreError: If `where` names no column, or a part is damaged.
        """
        if where is None:
            result = np.empty((len(self), 17, 3), np.float32)
            row = 0
            for batch in self._scan(["pose"], None, GROUP_ROWS):
                result[row : row + len(batch)] = _poses(batch)
                row += len(batch)
            return result
        found = [_poses(batch) for batch in self._scan(["pose"], where, GROUP_ROWS)]
        return np.concatenate(found) if found else np.empty((0, 17, 3), np.float32)

    def table(self, columns: Sequence[str] | None = None, where: Where = None) -> pa.Table:
        """Rows as an Arrow table, all columns or the named ones.

        Raises:
            StoreError: If there is no such column, or a part is damaged.
        """
        names = list(SCHEMA.names if columns is None else columns)
        schema = pa.schema([_field(name) for name in names])
        return pa.Table.from_batches(list(self._scan(names, where, GROUP_ROWS)), schema)

    def batches(self, rows: int, where: Where = None) -> Iterator[pa.RecordBatch]:
        """All columns in batches of `rows` rows (the last may be shorter), in bounded memory.

        Raises:
            StoreError: If `rows` is not positive, `where` names no column, or a part is damaged.
        """
        if rows < 1:
            raise StoreError(f"a batch needs at least 1 row, got {rows}")
        waiting: list[pa.RecordBatch] = []
        count = 0
        for batch in self._scan(SCHEMA.names, where, min(rows, GROUP_ROWS)):
            waiting.append(batch)
            count += len(batch)
            if count >= rows:
                joined = pa.concat_batches(waiting)
                cut = count - count % rows
                for block in blocks(cut, rows):
                    yield joined.slice(block.start, rows)
                waiting, count = [joined.slice(cut)], count - cut
        if count:
            yield pa.concat_batches(waiting)

    def _scan(self, columns: Sequence[str], where: Where, rows: int) -> Iterator[pa.RecordBatch]:
        """Batches of at most `rows` rows, none empty; holds one row group at a time."""
        for name in columns:
            _field(name)
        expression = _expression(where)
        for part, fragment in zip(self._parts, self._dataset.get_fragments(), strict=True):
            # One row group at a time, those that the filter rules out not at all: Arrow's own scanner reads ahead by
            # hundreds of megabytes.
            with as_store_error(part):
                groups = fragment.split_by_row_group(expression)
            for group in groups:
                with as_store_error(part):
                    table = group.to_table(schema=SCHEMA, columns=list(columns), filter=expression)
                for name in columns:
                    if table[name].null_count:
                        raise StoreError(f"{part}: column {name} has rows without a value; ingest the source again")
                yield from (batch for batch in table.to_batches(max_chunksize=rows) if len(batch))


class _NothingNew(Exception):
    """Ends an append without a part."""


def _notes(footers: Iterable[Footer]) -> tuple[Note, ...]:
    return tuple(merged(footer.bodies for footer in footers if footer.bodies is not None)["notes"])


def _instead(path: Path) -> str:
    """What a path that is no store holds instead."""
    if (path / "manifest.json").is_file():
        return "is an index, not the store it was built from"
    return "holds no part-*.parquet" if path.is_dir() else "is not a folder" if path.exists() else "not found"


def _expression(where: Where) -> pc.Expression | None:
    if where is None or isinstance(where, pc.Expression):
        return where
    terms = []
    for name, wanted in where.items():
        field = _field(name)
        several = not isinstance(wanted, str) and isinstance(wanted, Iterable)
        try:
            values = pa.array(list(wanted) if several else [wanted], field.type)
        except (pa.ArrowException, OverflowError) as error:
            raise StoreError(f"where: {name} is {field.type}, got {wanted!r}") from error
        terms.append(pc.field(name).isin(values))
    result = pc.scalar(True)
    for term in terms:
        result = result & term
    return result


def _field(name: str) -> pa.Field:
    if name not in SCHEMA.names:
        raise StoreError(f"a store has no column {name!r}; it has {', '.join(SCHEMA.names)}")
    return SCHEMA.field(name)


def _poses(batch: pa.RecordBatch) -> Float32[Array, "N 17 3"]:
    flat = batch.column("pose").flatten()
    if flat.null_count:
        raise StoreError("the store has poses without all of their numbers; ingest the source again")
    values: Array = flat.to_numpy().reshape(-1, 17, 3)
    return values


def _run_starts(column: pa.Array) -> Int64[Array, " runs"]:
    ends: Array = pc.run_end_encode(column).run_ends.to_numpy()
    return np.concatenate([[0], ends[:-1]]).astype(np.int64)


def _check_fps(fps: float | None) -> None:
    if fps is not None and not _LEAST_FPS <= fps <= _MOST_FPS:
        raise StoreError(f"target rate must be {_LEAST_FPS:g} to {_MOST_FPS:g} frames a second, got {fps}")
