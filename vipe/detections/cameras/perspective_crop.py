"""Known cameras: keypoints as a camera without distortion that looks straight at each person would see them (numpy)."""

__all__ = ["PerspectiveCrop"]

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from vipe.arrays import Array
from vipe.detections.cameras.lens import Lens

_STEP = 1e-3  # pixels, of derivatives
_WIDEST = 0.25  # cosine of 75 degrees, beyond which off its axis a virtual camera shows nothing
_BACK = 1e-9  # of one plus the cosine, within which a direction is straight backwards


@dataclass(frozen=True, eq=False)
class PerspectiveCrop:
    """A virtual camera at the place of a known one, turned so that it looks straight at a person.

    Whoever stands at the edge of an image is seen from another side, and stretched, than the camera's axis says; here
    they are seen as in the middle. The turn is the shortest one, so that what is up stays up.

    Reference:
        Yu et al. 2021, perspective crop layers.
    """

    lens: Lens  # of the camera, for images of the size that the keypoints are of
    rotation: Float64[Array, "3 3"]  # R_crop_cam
    focal: float  # pixels; square ones
    centre: Float64[Array, "2"]  # where the direction that this camera looks in lands, here and in the image; pixels

    @classmethod
    def towards(cls, lens: Lens, direction: Float64[Array, "3"]) -> "PerspectiveCrop":
        """The virtual camera that looks in a direction of the known one."""
        x, y, z = direction / np.linalg.norm(direction)
        rotation = np.diag([1.0, -1.0, -1.0])  # straight backwards
        if 1 + z > _BACK:
            # About (y, -x, 0), which takes the direction to the axis.
            k = 1 / (1 + z)
            rotation = np.array([[1 - k * x * x, -k * x * y, -x], [-k * x * y, 1 - k * y * y, -y], [x, y, z]])
        return cls(lens=lens, rotation=rotation, focal=lens.focal, centre=lens.project(direction))

    def from_image(self, xy: Float[Array, "*batch 2"]) -> Float64[Array, "*batch 2"]:
        """Where pixels of the image lie here; NaN where the lens has no inverse, or 75 degrees off."""
        points = self.lens.directions(xy) @ self.rotation.T
        ahead = np.where(points[..., 2:] > _WIDEST, points[..., 2:], np.nan)
        return np.asarray(self.focal * points[..., :2] / ahead + self.centre)

    def to_image(self, xy: Float[Array, "*batch 2"]) -> Float64[Array, "*batch 2"]:
        """Where points of this camera lie in the image; NaN where the lens does not show them."""
        flat = (np.asarray(xy, dtype=np.float64) - self.centre) / self.focal
        points = np.concatenate([flat, np.ones_like(flat[..., :1])], axis=-1)
        return self.lens.project(points @ self.rotation)

    def jacobian(self, xy: Float[Array, "*batch 2"]) -> Float64[Array, "*batch 2 2"]:
        """Derivatives of `from_image` by x and y, last: what it does to a small error at a pixel of the image."""
        xy = np.asarray(xy, dtype=np.float64)
        steps = _STEP * np.eye(2)
        columns = [(self.from_image(xy + step) - self.from_image(xy - step)) / (2 * _STEP) for step in steps]
        return np.stack(columns, axis=-1)
