"""Joints that a detector did not find, as detectors write them (numpy)."""

__all__ = ["not_found"]

import numpy as np
from jaxtyping import Bool, Float

from vipe.arrays import Array


def not_found(xy: Float[Array, "*batch joints 2"]) -> Bool[Array, "*batch joints"]:
    """Which joints are written as not found, whatever their score.

    That is: no number (NaN); exactly 0, 0, as Ultralytics, OpenPose and COCO write it; a negative sentinel. A sentinel
    is a pair of equal negative numbers (-1, -1), or one negative pair at two different joints: two joints outside the
    image do not lie at the same place to the last digit, but a sentinel that was scaled with the image does.

    Example:
        >>> not_found(np.array([[0, 0], [-1, -1], [-7.5, -4], [-7.5, -4], [-3.1, -9.2], [0, 5]], dtype=float)).tolist()
        [True, True, True, True, False, False]
    """
    x, y = xy[..., 0], xy[..., 1]
    with np.errstate(invalid="ignore"):
        missing = np.isnan(x) | np.isnan(y) | ((x == 0) & (y == 0))
        below = (x < 0) & (y < 0)
    if not below.any():
        return np.asarray(missing)
    pairs, joint = xy[below], np.nonzero(below)[-1]
    _, which = np.unique(pairs, axis=0, return_inverse=True)
    at = np.unique(np.stack([which.reshape(-1), joint], axis=1), axis=0)[:, 0]  # a pair and a joint that has it, once
    joints = np.bincount(at)
    missing[below] |= (pairs[:, 0] == pairs[:, 1]) | (joints[which.reshape(-1)] > 1)
    return np.asarray(missing)
