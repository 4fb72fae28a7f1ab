"""Camera rigs: a studio's fixed cameras, as directions from a person; tables are TOML files in this folder (numpy)."""

__all__ = ["CameraRig", "View", "Views", "random_views"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.errors import ReadError, ShapeError, VipeError
from vipe.files.regular_file import read_regular
from vipe.files.toml_table import parse_toml

_RIGS = ("h36m", "mpi_inf_3dhp")
_KEYS = {"name", "azimuth_deg", "elevation_deg", "roll_deg", "chest"}


@dataclass(frozen=True, kw_only=True)
class View:
    """A direction from which a person is seen; the camera looks at them. Radians.

    Azimuth turns from the world's x towards y. A positive elevation is above the horizontal plane, so the camera looks
    down. A positive roll turns the camera clockwise about its viewing axis, so the image turns counterclockwise.
    """

    name: str
    azimuth: float
    elevation: float
    roll: float = 0.0
    chest: bool = True  # at the height of the chest, as the cameras of most training data are


@dataclass(frozen=True, kw_only=True)
class Views:
    """One view a pose: directions in radians, and distances of the camera.

    Raises:
        ShapeError: If the arrays do not have one length, or hold a number that is not finite.
    """

    azimuth: Float64[Array, " N"]
    elevation: Float64[Array, " N"]
    roll: Float64[Array, " N"]
    distance: Float64[Array, " N"] | None = None  # metres from the person's centre; None where it is chosen later

    def __post_init__(self) -> None:
        shape = (len(self.azimuth),)
        for name in ("azimuth", "elevation", "roll", "distance"):
            array = getattr(self, name)
            if array is None:
                continue
            if array.shape != shape:
                raise ShapeError(f"views: {name} must be {shape} like azimuth, got {array.shape}")
            if not np.isfinite(array).all():
                raise ShapeError(f"views: {name} {int(np.argmin(np.isfinite(array)))} is not finite")

    @classmethod
    def of(cls, views: Sequence[View]) -> "Views":
        """Views from single ones, in their order."""
        table = np.array([(view.azimuth, view.elevation, view.roll) for view in views], dtype=np.float64).reshape(-1, 3)
        return cls(azimuth=table[:, 0], elevation=table[:, 1], roll=table[:, 2])

    def __len__(self) -> int:
        return len(self.azimuth)


@dataclass(frozen=True, kw_only=True)
class CameraRig:
    """The cameras of a studio, all looking at the person in the middle."""

    name: str
    cameras: tuple[View, ...]

    def __len__(self) -> int:
        return len(self.cameras)

    @property
    def unseen(self) -> tuple[View, ...]:
        """The cameras that are not at chest height; most training data has no such cameras."""
        return tuple(camera for camera in self.cameras if not camera.chest)

    @classmethod
    def load(cls, name: str) -> "CameraRig":
        """Load a rig that comes with the library (`h36m`, `mpi_inf_3dhp`) by name, or your own by its TOML's path.

        Raises:
            ReadError: If there is no such rig, or its table is wrong; names the file and the camera.

        Example:
            >>> rig = CameraRig.load("h36m")
            >>> len(rig), len(rig.unseen)
            (4, 0)
        """
        if name in _RIGS:
            return _parse(resources.files("vipe.simulate").joinpath(f"{name}.toml").read_bytes(), f"{name}.toml")
        path = Path(name)
        if path.suffix != ".toml" or not path.is_file():
            raise ReadError(f"no camera rig {name!r}: known are {', '.join(_RIGS)}; for your own give a .toml file")
        return _parse(read_regular(path), str(path))


def random_views(
    n: int,
    *,
    generator: np.random.Generator,
    elevation: tuple[float, float] = (-0.5, 0.8),
    roll: tuple[float, float] = (-math.pi / 6, math.pi / 6),
    distance: tuple[float, float] = (2.0, 8.0),
) -> Views:
    """Draw views all around a person: azimuth over the full circle, the others uniformly within their limits.

    Args:
        n: Number of views.
        generator: Every draw uses it.
        elevation: Limits in radians. The default goes up to a camera on a mast or a balcony.
        roll: Limits in radians; the default is Sun et al. 2020's (Pr-VIPE, camera augmentation).
        distance: Limits in metres from the person's centre.

    Raises:
        VipeError: If limits are not finite and in order, or a distance is not above 0.

    Example:
        >>> views = random_views(100, generator=np.random.default_rng(0))
        >>> bool((views.elevation >= -0.5).all() and (views.elevation <= 0.8).all())
        True
    """
    for name, (low, high) in {"elevation": elevation, "roll": roll, "distance": distance}.items():
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise VipeError(f"random views: limits of {name} must be finite and in order, got {low} and {high}")
    if distance[0] <= 0:
        raise VipeError(f"random views: distance must be above 0 m, got {distance[0]}")
    return Views(
        azimuth=generator.uniform(-math.pi, math.pi, n),
        elevation=generator.uniform(*elevation, n),
        roll=generator.uniform(*roll, n),
        distance=generator.uniform(*distance, n),
    )


def _parse(data: bytes, where: str) -> CameraRig:
    try:
        table = parse_toml(data)
    except ValueError as error:  # not TOML, or not UTF-8
        raise ReadError(f"{where}: not TOML: {error}") from error
    rows = table.get("cameras")
    if not isinstance(table.get("name"), str) or not isinstance(rows, list) or not rows:
        raise ReadError(f'{where}: not a camera rig: expected name = "..." and cameras = [{{ name = "..." }}, ...]')
    cameras = tuple(_camera(row, f"{where}: camera {i}") for i, row in enumerate(rows))
    names = [camera.name for camera in cameras]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ReadError(f"{where}: cameras named twice: {', '.join(twice)}")
    return CameraRig(name=table["name"], cameras=cameras)


def _camera(row: Any, where: str) -> View:
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        raise ReadError(f"{where} has no name")
    where = f"{where} ({row['name']})"
    if unknown := sorted(row.keys() - _KEYS):
        raise ReadError(f"{where} has {', '.join(unknown)}; expected {', '.join(sorted(_KEYS))}")
    chest = row.get("chest")
    if not isinstance(chest, bool):
        raise ReadError(f"{where}: chest is {chest!r}, expected true (at the height of the chest) or false")
    azimuth, roll = (_radians(row, key, 360.0, where) for key in ("azimuth_deg", "roll_deg"))
    return View(
        name=row["name"], azimuth=azimuth, elevation=_radians(row, "elevation_deg", 90.0, where), roll=roll, chest=chest
    )


def _radians(row: dict[str, Any], key: str, limit: float, where: str) -> float:
    value = row.get(key, 0 if key == "roll_deg" else None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= limit:
        raise ReadError(f"{where}: {key} is {value!r}, expected degrees from -{limit:g} to {limit:g}")
    return math.radians(value)
