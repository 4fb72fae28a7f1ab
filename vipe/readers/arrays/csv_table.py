"""Tables of joint positions as text (.csv): three columns a joint, one row a frame (pyarrow)."""

__all__ = ["read_all"]

import codecs
from collections.abc import Iterator, Sequence
from io import BufferedIOBase

import pyarrow as pa
from pyarrow import csv

from vipe.clips import Clip
from vipe.errors import ReadError
from vipe.readers.arrays.tables import MOST_COLUMNS, joint_columns, table_clips
from vipe.readers.contract import Hints, NotMotion, one_line
from vipe.skeletons import Skeleton

_MOST_HEAD, _BLOCK_BYTES = 1 << 20, 1 << 26


def read_all(
    stream: BufferedIOBase,
    name: str,
    skeletons: Sequence[Skeleton] = (),
    hints: Hints = Hints(),  # noqa: B008  # frozen
) -> Iterator[Clip]:
    """The clips of a table of text: columns such as `left_hip_x`, one row a frame.

    A column `time` (seconds) gives the rate, a column `clip` divides the rows into clips. Separators are commas,
    semicolons or tabs; where they are no commas, the decimal point may be one. UTF-8, or UTF-16 with a byte order mark
    (Excel). Frames in which a needed joint is missing divide a clip.

    Raises:
        NotMotion: If the columns are not those of a known skeleton, or of the one that the user names.
        ReadError: If a row has another number of cells, a cell is not a number, or the rate is not given.
    """
    text = stream.read().removeprefix(b"\xef\xbb\xbf")
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = text.decode("utf-16", "replace").encode()
    head = text[: text.find(b"\n") if b"\n" in text else len(text)]
    separator = max((b",", b";", b"\t"), key=head.count).decode("ascii")
    try:
        columns = head.decode("utf-8").rstrip("\r").split(separator) if len(head) < _MOST_HEAD else []
    except UnicodeDecodeError as error:
        raise NotMotion(f"{name}:1: not UTF-8 text: {one_line(error)}") from error
    if not 2 <= len(columns) < MOST_COLUMNS or joint_columns([column.strip(' "') for column in columns]) is None:
        raise NotMotion(f"{name}:1: no columns such as left_hip_x, one for each axis of each joint")
    point = "," if separator != "," and b"," in text[len(head) : len(head) + _MOST_HEAD] else "."
    try:
        table = csv.read_csv(
            pa.py_buffer(text),
            csv.ReadOptions(use_threads=False, block_size=min(len(text) + 1, _BLOCK_BYTES)),
            csv.ParseOptions(delimiter=separator),
            csv.ConvertOptions(
                null_values=["", "nan", "NaN", "NA", "null"], strings_can_be_null=True, decimal_point=point
            ),
        )
    except pa.ArrowException as error:
        raise ReadError(f"{name}: not a table of rows as long as its first: {one_line(error)}") from error
    yield from table_clips(table, name, skeletons, hints)
