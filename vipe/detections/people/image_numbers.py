"""Numbers of frames in the names of images."""

__all__ = ["image_numbers"]

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from vipe.arrays import Array

_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,8}\Z")  # of a file; ".0012" is none
_LAST = re.compile(r"(\d+)[^0-9/\\]*\Z")
_MOST = 2**53  # beyond it, one frame is not told from the next as a time


def image_numbers(ids: Sequence[int | str]) -> Int64[Array, " N"] | None:
    """The number in each image's name: the last digits before the file's suffix; None if they do not tell images apart.

    Args:
        ids: Of images; the same one may come more than once.

    Example:
        >>> image_numbers(["10.jpg", "9.jpg", "9.jpg"]).tolist(), image_numbers(["a.jpg", "b.jpg"])
        ([10, 9, 9], None)
        >>> image_numbers(["cam01.0007", "cam01.0012"]).tolist(), image_numbers(["a1.jpg", "b1.jpg"])
        ([7, 12], None)
    """
    known: dict[int | str, int] = {}
    owner: dict[int, str] = {}
    for image in dict.fromkeys(ids):
        number = image if isinstance(image, int) else _number(image)
        if number is None or abs(number) >= _MOST or owner.setdefault(number, str(image)) != str(image):
            return None
        known[image] = number
    return np.array([known[image] for image in ids], dtype=np.int64)


def _number(name: str) -> int | None:
    found = _LAST.search(_SUFFIX.sub("", name[-200:]))
    return int(found[1]) if found is not None and len(found[1]) <= len(str(_MOST)) else None
