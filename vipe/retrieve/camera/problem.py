"""What the camera fit solves: joints, bones and keypoints of many candidates, laid out side by side (torch planes).

Candidates lie on the last axis (see `vipe.geometry.planes`).
"""

__all__ = ["JOINTS", "MIN_DEPTH", "TINY", "KnownFocal", "Layout", "Problem", "cross", "group_of_bone", "joint_places"]

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vipe.retrieve.body import BONE_GROUPS, PAIRED_GROUPS
from vipe.retrieve.camera.prior import CameraPrior
from vipe.skeletons.working import H36M17, without_side

JOINTS = (*(f"{side}_{name}" for name in PAIRED_GROUPS for side in ("right", "left")), "nose")
"""Order of joints here: a limb after the other, both sides of a joint together, so that slices walk along limbs."""

_ENDS = [H36M17.index(joint) for joint in (*JOINTS, "spine", "thorax")]
_PARENT = [H36M17.parents[end] for end in _ENDS]

MIN_DEPTH = 0.1
"""Least depth of a joint, as a share of the pelvis's: nothing is drawn nearer to the camera."""

TINY = 1e-12
"""Divisors are at least this."""


class Layout:
    """Which rows of a state hold what."""

    COST = 0
    DAMPING = 1
    SCALE = 2
    INVERSE_DEPTH = 3
    SHIFT = slice(4, 6)
    ROTATION = slice(6, 15)
    BONES = slice(15, 24)
    SIZE: ClassVar[int] = 24


@dataclass(frozen=True)
class KnownFocal:
    """What is believed of the inverse depth kappa: near `usual + size * scale`, by one over the root of `tight`.

    A torso length at the pelvis measures scale = focal / depth pixels, so that scale and depth are one number where the
    focal length is known: kappa = scale / focal. There `usual` is 0, and `size` the size of the person's image over the
    focal length. Of other people `size` is 0 and `usual` the prior's mean.
    """

    usual: Float[Tensor, " N"]
    size: Float[Tensor, " N"]  # RMS radii over focal lengths: scales here are in RMS radii
    tight: Float[Tensor, " N"]

    def __getitem__(self, columns: Int64[Tensor, " M"] | slice) -> "KnownFocal":
        return KnownFocal(self.usual[columns], self.size[columns], self.tight[columns])


@dataclass(frozen=True)
class Problem:
    """What does not change over the steps."""

    bones: Float[Tensor, "15 3 N"]  # canonical bone vectors that end in `JOINTS`, then spine and thorax
    xy: Float[Tensor, "13 2 N"]  # keypoints less their weighted mean, RMS radii
    middle: Float[Tensor, "2 N"]  # that mean
    weight: Float[Tensor, "13 N"]  # one over the variance
    share: Float[Tensor, "13 1 N"]  # of the weight
    proportions: Float[Tensor, "9 #N"]  # the bone factors believed before looking
    precision: Float[Tensor, "9 #N"]  # one over their variance
    prior: CameraPrior
    known: "KnownFocal | None" = None  # of cameras whose focal length is known; None if it is of nobody

    @classmethod
    def of(
        cls,
        points: Float[Tensor, "N 51"],
        xy: Float[Tensor, "13 2 N"],
        weight: Float[Tensor, "13 N"],
        prior: CameraPrior,
        proportions: Float[Tensor, "9 #N"] | None = None,
        spread: Float[Tensor, "9 #N"] | None = None,
        known: KnownFocal | None = None,
    ) -> "Problem":
        """Lay out flattened h36m17 poses, keypoints in RMS radii and weights, both in the order of `JOINTS`.

        Bone factors are believed to be near `proportions` by `spread`; not given, near 0 by `prior.bone_spread`.
        """
        planes = points.T.contiguous().view(17, 3, -1)
        share = (weight / weight.sum(0).clamp_min(TINY))[:, None]
        middle = (share * xy).sum(0)
        bones = planes[_ENDS] - planes[_PARENT]
        return cls(
            bones=bones,
            xy=xy - middle,
            middle=middle,
            weight=weight,
            share=share,
            proportions=bones.new_zeros(len(BONE_GROUPS), 1) if proportions is None else proportions,
            precision=(bones.new_full((len(BONE_GROUPS), 1), prior.bone_spread) if spread is None else spread).pow(-2),
            prior=prior,
            known=known,
        )

    def __getitem__(self, columns: Int64[Tensor, " M"]) -> "Problem":
        names = ("bones", "xy", "middle", "weight", "share", "proportions", "precision")
        arrays = {name: getattr(self, name) for name in names}
        # What is the same for all candidates has one column.
        chosen = {name: array if array.shape[-1] == 1 else array[..., columns] for name, array in arrays.items()}
        return Problem(**chosen, prior=self.prior, known=None if self.known is None else self.known[columns])


@cache
def group_of_bone(device: torch.device) -> Int64[Tensor, "15"]:
    """The number of each bone's group in `BONE_GROUPS`, on a device: every step asks for it, and a GPU would wait."""
    return torch.tensor([BONE_GROUPS.index(without_side(H36M17.joints[end])) for end in _ENDS], device=device)


def joint_places(vectors: Float[Tensor, "15 3 N"]) -> Float[Tensor, "13 3 N"]:
    """Where `JOINTS` are, from the pelvis, if these are their bones, then spine and thorax."""
    places = vectors[:13].clone()
    top = vectors[13] + vectors[14]
    places[6:8] += top
    places[12] += top
    for limb in (0, 6):
        places[limb + 2 : limb + 4] += places[limb : limb + 2]
        places[limb + 4 : limb + 6] += places[limb + 2 : limb + 4]
    return places


def cross(a: Float[Tensor, "3 N"], b: Float[Tensor, "3 *columns N"]) -> Float[Tensor, "3 *columns N"]:
    """Cross product with a vector, or with every column of a matrix."""
    x, y, z = b
    return torch.stack([a[1] * z - a[2] * y, a[2] * x - a[0] * z, a[0] * y - a[1] * x])
