"""JSON from outside as typed values; errors name the place in the file."""

__all__ = ["decode"]

import json
import re
from typing import TypeVar

import msgspec

from vipe.errors import ReadError

T = TypeVar("T")

_NOT_JSON = re.compile(rb"-?\b(?:NaN|Infinity)\b")  # what Python's json writes all the same


def decode(data: bytes, decoder: msgspec.json.Decoder[T], name: str) -> T:
    """Decode JSON and validate it against the decoder's type.

    Raises:
        ReadError: If it is empty, not UTF-8, not JSON, or not of that type; gives the place (`$.annotations[3].id`).
    """
    if not data.strip():
        raise ReadError(f"{name}: the file is empty; expected keypoints as JSON")
    try:
        # msgspec does not look into strings that it skips, so bytes that are not text could pass; look first.
        data.decode("utf-8")
        return decoder.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except UnicodeDecodeError as error:
        raise ReadError(f"{name}: not UTF-8 at byte {error.start}; expected keypoints as JSON") from error
    except msgspec.ValidationError as error:
        raise ReadError(f"{name}: {error}") from error
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        raise ReadError(f"{name}: {_not_a_number(data) or f'broken JSON: {error}'}") from error
    except RecursionError as error:
        raise ReadError(f"{name}: broken JSON: nested too deeply") from error


def _not_a_number(data: bytes) -> str:
    """What to say of a file that would be JSON if NaN were a number; "" if that is not what is wrong with it."""
    found = _NOT_JSON.search(data)
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return ""
    if found is None:
        return ""
    line = 1 + data.count(b"\n", 0, found.start())
    return (
        f"{found[0].decode()} in line {line}, byte {found.start()}, which is no number; write 0, 0, 0 for a keypoint "
        "that was not found"
    )
