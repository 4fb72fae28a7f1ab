"""Who stands before the cameras of training views: people as recorded, or on the universal skeleton (torch)."""

__all__ = ["People"]

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vipe.geometry.canonical import canonicalize


@dataclass(frozen=True)
class People:
    """Poses as recorded, and the same poses on the universal skeleton; metres, world space.

    On the universal skeleton a pose keeps its place, its rotation and its torso length, and has the proportions of the
    canonical body. The paper rotates and projects its ground truth, which has these bones (levy2024, sec. 3.1, 4.4).
    """

    recorded: Float[Tensor, "N 17 3"]
    universal: Float[Tensor, "N 17 3"]
    share: float  # of each batch, at its end, on the universal skeleton

    @classmethod
    def of(cls, recorded: Float[Tensor, "N 17 3"], share: float) -> "People":
        """The poses, each of which must have a canonical form. With a share of 0, all stay as recorded."""
        if not share:
            return cls(recorded, recorded, 0.0)
        canonical = canonicalize(recorded)
        turned = canonical.poses @ canonical.rotation
        return cls(recorded, turned * canonical.scale[:, None, None] + canonical.root[:, None], share)

    def batch(self, rows: Int[Tensor, " batch"]) -> Float[Tensor, "batch 17 3"]:
        """The poses of some rows: as recorded first, then the last `share` on the universal skeleton."""
        own = round((1 - self.share) * len(rows))
        return torch.cat([self.recorded[rows[:own]], self.universal[rows[own:]]])
