"""Common Data Format (CDF 2.6 and 3): the numbers of one variable (numpy).

Human3.6M is published in it. The reader follows the records that lead to one variable and nothing else: the first
record of the file, the list of variables, the index of the variable's blocks, the blocks.
"""

__all__ = ["read_variable"]

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

from vipe.arrays import Array
from vipe.errors import ReadError
from vipe.readers.contract import NotMotion

_KINDS = {1: "i1", 2: "i2", 4: "i4", 8: "i8", 11: "u1", 12: "u2", 14: "u4", 21: "f4", 22: "f8", 41: "i1", 44: "f4"}
_KINDS[45] = "f8"
_BIG_ENDIAN = {1, 2, 5, 7, 9, 11, 12}  # encodings; the VAX's own floats (3, 14, 15) are not read
_VAX = {3, 14, 15}
_FIRST, _LIST, _RVARIABLE, _ZVARIABLE, _INDEX, _BLOCK, _PACKED_FILE, _PACKED_BLOCK = 1, 2, 3, 8, 6, 7, 10, 13
_RATIO, _RATIO_FROM, _MOST_BYTES = 200, 1 << 26, 1 << 30  # unpacked: to packed, counted from, at most
_MOST_VARIABLES, _MOST_AXES = 1000, 10


def read_variable(data: bytes, name: str, variable: str) -> Shaped[Array, "..."]:
    """The numbers of one variable: records first, then its own axes.

    Args:
        data: The whole file.
        name: What to call it in errors.
        variable: Its name.

    Raises:
        ReadError: If the file is not CDF, is cut or broken, or the variable holds something else than numbers.
        NotMotion: If it is CDF and has no variable of this name.
    """
    wide = data[:2] == b"\xcd\xf3"
    if not wide and data[:4] != b"\xcd\xf2\x60\x02":
        raise ReadError(f"{name}: begins with 0x{data[:4].hex()}, expected 0xcdf30001; is it CDF 2.6 or 3?")
    if data[4:8] == b"\xcc\xcc\x00\x01":
        record = _Record(data, 8, wide, name, _PACKED_FILE)
        record.offset()
        record.offset()
        record.count()
        packed = data[record.at : 8 + record.size]
        data = data[:8] + _unpacked(packed, _most(len(packed)), name)
    first = _Record(data, 8, wide, name, _FIRST)
    place = first.offset()
    first.skip(8)  # version, release
    encoding, flags = first.count(), first.count()
    if not flags & 2:
        raise ReadError(f"{name}: variables in files of their own, expected all in one file")
    record = _Record(data, place, wide, name, _LIST)
    heads = (record.offset(), record.offset())
    record.offset(), record.offset()
    record.skip(12)
    axes = record.count()
    record.skip(4)
    record.offset()
    record.skip(12)
    shape = _sizes(record, axes)
    names: list[str] = []
    for kind, head in zip((_RVARIABLE, _ZVARIABLE), heads, strict=True):
        while head > 0 and len(names) < _MOST_VARIABLES:
            found = _Variable.read(_Record(data, head, wide, name, kind), shape if kind == _RVARIABLE else None)
            if found.name == variable:
                return _values(data, wide, found, f"{name}: {variable}", encoding, row_major=bool(flags & 1))
            names.append(found.name)
            head = found.following
    raise NotMotion(f"{name}: no variable {variable!r}, it has {', '.join(names[:8]) or 'none'}")


class _Record:
    """A record of the file; knows where its next field begins."""

    def __init__(self, data: bytes, at: int, wide: bool, name: str, kind: int) -> None:
        self.at, self._data, self._wide, self._name = at, data, wide, name
        self.size = self.offset()
        found = self.count()
        if found != kind or self.size > len(data) - at:
            raise ReadError(
                f"{name}: byte {at}: a record of the kind {found} and {self.size} bytes, expected the kind {kind} "
                f"within {len(data)} bytes; was it cut?"
            )

    def take(self, size: int) -> bytes:
        if not 0 <= self.at <= len(self._data) - size:
            raise ReadError(f"{self._name}: byte {self.at}: a record beyond the end of the file; was it cut?")
        self.at += size
        return self._data[self.at - size : self.at]

    def count(self) -> int:
        return int.from_bytes(self.take(4), "big", signed=True)

    def offset(self) -> int:
        """A place in the file, or a size: version 3 has eight bytes for it."""
        return int.from_bytes(self.take(8 if self._wide else 4), "big", signed=True)

    def skip(self, size: int) -> None:
        self.at += size

    def text(self) -> str:
        raw = self.take(256 if self._wide else 64).split(b"\0")[0].decode("latin-1").rstrip()
        return raw.encode("unicode_escape").decode("ascii")


