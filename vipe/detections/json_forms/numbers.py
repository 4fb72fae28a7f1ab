"""Lists of numbers in JSON text, parsed in bulk: no Python object a number (numpy)."""

__all__ = ["Numbers", "parse_numbers"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv
from jaxtyping import Float32, Int64

from vipe.arrays import Array, blocks
from vipe.errors import ReadError

_BLOCK = 2**13  # rows at once: what is copied on the way stays small
_FEW = 256  # rows below which a general parser is faster
_NO_BRACKETS = b"0123456789.eE+-nul \t\r\n"  # numbers, null and blanks
_TO_LINES = bytes.maketrans(b",", b"\n")
_LINES = pyarrow.csv.ReadOptions(column_names=["number"], use_threads=False, block_size=2**24)
_PLAIN = pyarrow.csv.ParseOptions(quote_char=False)
_FLOATS = pyarrow.csv.ConvertOptions(column_types={"number": pa.float32()}, null_values=["null"])


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Rows whose lists have one shape: (count,) for a flat list, (lists, count) for a list of lists."""

    rows: Int64[Array, " N"]
    values: Float32[Array, "N ..."]  # NaN for null


def parse_numbers(lists: Sequence[msgspec.Raw | None], where: Callable[[int], str]) -> list[Numbers]:
    """Parse lists of numbers, grouped by shape; rows that are None or null are in no group.

    A list around a single list of lists is passed over. Numbers beyond float32 become infinite.

    Args:
        lists: JSON text that is valid, one value a row.
        where: Gives the place of a row for errors.

    Raises:
        ReadError: If a value is anything else than numbers, or lists of equally many numbers.
    """
    found: dict[bytes, list[Numbers]] = {}
    given = np.array([i for i, text in enumerate(lists) if text is not None], dtype=np.int64)
    for block in blocks(len(given), _BLOCK):
        rows = given[block]
        texts = [text for i in rows.tolist() if (text := lists[i]) is not None]
        for pattern, chosen in _patterns(texts).items():
            some = rows if chosen is None else rows[chosen]
            if pattern == b"":
                continue  # null
            shape = _shape(pattern)
            if shape is None:
                raise ReadError(f"{where(int(some[0]))}: {_told(texts[0 if chosen is None else chosen[0]])}")
            values = _values(texts if chosen is None else [texts[i] for i in chosen])
            if values is None or values.size != len(some) * int(np.prod(shape)):
                raise ReadError(f"{where(int(some[0]))}: a number that cannot be read; expected numbers or null")
            found.setdefault(pattern, []).append(Numbers(rows=some, values=values.reshape(len(some), *shape)))
    return [
        Numbers(
            rows=np.concatenate([part.rows for part in parts]), values=np.concatenate([part.values for part in parts])
        )
        if len(parts) > 1
        else parts[0]
        for parts in found.values()
    ]


def _patterns(texts: Sequence[msgspec.Raw]) -> dict[bytes, list[int] | None]:
    """The rows of each pattern of brackets and commas; None stands for all rows."""
    first = bytes(texts[0]).translate(None, _NO_BRACKETS)
    whole = b";".join(texts).translate(None, _NO_BRACKETS)
    if whole == b";".join([first] * len(texts)):
        return {first: None}
    found: dict[bytes, list[int] | None] = {}
    for i, text in enumerate(texts):
        rows = found.setdefault(bytes(text).translate(None, _NO_BRACKETS), [])
        if rows is not None:
            rows.append(i)
    return found


def _shape(pattern: bytes) -> tuple[int, ...] | None:
    """The shape of a value, from its brackets and commas: `[,,]` is (3,), `[[,],[,]]` is (2, 2)."""
    if pattern.startswith(b"[[[") and pattern.endswith(b"]]]"):
        pattern = pattern[1:-1]
    inner = pattern[1:-1]
    if not (pattern.startswith(b"[") and pattern.endswith(b"]")):
        return None
    if not inner.startswith(b"["):
        return (len(inner) + 1,) if inner == b"," * len(inner) else None
    each = inner[: inner.find(b"]") + 1]
    count = (len(inner) + 1) // (len(each) + 1)
    if each != b"[" + b"," * (len(each) - 2) + b"]" or inner != b",".join([each] * count):
        return None
    return count, len(each) - 1


def _values(texts: Sequence[msgspec.Raw]) -> Float32[Array, " numbers"] | None:
    if len(texts) < _FEW:
        return _few(b",".join(texts).translate(None, b"[]"))
    lines = b",".join(texts).translate(_TO_LINES, b"[] \t\r\n")
    try:
        table = pyarrow.csv.read_csv(
            pa.py_buffer(lines), read_options=_LINES, parse_options=_PLAIN, convert_options=_FLOATS
        )
    except pa.ArrowInvalid:
        return None
    return np.asarray(table.column(0).to_numpy(zero_copy_only=False), dtype=np.float32)


_FEW_DECODER = msgspec.json.Decoder(list[float | None])


def _few(numbers: bytes) -> Float32[Array, " numbers"] | None:
    try:
        found = _FEW_DECODER.decode(b"[" + numbers + b"]")
    except msgspec.MsgspecError:
        return None
    with np.errstate(over="ignore"):
        return np.array([np.nan if number is None else number for number in found], dtype=np.float64).astype(np.float32)


def _told(text: msgspec.Raw) -> str:
    shown = bytes(memoryview(text)[:40]).decode("utf-8", "replace").replace("\n", " ")
    more = "..." if len(memoryview(text)) > 40 else ""
    return f"expected a list of numbers, or lists of equally many numbers, got {shown}{more}"
