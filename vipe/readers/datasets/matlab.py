"""MATLAB's .mat files: arrays of numbers and cells of them, in its own format and in version 7.3's HDF5 (numpy)."""

__all__ = ["is_hdf5", "read_hdf5", "read_matrices"]

import io
import itertools
import math
import struct
import zlib
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from jaxtyping import Shaped

from vipe.arrays import Array
from vipe.errors import MissingExtra, ReadError
from vipe.readers.arrays.pickles import shaped
from vipe.readers.contract import one_line

_HEADER = 128
_HDF5 = b"\x89HDF\r\n\x1a\n"
_MATRIX, _PACKED = 14, 15
_KINDS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CELL, _NUMBERS = 1, range(6, 16)
_COMPLEX = 0x800
_RATIO, _RATIO_FROM, _MOST_BYTES = 200, 1 << 26, 1 << 31  # unpacked: to packed, counted from, at most
_MOST_AXES = 8


def read_matrices(data: bytes, name: str, wanted: Collection[str]) -> dict[str, Any]:
    """Arrays of a MATLAB 5 file by name: numbers as an array, a cell as the list of its arrays.

    Args:
        data: The whole file.
        name: What to call it in errors.
        wanted: Names of the variables to read; others are passed over, as are those of other kinds.

    Raises:
        ReadError: If it is not a MATLAB 5 file, is cut, or unpacks to an unreasonable size.

    Example:
        >>> from scipy.io import savemat
        >>> file = io.BytesIO()
        >>> savemat(file, {"x": np.eye(2), "y": [1, 2]})
        >>> read_matrices(file.getvalue(), "a.mat", ["x"])["x"].tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    orders = {b"IM": "<", b"MI": ">"}
    if len(data) < _HEADER or data[126:128] not in orders:
        raise ReadError(f"{name}: begins with {data[:20]!r}, expected 'MATLAB 5.0 MAT-file'; is it .mat?")
    order = orders[data[126:128]]
    found = {}
    budget = [min(_MOST_BYTES, max(_RATIO_FROM, _RATIO * len(data)))]
    for kind, element in _elements(memoryview(data)[_HEADER:], order, name):
        if kind == _PACKED:
            whole = _unpacked(element, order, name, wanted, budget)
            if whole is None:
                continue
            kind, element = next(_elements(whole, order, name), (0, whole))
        if kind == _MATRIX:
            variable, value = _matrix(element, order, name, wanted)
            if variable in wanted and value is not None:
                found[variable] = value
    return found


def _elements(data: memoryview, order: str, name: str) -> Iterator[tuple[int, memoryview]]:
    """The parts that follow each other: kind and bytes. Small ones keep their bytes in place of the size."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack(f"{order}II", data[at : at + 8])
        if kind >> 16:
            yield kind & 0xFFFF, data[at + 4 : at + 4 + min(kind >> 16, 4)]
            at += 8
            continue
        if size > len(data) - at - 8:
            raise ReadError(f"{name}: a part of {size} bytes where {len(data) - at - 8} are left; was it cut?")
        yield kind, data[at + 8 : at + 8 + size]
        # All but packed parts are filled up to whole eight bytes.
        at += 8 + size + (0 if kind == _PACKED else -size % 8)


def _unpacked(
    packed: memoryview, order: str, name: str, wanted: Collection[str], budget: list[int]
) -> memoryview | None:
    """What a packed variable holds, or None if its name, near its beginning, is not wanted."""
    try:
        head = memoryview(zlib.decompressobj().decompress(packed, 512))
        if len(head) >= 8 and _title(head[8:], order, name) not in wanted:
            return None
        whole = zlib.decompressobj()
        data = whole.decompress(packed, budget[0])
    except zlib.error as error:
        raise ReadError(f"{name}: a variable cannot be unpacked: {error}; was it cut?") from error
    budget[0] -= len(data)
    if whole.unconsumed_tail or budget[0] <= 0:
        raise ReadError(f"{name}: unpacks to far more than its size; is it an archive bomb?")
    return memoryview(data)


