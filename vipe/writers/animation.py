"""A clip as a moving rig: offsets at rest, the way of the root, and the rotation of each joint by frame (numpy)."""

__all__ = ["Animation", "animate"]

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy.spatial.transform import Rotation

from vipe.arrays import Array
from vipe.clips import Clip
from vipe.errors import ShapeError
from vipe.geometry.upright import REFERENCE_HEIGHT, upright_pose
from vipe.writers.places import Places, units
from vipe.writers.rig import GROUND, Rig, RigJoint

_ALONG = 1e-3  # sine of an angle below which two directions count as one, and span no plane
_OPPOSITE = 1e-12  # squared length of the sum of two unit vectors below which they have no smallest rotation
_TIP = 0.2  # of the length of the last bone: what is drawn beyond it where the rig does not say
_ANKLE = REFERENCE_HEIGHT / float(np.ptp(upright_pose()[:, 2])) - 1  # lowest joint over the ground, in heights to crown


@dataclass(frozen=True, kw_only=True)
class Animation:
    """A rig and its motion, in metres, z up. Only the root changes its place in its parent's space."""

    names: tuple[str, ...]
    parents: tuple[int, ...]  # -1 for the root, which comes first
    offset: Float64[Array, "joints 3"]  # from the parent; that of the root is its place when the body stands at rest
    way: Float64[Array, "frames 3"]  # of the root
    turn: Float64[Array, "frames joints 3 3"]  # parent's space from the joint's; the identity at rest
    tips: dict[int, Float64[Array, "3"]]  # end of the limb in the space of each joint without children
    error: float  # metres: how far a joint is at most from where the clip has it

    def __len__(self) -> int:
        return len(self.way)

    @property
    def rest(self) -> Float64[Array, "joints 3"]:
        """Where the joints are at rest: a T-pose that stands on the ground, for the rigs that come with the library."""
        return _chained(self.offset, self.parents)

    def quaternions(self) -> Float64[Array, "frames joints 4"]:
        """The turns as unit quaternions (x, y, z, w). The sign of each is that which is nearer to the frame before."""
        frames, joints = self.turn.shape[:2]
        found = Rotation.from_matrix(self.turn.reshape(-1, 3, 3)).as_quat().reshape(frames, joints, 4)
        back = (found[1:] * found[:-1]).sum(axis=-1) < 0
        sign = np.concatenate([np.ones((1, joints)), np.cumprod(np.where(back, -1, 1), axis=0)])
        return np.asarray(found * sign[..., None])


def animate(clip: Clip, rig: Rig) -> Animation:
    """Find the offsets and the motion of a rig that puts its joints where those of a clip are.

    Positions alone do not tell how a bone turns about itself. Where the rig names no `side`, each joint gets the
    smallest rotation, against its parent, that carries its bone where it is.

    Bones of a rig keep their lengths. Where those of the clip do not, the rig may bend (`Places`), and the joints are
    where they were. A bone without a bend, such as a shin, gets its mean length, and `error` tells what that changes.

    Args:
        clip: On the skeleton of the rig.
        rig: Its joints.

    Raises:
        ShapeError: If the clip is on another skeleton.
    """
    if clip.skeleton.joints != rig.skeleton.joints:
        raise ShapeError(f"clip {clip.name}: is on {clip.skeleton.name}, the rig is of {rig.skeleton.name}; convert it")
    places, frames = Places(clip.positions.astype(np.float64), rig.rest, rig.skeleton), len(clip)
    joints = rig.without_spare(places).joints
    parents = tuple(joint.parent for joint in joints)
    base = next(number for number, joint in enumerate(joints) if joint.at != GROUND)  # the first one on the body
    turned = np.zeros((frames, len(joints), 3, 3))
    turn, offset = np.zeros_like(turned), np.zeros((len(joints), 3))
    for number, joint in enumerate(joints):
        before = turned[:, joint.parent] if joint.parent >= 0 else np.broadcast_to(np.eye(3), (frames, 3, 3))
        turned[:, number] = _turned(joint, before, places)
        turn[:, number] = np.swapaxes(before, 1, 2) @ turned[:, number]
        if number > base:
            away = places.moving(joint.at) - places.moving(joints[joint.parent].at)
            offset[number] = np.einsum("tji,tj->ti", before, away).mean(axis=0)
    tips = {number: _tip(joint, offset[number], turned[:, number], places) for number, joint in enumerate(joints)}
    offset[base, 2] = _standing(_chained(offset, parents)[:, 2])
    way = places.moving(joints[base].at)
    if base:  # a root on the ground keeps its distance to the body
        way = way - offset[base]
        tips.pop(0)
    return Animation(
        names=tuple(joint.name for joint in joints),
        parents=parents,
        offset=offset,
        way=way,
        turn=turn,
        tips={number: tip for number, tip in tips.items() if number not in parents},
        error=_error(joints, offset, way, turned, places),
    )


