"""Limbs: which bones may move in a generated pose, and how the others are held (torch)."""

__all__ = ["LIMBS", "hold", "moving_bones"]

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vipe.errors import ArgumentError, VipeError
from vipe.geometry.canonical import canonical_rotation
from vipe.skeletons.working import BONES

_ANCHORS = {
    "pelvis": ("right_hip", "left_hip", "spine"),
    "chest": ("right_shoulder", "left_shoulder", "thorax"),
}
_LEFT_ARM, _RIGHT_ARM = ("left_elbow", "left_wrist"), ("right_elbow", "right_wrist")
_LEFT_LEG, _RIGHT_LEG = ("left_knee", "left_ankle"), ("right_knee", "right_ankle")
LIMBS: Mapping[str, tuple[str, ...]] = {
    "left_arm": _LEFT_ARM,
    "right_arm": _RIGHT_ARM,
    "arms": _LEFT_ARM + _RIGHT_ARM,
    "left_leg": _LEFT_LEG,
    "right_leg": _RIGHT_LEG,
    "legs": _LEFT_LEG + _RIGHT_LEG,
    "torso": ("right_hip", "left_hip", "spine", "thorax", "left_shoulder", "right_shoulder"),
    "head": ("nose", "head"),
}
"""Bones (by their child joint) of each part of the body that can be moved alone."""


def moving_bones(limbs: Sequence[str]) -> list[bool]:
    """For each bone, whether it may move; all may if no limb is named.

    Raises:
        ArgumentError: If `limbs` is one name, not a sequence.
        VipeError: If a limb is unknown.
    """
    if isinstance(limbs, str):
        raise ArgumentError(f"limbs must be a sequence of names, got {limbs!r}; give ({limbs!r},)")
    if unknown := [limb for limb in limbs if limb not in LIMBS]:
        raise VipeError(f"there is no limb {unknown[0]!r}; limbs are {', '.join(LIMBS)}")
    free = {bone for limb in limbs for bone in LIMBS[limb]}
    return [not limbs or bone in free for bone in BONES]


def hold(
    directions: Float[Tensor, "*batch 16 3"], source: Float[Tensor, "16 3"], moving: Sequence[bool]
) -> Float[Tensor, "*batch 16 3"]:
    """Give the bones that may not move their directions in the source.

    If the torso may not move, a moving limb keeps its angles to it: its directions are rotated from the decoded torso
    to the source's, legs with the pelvis, all others with the chest.
    """
    result = directions
    if not moving[BONES.index("thorax")]:
        leg = torch.tensor([bone in LIMBS["legs"] for bone in BONES])[:, None]
        legs, rest = (
            (directions @ _part_rotation(directions, part).mT) @ _part_rotation(source, part) for part in _ANCHORS
        )
        result = torch.where(leg, legs, rest)
    return torch.where(torch.tensor(moving)[:, None], result, source)


def _part_rotation(directions: Float[Tensor, "*batch 16 3"], part: str) -> Float[Tensor, "*batch 3 3"]:
    """Rotation to the axes of a part of the torso."""
    right, left, up = (directions[..., BONES.index(bone), :] for bone in _ANCHORS[part])
    return canonical_rotation(right - left, up)[0]
