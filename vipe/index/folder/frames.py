"""The frame table of an index: clip, frame, time and labels of each row (numpy, Arrow).

Poses have a file of their own, which can be mapped; those of indexes of format 1 and 2 are a column of the table.
"""

__all__ = [
    "LABELS",
    "SCHEMA",
    "Where",
    "as_index_error",
    "check_table",
    "first_id",
    "frame_ids",
    "frame_table",
    "matching_rows",
    "open_writer",
    "read_labels",
    "read_poses",
]

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, Int64, Integer

from vipe.arrays import Array
from vipe.errors import ArgumentError, IndexFormatError, VipeError

Where: TypeAlias = Mapping[str, object] | pc.Expression | Integer[Array, " _"]
"""Rows that a search is limited to: a value or values by column, an Arrow expression, or row numbers."""

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("clip", pa.string()),
        pa.field("frame", pa.int32()),
        pa.field("time", pa.float64()),
        pa.field("subject", pa.string()),
        pa.field("action", pa.string()),
        pa.field("source", pa.string()),
    ]
)
LABELS = tuple(SCHEMA.names)
_WITH_POSES = SCHEMA.append(pa.field("pose", pa.list_(pa.float32(), 51)))  # format 1 and 2
_TEXT = ("clip", "subject", "action", "source")
_WHOLE = (1 << 63) - 1


def first_id(clip: str) -> int:
    """Id of frame 0 of a clip: 63 bits of the BLAKE2b of its name."""
    return int.from_bytes(hashlib.blake2b(clip.encode(), digest_size=8).digest(), "little") & _WHOLE


def frame_ids(clip: pa.Array, frame: pa.Array) -> Int64[Array, " N"]:
    """Ids of frames, the same in every index: that of the clip's frame 0, plus the frame, modulo 2^63.

    Successive frames of a clip have successive ids. The probability that two of 300,000 clips of 10,000 frames share an
    id is about one in ten thousand; `build` refuses such a store.
    """
    names = clip.dictionary_encode() if not pa.types.is_dictionary(clip.type) else clip
    starts = np.array([first_id(name) for name in names.dictionary.to_pylist()], dtype=np.int64)
    rows = names.indices.to_numpy(zero_copy_only=False)
    # Unsigned, because a sum past 2^63 must wrap and not overflow.
    total = starts[rows].astype(np.uint64) + frame.to_numpy(zero_copy_only=False).astype(np.uint64)
    ids: Int64[Array, " N"] = (total & np.uint64(_WHOLE)).astype(np.int64)
    return ids


def frame_table(batch: pa.RecordBatch, keep: Bool[Array, " N"]) -> pa.Table:
    """Rows of a store's batch where `keep` is true, with ids."""
    labels = {name: batch.column(name).cast(SCHEMA.field(name).type) for name in LABELS if name != "id"}
    ids = pa.array(frame_ids(batch.column("clip"), batch.column("frame")))
    return pa.table({"id": ids, **labels}, schema=SCHEMA).filter(pa.array(keep))


def open_writer(path: Path) -> pq.ParquetWriter:
    """Open a Parquet file to write frame tables to, one after the other."""
    return pq.ParquetWriter(
        path,
        SCHEMA,
        compression="zstd",
        compression_level=1,
        use_dictionary=list(_TEXT),  # few values, many rows
        column_encoding={"id": "DELTA_BINARY_PACKED", "frame": "DELTA_BINARY_PACKED", "time": "BYTE_STREAM_SPLIT"},
        write_page_checksum=True,
    )


def check_table(path: Path, poses: int, *, with_poses: bool = False) -> None:
    """Check a frame table's columns and length, which its footer tells; with a column of poses in format 1 and 2.

    Raises:
        IndexFormatError: If they are not those of an index of so many poses.
    """
    with as_index_error(path), pq.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
    columns = _WITH_POSES if with_poses else SCHEMA
    if not schema.equals(columns, check_metadata=False):
        has, expected = ([f"{field.name} {field.type}" for field in one] for one in (schema, columns))
        raise IndexFormatError(f"{path}: has columns {', '.join(has)}; expected {', '.join(expected)}")
    if rows != poses:
        raise IndexFormatError(f"{path}: has {rows:,} rows, its manifest has {poses:,} poses; build the index again")


