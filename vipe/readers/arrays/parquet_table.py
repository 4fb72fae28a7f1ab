"""Tables of joint positions as Parquet: three columns a joint, or one of whole poses; one row a frame (pyarrow)."""

__all__ = ["read_all"]

from collections.abc import Iterator, Sequence
from io import BufferedIOBase

import pyarrow as pa
from pyarrow import parquet

from vipe.clips import Clip
from vipe.errors import ReadError
from vipe.readers.arrays.tables import COLUMNS, MOST_COLUMNS, POSE, joint_columns, listed, table_clips
from vipe.readers.contract import Hints, NotMotion, one_line
from vipe.skeletons import Skeleton

_BATCH = 1 << 14
_RATIO, _RATIO_FROM = 200, 1 << 26  # unpacked to packed, and the size from which it counts


def read_all(
    stream: BufferedIOBase,
    name: str,
    skeletons: Sequence[Skeleton] = (),
    hints: Hints = Hints(),  # noqa: B008  # frozen
) -> Iterator[Clip]:
    """The clips of a Parquet file: columns as in `read_csv`, or a column `pose` with all numbers of a frame.

    Raises:
        NotMotion: If the columns are not those of a known skeleton, or of the one that the user names.
        ReadError: If the file is broken, unpacks to an unreasonable size, or the rate is not given.
    """
    data = stream.read()
    try:
        file = parquet.ParquetFile(pa.BufferReader(data))
        columns = file.schema_arrow.names
        joints = joint_columns(columns)
        if len(columns) > MOST_COLUMNS or (joints is None and POSE not in columns):
            raise NotMotion(f"{name}: columns {listed(columns)}; expected such as left_hip_x, or pose")
        wanted = {*COLUMNS, *(column for xyz in (joints or {}).values() for column in xyz)}
        chosen = [column for column in columns if column in wanted]
        most = max(_RATIO_FROM, _RATIO * len(data))
        if 8 * file.metadata.num_rows * len(chosen) > most:
            raise ReadError(f"{name}: {file.metadata.num_rows} rows in {len(data)} bytes; is it an archive bomb?")
        batches, size = [], 0
        for batch in file.iter_batches(batch_size=_BATCH, columns=chosen, use_threads=False):
            size += batch.nbytes
            if size > most:
                raise ReadError(f"{name}: unpacks to more than {most} bytes; is it an archive bomb?")
            batches.append(batch)
        table = pa.Table.from_batches(batches, pa.schema([file.schema_arrow.field(column) for column in chosen]))
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, MemoryError, OverflowError) as error:
        if isinstance(error, ReadError):
            raise
        raise ReadError(f"{name}: cannot be read as Parquet, broken or cut: {one_line(error)}") from error
    yield from table_clips(table, name, skeletons, hints)
