"""Keypoints normalized for place and size in the image: the input of encoders (numpy)."""

__all__ = ["normalize_keypoints"]

import numpy as np
from jaxtyping import Float32

from vipe.arrays import Array
from vipe.detections.keypoints import Keypoints


def normalize_keypoints(
    keypoints: Keypoints,
) -> tuple[Float32[Array, "N joints 2"], Float32[Array, "N 2"], Float32[Array, " N"]]:
    """Centre each person at the centroid of the seen joints and divide by the RMS radius.

    The RMS radius is the root mean square distance of the seen joints from their centroid. It is also the unit of
    detector noise. Aspect ratio and orientation do not change.

    Returns:
        The normalized joints (zero where unseen), the centroids (pixels, zero if nothing is seen) and the radii
        (pixels). If fewer than two joints are seen, or all of them coincide, the person has no size: the radius and
        every joint are 0, never NaN.

    Example:
        >>> xy = np.zeros((1, 13, 2))
        >>> xy[0, :2] = [[100, 50], [140, 50]]
        >>> unit, centroid, radius = normalize_keypoints(Keypoints.of(xy, np.arange(13)[None] < 2))
        >>> unit[0, :2].tolist(), centroid.tolist(), radius.tolist()
        ([[-1.0, 0.0], [1.0, 0.0]], [[120.0, 50.0]], [20.0])
    """
    seen = keypoints.mask[..., None].astype(np.float64)
    count = np.maximum(seen.sum(axis=1), 1)  # (N, 1)
    xy = keypoints.xy.astype(np.float64)  # zero where unseen, so sums need no mask
    center = xy.sum(axis=1) / count
    offset = (xy - center[:, None]) * seen
    radius = np.sqrt((offset**2).sum(axis=(1, 2)) / count[:, 0])
    # The centroid is rounded, so joints that coincide differ from it by the last bits of their coordinates.
    radius[radius <= 1e-9 * np.abs(xy).max(axis=(1, 2), initial=0)] = 0
    unit = offset / np.where(radius > 0, radius, np.inf)[:, None, None]
    return unit.astype(np.float32), center.astype(np.float32), radius.astype(np.float32)