def read_labels(path: Path) -> pa.Table:
    """All columns but the pose. Text is dictionary-encoded, because few values fill many rows.

    Raises:
        IndexFormatError: If a value is missing, a time is not finite, or a page's checksum is another (tables that
            versions before 0.1 wrote have none).
    """
    with as_index_error(path):
        labels = pq.read_table(
            path,
            columns=list(LABELS),
            read_dictionary=list(_TEXT),
            partitioning=None,
            page_checksum_verification=True,
        )
    for name in LABELS:
        if labels[name].null_count:
            raise IndexFormatError(f"{path}: column {name} has rows without a value; build the index again")
    if not pc.all(pc.is_finite(labels["time"])).as_py():
        raise IndexFormatError(f"{path}: has times that are not finite; build the index again")
    return labels.unify_dictionaries().combine_chunks()  # one piece each, so that arrays of them are no copies


def read_poses(path: Path) -> Float32[Array, "N 17 3"]:
    """The canonical poses of a table of format 1 or 2, in one array.

    Raises:
        IndexFormatError: If a pose is missing or not finite.
    """
    with as_index_error(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        poses = np.empty((file.metadata.num_rows, 17, 3), dtype=np.float32)
        start = 0
        for batch in file.iter_batches(columns=["pose"]):
            column = batch.column(0)
            block = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, 17, 3)
            if column.null_count or len(block) != len(column) or not np.isfinite(block).all():
                raise IndexFormatError(f"{path}: has poses that are missing or not finite; build the index again")
            poses[start : start + len(block)] = block
            start += len(block)
    return poses


@contextmanager
def as_index_error(path: Path) -> Iterator[None]:
    """Raise errors of the disk and of Arrow as an IndexFormatError of one line."""
    try:
        yield
    except IndexFormatError:
        raise
    except (OSError, pa.ArrowException, ValueError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise IndexFormatError(f"{path}: cannot be read: {first}") from error


def matching_rows(labels: pa.Table, where: Where) -> Int64[Array, " M"]:
    """Rows that match a filter, ascending.

    Args:
        labels: The frame table without poses.
        where: A value or a list of values by column, all of which must hold; an Arrow expression; or row numbers.

    Raises:
        VipeError: If there is no such column or row, or a value has not the column's type.
    """
    if isinstance(where, np.ndarray):
        if where.ndim != 1 or not np.issubdtype(where.dtype, np.integer):
            raise VipeError(f"where: rows must be a list of integers, got {where.dtype} of shape {where.shape}")
        if where.size and not (where.min() >= 0 and where.max() < len(labels)):
            raise VipeError(f"where: rows must lie in 0 ... {len(labels) - 1}, got {where.min()} ... {where.max()}")
        return np.unique(where).astype(np.int64)
    numbered = labels.append_column("row", pa.array(np.arange(len(labels))))
    if not isinstance(where, Mapping | pc.Expression):
        raise ArgumentError(
            "where must be values by column, an Arrow expression or an array of rows, "
            f"got {type(where).__name__} {where!r}"
        )
    expression = where if isinstance(where, pc.Expression) else _expression(where)
    try:
        rows = numbered.filter(expression)["row"]
    except pa.ArrowException as error:
        what = str(error).splitlines()[0]
        raise VipeError(f"where: {what}; the columns of an index are {', '.join(LABELS)}") from error
    return np.array(rows.to_numpy(), dtype=np.int64)  # a copy, for Arrow's memory cannot be written


def _expression(where: Mapping[str, object]) -> pc.Expression:
    expression = pc.scalar(True)
    for column, value in where.items():
        if column not in LABELS:
            raise VipeError(f"where: no column {column!r}; the columns of an index are {', '.join(LABELS)}")
        several = isinstance(value, Iterable) and not isinstance(value, str | bytes)
        field = pc.field(column)
        expression = expression & (field.isin(list(value)) if several else field == value)  # type: ignore[call-overload]
    return expression
