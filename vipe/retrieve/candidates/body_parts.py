"""Parts of the body by name, to search with some joints only or with some more than others (numpy)."""

__all__ = ["BODY_PARTS", "joint_weights", "only_joints"]

from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.errors import ArgumentError, VipeError
from vipe.skeletons.working import COCO13, H36M17

_LEFT_ARM, _RIGHT_ARM, _LEFT_LEG, _RIGHT_LEG = (
    tuple(f"{side}_{joint}" for joint in joints)
    for joints in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
    for side in ("left", "right")
)
_HEAD = ("nose", "head")

BODY_PARTS: Mapping[str, tuple[str, ...]] = {
    "head": _HEAD,
    "torso": ("pelvis", "left_hip", "right_hip", "spine", "thorax", "left_shoulder", "right_shoulder"),
    "left_arm": _LEFT_ARM,
    "right_arm": _RIGHT_ARM,
    "arms": _LEFT_ARM + _RIGHT_ARM,
    "left_leg": _LEFT_LEG,
    "right_leg": _RIGHT_LEG,
    "legs": _LEFT_LEG + _RIGHT_LEG,
    "upper": ("spine", "thorax", *_HEAD, *_LEFT_ARM, *_RIGHT_ARM),
    "lower": ("pelvis", *_LEFT_LEG, *_RIGHT_LEG),
}
"""The joints of each part that can be named. Of keypoints, only those count that keypoints have."""

Joints = Sequence[str] | Mapping[str, float | int]
"""Names of parts and joints; or how much each counts. Where several name a joint, the last one says it."""


def joint_weights(joints: Joints) -> Float64[Array, " 17"]:
    """How much each joint of a pose counts; joints that are not named do not.

    >>> weight = joint_weights({"lower": 1, "left_knee": 3})
    >>> {joint: float(one) for joint, one in zip(H36M17.joints, weight, strict=True) if one and "knee" in joint}
    {'right_knee': 1.0, 'left_knee': 3.0}

    Raises:
        ArgumentError: If it is one name, not a sequence, or a weight is no number.
        VipeError: If there is no such part or joint, a weight is negative or not finite, or nothing is named.
    """
    weight = np.zeros(len(H36M17))
    value: object
    for name, value in _named(joints).items():
        if name not in BODY_PARTS and name not in H36M17.joints:
            raise VipeError(
                f"joints: there is no part or joint {name!r}; parts are {', '.join(BODY_PARTS)}, and joints "
                f"{', '.join(H36M17.joints)}"
            )
        if isinstance(value, bool) or not isinstance(value, Real):
            raise ArgumentError(f"joints: the weight of {name} must be a number, got {value!r}")
        if not 0 <= float(value) < np.inf:
            raise VipeError(f"joints: the weight of {name} must be finite and at least 0, got {value}")
        weight[[H36M17.index(joint) for joint in BODY_PARTS.get(name, (name,))]] = float(value)
    if not weight.any():
        raise VipeError(f"joints: no joint counts; name some, such as upper or left_arm, got {joints!r}")
    return weight


def only_joints(people: Keypoints, joints: Joints, least: int) -> Keypoints:
    """People with the named keypoints alone; the others count as not seen.

    Args:
        people: On coco13.
        joints: Parts and joints; all that are named count alike.
        least: How many keypoints a search needs.

    Raises:
        ArgumentError: As `joint_weights`.
        VipeError: As `joint_weights`; or if weights differ, or fewer keypoints are named than are needed.
    """
    weight = joint_weights(joints)
    if len(set(weight[weight > 0].tolist())) > 1:
        raise VipeError("joints: keypoints are used or left out, so weights must be equal; give the names alone")
    named = np.array([weight[H36M17.index(joint)] > 0 for joint in COCO13.joints])
    if named.sum() < least:
        kept = ", ".join(joint for joint, own in zip(COCO13.joints, named, strict=True) if own) or "none"
        raise VipeError(
            f"joints: {int(named.sum())} keypoints are named ({kept}), at least {least} are needed; add torso, or "
            "another limb"
        )
    return replace(people, mask=people.mask & named)


def _named(joints: Any) -> Mapping[str, Any]:
    if isinstance(joints, Mapping):
        return joints
    if isinstance(joints, str) or not isinstance(joints, Sequence):
        raise ArgumentError(f"joints must be a sequence of names or weights by name, got {joints!r}")
    return dict.fromkeys(joints, 1.0)
