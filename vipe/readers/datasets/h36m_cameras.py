"""Human3.6M's calibrated cameras: where each stands and what it sees of a point (numpy)."""

__all__ = ["H36MCamera", "load_cameras"]

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from jaxtyping import Float, Float64
from scipy.spatial.transform import Rotation

from vipe.arrays import Array
from vipe.errors import ArgumentError


@dataclass(frozen=True, kw_only=True)
class H36MCamera:
    """One camera during one subject's recordings."""

    name: str
    width: int
    height: int
    R_cam_world: Float64[Array, "3 3"]
    place: Float64[Array, " 3"]  # metres, world
    focal: Float64[Array, " 2"]  # pixels
    center: Float64[Array, " 2"]  # pixels
    radial: Float64[Array, " 3"]
    tangential: Float64[Array, " 2"]

    def to_camera(self, points: Float[Array, "*batch 3"]) -> Float64[Array, "*batch 3"]:
        """World points in camera space: x right, y down, z forward, metres."""
        return np.asarray((points.astype(np.float64) - self.place) @ self.R_cam_world.T)

    def project(self, points: Float[Array, "*batch 3"]) -> Float64[Array, "*batch 2"]:
        """Images of world points, pixels, with the lens' distortion as the data set has it (Ionescu et al. 2014).

        With u = (X, Y) / Z of camera space, r = |u|, radial coefficients k and tangential ones t, the image is
        focal * (u (1 + k1 r^2 + k2 r^4 + k3 r^6 + t . u) + r^2 t) + center. A point in or behind the camera's plane
        gives NaN.
        """
        camera = self.to_camera(points)
        depth = camera[..., 2:]
        u = camera[..., :2] / np.where(depth > 0, depth, np.nan)
        r2 = (u**2).sum(axis=-1, keepdims=True)
        k1, k2, k3 = self.radial
        stretched = u * (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + (self.tangential * u).sum(axis=-1, keepdims=True))
        return np.asarray(self.focal * (stretched + self.tangential * r2) + self.center)


def load_cameras(subject: str) -> tuple[H36MCamera, ...]:
    """The four cameras of a subject's recordings.

    Args:
        subject: S1, S5, S6, S7, S8, S9 or S11: those whose poses are published.

    Raises:
        ArgumentError: If it is another one.

    Example:
        >>> [camera.name for camera in load_cameras("S9")]
        ['54138969', '55011271', '58860488', '60457274']
    """
    table = _table()
    if subject not in table["subjects"]:
        raise ArgumentError(f"no cameras of {subject!r}, expected one of {', '.join(table['subjects'])}")
    cameras = []
    for row in table["cameras"]:
        stand = table["subjects"][subject][row["name"]]
        turn = Rotation.from_quat(stand["turn"], scalar_first=True)
        cameras.append(
            H36MCamera(
                name=row["name"],
                width=row["size"][0],
                height=row["size"][1],
                R_cam_world=turn.inv().as_matrix(),
                place=np.array(stand["place"]),
                **{key: np.array(row[key]) for key in ("focal", "center", "radial", "tangential")},
            )
        )
    return tuple(cameras)


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files("vipe.readers").joinpath("h36m_cameras.toml").read_text(encoding="utf-8"))