@dataclass(frozen=True)
class _Variable:
    name: str
    following: int
    kind: int
    records: int
    index: int
    sparse: bool
    shape: tuple[int, ...]

    @classmethod
    def read(cls, record: _Record, shape: tuple[int, ...] | None) -> "_Variable":
        """Its axes are the record's own, or those that all variables of the old kind share."""
        following, kind, last, index = record.offset(), record.count(), record.count(), record.offset()
        record.offset()
        record.skip(4)
        sparse = record.count() != 0
        record.skip(20)
        record.offset()
        record.skip(4)
        name = record.text()
        sizes = _sizes(record, record.count()) if shape is None else shape
        varies = [record.count() != 0 for _ in sizes]
        kept = tuple(size for size, vary in zip(sizes, varies, strict=True) if vary)
        return cls(name, following, kind, last + 1, index, sparse, kept)


def _sizes(record: _Record, axes: int) -> tuple[int, ...]:
    if not 0 <= axes <= _MOST_AXES:
        raise ReadError(f"{record._name}: byte {record.at}: {axes} axes, expected 0 to {_MOST_AXES}")
    return tuple(record.count() for _ in range(axes))


def _values(
    data: bytes, wide: bool, variable: _Variable, where: str, encoding: int, *, row_major: bool
) -> Shaped[Array, "..."]:
    if variable.kind not in _KINDS or encoding in _VAX or variable.sparse:
        raise ReadError(f"{where}: values of the kind {variable.kind}, encoding {encoding}, expected dense numbers")
    dtype = np.dtype((">" if encoding in _BIG_ENDIAN else "<") + _KINDS[variable.kind])
    if min(variable.shape, default=1) < 0 or variable.records < 0:
        raise ReadError(f"{where}: {variable.records} records {variable.shape}, expected sizes of 0 or more")
    expected = variable.records * math.prod(variable.shape) * dtype.itemsize
    if expected > _most(len(data)):
        raise ReadError(f"{where}: {expected} bytes from a file of {len(data)}; is it an archive bomb?")
    blocks = bytearray()
    for place in _places(data, wide, variable.index, where):
        blocks += _block(data, wide, place, where, expected - len(blocks))
        if len(blocks) >= expected:
            break
    if len(blocks) < expected:
        raise ReadError(f"{where}: {len(blocks)} bytes, expected {expected}; was it cut?")
    values: Array = np.frombuffer(bytes(blocks[:expected]), dtype=dtype).reshape(variable.records, -1)
    if row_major:
        return values.reshape(variable.records, *variable.shape)
    # Within a record the first axis runs fastest.
    return values.reshape(variable.records, *variable.shape[::-1]).transpose(0, *range(len(variable.shape), 0, -1))


def _places(data: bytes, wide: bool, index: int, where: str) -> Iterator[int]:
    """Where the blocks are, in the order of their records. An index may lead to further ones; none twice."""
    waiting, seen = [index], set()
    while waiting:
        place = waiting.pop()
        if place <= 0:
            continue
        if place in seen:
            raise ReadError(f"{where}: byte {place}: an index that leads to itself")
        seen.add(place)
        if _kind(data, place, wide) != _INDEX:
            yield place
            continue
        record = _Record(data, place, wide, where, _INDEX)
        following, entries, used = record.offset(), record.count(), record.count()
        if not 0 <= used <= entries or entries > record.size // 8:
            raise ReadError(f"{where}: byte {place}: an index of {entries} entries, {used} of them used")
        record.skip(8 * entries)
        waiting += [following, *reversed([record.offset() for _ in range(used)])]


def _kind(data: bytes, place: int, wide: bool) -> int:
    at = place + (8 if wide else 4)
    return int.from_bytes(data[at : at + 4], "big")


def _block(data: bytes, wide: bool, place: int, where: str, most: int) -> bytes:
    if _kind(data, place, wide) == _PACKED_BLOCK:
        record = _Record(data, place, wide, where, _PACKED_BLOCK)
        record.skip(4)
        return _unpacked(record.take(max(record.offset(), 0)), most, where)
    record = _Record(data, place, wide, where, _BLOCK)
    return data[record.at : min(place + record.size, record.at + most)]


def _most(packed: int) -> int:
    return min(_MOST_BYTES, max(_RATIO_FROM, _RATIO * packed))


def _unpacked(packed: bytes, most: int, where: str) -> bytes:
    """Data packed by gzip, up to a size: what comes after it is not unpacked."""
    try:
        return zlib.decompressobj(wbits=31).decompress(packed, max(most, 1))
    except zlib.error as error:
        raise ReadError(f"{where}: packed data cannot be unpacked: {error}; expected gzip") from error
