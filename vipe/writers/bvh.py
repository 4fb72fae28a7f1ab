"""A moving rig as a Biovision Hierarchy (BVH) file: the way back of `vipe.readers.rigs.bvh` (numpy)."""

__all__ = ["encode"]

import warnings

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from vipe.arrays import Array
from vipe.readers.rigs.kinematics import world_axes
from vipe.skeletons.skeleton import Up
from vipe.writers.animation import Animation

_SHIFTS, _TURNS = "Xposition Yposition Zposition", "Zrotation Xrotation Yrotation"


def encode(found: Animation, fps: float, *, unit: float, up: Up) -> bytes:
    """A moving rig as the text of a BVH file.

    The pose with all rotations zero is the rig's rest pose. Only the root has position channels, as most programs
    expect. Angles do not jump: of the two triples of Euler angles that say the same, each frame has the one that is
    nearer to the frame before.

    Args:
        found: A moving rig, as `animate` finds it.
        fps: Frames a second.
        unit: Metres per unit of the file.
        up: Up axis of the file.
    """
    to_file = np.zeros((3, 3))
    for world, (axis, sign) in enumerate(world_axes(up, 1.0)):
        to_file[axis, world] = sign
    turn = to_file @ found.turn @ to_file.T
    # The root's OFFSET is zero, so that a program that adds it to the position does no harm.
    offset = np.concatenate([np.zeros((1, 3)), found.offset[1:]]) @ to_file.T / unit
    tips = {joint: to_file @ tip / unit for joint, tip in found.tips.items()}
    lines, order = ["HIERARCHY"], list[int]()
    _add_joint(0, found, offset, tips, lines, order)
    columns = [found.way @ to_file.T / unit, *(_angles(turn[:, joint]) for joint in order)]
    lines += ["MOTION", f"Frames: {len(found)}", f"Frame Time: {1 / fps:.10g}"]
    lines += [_numbers(row) for row in np.concatenate(columns, axis=1)]
    return ("\n".join(lines) + "\n").encode("utf-8")


def _add_joint(
    joint: int,
    found: Animation,
    offset: Float64[Array, "joints 3"],
    tips: dict[int, Float64[Array, "3"]],
    lines: list[str],
    order: list[int],
) -> None:
    """Add the lines of a joint and of all below it; `order` is that of the file, depth first."""
    order.append(joint)
    deep, parent = 0, found.parents[joint]
    root = parent < 0
    while parent >= 0:
        deep, parent = deep + 1, found.parents[parent]
    pad = "  " * deep
    channels = f"CHANNELS 6 {_SHIFTS} {_TURNS}" if root else f"CHANNELS 3 {_TURNS}"
    lines += [f"{pad}{'ROOT' if root else 'JOINT'} {found.names[joint]}", f"{pad}{{"]
    lines += [f"{pad}  OFFSET {_numbers(offset[joint])}", f"{pad}  {channels}"]
    for child, its in enumerate(found.parents):
        if its == joint:
            _add_joint(child, found, offset, tips, lines, order)
    if joint in tips:
        lines += [f"{pad}  End Site", f"{pad}  {{", f"{pad}    OFFSET {_numbers(tips[joint])}", f"{pad}  }}"]
    lines.append(f"{pad}}}")


def _numbers(values: Float64[Array, " count"]) -> str:
    return " ".join(f"{value:.6f}" for value in (values.round(6) + 0.0).tolist())  # no -0.000000


def _angles(turn: Float64[Array, "frames 3 3"]) -> Float64[Array, "frames 3"]:
    """Degrees in the order of `_TURNS`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # at 90 degrees several angles say the same; any of them is right
        one = Rotation.from_matrix(turn).as_euler("ZXY", degrees=True)
    other = one * [1, -1, 1] + 180
    stay, change = _steps(one[1:] - one[:-1]), _steps(other[1:] - one[:-1])
    changed = np.concatenate([[0], np.cumsum(change < stay) % 2]).astype(bool)  # both kinds of steps are symmetric
    return np.unwrap(np.where(changed[:, None], other, one), period=360, axis=0)


def _steps(difference: Float64[Array, "steps 3"]) -> Float64[Array, " steps"]:
    """How far angles go altogether, whole turns left out."""
    return np.asarray(np.abs((difference + 180) % 360 - 180).sum(axis=1))
