"""Conventions of joints: where annotators and detectors mark them on the body. Tables are in conventions/ (numpy)."""

__all__ = ["ARCHIVE", "UNKNOWN", "JointConvention", "convention_of", "conventions", "load_convention"]

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.errors import SkeletonError
from vipe.skeletons.working import COCO13, without_side

ARCHIVE = "archive"
"""Keypoints lie where the archive's joints do."""

UNKNOWN = "unknown"
"""Nobody says who marked the keypoints."""


@dataclass(frozen=True, kw_only=True)
class JointConvention:
    """Where keypoints of one kind lie on the body, relative to anatomical joint centres.

    Archives differ as well: some hold joint centres, some what a detector marks. So a person's keypoints are believed
    to lie at the joints plus `strength * mean`, the strength drawn from N(`STRENGTH`, `STRENGTH_SPREAD`^2), plus an
    independent N(0, spread^2) for every joint and direction.
    """

    STRENGTH: ClassVar[float] = 0.75
    STRENGTH_SPREAD: ClassVar[float] = 0.5

    name: str
    mean: Float64[Array, "13 3"]  # torso lengths in canonical directions: back, right, up
    spread: Float64[Array, " 13"]  # standard deviation in every direction, torso lengths
    bones: Mapping[str, float]  # standard deviation of bone lengths by group, as shares, where not that of bodies
    source: str

    @property
    def offsets(self) -> Float64[Array, "13 3"]:
        """The offsets believed before looking, torso lengths."""
        return self.STRENGTH * self.mean

    @property
    def is_exact(self) -> bool:
        """Whether keypoints lie at the archive's joints."""
        return not (self.mean.any() or self.spread.any())


@cache
def conventions() -> tuple[str, ...]:
    """Names of the conventions.

    >>> conventions()
    ('archive', 'blazepose', 'coco', 'h36m', 'openpose', 'unknown')
    """
    folder = resources.files("vipe.skeletons").joinpath("conventions")
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


@cache
def load_convention(name: str) -> JointConvention:
    """A convention by its name.

    Raises:
        SkeletonError: If there is none of that name.

    Example:
        >>> load_convention("coco").mean[list(COCO13.joints).index("left_hip")].tolist()
        [-0.06, -0.02, 0.037]
    """
    if name not in conventions():
        raise SkeletonError(f"no convention of joints {name!r}; there are {', '.join(conventions())}")
    table = _table(name)
    mean, spread = np.zeros((13, 3)), np.zeros(13)
    for row, joint in enumerate(COCO13.joints):
        mean[row] = table.get("mean", {}).get(without_side(joint), (0, 0, 0))
        mean[row, 1] *= -1 if joint.startswith("left_") else 1
        spread[row] = table.get("spread", {}).get(without_side(joint), 0)
    for array in (mean, spread):
        array.flags.writeable = False
    return JointConvention(
        name=name, mean=mean, spread=spread, bones=table.get("bones", {}), source=" ".join(table["source"].split())
    )


def convention_of(skeleton: str) -> str:
    """The convention of keypoints that come on a skeleton: that of who writes it, or `UNKNOWN`.

    >>> convention_of("mediapipe33"), convention_of("lsp14")
    ('blazepose', 'unknown')
    """
    return _by_skeleton().get(skeleton, UNKNOWN)


@cache
def _by_skeleton() -> dict[str, str]:
    return {skeleton: name for name in conventions() for skeleton in _table(name)["skeletons"]}


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("vipe.skeletons").joinpath(f"conventions/{name}.toml").read_text("utf-8"))
