"""People other than those recorded: joints marked elsewhere on the body, bones of other lengths (numpy)."""

__all__ = ["drawn_builds", "mark_joints", "rebuilt"]

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array
from vipe.geometry.canonical import canonicalize_array
from vipe.skeletons.joint_conventions import JointConvention, load_convention
from vipe.skeletons.working import BONES, COCO13, COCO13_IN_H36M17, H36M17, without_side


def mark_joints(
    poses: Float[Array, "N 17 3"],
    convention: str,
    generator: np.random.Generator,
    *,
    more: Mapping[str, tuple[float, float, float]] | None = None,
) -> Float[Array, "N 17 3"]:
    """The same people with the joints where somebody of a convention marks them.

    For each person a strength is drawn from N(0.75, 0.5^2), kept within 0 and 1, which multiplies the convention's mean
    offset; and for each joint N(0, spread^2) in every direction (`JointConvention`).

    Args:
        poses: h36m17, metres, world space.
        convention: Its name; "archive" changes nothing.
        generator: Every draw uses it, unless nothing changes.
        more: Further offsets by joint without side, torso lengths: back, outward, up.

    Raises:
        SkeletonError: If there is no such convention.
    """
    known = load_convention(convention)
    if known.is_exact and not more:
        return poses
    body = canonicalize_array(poses)
    count = len(poses)
    strength = generator.normal(JointConvention.STRENGTH, JointConvention.STRENGTH_SPREAD, count).clip(0, 1)
    offset = strength[:, None, None] * known.mean + generator.normal(size=(count, 13, 3)) * known.spread[:, None]
    for row, joint in enumerate(COCO13.joints):
        back, out, up = (more or {}).get(without_side(joint), (0.0, 0.0, 0.0))
        offset[:, row] += (back, -out if joint.startswith("left_") else out, up)
    moved = poses.astype(np.float64)
    moved[:, list(COCO13_IN_H36M17)] += body.scale[:, None, None] * (offset @ body.rotation.astype(np.float64))
    return moved.astype(poses.dtype)


def rebuilt(
    poses: Float[Array, "N 17 3"], lengths: Mapping[str, float | Float[Array, "N 1"]]
) -> Float[Array, "N 17 3"]:
    """The same poses of people whose bones have other lengths.

    Args:
        poses: h36m17, any unit.
        lengths: Factors by the joint a bone ends in, without side, such as {"knee": 0.9} for both thighs; or of each
            pose its own.

    >>> pose = np.zeros((1, 17, 3))
    >>> pose[0, 1:, 2] = np.arange(16)
    >>> half = rebuilt(pose, {"knee": 0.5})
    >>> float(half[0, 2, 2] - half[0, 1, 2])
    0.5
    """
    result = np.array(poses)
    for parent, end in H36M17.bones:
        factor = lengths.get(without_side(H36M17.joints[end]), 1.0)
        result[:, end] = result[:, parent] + factor * (poses[:, end] - poses[:, parent])
    return result


def drawn_builds(
    poses: Float[Array, "N 17 3"], spread: float, generator: np.random.Generator
) -> Float[Array, "N 17 3"]:
    """The same poses of people each of whom has bones of other lengths, both sides alike.

    Args:
        poses: h36m17, any unit.
        spread: Standard deviation of the log of a bone's length; 0 changes nothing and draws nothing.
        generator: Every draw uses it.
    """
    if not spread:
        return poses
    groups = sorted({without_side(bone) for bone in BONES})
    factors = np.exp(generator.normal(0, spread, (len(poses), len(groups))))
    return rebuilt(poses, dict(zip(groups, factors.T[..., None], strict=True)))
