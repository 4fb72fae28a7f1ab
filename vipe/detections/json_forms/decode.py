"""JSON from outside as typed values; errors name the place in the file."""

__all__ = ["decode", "utf8"]

import codecs
import json
import re
from typing import TypeVar

import msgspec

from vipe.errors import ReadError

T = TypeVar("T")

_NOT_JSON = re.compile(rb"-?\b(?:NaN|Infinity)\b")  # what Python's json writes all the same
_PIECE = 2**24  # bytes whose encoding is looked at together


def utf8(data: bytes, name: str) -> bytes:
    """The same text as UTF-8 without a byte order mark; UTF-16 is told by its mark.

    Raises:
        ReadError: If it is empty, or neither UTF-8 nor UTF-16.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeError as error:
            raise ReadError(f"{name}: begins as UTF-16, but is not; expected keypoints as text in UTF-8") from error
    if not data[:_PIECE].strip() and not data.strip():
        raise ReadError(f"{name}: the file is empty; expected keypoints as JSON")
    if not data.isascii():
        # msgspec does not look into strings that it skips, so bytes that are not text could pass; look first.
        look = codecs.getincrementaldecoder("utf-8")()
        for start in range(0, len(data), _PIECE):
            before = len(look.getstate()[0])
            try:
                look.decode(data[start : start + _PIECE], start + _PIECE >= len(data))
            except UnicodeDecodeError as error:
                at = start - before + error.start
                raise ReadError(f"{name}: not UTF-8 at byte {at}; expected keypoints as JSON") from error
    return data.removeprefix(codecs.BOM_UTF8)


def decode(data: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T], name: str) -> T:
    """Decode JSON in UTF-8 and validate it against the decoder's type.

    Raises:
        ReadError: If it is not JSON, or not of that type; gives the place (`$.annotations[3].id`).
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise ReadError(f"{name}: {error}") from error
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        raise ReadError(f"{name}: {_not_a_number(bytes(data)) or f'broken JSON: {error}'}") from error
    except RecursionError as error:
        raise ReadError(f"{name}: broken JSON: nested too deeply") from error


def _not_a_number(data: bytes) -> str:
    """What to say of a file that would be JSON if NaN were a number; "" if that is not what is wrong with it."""
    found = _NOT_JSON.search(data)
    if found is None:
        return ""
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return ""
    line = 1 + data.count(b"\n", 0, found.start())
    return (
        f"{found[0].decode()} in line {line}, byte {found.start()}, which is no number; write 0, 0, 0 for a keypoint "
        "that was not found"
    )
