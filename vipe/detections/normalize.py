"""Keypoints freed of where in the image a person stands and how large: what encoders are fed (numpy)."""

__all__ = ["normalize_keypoints"]


import numpy as np
from jaxtyping import Float32

from vipe.arrays import Array
from vipe.detections.keypoints import Keypoints


def normalize_keypoints(
    keypoints: Keypoints,
) -> tuple[Float32[Array, "N joints 2"], Float32[Array, "N 2"], Float32[Array, " N"]]:
    """Centre each person at the centroid of the seen joints and divide by the RMS radius.

    The RMS radius is the root mean square distance of the seen joints from their centroid: the unit in which
    detector noise is stated. Aspect ratio and orientation stay.

    Returns:
        The normalized joints, zero where unseen, the centroids (pixels, zero if nothing is seen) and the radii
        (pixels). Where fewer than two joints are seen, or all of them coincide, the person has no size: the radius
        is 0 and every joint is 0, never NaN.
    """
    seen = keypoints.mask[..., None].astype(np.float64)
    count = np.maximum(seen.sum(axis=1), 1)  # (N, 1)
    xy = keypoints.xy.astype(np.float64)  # zero where unseen, so sums need no mask
    center = xy.sum(axis=1) / count
    offset = (xy - center[:, None]) * seen
    radius = np.sqrt((offset**2).sum(axis=(1, 2)) / count[:, 0])
    # A centroid is rounded, so joints that coincide leave a remainder of the size of their coordinates' last bits.
    radius[radius <= 1e-9 * np.abs(xy).max(axis=(1, 2), initial=0)] = 0
    unit = offset / np.where(radius > 0, radius, np.inf)[:, None, None]
    return unit.astype(np.float32), center.astype(np.float32), radius.astype(np.float32)
