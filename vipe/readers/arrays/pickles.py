"""Objects in numpy's files, which are pickles: plain values and arrays of numbers, with nothing run (numpy).

Python's own unpickler calls whatever functions a file names. Here no function is called: the few words that plain
values and arrays are written with are followed one by one, and any other word or name is refused.
"""

__all__ = ["read_pickle", "shaped"]

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Shaped

from vipe.arrays import Array
from vipe.errors import ReadError

# Under which names numpy's releases write arrays, types and single numbers.
_ARRAY = {f"numpy{core}.multiarray _reconstruct" for core in (".core", "._core")}
_SCALAR = {f"numpy{core}.multiarray scalar" for core in (".core", "._core")}
_NDARRAY, _DTYPE, _ENCODE = "numpy ndarray", "numpy dtype", "_codecs encode"
_KNOWN = _ARRAY | _SCALAR | {_NDARRAY, _DTYPE, _ENCODE}
_MARK = object()
_MOST_AXES = 8
_LAST_CHARACTER, _SURROGATES = 0x10FFFF, (0xD800, 0xDFFF)


def read_pickle(data: bytes | memoryview, name: str) -> Any:
    """Plain values of a pickle: dict with text as keys, list, tuple, text, bytes, numbers, None, arrays of numbers.

    An array of objects becomes what it holds if it has no axis, otherwise a list. Arrays of numbers lie over the bytes
    of the pickle and cannot be written to.

    Args:
        data: The pickle, of protocol 2 to 5.
        name: What to call it in errors.

    Raises:
        ReadError: If it is cut, or holds anything else, such as the name of another function or class.

    Example:
        >>> import pickle
        >>> read_pickle(pickle.dumps({"walk": [1, 2.5, None]}), "a.npy")
        {'walk': [1, 2.5, None]}
    """
    try:
        return _Reader(memoryview(data), name).read()
    except (IndexError, struct.error, UnicodeError, OverflowError) as error:
        raise ReadError(f"{name}: the objects in it are broken or cut") from error


def shaped(
    data: memoryview, dtype: np.dtype[Any], shape: tuple[int, ...], *, fortran: bool, where: str
) -> Shaped[Array, "..."]:
    """An array over bytes; they must be as many as its shape says.

    Raises:
        ReadError: If they are not, or the shape has more axes than numpy's.
    """
    expected = math.prod(shape) * dtype.itemsize
    if expected != len(data) or len(shape) > 8 or dtype.itemsize == 0:
        raise ReadError(f"{where}: {len(data)} bytes for an array {shape} of {dtype}, expected {expected}; was it cut?")
    if expected == 0:
        return np.empty(shape, dtype=dtype) if max(shape, default=0) < 1 << 31 else np.empty(0, dtype=dtype)
    array: Array = np.frombuffer(data, dtype=dtype)
    if dtype.kind == "U":  # Python and numpy take these bytes on trust
        codes = array.view(np.dtype("u4").newbyteorder(dtype.byteorder))
        if ((codes > _LAST_CHARACTER) | ((codes >= _SURROGATES[0]) & (codes <= _SURROGATES[1]))).any():
            raise ReadError(f"{where}: text with characters that do not exist")
    return array.reshape(shape, order="F" if fortran else "C")


@dataclass(frozen=True)
class _Name:
    """A name of numpy's, which only says what the values after it are."""

    full: str


@dataclass
class _Type:
    """A kind of numbers that is being read."""

    code: str
    order: str = "="


@dataclass
class _Growing:
    """An array that is being read; a dataclass rather than an array, so that no code of numpy sees unchecked values."""

    value: Any = None
    made: bool = field(default=False)


class _Parts(tuple[Any, ...]):
    """Parts of an array, together."""

    __slots__ = ()


_INNER = (_Name, _Type, _Growing, _Parts, memoryview)


