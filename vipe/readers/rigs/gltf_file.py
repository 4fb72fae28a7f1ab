"""glTF 2.0 (.gltf, .glb) as a container: its JSON with types, and the arrays that it describes (numpy, msgspec)."""

__all__ = ["Animation", "Channel", "Gltf", "GltfNode", "Sampler", "Skin", "accessor", "open_gltf"]

import base64
import binascii
import struct
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.errors import ReadError
from vipe.readers.contract import as_float64, one_line

_MAGIC, _JSON, _BINARY = b"glTF", 0x4E4F534A, 0x004E4942
_KINDS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_DATA = "base64,"
_MOST_OBJECTS = 1_000_000  # each takes some hundred bytes of memory


class GltfNode(msgspec.Struct):
    """A point of the hierarchy: either a matrix, or translation, rotation (x, y, z, w) and scale."""

    name: str = ""
    children: list[int] = []
    matrix: list[float] | None = None
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)


class Skin(msgspec.Struct):
    """The nodes that are bones of one character."""

    joints: list[int]
    name: str = ""


class Sampler(msgspec.Struct):
    """Keyframes: accessors of times and values."""

    input: int
    output: int
    interpolation: str = "LINEAR"


class _Target(msgspec.Struct):
    path: str
    node: int = -1


class Channel(msgspec.Struct):
    """What a sampler moves."""

    sampler: int
    target: _Target


class Animation(msgspec.Struct):
    """Channels that play together."""

    channels: list[Channel]
    samplers: list[Sampler]
    name: str = ""


class _Accessor(msgspec.Struct):
    componentType: int  # noqa: N815  # as the format spells it
    count: int
    type: str
    bufferView: int | None = None  # noqa: N815
    byteOffset: int = 0  # noqa: N815
    normalized: bool = False
    sparse: dict[str, Any] | None = None


class _View(msgspec.Struct):
    buffer: int
    byteLength: int  # noqa: N815
    byteOffset: int = 0  # noqa: N815
    byteStride: int | None = None  # noqa: N815


class _Buffer(msgspec.Struct):
    byteLength: int  # noqa: N815
    uri: str | None = None


class Gltf(msgspec.Struct):
    """What of a file motion needs."""

    nodes: list[GltfNode] = []
    skins: list[Skin] = []
    animations: list[Animation] = []
    accessors: list[_Accessor] = []
    bufferViews: list[_View] = []  # noqa: N815
    buffers: list[_Buffer] = []


def open_gltf(data: bytes, name: str) -> tuple[Gltf, list[bytes]]:
    """The description of a file and its buffers.

    Raises:
        ReadError: If it is not glTF 2.0, is cut, or keeps its numbers in further files.
    """
    text, binary = data, None
    if data[:4] == _MAGIC:
        text, binary = _parts(data, name)
    if (objects := text.count(b"{")) > _MOST_OBJECTS:
        raise ReadError(f"{name}: a description of {objects} objects, expected up to {_MOST_OBJECTS}")
    try:
        gltf = msgspec.json.decode(text, type=Gltf)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ReadError(f"{name}: not glTF 2.0: {one_line(error)}") from error
    return gltf, [_buffer(buffer, binary if i == 0 else None, name) for i, buffer in enumerate(gltf.buffers)]


def _parts(data: bytes, name: str) -> tuple[bytes, bytes | None]:
    """JSON and binary part of a .glb."""
    parts: dict[int, bytes] = {}
    version = struct.unpack("<I", data[4:8])[0] if len(data) >= 12 else 0
    if version != 2:
        raise ReadError(f"{name}: glTF of version {version}, expected 2")
    at = 12
    while at + 8 <= len(data):
        size, kind = struct.unpack("<II", data[at : at + 8])
        if size > len(data) - at - 8:
            raise ReadError(
                f"{name}: byte {at}: a part of {size} bytes where {len(data) - at - 8} are left; is it cut?"
            )
        parts.setdefault(kind, data[at + 8 : at + 8 + size])
        at += 8 + size
    if _JSON not in parts:
        raise ReadError(f"{name}: no description (JSON) in it; was it cut?")
    return parts[_JSON], parts.get(_BINARY)


def _buffer(buffer: _Buffer, binary: bytes | None, name: str) -> bytes:
    if buffer.uri is None and binary is not None:
        data = binary
    elif buffer.uri is not None and buffer.uri.startswith("data:") and _DATA in buffer.uri[:100]:
        try:
            data = base64.b64decode(buffer.uri[buffer.uri.index(_DATA) + len(_DATA) :], validate=True)
        except (binascii.Error, ValueError) as error:
            raise ReadError(f"{name}: a buffer is not base64: {one_line(error)}") from error
    else:
        found = repr(buffer.uri or "")[:60].encode("unicode_escape").decode("ascii")
        raise ReadError(f"{name}: its numbers are in another file, {found}; export it as one .glb")
    if len(data) < buffer.byteLength:
        raise ReadError(f"{name}: a buffer of {len(data)} bytes, expected {buffer.byteLength}; was it cut?")
    return data


def accessor(gltf: Gltf, buffers: list[bytes], which: int, width: int, name: str) -> Float64[Array, "count width"]:
    """The numbers of an accessor, which must lie within the file; whole numbers are shares of their largest.

    Args:
        gltf: The description.
        buffers: Its buffers.
        which: Index of the accessor.
        width: Numbers in each of its items.
        name: The file, for errors.

    Raises:
        ReadError: If there is none, it is sparse, of another width, or reaches beyond the file.
    """
    where = f"{name}: accessor {which}"
    if not 0 <= which < len(gltf.accessors):
        raise ReadError(f"{where}: expected one of {len(gltf.accessors)}")
    found = gltf.accessors[which]
    if found.componentType not in _KINDS or _WIDTHS.get(found.type) != width or found.sparse is not None:
        raise ReadError(f"{where}: {found.type[:20]!r} of {found.componentType}, expected {width} numbers, not sparse")
    if found.bufferView is None or not 0 <= found.bufferView < len(gltf.bufferViews):
        raise ReadError(f"{where}: no part of the file belongs to it")
    view = gltf.bufferViews[found.bufferView]
    if not 0 <= view.buffer < len(buffers):
        raise ReadError(f"{where}: buffer {view.buffer}, expected one of {len(buffers)}")
    dtype = np.dtype(_KINDS[found.componentType])
    row = dtype.itemsize * width
    stride = view.byteStride or row
    start, last = view.byteOffset + found.byteOffset, (found.count - 1) * stride + row
    inside = view.byteOffset >= 0 and 0 <= view.byteLength <= len(buffers[view.buffer]) - view.byteOffset
    if (
        found.count < 1
        or stride < row
        or found.byteOffset < 0
        or not inside
        or last > view.byteLength - found.byteOffset
    ):
        raise ReadError(f"{where}: {found.count} items reach beyond their part of the file; was it cut?")
    data = np.frombuffer(buffers[view.buffer], dtype=np.uint8, offset=start, count=last)
    items = np.lib.stride_tricks.as_strided(data, (found.count, row), (stride, 1), writeable=False)
    numbers: Any = as_float64(np.ascontiguousarray(items).view(dtype))
    if dtype.kind != "f":
        numbers = np.maximum(numbers / np.iinfo(dtype).max, -1.0)
    if not np.isfinite(numbers).all():
        raise ReadError(f"{where}: a number is not finite")
    return np.asarray(numbers)