def _turned(joint: RigJoint, before: Float64[Array, "frames 3 3"], places: Places) -> Float64[Array, "frames 3 3"]:
    """World from the joint's space; `before` is that of its parent."""
    if joint.bone is None:
        return before
    found, still = _direction(joint.bone, places)
    turned = _smallest(np.einsum("tij,j->ti", before, still), found) @ before
    if joint.side is None:
        return turned
    side, side_still = _direction(joint.side, places)
    frame, fits = _frame(found, side)
    frame_still, fits_still = _frame(still[None], side_still[None])
    return np.asarray(np.where((fits & fits_still)[:, None, None], frame @ np.swapaxes(frame_still, 1, 2), turned))


def _direction(ends: tuple[str, str], places: Places) -> tuple[Float64[Array, "frames 3"], Float64[Array, "3"]]:
    """Directions from one place to another: of each frame, and at rest; zero where the two are one."""
    one, other = ends
    return units(places.moving(other) - places.moving(one)), units(places.resting(other) - places.resting(one))


def _frame(
    along: Float64[Array, "frames 3"], side: Float64[Array, "frames 3"]
) -> tuple[Float64[Array, "frames 3 3"], Bool[Array, " frames"]]:
    """Orthonormal columns: the first direction, the part of the second that is across it, and the one across both.

    The second value tells where the two directions span a plane.
    """
    across = side - (side * along).sum(axis=-1, keepdims=True) * along
    fits = (np.linalg.norm(across, axis=-1) > _ALONG) & (np.linalg.norm(along, axis=-1) > 0)
    across = units(across)
    return np.stack([along, across, np.cross(along, across)], axis=-1), fits


def _smallest(a: Float64[Array, "frames 3"], b: Float64[Array, "frames 3"]) -> Float64[Array, "frames 3 3"]:
    """The smallest rotations that carry the unit vectors a to b; none where either is zero."""
    half = a + b
    opposite = (half**2).sum(axis=1, keepdims=True) < _OPPOSITE
    axis = np.where(opposite, np.cross(a, np.eye(3)[np.abs(a).argmin(axis=1)]), half)
    # Half a turn about a, which leaves it, and then about the middle of a and b, which carries it to b: together the
    # smallest rotation. For opposite directions half a turn about any axis across a is one.
    rotation = _half_turn(axis) @ np.where(opposite[..., None], np.eye(3), _half_turn(a))
    pointless = ((a**2).sum(axis=1) == 0) | ((b**2).sum(axis=1) == 0)
    return np.asarray(np.where(pointless[:, None, None], np.eye(3), rotation))


def _half_turn(axis: Float64[Array, "frames 3"]) -> Float64[Array, "frames 3 3"]:
    square = (axis**2).sum(axis=1)[:, None, None]
    return np.asarray(2 * axis[:, :, None] * axis[:, None] / np.where(square > 0, square, 1) - np.eye(3))


def _chained(offset: Float64[Array, "joints 3"], parents: tuple[int, ...]) -> Float64[Array, "joints 3"]:
    placed = offset.copy()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            placed[joint] += placed[parent]
    return placed


def _standing(heights: Float64[Array, " joints"]) -> float:
    """How far to lift joints at these heights, so that the feet are on the ground."""
    extent = float(heights.max() - heights.min())
    return _ANKLE * extent - float(heights.min())


def _tip(
    joint: RigJoint, offset: Float64[Array, "3"], turned: Float64[Array, "frames 3 3"], places: Places
) -> Float64[Array, "3"]:
    if joint.tip is None:
        return np.asarray(_TIP * offset)
    if isinstance(joint.tip, str):
        away = places.moving(joint.tip) - places.moving(joint.at)
        return np.asarray(np.einsum("tji,tj->ti", turned, away).mean(axis=0))
    return np.array(joint.tip)


def _error(
    joints: tuple[RigJoint, ...],
    offset: Float64[Array, "joints 3"],
    way: Float64[Array, "frames 3"],
    turned: Float64[Array, "frames joints 3 3"],
    places: Places,
) -> float:
    placed, worst = np.zeros(turned.shape[:3]), 0.0
    for number, joint in enumerate(joints):
        placed[:, number] = way
        if joint.parent >= 0:
            carried = np.einsum("tij,j->ti", turned[:, joint.parent], offset[number])
            placed[:, number] = placed[:, joint.parent] + carried
        if joint.at != GROUND:
            worst = max(worst, float(np.linalg.norm(placed[:, number] - places.moving(joint.at), axis=-1).max()))
    return worst
