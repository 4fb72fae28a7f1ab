"""Which bones share a length: the nine factors by which a person's body may differ from the canonical one."""

__all__ = ["BONE_GROUPS", "CARRIED", "GROUP_OF_BONE", "IN_GROUP", "PAIRED_GROUPS", "TILT_SHARES", "BodyProportions"]

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from vipe.arrays import Array, take_rows
from vipe.errors import ShapeError, VipeError
from vipe.skeletons.working import BONES, CHILDREN, H36M17, PARENTS, without_side

PAIRED_GROUPS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
"""Groups of two bones, left and right."""

BONE_GROUPS = (*PAIRED_GROUPS, "nose", "spine", "thorax")
"""What the nine bone factors belong to: the bone that ends in the joint of that name, on both sides."""

GROUP_OF_BONE: tuple[int | None, ...] = tuple(
    BONE_GROUPS.index(without_side(bone)) if without_side(bone) in BONE_GROUPS else None for bone in BONES
)
"""Each bone's group; None for the head's, which no keypoint shows."""

IN_GROUP = np.array([[float(own == group) for group in range(len(BONE_GROUPS))] for own in GROUP_OF_BONE])
"""The same as a matrix (16, 9): 1 where a bone belongs to a group."""

CARRIED = np.zeros((len(H36M17.joints), len(BONES)))
"""1 where a bone lies between the pelvis and a joint: what moves the bone moves the joint."""
for _bone, (_parent, _end) in enumerate(zip(PARENTS, CHILDREN, strict=True)):
    CARRIED[_end] = CARRIED[_parent]
    CARRIED[_end, _bone] = 1
CARRIED.flags.writeable = False

TILT_SHARES = np.array([1.0 if without_side(bone) in ("knee", "ankle", "elbow", "wrist") else 0.5 for bone in BONES])
"""How far each bone may point elsewhere than a candidate's, as a share of a tilt: trunk and head half as far."""


@dataclass(frozen=True, kw_only=True)
class BodyProportions:
    """Known body proportions of Q people: how much longer bones are than the canonical body's, by `BONE_GROUPS`.

    Raises:
        ShapeError: If the arrays are not (Q, 9) both, or not finite.
        VipeError: If a spread is not above 0.
    """

    mean: Float[Array, "Q 9"]  # shares: 0.1 is ten percent longer
    spread: Float[Array, "Q 9"]  # standard deviation

    def __post_init__(self) -> None:
        shape = (len(self.mean), len(BONE_GROUPS))
        for name in ("mean", "spread"):
            array = getattr(self, name)
            if array.shape != shape or not np.isfinite(array).all():
                raise ShapeError(f"body proportions: {name} must be {shape} finite numbers, got shape {array.shape}")
        if not (self.spread > 0).all():
            raise VipeError(f"body proportions: spread must be above 0, got {self.spread.min()}")

    def __len__(self) -> int:
        return len(self.mean)

    def __getitem__(self, rows: slice | Int[Array, " M"] | Bool[Array, " Q"]) -> "BodyProportions":
        """The proportions of some people, in that order."""
        return take_rows(self, rows)