def _title(data: memoryview, order: str, name: str) -> str:
    """The name of a matrix whose beginning this is; the end may be missing."""
    try:
        _, _, title = itertools.islice(_elements(data, order, name), 3)
    except (ReadError, ValueError):
        return ""
    return _text(title[1])


def _text(data: memoryview) -> str:
    return bytes(data).decode("latin-1").rstrip("\0")


def _matrix(
    data: memoryview, order: str, name: str, wanted: Collection[str] | None
) -> tuple[str, Shaped[Array, "..."] | list[Any] | None]:
    """Name and value of a matrix; None for one of another kind. Cells within cells are of another kind."""
    parts = _elements(data, order, name)
    try:
        (_, flags), (_, sizes), (_, title) = next(parts), next(parts), next(parts)
        flag = struct.unpack(f"{order}I", flags[:4])[0]
        count = min(len(sizes) // 4, _MOST_AXES + 1)
        shape = struct.unpack(f"{order}{count}i", sizes[: 4 * count])
    except (StopIteration, struct.error) as error:
        raise ReadError(f"{name}: a variable without kind, size and name; was it cut?") from error
    variable, kind = _text(title), flag & 0xFF
    if (wanted is not None and variable not in wanted) or flag & _COMPLEX:
        return variable, None
    where = f"{name}: {variable.encode('unicode_escape').decode('ascii') or 'a cell'}"
    if len(shape) > _MOST_AXES or min(shape, default=0) < 0:
        raise ReadError(f"{where}: an array {shape}, expected up to {_MOST_AXES} axes of 0 or more")
    if kind == _CELL and wanted is not None:
        cells = [_matrix(part, order, where, None)[1] for inner, part in parts if inner == _MATRIX]
        if len(cells) != math.prod(shape):
            raise ReadError(f"{where}: {len(cells)} cells, expected {shape}; was it cut?")
        return variable, cells
    if kind not in _NUMBERS:
        return variable, None
    stored, numbers = next(parts, (0, memoryview(b"")))
    if stored not in _KINDS:
        raise ReadError(f"{where}: numbers of the kind {stored}, expected one of {', '.join(map(str, _KINDS))}")
    return variable, shaped(numbers, np.dtype(order + _KINDS[stored]), shape, fortran=True, where=where)


def is_hdf5(data: bytes) -> bool:
    """Whether a .mat file is of version 7.3, which is HDF5; MATLAB puts 512 bytes before it."""
    return data[:8] == _HDF5 or data[512:520] == _HDF5


def read_hdf5(data: bytes, name: str, wanted: Collection[str]) -> dict[str, Shaped[Array, "..."]]:
    """Arrays of numbers of an HDF5 file by name, axes as they lie in the file; others are passed over.

    Only what lies in the file itself is read: names that lead to other files are passed over.

    Raises:
        MissingExtra: If h5py is not installed.
        ReadError: If it is broken, or an array is larger than the file can reasonably hold.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtra.of(f"{name}: HDF5 needs h5py", "formats") from error
    most = min(_MOST_BYTES, max(_RATIO_FROM, _RATIO * len(data)))
    found = {}
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            for variable in wanted:
                if not isinstance(file.get(variable, getlink=True), h5py.HardLink):
                    continue
                dataset = file[variable]
                if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
                    continue
                if dataset.dtype.kind not in "iufb" or dataset.dtype.subdtype is not None:
                    continue
                size = math.prod(dataset.shape) * dataset.dtype.itemsize
                if size > most:
                    raise ReadError(
                        f"{name}: {variable} unpacks to {size} bytes from {len(data)}; is it an archive bomb?"
                    )
                most -= size
                found[variable] = np.asarray(dataset[()])
    except ReadError:
        raise
    except (OSError, LookupError, ValueError, TypeError, RuntimeError, AttributeError, OverflowError) as error:
        raise ReadError(f"{name}: cannot be read as HDF5, broken or cut: {one_line(error)}") from error
    return found
