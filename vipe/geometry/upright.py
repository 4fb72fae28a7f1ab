"""The reference body standing upright, and how tall it is (numpy)."""

__all__ = ["REFERENCE_HEIGHT", "upright_pose"]

import numpy as np
from jaxtyping import Float32

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


def _height() -> float:
    z = upright_pose()[:, 2]
    return float(z.max() - z.min()) / (1 - _ANKLE)


REFERENCE_HEIGHT = _height()
"""Metres from the ground to the crown, 1.75: from ankle to crown when upright, and the ankle over the ground."""
