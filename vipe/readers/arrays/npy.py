"""Arrays of numpy's files (.npy, .npz): numbers as they lie in the file, objects without running anything."""

__all__ = ["Npz", "read_npy"]

import io
import re
import struct
import zipfile
from typing import Any

import numpy as np
from jaxtyping import Shaped

from vipe.arrays import Array
from vipe.errors import ReadError
from vipe.readers.archives import Limits, reported
from vipe.readers.arrays.pickles import read_pickle, shaped

_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    rb"\{\s*'descr'\s*:\s*'([<>|=]?)([biufSUO])(\d{0,9})'\s*,\s*'fortran_order'\s*:\s*(True|False)\s*,"
    rb"\s*'shape'\s*:\s*\(([\d,\sL]{0,200})\)\s*,?\s*\}\s*"
)
_LARGEST_HEADER = 10_000


def read_npy(data: bytes | memoryview, name: str) -> Any:
    """The array of a .npy file.

    Numbers and text are an array over the file's own bytes, so nothing is allocated by what the header claims. Objects
    are what `read_pickle` makes of them: plain values and arrays.

    Args:
        data: The whole file.
        name: What to call it in errors.

    Raises:
        ReadError: If it is not .npy, is cut, or holds objects that are neither plain values nor arrays of numbers.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> np.save(file, np.arange(6.0).reshape(2, 3))
        >>> read_npy(file.getvalue(), "a.npy").shape
        (2, 3)
    """
    view = memoryview(data)
    if bytes(view[:6]) != _MAGIC or len(view) < 12:
        raise ReadError(f"{name}: begins with {bytes(view[:6])!r}, expected {_MAGIC!r}; is it .npy?")
    wide = view[6] >= 2
    size = struct.unpack("<I", view[8:12])[0] if wide else struct.unpack("<H", view[8:10])[0]
    start = (12 if wide else 10) + size
    if size > _LARGEST_HEADER or start > len(view):
        raise ReadError(f"{name}: a header of {size} bytes in a file of {len(view)}; was it cut?")
    text = bytes(view[start - size : start])
    header = _HEADER.fullmatch(text)
    if header is None:
        found = text[:60].decode("latin-1").encode("unicode_escape").decode("ascii")
        raise ReadError(f"{name}: the header is {found!r}, expected an array of numbers, text or objects")
    order, kind, width, fortran, dims = (group.decode("ascii") for group in header.groups())
    if kind == "O":
        return read_pickle(view[start:], name)
    shape = tuple(int(number) for number in re.findall(r"\d{1,18}", dims))
    try:
        dtype = np.dtype(f"{order}{kind}{width}")
    except TypeError as error:
        raise ReadError(f"{name}: numbers of the kind {kind}{width}, expected such as f4 or i8") from error
    return shaped(view[start:], dtype, shape, fortran=fortran == "True", where=name)


class Npz:
    """The arrays of a .npz file; each is unpacked when it is asked for.

    Raises:
        ReadError: If it is not a zip, or an array unpacks to an unreasonable size.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> np.savez(file, fps=np.array(30.0), poses=np.zeros((2, 17, 3)))
        >>> arrays = Npz(file.getvalue(), "a.npz")
        >>> sorted(arrays.names), arrays["poses"].shape
        (['fps', 'poses'], (2, 17, 3))
    """

    def __init__(self, data: bytes, name: str, limits: Limits = Limits()) -> None:  # noqa: B008  # frozen
        self._name, self._limits = name, limits
        with reported(name):
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            if len(self._zip.infolist()) > limits.members:
                raise ReadError(f"{name}: more than {limits.members} arrays")
            size = sum(info.file_size for info in self._zip.infolist())
            if size > max(limits.ratio_from, limits.ratio * len(data)):
                raise ReadError(f"{name}: unpacks to {size} bytes from {len(data)}; is it an archive bomb?")
            self._members = {
                info.filename.removesuffix(".npy"): info
                for info in self._zip.infolist()
                if info.filename.endswith(".npy")
            }

    @property
    def names(self) -> frozenset[str]:
        """Names of the arrays."""
        return frozenset(self._members)

    def __contains__(self, array: str) -> bool:
        return array in self._members

    def __getitem__(self, array: str) -> Any:
        """One array, as `read_npy` gives it.

        Raises:
            ReadError: If there is none of this name, or it cannot be read.
        """
        where = f"{self._name}/{array}.npy"
        if array not in self._members:
            raise ReadError(f"{self._name}: no array {array!r}, it has {', '.join(sorted(self._members)[:20])}")
        info = self._members[array]
        with reported(where):
            if info.file_size > self._limits.member_bytes:
                raise ReadError(f"{where}: {info.file_size} bytes, expected at most {self._limits.member_bytes}")
            with self._zip.open(info) as stream:
                data = stream.read(info.file_size)
                if len(data) != info.file_size or stream.read(1):
                    raise ReadError(f"{where}: {len(data)} bytes, expected {info.file_size}")
        return read_npy(data, where)

    def numbers(self, array: str, *shape: int | None) -> Shaped[Array, "..."]:
        """One array of finite numbers, of a shape in which None is any length.

        Raises:
            ReadError: If it is of another shape, or a number is not finite.
        """
        found = self[array]
        where = f"{self._name}/{array}.npy"
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        if not isinstance(found, np.ndarray) or found.dtype.kind not in "iuf":
            raise ReadError(f"{where}: not an array of numbers, expected ({wanted})")
        fits = len(found.shape) == len(shape) and all(b in (None, a) for a, b in zip(found.shape, shape, strict=True))
        if not fits:
            raise ReadError(f"{where}: an array {found.shape}, expected ({wanted})")
        if not np.isfinite(found).all():
            raise ReadError(f"{where}: a number is not finite")
        return found

    def scalar(self, array: str) -> float:
        """One number, whichever shape it was written in.

        Raises:
            ReadError: If it is not exactly one finite number.
        """
        found = np.asarray(self[array])
        if found.dtype.kind not in "iuf" or found.size != 1 or not np.isfinite(found).all():
            raise ReadError(f"{self._name}/{array}.npy: expected one number, found an array {found.shape}")
        return float(found.reshape(-1)[0])

    def text(self, array: str) -> str:
        """One text, whichever way it was written; "" if it is anything else."""
        found = self[array]
        if isinstance(found, np.ndarray) and found.dtype.kind in "SU" and found.size == 1:
            try:
                found = found.reshape(-1)[0].item()
            except (UnicodeDecodeError, ValueError):  # not every four bytes are a character
                return ""
        if isinstance(found, bytes):
            found = found.decode("utf-8", "replace")
        return found if isinstance(found, str) else ""