class _Reader:
    def __init__(self, data: memoryview, name: str) -> None:
        self._data, self._name, self._at = data, name, 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._copied = 0

    def read(self) -> Any:
        while (word := self._take(1)[0]) != 0x2E:
            step = _STEPS.get(word)
            if step is None:
                self._fail(f"word 0x{word:02x}")
            step(self)
        return self._finished(self._stack[-1])

    def _take(self, size: int) -> memoryview:
        start = self._at
        if size < 0 or size > len(self._data) - start:
            raise IndexError
        self._at = start + size
        return self._data[start : self._at]

    def _skip(self, size: int) -> None:
        self._take(size)

    def _drop(self) -> None:
        self._pop(1)

    def _fail(self, found: str) -> NoReturn:
        raise ReadError(
            f"{self._name}: byte {self._at}: objects with {found[:60].encode('unicode_escape').decode('ascii')}, "
            f"expected plain values and arrays of numbers; nothing in the file was run"
        )

    def _number(self, form: str) -> int:
        number: int = struct.unpack(form, self._take(struct.calcsize(form)))[0]
        return number

    def _line(self) -> str:
        start = self._at
        while self._take(1)[0] != 0x0A:
            pass
        return str(self._data[start : self._at - 1], "ascii")

    def _since_mark(self) -> list[Any]:
        stack = self._stack
        at = len(stack) - 1
        while stack[at] is not _MARK:  # the IndexError below 0 comes from an empty or unmarked stack
            at -= 1
            if at < 0:
                raise IndexError
        values = stack[at + 1 :]
        del stack[at:]
        return values

    def _pop(self, count: int) -> list[Any]:
        if count > len(self._stack):
            raise IndexError
        values = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return values

    def _name_(self, module: Any, attribute: Any) -> None:
        full = f"{module} {attribute}"
        if full not in _KNOWN:
            self._fail(f"the name {full.replace(' ', '.')!r}")
        self._stack.append(_Name(full))

    def _global(self) -> None:
        self._name_(self._line(), self._line())

    def _stack_global(self) -> None:
        module, attribute = self._pop(2)
        if not isinstance(module, str) or not isinstance(attribute, str):
            self._fail("a name that is not text")
        self._name_(module, attribute)

    def _reduce(self) -> None:
        """What the file calls a call: only tells which kind of value comes."""
        function, arguments = self._pop(2)
        full = function.full if isinstance(function, _Name) else ""
        given = arguments if isinstance(arguments, tuple) else ()
        if full in _ARRAY:
            self._stack.append(_Growing())
        elif full == _DTYPE and given and isinstance(given[0], str | bytes):
            code = given[0] if isinstance(given[0], str) else given[0].decode("ascii")
            self._stack.append(_Type(code))
        elif full in _SCALAR and len(given) == 2 and isinstance(given[0], _Type) and isinstance(given[1], bytes):
            number = self._array((), given[0], False, given[1])
            if not isinstance(number, np.ndarray) or number.dtype.kind not in "biuf":
                self._fail("a single value of numpy's that is no number")
            self._stack.append(number[()].item())
        elif full == _ENCODE and len(given) == 2 and isinstance(given[0], str) and given[1] == "latin1":
            self._stack.append(self._encoded(given[0]))
        else:
            self._fail("a call of something else than numpy's array")

    def _build(self) -> None:
        """What an array or a type consists of."""
        (state,) = self._pop(1)
        target = self._stack[-1]
        if isinstance(target, _Type) and isinstance(state, tuple) and len(state) >= 2:
            order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
            if order not in ("<", ">", "|", "="):
                self._fail("a byte order that numpy does not have")
            target.order = order
        elif isinstance(target, _Growing) and not target.made and isinstance(state, tuple) and len(state) == 5:
            _, shape, kind, fortran, values = state
            if not isinstance(kind, _Type) or not isinstance(shape, tuple):
                self._fail("an array without shape or type")
            target.value, target.made = self._array(shape, kind, bool(fortran), values), True
        else:
            self._fail("a state of something else than an array")

    def _array(self, shape: tuple[Any, ...], kind: _Type, fortran: bool, values: Any) -> Any:
        if len(shape) > _MOST_AXES or not all(type(length) is int and 0 <= length < 1 << 48 for length in shape):
            self._fail("an array of a shape that numpy does not have")
        if kind.code in ("O", "O8", "O4"):
            if not isinstance(values, list) or len(values) != math.prod(shape) or len(shape) > 1:
                self._fail(f"an array of objects {shape}")
            return values if shape else values[0]
        if isinstance(values, str):  # written by Python 2
            values = self._encoded(values)
        if not isinstance(values, bytes | memoryview):
            self._fail("an array without numbers")
        if kind.code[:1] not in tuple("biufSU") or not kind.code[1:].isdigit() or len(kind.code) > 9:
            self._fail(f"an array of the type {kind.code!r}")
        try:
            dtype = np.dtype(f"{kind.order}{kind.code}")
        except (TypeError, ValueError):
            self._fail(f"an array of the type {kind.code!r}")
        return shaped(memoryview(values), dtype, shape, fortran=fortran, where=f"{self._name}: byte {self._at}")

    def _encoded(self, text: str) -> bytes:
        """Bytes that were written as text. Each is a copy: a file that repeats one must not fill the memory."""
        self._copied += len(text)
        if self._copied > len(self._data):
            self._fail("more bytes than the file has")
        return text.encode("latin-1")

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            self._fail("items of something else than a dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            text = key.decode("latin-1") if isinstance(key, bytes) else key
            if type(text) is not str:  # other keys may be made to collide, or to nest without end
                self._fail("a dict whose keys are not text")
            target[text] = self._finished(value)

    def _append(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            self._fail("items of something else than a list")
        target.extend(map(self._finished, values))

    def _put(self, where: int) -> None:
        self._memo[where] = self._stack[-1]

    def _get(self, where: int) -> None:
        if where not in self._memo:
            raise IndexError
        self._stack.append(self._memo[where])

    def _long(self, size: int) -> None:
        if size > 8:
            self._fail(f"a whole number of {size} bytes")
        self._stack.append(int.from_bytes(self._take(size), "little", signed=True))

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _tuple(self, values: list[Any]) -> None:
        values = [value.value if isinstance(value, _Growing) and value.made else value for value in values]
        inner = any(isinstance(value, _INNER) for value in values)
        self._stack.append(_Parts(values) if inner else tuple(values))

    def _finished(self, value: Any) -> Any:
        """A value of the file; nothing that is only part of one gets out."""
        if isinstance(value, _Growing) and value.made:
            return value.value
        if isinstance(value, _INNER) or value is _MARK:
            self._fail("a part of an array where a value belongs")
        return value


def _text(form: str) -> Callable[[_Reader], None]:
    return lambda r: r._push(str(r._take(r._number(form)), "utf-8", "surrogatepass"))


def _bytes(form: str) -> Callable[[_Reader], None]:
    """Short ones are copied, so that they are plain; long ones are numbers of arrays and stay where they are."""
    return lambda r: r._push(_short(r._take(r._number(form))))


def _short(data: memoryview) -> bytes | memoryview:
    return bytes(data) if len(data) < 1024 else data


def _value(value: Any) -> Callable[[_Reader], None]:
    return lambda r: r._push(value)


_STEPS: dict[int, Callable[[_Reader], None]] = {
    0x80: lambda r: _protocol(r, r._number("<B")),
    0x95: lambda r: r._skip(8),  # FRAME: how far the next words go, which nothing here needs
    0x28: _value(_MARK),
    0x4E: _value(None),
    0x88: _value(True),
    0x89: _value(False),
    0x4A: lambda r: r._push(r._number("<i")),
    0x4B: lambda r: r._push(r._number("<B")),
    0x4D: lambda r: r._push(r._number("<H")),
    0x8A: lambda r: r._long(r._number("<B")),
    0x47: lambda r: r._push(struct.unpack(">d", r._take(8))[0]),
    0x8C: _text("<B"),
    0x58: _text("<I"),
    0x8D: _text("<Q"),
    0x43: _bytes("<B"),
    0x42: _bytes("<I"),
    0x8E: _bytes("<Q"),
    0x55: _bytes("<B"),  # text of Python 2
    0x54: _bytes("<i"),
    0x7D: lambda r: r._push({}),
    0x5D: lambda r: r._push([]),
    0x29: _value(()),
    0x74: lambda r: r._tuple(r._since_mark()),
    0x85: lambda r: r._tuple(r._pop(1)),
    0x86: lambda r: r._tuple(r._pop(2)),
    0x87: lambda r: r._tuple(r._pop(3)),
    0x73: lambda r: r._set_items(r._pop(2)),
    0x75: lambda r: r._set_items(r._since_mark()),
    0x61: lambda r: r._append(r._pop(1)),
    0x65: lambda r: r._append(r._since_mark()),
    0x71: lambda r: r._put(r._number("<B")),
    0x72: lambda r: r._put(r._number("<I")),
    0x94: lambda r: r._put(len(r._memo)),
    0x68: lambda r: r._get(r._number("<B")),
    0x6A: lambda r: r._get(r._number("<I")),
    0x63: lambda r: r._global(),
    0x93: lambda r: r._stack_global(),
    0x52: lambda r: r._reduce(),
    0x62: lambda r: r._build(),
    0x30: lambda r: r._drop(),
}


def _protocol(reader: _Reader, protocol: int) -> None:
    if not 2 <= protocol <= 5:
        reader._fail(f"protocol {protocol}")
