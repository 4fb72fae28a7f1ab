"""Coordinates that are shares of the image's width and height, not pixels (numpy)."""

__all__ = ["are_shares", "are_tiny", "refuse_shares"]

from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array, blocks
from vipe.detections.people.not_found import not_found
from vipe.errors import ReadError

_FARTHEST = 4.0  # a landmark guessed outside the image; and nobody is 4 pixels tall
_TINY = 2.0
_MOSTLY = 0.8  # of the coordinates that lie within the image
_BLOCK = 2**14  # rows at once


def are_shares(numbers: Sequence[Float[Array, "_ ..."]]) -> bool:
    """Whether all coordinates are shares of an image's size: nearly all of them lie within 0 to 1, none far outside.

    Example:
        >>> body = np.random.default_rng(0).uniform(0.2, 0.8, (1, 17, 2))
        >>> are_shares([body]), are_shares([body * 100])
        (True, False)
    """
    if any(_beyond(part, _FARTHEST) for part in numbers):
        return False
    within = count = 0
    for part in numbers:
        xy = part[..., :2]
        found = xy[~not_found(xy)]
        if found.size and np.abs(found).max() > _FARTHEST:
            return False
        within += int(((found >= 0) & (found <= 1)).all(axis=1).sum())
        count += len(found)
    return count > 2 and within >= _MOSTLY * count


def are_tiny(numbers: Sequence[Float[Array, "_ ..."]]) -> bool:
    """Whether all coordinates lie within -2 to 2, as those do that some detectors scale to -1 to 1.

    Example:
        >>> body = np.random.default_rng(0).uniform(-1, 1, (1, 17, 2))
        >>> are_tiny([body]), are_tiny([body * 100])
        (True, False)
    """
    if any(_beyond(part, _TINY) for part in numbers):
        return False
    largest = 0.0
    for part in numbers:
        xy = part[..., :2]
        largest = max(largest, float(np.abs(xy[~not_found(xy)]).max(initial=0.0)))
    return 0 < largest <= _TINY


def _beyond(numbers: Float[Array, "_ ..."], most: float) -> bool:
    """Whether a joint lies to the right of a number of pixels: it is found, as no sentinel has a positive x.

    So nearly all files are told apart without a copy of their numbers.
    """
    for block in blocks(len(numbers), _BLOCK):
        x, y = numbers[block][..., 0], numbers[block][..., 1]
        with np.errstate(invalid="ignore"):
            if ((x > most) & ~np.isnan(y)).any():
                return True
    return False


def refuse_shares(name: str) -> NoReturn:
    """Say what to do about shares of an image whose size is not known.

    Raises:
        ReadError: Always.
    """
    raise ReadError(
        f"{name}: all coordinates lie within 0 to 1: they are shares of the image's width and height, which are not "
        "known; give the size (--image-size 1920x1080, image_size=(1920, 1080)), or multiply x by the width and y by "
        "the height"
    )
