"""Track Row Column (TRC): marker trajectories in a table of text (numpy, pyarrow)."""

__all__ = ["read_all"]

from collections.abc import Iterator, Sequence
from io import BufferedIOBase

import numpy as np
import pyarrow as pa
from jaxtyping import Float64
from pyarrow import csv

from vipe.arrays import Array
from vipe.clips import FASTEST, Clip
from vipe.errors import ReadError
from vipe.readers.contract import Hints, whole_rate
from vipe.readers.markers.trajectories import UNITS, clips_of_markers
from vipe.readers.numbers import parse_float
from vipe.skeletons import Skeleton

_MOST_MARKERS = 10_000
_BLOCK_BYTES = 1 << 26
_MISSING = ["", "NaN", "nan", "NAN", "-nan", "-nan(ind)"]


def read_all(
    stream: BufferedIOBase,
    name: str,
    skeletons: Sequence[Skeleton] = (),
    hints: Hints = Hints(),  # noqa: B008  # frozen
) -> Iterator[Clip]:
    """The clips of a TRC file, whose marker names decide which table turns them into joints.

    The file states rate and unit. It does not state the up axis, which is told from the trunk. Empty cells are markers
    out of sight; see `clips_of_markers` for what becomes of them.

    Args:
        stream: The file's bytes.
        name: What to call it in the clip and in errors.
        skeletons: A user's own tables of markers, tried before those of the library.
        hints: A rate and unit that win over the file's, and the up axis.

    Raises:
        ReadError: If it is not TRC, or a row has another number of cells or something else than numbers; with its line.
        NotMotion: If no table knows the markers.
    """
    text = stream.read().removeprefix(b"\xef\xbb\xbf")
    fps, unit, names, start = _head(text, name)
    table = _table(text, start, 2 + 3 * len(names), name)
    positions = table[:, 2:].reshape(len(table), len(names), 3)
    unit = hints.unit or unit
    yield from clips_of_markers(
        names, positions, name, fps=hints.fps or fps, unit=unit, up=hints.up, skeletons=skeletons
    )


def _head(text: bytes, name: str) -> tuple[float, float | None, list[str], int]:
    """Rate, unit, markers, and where the rows begin."""
    lines, at = [], 0
    for _ in range(5):
        end = text.find(b"\n", at)
        lines.append(text[at : end if end >= 0 else len(text)].decode("utf-8", "replace").rstrip("\r"))
        at = end + 1 if end >= 0 else len(text)
    if not lines[0].lower().startswith("pathfiletype"):
        raise ReadError(f"{name}:1: begins with {lines[0][:40]!r}, expected PathFileType; is it TRC?")
    stated = dict(zip(lines[1].split(), lines[2].split(), strict=False))
    rate = parse_float(stated.get("DataRate", ""))
    if rate is None or not 0 < rate <= FASTEST:
        raise ReadError(f"{name}:3: DataRate is {stated.get('DataRate', '')[:40]!r}, expected hertz above 0")
    names = [cell.strip() for cell in lines[3].split("\t")[2:] if cell.strip()]
    if not 0 < len(names) <= _MOST_MARKERS:
        raise ReadError(f"{name}:4: {len(names)} markers, expected 'Frame#', 'Time' and their names between tabs")
    return whole_rate(rate), UNITS.get(stated.get("Units", "").lower()), names, at


def _table(text: bytes, start: int, columns: int, name: str) -> Float64[Array, "rows columns"]:
    """Rows of so many numbers between tabs, not a number where a cell is empty; tabs at the end or not."""
    for more in (0, 1):
        names = [str(i) for i in range(columns + more)]
        try:
            table = csv.read_csv(
                pa.py_buffer(text).slice(start),
                csv.ReadOptions(use_threads=False, column_names=names, block_size=min(len(text) + 1, _BLOCK_BYTES)),
                csv.ParseOptions(delimiter="\t", quote_char=False),
                csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float64()), null_values=_MISSING),
            )
        except pa.ArrowException:
            continue
        return np.stack([column.to_numpy() for column in table.columns[:columns]], axis=1)
    return _any_table(text, start, columns, name)


def _any_table(text: bytes, start: int, columns: int, name: str) -> Float64[Array, "rows columns"]:
    """The slow way, which knows what is wrong in which line."""
    rows = []
    first = text.count(b"\n", 0, start) + 1
    for number, content in enumerate(text[start:].split(b"\n"), start=first):
        if not content.strip():
            continue
        cells = content.rstrip(b"\r").decode("utf-8", "backslashreplace").split("\t")
        while len(cells) > columns and not cells[-1].strip():
            cells.pop()
        cells += [""] * (columns - len(cells) if len(cells) >= 2 else 0)  # cut off where the last markers are hidden
        if len(cells) != columns:
            raise ReadError(f"{name}:{number}: {len(cells)} cells, expected {columns} between tabs")
        row = np.empty(columns)
        for i, cell in enumerate(cells):
            word = cell.strip()
            value = float("nan") if word in _MISSING else parse_float(word)
            if value is None:
                raise ReadError(f"{name}:{number}: cell {i + 1} is {word[:40]!r}, expected a number")
            row[i] = value
        rows.append(row)
    if not rows:
        raise ReadError(f"{name}: no row of numbers after the header; was it cut?")
    return np.array(rows)
