"""What an index asks of an encoder (numpy at this edge)."""

__all__ = ["Encoder", "Metric"]

from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32

from vipe.detections import Keypoints

Array = np.ndarray[Any, np.dtype[Any]]
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
        """Embed poses on the working skeleton, metres, any root, rotation and body size."""

    def encode_keypoints(self, keypoints: Keypoints) -> Float32[Array, "N D"]:
        """Embed 2D keypoints."""

    def save(self, path: Path) -> None:
        """Write the encoder as a folder that `vipe.pretrained.load` reads."""
