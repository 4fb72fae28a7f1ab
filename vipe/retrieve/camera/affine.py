"""The affine camera under which a pose lands nearest to keypoints (numpy)."""

__all__ = ["AffineCamera", "affine_camera"]

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.errors import ShapeError
from vipe.skeletons.working import COCO13_IN_H36M17

_FLAT = 1e-4  # as in `column_basis`: a body thinner than this share of its size is flat


class AffineCamera(NamedTuple):
    """What takes canonical poses to pixels: x = A X + t."""

    A: Float64[Array, "N K 2 3"]  # pixels a torso length
    t: Float64[Array, "N K 2"]  # pixels: where the pelvis lands
    residual: Float64[Array, "N K"]  # what is left, as a share of the keypoints' size; what a search ranks by

    def project(self, poses: Float[Array, "N K J 3"]) -> Float64[Array, "N K J 2"]:
        """Where joints land, pixels; all 17 of a pose, seen or not."""
        return poses @ self.A.swapaxes(-1, -2) + self.t[..., None, :]


def affine_camera(poses: Float[Array, "N K 17 3"], keypoints: Keypoints) -> AffineCamera:
    """Fit a camera of its own to each of K poses for each of N people, by least squares over the seen joints.

    Affine cameras include orthographic and scaled-orthographic ones, and may stretch and shear. A pose whose seen
    joints lie in one plane leaves the camera undetermined across it: the least A is given.

    Args:
        poses: Canonical poses, such as `index.poses(hits.of(0).rows)` for one person.
        keypoints: N people on coco13, pixels.

    Returns:
        Cameras and relative residuals; residual 0 where all seen joints coincide.

    Raises:
        ShapeError: If the shapes do not fit each other.

    Reference:
        Equation and residual are those of `AffineSignature` and `scan`.
    """
    if poses.ndim != 4 or poses.shape[0] != len(keypoints) or poses.shape[2:] != (17, 3):
        raise ShapeError(f"poses must be ({len(keypoints)} people, K, 17, 3), got shape {poses.shape}")
    if keypoints.skeleton.name != "coco13":
        raise ShapeError(f"keypoints must be on skeleton coco13, got {keypoints.skeleton.name}")
    seen = keypoints.mask[:, None, :, None].astype(np.float64)
    points, middle = _centred(poses[:, :, COCO13_IN_H36M17], seen)
    xy, centre = _centred(keypoints.xy[:, None], seen)
    A = (np.linalg.pinv(points, rcond=_FLAT) @ xy).swapaxes(-1, -2)
    t = (centre - middle @ A.swapaxes(-1, -2))[..., 0, :]
    left = np.sqrt(np.square(points @ A.swapaxes(-1, -2) - xy).sum(axis=(-2, -1)))
    size = np.sqrt(np.square(xy).sum(axis=(-2, -1)))
    return AffineCamera(A, t, left / np.where(size > 0, size, 1))


def _centred(
    points: Float[Array, "N K 13 dim"], seen: Float64[Array, "N 1 13 1"]
) -> tuple[Float64[Array, "N K 13 dim"], Float64[Array, "N K 1 dim"]]:
    """Seen points less their mean, and the mean; unseen points become zero, which a fit does not feel."""
    middle = (points * seen).sum(axis=2, keepdims=True) / np.maximum(seen.sum(axis=2, keepdims=True), 1)
    return (points - middle) * seen, middle
