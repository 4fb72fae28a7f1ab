"""Parsing numbers in text files, one or millions: most of the time of reading motion goes here (numpy, pyarrow)."""

__all__ = ["parse_float", "parse_rows"]

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64
from pyarrow import csv

from vipe.arrays import Array
from vipe.errors import ReadError

_BLOCK_BYTES = 1 << 26


def parse_float(word: str) -> float | None:
    """A finite decimal number, or None for any other word, also for spellings of Python alone, such as 1_000."""
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in word and word.isascii() else None


def parse_rows(
    text: bytes, start: int, rows: int, columns: int, wanted: Sequence[int], name: str
) -> Float64[Array, "wanted rows"]:
    """Parse lines of numbers separated by blanks or tabs; empty lines are ignored.

    Memory grows with the lines that exist, never with the `rows` that a header claims. Columns that are not wanted are
    counted and must not hold letters (such as nan or inf), but are not checked further.

    Args:
        text: A whole file.
        start: Where in it the lines of numbers begin; they go on to its end.
        rows: How many lines there must be at least; more lines of as many numbers are returned, too.
        columns: How many numbers each must have.
        wanted: Which of the columns to return, as rows, in ascending order.
        name: The file, for errors.

    Raises:
        ReadError: At the first line with more or fewer numbers, or with something that is not a finite number;
            or if there are fewer lines; or at a line after the last one that is of another kind.
    """
    values = _parse_regular(text, start, columns, wanted)
    if values is None or values.shape[1] < rows:
        values = _parse_any(text, start, rows, columns, name)[list(wanted)]
    return values


def _parse_regular(
    text: bytes, start: int, columns: int, wanted: Sequence[int]
) -> Float64[Array, "wanted rows"] | None:
    """The fast way, for lines that look like the first one: one separator, blanks at the ends or not."""
    end = text.find(b"\n", start)
    first = text[start : end if end >= 0 else len(text)].rstrip(b"\r")
    separator = "\t" if b"\t" in first else " "
    before, after = first.startswith(separator.encode()), first.endswith(separator.encode())
    # A letter is an exponent or a mistake: then all columns are parsed.
    lettered = len(text) > start and np.frombuffer(text, dtype=np.uint8, offset=start).max() > ord("9")
    names, options = _options(columns, before, after, None if lettered else tuple(wanted))
    size = len(text) - start
    try:
        table = csv.read_csv(
            pa.py_buffer(text).slice(start),
            csv.ReadOptions(use_threads=False, column_names=names, block_size=min(size + 1, _BLOCK_BYTES)),
            csv.ParseOptions(delimiter=separator, quote_char=False),
            options,
        )
    except pa.ArrowException:
        return None
    # What is before the first blank or after the last one must be nothing.
    if any(pc.any(pc.not_equal(table[name], b"")).as_py() for name in ["", " "][1 - before : 1 + after]):
        return None
    numbers = [i for i, name in enumerate(table.column_names) if name.strip()]
    parts = [batch.select(numbers).to_tensor(row_major=False).to_numpy().T for batch in table.to_batches()]
    if not parts:
        return None
    values: Array = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    if not np.isfinite(values).all():
        return None
    return values[list(wanted)] if lettered else values


@lru_cache(maxsize=64)
def _options(
    columns: int, before: bool, after: bool, wanted: tuple[int, ...] | None
) -> tuple[list[str], csv.ConvertOptions]:
    """Names of the columns, and which of them become what: those before and after the blanks at the ends are text."""
    numbers = [str(i) for i in range(columns)]
    ends = [""] * before, [" "] * after
    types = dict.fromkeys(numbers, pa.float64()) | dict.fromkeys(["", " "], pa.binary())
    included = numbers if wanted is None else [numbers[i] for i in wanted]
    return [*ends[0], *numbers, *ends[1]], csv.ConvertOptions(
        column_types=types, include_columns=[*ends[0], *included, *ends[1]], null_values=[]
    )


def _parse_any(text: bytes, start: int, rows: int, columns: int, name: str) -> Float64[Array, "columns rows"]:
    """The slow way, which takes any blanks and knows what is wrong in which line."""
    parsed: list[Array] = []
    for number, content in enumerate(text[start:].split(b"\n"), start=text.count(b"\n", 0, start) + 1):
        words = content.split()
        if not words:
            continue
        if len(parsed) >= rows and (len(words) != columns or None in map(parse_float, map(_shown, words))):
            raise ReadError(f"{name}:{number}: a line after the last of {rows} frames; expected the end of the file")
        if len(words) != columns:
            raise ReadError(f"{name}:{number}: frame {len(parsed)} has {len(words)} values, expected {columns}")
        row = np.empty(columns)
        for i, word in enumerate(words):
            value = parse_float(shown := _shown(word))
            if value is None:
                raise ReadError(
                    f"{name}:{number}: frame {len(parsed)} has the value {shown[:40]!r}, expected a finite number"
                )
            row[i] = value
        parsed.append(row)
    if len(parsed) < rows:
        raise ReadError(f"{name}: the file ends after {len(parsed)} frames, expected {rows}; was it cut?")
    return np.ascontiguousarray(np.array(parsed).T)


def _shown(word: bytes) -> str:
    return word.decode("utf-8", "backslashreplace")
