"""Limbs of two bones: where the middle joint is, given both ends, and the angles of an arm (numpy)."""

__all__ = ["ArmAngles", "elbow_angles", "middle_joint", "reach_for_bend", "turn_from_down"]

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array


class ArmAngles(NamedTuple):
    """Channels of one arm: swing of the upper arm forward and outward, its inward turn, flexion of the elbow."""

    forward: float
    out: float
    twist: float
    elbow: float


def reach_for_bend(upper: float, lower: float, bend: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Distance between the ends of a limb whose middle joint is flexed by `bend` (0 is straight)."""
    return np.sqrt(upper**2 + lower**2 + 2 * upper * lower * np.cos(bend))


def turn_from_down(direction: Float[Array, "*batch 3"], vector: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3"]:
    """Turn `vector` by the smallest rotation that takes straight down to the unit vector `direction`.

    Undefined for straight up, where a limb's swing of 180 degrees could have gone either way; kept finite there.
    """
    x, y, z = direction[..., 0], direction[..., 1], direction[..., 2]
    p, q, r = vector[..., 0], vector[..., 1], vector[..., 2]
    # R v = v + w x v + w x (w x v) / (1 + cos), with w = down x direction = (y, -x, 0) and cos = -z.
    a, b, c = -x * r, -y * r, y * q + x * p
    share = 1.0 / np.maximum(1.0 - z, 1e-6)
    return np.stack([p + a - x * c * share, q + b - y * c * share, r + c + (y * b + x * a) * share], axis=-1)


def middle_joint(
    root: Float[Array, "*batch 3"],
    end: Float[Array, "*batch 3"],
    pole: Float[Array, "*batch 3"],
    upper: float,
    lower: float,
) -> Float[Array, "*batch 3"]:
    """Where knee or elbow is, by the law of cosines: in the plane of `pole`, on its side of the line root-end.

    The ends must be within reach; `pole` must not be along the line between them.
    """
    line = end - root
    reach = np.sqrt((line * line).sum(axis=-1, keepdims=True))
    axis = line / np.maximum(reach, 1e-9)
    side = pole - (pole * axis).sum(axis=-1, keepdims=True) * axis
    side = side / np.maximum(np.sqrt((side * side).sum(axis=-1, keepdims=True)), 1e-9)
    along = (reach**2 + upper**2 - lower**2) / np.maximum(2 * reach, 1e-9)
    across = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    middle: Array = root + along * axis + across * side
    return middle


def elbow_angles(
    target: tuple[float, float, float], elbow_out: float, upper: float, lower: float, sign: int
) -> ArmAngles:
    """Angles that bring the wrist to `target`, seen from the shoulder in the space of the chest (forward, left, up).

    Args:
        target: Where; pulled in, or pushed out, to what the arm can reach.
        elbow_out: How the elbow is held: 0 under the line shoulder-wrist, pi/2 beside it, above for more.
        upper: Length of the upper arm.
        lower: Length of the forearm.
        sign: +1 for the left arm, -1 for the right.
    """
    point = np.array([target[0], sign * target[1], target[2]])  # now outward is positive
    reach = float(np.clip(np.linalg.norm(point), 0.28 * (upper + lower), 0.995 * (upper + lower)))
    axis = point / max(float(np.linalg.norm(point)), 1e-9)
    pole = np.array([-0.35, math.sin(elbow_out), -math.cos(elbow_out)])
    elbow = middle_joint(np.zeros(3), axis * reach, pole, upper, lower)
    u, w = elbow / upper, (axis * reach - elbow) / lower
    angle = math.acos(max(-1.0, min(1.0, -float(u[2]))))
    share = angle / max(math.sin(angle), 1e-3)
    # Undo the swing, then read the turn about the upper arm that the forearm's direction shows.
    back = turn_from_down(u * np.array([-1.0, -1.0, 1.0]), w)
    bend = math.acos(max(-1.0, min(1.0, float(u @ w))))
    return ArmAngles(share * float(u[0]), share * float(u[1]), -math.atan2(float(back[1]), float(back[0])), bend)
