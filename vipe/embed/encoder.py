"""What an index asks of an encoder (numpy at this edge)."""

__all__ = ["Encoder", "Metric", "check_people", "check_rows"]

from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.errors import ArgumentError, ShapeError

Metric = Literal["l2", "ip"]


@runtime_checkable
class Encoder(Protocol):
    """Maps 3D poses and 2D keypoints into one space, where a small distance means: may be the same pose.

    `metric` says how nearness is measured there: squared Euclidean distance ("l2", least is nearest) or inner
    product ("ip", greatest is nearest). `fingerprint` changes whenever the map does.
    """

    @property
    def name(self) -> str:
        """What to call it in tables: "affine", "v-vipe"."""

    @property
    def dim(self) -> int:
        """Length D of an embedding."""

    @property
    def metric(self) -> Metric:
        """How nearness is measured."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of all that decides the map: configuration and weights."""

    def encode_poses(self, poses: Float[Array, "N 17 3"]) -> Float32[Array, "N D"]:
        """Embed poses on the working skeleton, metres, any root, rotation and body size.

        Raises:
            ShapeError: If they are not (N, 17, 3), or one has no embedding; names the row.
        """

    def encode_keypoints(self, keypoints: Keypoints) -> Float32[Array, "N D"]:
        """Embed people's 2D keypoints, pixels; where in the image they are and how large does not matter.

        Raises:
            ShapeError: If a person has no embedding; names the row.
        """

    def save(self, path: Path) -> None:
        """Write the encoder as a folder that `vipe.pretrained.load` reads."""


def check_rows(what: str, array: Array, row: tuple[int, ...]) -> None:
    """Refuse an array that is not rows of one shape.

    Raises:
        ArgumentError: If it is no array.
        ShapeError: If it has another shape; names it, both shapes, and what one row alone is.
    """
    if not isinstance(array, np.ndarray):
        raise ArgumentError(f"{what} must be a numpy array, got {type(array).__name__}")
    if array.shape[1:] != row or not array.shape:
        expected = ", ".join(str(length) for length in row)
        raise ShapeError(f"{what} must be (N, {expected}), got shape {array.shape}; one alone is (1, {expected})")


def check_people(keypoints: Keypoints) -> None:
    """Refuse what are no keypoints.

    Raises:
        ArgumentError: If they are of another kind; says how to make them.
    """
    if not isinstance(keypoints, Keypoints):
        raise ArgumentError(
            f"keypoints must be vipe.Keypoints, got {type(keypoints).__name__}; wrap an array with vipe.Keypoints.of, "
            "read a file with vipe.read_keypoints"
        )
