"""The reference body standing upright, and how tall it is (numpy)."""

__all__ = ["REFERENCE_HEIGHT", "stature", "upright_pose"]

import numpy as np
from jaxtyping import Float, Float32, Float64

from vipe.arrays import Array
from vipe.geometry.canonical import REFERENCE_LENGTHS, REFERENCE_TORSO
from vipe.skeletons.working import BONES, CHILDREN, PARENTS

_SIDED = {"hip": (1, 0, 0), "knee": (0, 0, -1), "ankle": (0, 0, -1), "shoulder": (1, 0, 0), "elbow": (1, 0, 0)}
_SIDED["wrist"] = (1, 0, 0)
_MIDDLE = {  # the head's two bones as reference.toml measures them: above, and before (-y) or behind
    "spine": (0, 0, 1),
    "thorax": (0, 0, 1),
    "nose": (0, -120, 160),
    "head": (0, 95, 135),
}
_ANKLE = 0.039  # of the height: ankle joint over the ground (Drillis & Contini 1966)


def upright_pose() -> Float32[Array, "17 3"]:
    """The reference body with straight legs and arms out to the sides, metres, pelvis at the origin.

    World space, z up; the person looks along -y, with the left arm along +x.

    >>> [round(float(upright_pose()[joint, 2]), 3) for joint in (0, 3, 10)]  # pelvis, ankle, crown
    [0.0, -0.897, 0.785]
    """
    pose = np.zeros((len(BONES) + 1, 3))
    for bone, parent, child, length in zip(BONES, PARENTS, CHILDREN, REFERENCE_LENGTHS, strict=True):
        side, _, part = bone.rpartition("_")
        direction = np.array(_SIDED[part] if side else _MIDDLE[bone], dtype=np.float64)
        if side == "right":
            direction *= [-1, 1, 1]
        pose[child] = pose[parent] + REFERENCE_TORSO * length * direction / np.linalg.norm(direction)
    return pose.astype(np.float32)


def stature(lengths: Float[Array, "*batch 16"]) -> Float64[Array, "*batch"]:
    """How tall people are by their bones, from the ground to the crown, in the unit of the bones.

    The person stands upright; the head's two bones are as inclined as those of the reference body, and the ankles are
    3.9% of the height over the ground (Drillis & Contini 1966). Legs count by the mean of both.

    Args:
        lengths: Of the bones of h36m17, as `bone_lengths` gives them.

    >>> round(float(stature(REFERENCE_TORSO * np.array(REFERENCE_LENGTHS))), 2)
    1.75
    """
    return np.asarray(lengths.astype(np.float64) @ _RISE / (1 - _ANKLE))


def _rise() -> list[float]:
    """How much of each bone goes up from the ankles to the crown, when upright."""
    rises = []
    for bone in BONES:
        side, _, part = bone.rpartition("_")
        if side:
            rises.append(0.5 if part in ("knee", "ankle") else 0.0)
        else:
            rises.append(_MIDDLE[bone][2] / float(np.linalg.norm(_MIDDLE[bone])))
    return rises


_RISE = np.array(_rise())

REFERENCE_HEIGHT = float(stature(REFERENCE_TORSO * np.array(REFERENCE_LENGTHS)))
"""Metres from the ground to the crown, 1.75."""
