"""The contract of encoders, which is all that an index needs (numpy at this edge)."""

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
    """Embeds 3D poses and 2D keypoints in one space, where a view is near the poses that it may show.

    `metric` is squared Euclidean distance ("l2", least is nearest) or inner product ("ip", greatest is nearest).
    `fingerprint` changes whenever embeddings change.
    """

    @property
    def name(self) -> str:
        """Its kind, for tables: "affine", "v-vipe"."""

    @property
    def dim(self) -> int:
        """Length D of an embedding."""

    @property
    def metric(self) -> Metric:
        """How embeddings are compared: "l2" or "ip"."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of configuration and weights."""

    def encode_poses(self, poses: Float[Array, "N 17 3"]) -> Float32[Array, "N D"]:
        """Embed poses on the working skeleton, metres, any root, rotation and body size.

        Raises:
            ShapeError: If they are not (N, 17, 3), or one has no embedding; names the row.
        """

    def encode_keypoints(self, keypoints: Keypoints) -> Float32[Array, "N D"]:
        """Embed people's 2D keypoints, pixels; position and size in the image have no effect.

        Raises:
            ShapeError: If a person has no embedding; names the row.
        """

    def save(self, path: Path) -> None:
        """Write the encoder as a folder that `vipe.pretrained.load` reads."""


def check_rows(what: str, array: Array, row: tuple[int, ...]) -> None:
    """Refuse an array whose rows do not have a shape.

    Args:
        what: What the message calls the array.
        array: The array, of shape (N, *row).
        row: Shape of a row.

    Raises:
        ArgumentError: If it is no array.
        ShapeError: If it has another shape.

    >>> check_rows("poses", np.zeros((17, 3)), (17, 3))
    Traceback (most recent call last):
    ...
    vipe.errors.ShapeError: poses must be (N, 17, 3), got shape (17, 3); one alone is (1, 17, 3)
    """
    if not isinstance(array, np.ndarray):
        raise ArgumentError(f"{what} must be a numpy array, got {type(array).__name__}")
    if array.shape[1:] != row or not array.shape:
        expected = ", ".join(str(length) for length in row)
        raise ShapeError(f"{what} must be (N, {expected}), got shape {array.shape}; one alone is (1, {expected})")


def check_people(keypoints: Keypoints) -> None:
    """Refuse anything but `Keypoints`.

    Raises:
        ArgumentError: If it has another type; the message says how to make keypoints.
    """
    if not isinstance(keypoints, Keypoints):
        raise ArgumentError(
            f"keypoints must be vipe.Keypoints, got {type(keypoints).__name__}; wrap an array with vipe.Keypoints.of, "
            "read a file with vipe.read_keypoints"
        )
