"""Positions in whatever unit and axes, as metres with z up: what nobody states is told from the body (numpy)."""

__all__ = ["place", "pose_joints"]


import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.errors import ReadError
from vipe.readers.rigs.kinematics import world_axes
from vipe.skeletons import Skeleton, convert
from vipe.skeletons.body import find_unit, find_up, measure
from vipe.skeletons.skeleton import Up
from vipe.skeletons.working import H36M17

_SAMPLED = 500  # frames are enough to measure a body


def place(
    positions: Float64[Array, "frames joints 3"],
    skeleton: Skeleton,
    where: str,
    *,
    unit: float | None = None,
    up: Up | None = None,
) -> Float64[Array, "frames joints 3"]:
    """Positions in metres, z up, right-handed.

    Args:
        positions: In the file's unit and axes, finite.
        skeleton: Their joints. One without a conversion to h36m17 tells nothing: metres and z are taken.
        where: The file, for errors.
        unit: Metres per unit; None where nobody states it: that which makes the body a person.
        up: `y`, `z` or another axis, with "-" before it if it points down; None where nobody states it: the axis that
            the trunk follows in most frames.

    Raises:
        ReadError: If no usual unit makes the body a person.
    """
    if H36M17.name not in (skeleton.name, *skeleton.conversions):
        return _turned(positions * (unit or 1.0), up or "z")
    step = -(-len(positions) // _SAMPLED)
    body, mask = convert(positions[::step], skeleton, H36M17)
    of = {joint: body[:, i].astype(np.float64) for i, joint in enumerate(H36M17.joints)}
    if not mask.all() or (unit is not None and up is not None):
        return _turned(positions * (unit or 1.0), up or "z")
    measures = measure(of)
    if unit is None:
        if not 0 < measures.size < np.inf:
            raise ReadError(f"{where}: the body has no size, so its unit cannot be told")
        unit, name = find_unit(measures.size)
        if not name:
            raise ReadError(
                f"{where}: a leg of {measures.bones['thigh'] + measures.bones['shin']:.4g}, an arm of "
                f"{measures.bones['upper arm'] + measures.bones['forearm']:.4g}: no usual unit makes that a person; "
                f"is its skeleton right?"
            )
    if up is None:
        trunk = of["thorax"] - of["pelvis"]
        length = np.maximum(np.linalg.norm(trunk, axis=-1, keepdims=True), 1e-12)
        low, high = body.min(axis=1).astype(np.float64), body.max(axis=1).astype(np.float64)
        leg = measures.bones["thigh"] + measures.bones["shin"]
        up, _ = find_up(None, trunk / length, low, high, of["pelvis"], leg)
    return _turned(positions * unit, up)


def pose_joints(skeleton: Skeleton) -> set[str]:
    """The joints that a pose of h36m17 is made of; all of them, if the skeleton has no conversion to it."""
    weights = skeleton.conversions.get(H36M17.name)
    if skeleton.name == H36M17.name or weights is None:
        return set(skeleton.joints)
    return {source for sources in weights.values() for source in sources or ()}


def _turned(positions: Float64[Array, "frames joints 3"], up: Up) -> Float64[Array, "frames joints 3"]:
    return np.stack([positions[..., axis] * sign for axis, sign in world_axes(up, 1.0)], axis=-1)
