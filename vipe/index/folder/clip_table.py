"""The clips of a part, in the order of its rows: what tells them apart, by content, by name and by id (numpy, Arrow).

Two clips are identical if they have the same rate and, to the last bit, the same recorded poses: the rule of a store
(`vipe.store.identical`). What an index holds of them, canonical poses and embeddings, would say the same but not to the
last bit: a pose may be rounded otherwise in another block of poses.
"""

__all__ = [
    "SCHEMA",
    "ClipNote",
    "ClipReader",
    "check_ids",
    "clip_runs",
    "clips_of_labels",
    "read_clips",
    "table_of",
    "write_clips",
]

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Bool

from vipe.arrays import Array
from vipe.errors import IndexFormatError, StoreError
from vipe.index.folder.frames import as_index_error, first_id
from vipe.store.identical import begin_digest

SCHEMA = pa.schema(
    [
        ("clip", pa.string()),
        ("rows", pa.int64()),
        ("last_frame", pa.int32()),
        ("first_id", pa.int64()),  # of frame 0
        ("digest", pa.binary(32)),  # as in ClipNote
    ]
)
_IDS = 1 << 63


class ClipNote(NamedTuple):
    """A clip of a part or of a store; its rows follow each other."""

    clip: str
    rows: int
    last_frame: int
    digest: bytes | None
    """SHA-256 of rate and recorded poses; None in a part that a version before 0.1 wrote."""


class ClipReader:
    """Notes the clips of a store from its batches, in order."""

    def __init__(self) -> None:
        self._notes: list[ClipNote] = []
        self._clip: str | None = None
        self._rows, self._last = 0, -1
        self._digest: Any = None

    def add(self, batch: pa.RecordBatch, keep: Bool[Array, " N"] | None = None) -> None:
        """Read rows that follow those before.

        Args:
            batch: With the columns clip, frame, fps and pose.
            keep: Which rows are kept; all by default. The digest is of all of them.

        Raises:
            StoreError: If a frame of a clip is not later than the one before.
        """
        frames, poses = batch.column("frame").to_numpy(), batch.column("pose").flatten().to_numpy().reshape(-1, 51)
        for start, end in clip_runs(batch.column("clip")):
            name = batch.column("clip")[start].as_py()
            if name != self._clip:
                self.end_clip()
                self._clip, self._digest = name, begin_digest(batch.column("fps")[start].as_py())
            own = frames[start:end]
            if own[0] <= self._last or (np.diff(own) <= 0).any():
                raise StoreError(f"clip {name!r} has frames that are not in order, or twice; ingest its source again")
            self._digest.update(np.ascontiguousarray(poses[start:end]))
            self._rows += end - start if keep is None else int(np.count_nonzero(keep[start:end]))
            self._last = int(own[-1])

    def end_clip(self) -> None:
        """Say that no more rows of the last clip come."""
        if self._clip is not None:
            self._notes.append(ClipNote(self._clip, self._rows, self._last, self._digest.digest()))
        self._clip, self._rows, self._last = None, 0, -1

    def take(self) -> list[ClipNote]:
        """The clips that have ended since the last call."""
        notes, self._notes = self._notes, []
        return notes


def clip_runs(clips: pa.Array) -> Iterator[tuple[int, int]]:
    """First row, and last row + 1, of the pieces of a column in which the clip is the same."""
    ends = pc.run_end_encode(clips).run_ends.to_pylist()
    yield from pairwise([0, *ends])


def table_of(notes: Iterable[ClipNote]) -> pa.Table:
    """The table of a part's clips; those of which no row was kept are not in it."""
    lines = [{**note._asdict(), "first_id": first_id(note.clip)} for note in notes if note.rows]
    return pa.Table.from_pylist(lines, schema=SCHEMA)


def clips_of_labels(labels: pa.Table) -> pa.Table:
    """The clips of rows in a frame table that does not note them, without digests."""
    clips, frames = labels["clip"].combine_chunks(), labels["frame"].to_numpy()
    codes = clips.indices if pa.types.is_dictionary(clips.type) else clips
    return table_of(
        ClipNote(clips[start].as_py(), end - start, int(frames[start:end].max()), None)
        for start, end in clip_runs(codes)
    )


def write_clips(file: Path, clips: pa.Table) -> None:
    """Write the table of a part's clips."""
    pq.write_table(clips, file, compression="zstd", write_page_checksum=True)


def read_clips(file: Path, rows: int) -> pa.Table:
    """Read what `write_clips` wrote.

    Raises:
        IndexFormatError: If it is not the table of a part of so many rows.
    """
    with as_index_error(file):
        table = pq.read_table(file, partitioning=None, page_checksum_verification=True)
    if not table.schema.equals(SCHEMA, check_metadata=False):
        raise IndexFormatError(f"{file}: has columns {', '.join(table.schema.names)}; build the index again")
    for name in SCHEMA.names[:-1]:
        if table[name].null_count:
            raise IndexFormatError(f"{file}: column {name} has rows without a value; build the index again")
    counts = table["rows"].to_numpy()
    if (counts < 1).any() or (counts > rows).any() or counts.sum() != rows:
        raise IndexFormatError(f"{file}: its clips have {counts.sum()} rows, its manifest has {rows}")
    return table


def check_ids(clips: pa.Table, path: Path) -> None:
    """Check that no two frames of clips can have one id: those of a clip follow each other from its first.

    Raises:
        StoreError: If the ids of two clips overlap; names both.
    """
    order = np.argsort(clips["first_id"].to_numpy(), kind="stable")
    first = clips["first_id"].to_numpy()[order].astype(np.uint64)
    end = first + clips["last_frame"].to_numpy()[order].astype(np.uint64)
    after = np.roll(first, -1)
    if len(after) > 1:
        after[-1] += np.uint64(_IDS)  # ids go round
        if len(same := np.flatnonzero(end >= after)):
            pair = [clips["clip"][int(order[place])].as_py() for place in (same[0], (same[0] + 1) % len(order))]
            raise StoreError(
                f"{path}: frames of clip {pair[0]!r} and of clip {pair[1]!r} would have one id; is a clip twice in the "
                "store? If not, ingest one of them under another name"
            )
