"""Hypotheses: the 3D poses that a lifter proposes for the keypoints of each person (numpy)."""

__all__ = ["Hypotheses"]

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int

from vipe.arrays import Array
from vipe.errors import ShapeError
from vipe.geometry.canonical import CanonicalArrays, canonicalize_array


@dataclass(frozen=True, kw_only=True, repr=False)
class Hypotheses:
    """M poses for each of N people, in the space of the camera that looks at the person.

    Camera space: x right, y down, z forward, along the ray through the person; the pelvis is at the origin. One image
    does not tell a person's size, so all poses have the torso of the reference body (`REFERENCE_TORSO`, 0.49 m).

    Raises:
        ShapeError: If the arrays do not fit together, or a pose is not finite.
    """

    poses: Float32[Array, "N M 17 3"]  # h36m17, metres of a person of reference size
    log_weight: Float32[Array, "N M"]  # their exponentials sum to 1 over the hypotheses of a person
    log_density: Float32[Array, "N M"] | None = None  # nats, of the lifter's own measure; None if it has no density

    def __post_init__(self) -> None:
        if self.poses.ndim != 4 or self.poses.shape[2:] != (17, 3):
            raise ShapeError(f"hypotheses must be (N, M, 17, 3), got shape {self.poses.shape}")
        for name in ("log_weight", "log_density"):
            array = getattr(self, name)
            if array is not None and array.shape != self.poses.shape[:2]:
                raise ShapeError(f"hypotheses: {name} must be {self.poses.shape[:2]}, got {array.shape}")
        if not np.isfinite(self.poses).all():
            row = int(np.argmin(np.isfinite(self.poses).all(axis=(1, 2, 3))))
            raise ShapeError(f"hypotheses: a pose of person {row} is not finite")

    def __repr__(self) -> str:
        people, each = self.poses.shape[:2]
        return f"Hypotheses({people} {'person' if people == 1 else 'people'}, {each} poses each)"

    def __len__(self) -> int:
        return len(self.poses)

    def __getitem__(self, rows: slice | Int[Array, " rows"]) -> "Hypotheses":
        """Those of some people."""
        density = None if self.log_density is None else self.log_density[rows]
        return Hypotheses(poses=self.poses[rows], log_weight=self.log_weight[rows], log_density=density)

    @property
    def weight(self) -> Float64[Array, "N M"]:
        """Probability of each hypothesis among those of its person."""
        shifted = np.exp(self.log_weight.astype(np.float64) - self.log_weight.max(axis=1, keepdims=True))
        weight: Float64[Array, "N M"] = shifted / shifted.sum(axis=1, keepdims=True)
        return weight

    def mean(self) -> Float32[Array, "N 17 3"]:
        """The weighted mean of each person's poses; bones of a mean are shorter than those of the poses."""
        mean: Float32[Array, "N 17 3"] = np.einsum("nm,nmjc->njc", self.weight, self.poses).astype(np.float32)
        return mean

    def spread(self) -> Float32[Array, "N 17 3 3"]:
        """Covariance of each joint over the poses, square metres."""
        offset = self.poses - self.mean()[:, None]
        spread: Float32[Array, "N 17 3 3"] = np.einsum("nm,nmja,nmjb->njab", self.weight, offset, offset).astype(
            np.float32
        )
        return spread

    def canonical(self) -> CanonicalArrays:
        """The poses in canonical form, (N, M, 17, 3): what an index of poses is searched with.

        Raises:
            ShapeError: Never of hypotheses that a lifter made; see `canonicalize_array`.
        """
        return canonicalize_array(self.poses)
