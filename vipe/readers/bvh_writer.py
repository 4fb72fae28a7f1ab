"""A clip as a Biovision Hierarchy (BVH) file: the way back of `bvh` (numpy)."""

__all__ = ["write_bvh"]

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.spatial.transform import Rotation

from vipe.arrays import Array
from vipe.atomic_write import atomic_write
from vipe.clips import Clip
from vipe.errors import ShapeError, SkeletonError, VipeError
from vipe.geometry.bones import SHORTEST
from vipe.geometry.kabsch import kabsch

_STILL = 1e-5  # metres: an offset that changes less over the frames is constant
_STRETCH = 1e-3  # metres by which a bone may change its length: rounding of the positions
_OPPOSITE = 1e-12  # squared length of the sum of two unit vectors below which they have no smallest rotation
_TIP = 0.2  # of a bone's length: what is drawn beyond the last joint of a limb
_SHIFTS, _TURNS = "Xposition Yposition Zposition", "Zrotation Xrotation Yrotation"


def write_bvh(path: str | Path, clip: Clip, rest: Float[Array, "joints 3"] | None = None) -> None:
    """Write a clip as a BVH file; `vipe.read` reads the same positions from it, to some micrometres.

    Only the root has position channels, as most programs expect, so every bone must keep its length. Where several
    bones leave a joint at angles that change, no rotation of the joint carries all of them: each of them then hangs on
    a joint of its own without an offset, such as `pelvis_left_hip`.

    Positions alone do not tell how a bone turns about itself: of all rotations each joint gets the smallest one from
    the rest pose that carries its bones where they are. Unit and up axis are those of the skeleton's files: metres and
    z up for `h36m17`.

    Args:
        path: The file; it is replaced whole or not at all.
        clip: On a skeleton with one root and without sites.
        rest: The pose whose rotations are all zero, metres, z up; only the directions of its bones count. The clip's
            first frame if not given.

    Raises:
        SkeletonError: If the skeleton has sites, which follow rotations that positions do not tell, or several roots.
        ShapeError: If a bone changes its length by more than a millimetre; names it. Or if the rest pose has other
            joints than the clip.
        VipeError: If the file cannot be written.
    """
    skeleton = clip.skeleton
    if skeleton.sites or skeleton.parents[0] >= 0 or any(parent < 0 for parent in skeleton.parents[1:]):
        raise SkeletonError(
            f"clip {clip.name}: BVH cannot be written of skeleton {skeleton.name}, which has sites or several roots; "
            "convert the clip to h36m17"
        )
    still = clip.positions[0] if rest is None else np.asarray(rest)
    if still.shape != clip.positions.shape[1:]:
        raise ShapeError(f"rest pose must be {clip.positions.shape[1:]} like the clip's frames, got {still.shape}")
    _check_lengths(clip)
    to_file = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]] if skeleton.up == "y" else np.eye(3)) / skeleton.unit
    positions = clip.positions.astype(np.float64) @ to_file.T
    bones = _unit_bones(still.astype(np.float64) @ to_file.T, skeleton.parents)
    rig = _rig(positions, bones, skeleton.joints, skeleton.parents, _STILL / skeleton.unit)
    head, columns = _written(rig, 0)
    rows = np.concatenate([positions[:, 0], *columns], axis=1)
    lines = ["HIERARCHY", *head, "MOTION", f"Frames: {len(clip)}", f"Frame Time: {1 / clip.fps:.10g}"]
    lines += [" ".join(f"{value:.6f}" for value in row) for row in rows.tolist()]
    try:
        with atomic_write(Path(path), replace=True) as file:
            file.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    except OSError as error:
        raise VipeError(f"{path}: the motion cannot be written: {error.strerror or error}") from error


@dataclass
class _Joint:
    """A joint of the file."""

    name: str
    parent: int  # in the file; -1 for the root
    offset: Float64[Array, "3"]
    turned: Float64[Array, "frames 3 3"]  # world from its space
    tip: Float64[Array, "3"] | None = None  # end of the limb, for a joint without children


def _check_lengths(clip: Clip) -> None:
    parents = [max(parent, 0) for parent in clip.skeleton.parents]
    lengths = np.linalg.norm(clip.positions - clip.positions[:, parents], axis=-1)
    change = np.ptp(lengths, axis=0)
    if change.max() > _STRETCH:
        worst = int(change.argmax())
        raise ShapeError(
            f"clip {clip.name}: BVH needs bones of constant length, that to {clip.skeleton.joints[worst]} changes by "
            f"{1000 * change[worst]:.1f} mm; give all frames one body, as vipe.geometry.with_bone_lengths does"
        )


def _rig(
    positions: Float64[Array, "frames joints 3"],
    bones: Float64[Array, "joints 3"],
    names: Sequence[str],
    parents: Sequence[int],
    tolerance: float,
) -> list[_Joint]:
    """The joints of the file: those of the skeleton, and one for each bone that turns against its siblings."""
    turned = _rotations(positions, bones, parents)
    rig: list[_Joint] = []
    places: list[int] = []  # of the skeleton's joints in the rig
    for joint, parent in enumerate(parents):
        if parent < 0:
            places.append(len(rig))
            rig.append(_Joint(names[joint], -1, np.zeros(3), turned[:, joint]))
            continue
        away, above = positions[:, joint] - positions[:, parent], places[parent]
        local = np.einsum("tij,ti->tj", rig[above].turned, away)
        if np.abs(local - local.mean(axis=0)).max() > tolerance:
            own = _fit(np.einsum("tij,j->ti", rig[above].turned, bones[joint])[:, None], _units(away)[:, None])
            rig.append(_Joint(f"{names[parent]}_{names[joint]}", above, np.zeros(3), own @ rig[above].turned))
            above = len(rig) - 1
            local = np.einsum("tij,ti->tj", rig[above].turned, away)
        places.append(len(rig))
        offset = local.mean(axis=0)
        tip = None if joint in parents else _TIP * np.linalg.norm(offset) * bones[joint]
        rig.append(_Joint(names[joint], above, offset, turned[:, joint], tip))
    return rig


def _unit_bones(pose: Float64[Array, "joints 3"], parents: Sequence[int]) -> Float64[Array, "joints 3"]:
    """Direction of the bone that ends in each joint; zero for the root."""
    return _units(pose - pose[[max(parent, 0) for parent in parents]])


def _units(vectors: Float64[Array, "*batch 3"]) -> Float64[Array, "*batch 3"]:
    """Unit vectors; zero for one without length."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(np.where(length > SHORTEST, vectors / np.maximum(length, SHORTEST), 0))


def _rotations(
    positions: Float64[Array, "frames joints 3"], bones: Float64[Array, "joints 3"], parents: Sequence[int]
) -> Float64[Array, "frames joints 3 3"]:
    """World from each joint's space: the parent's, turned by the smallest rotation that fits the joint's own bones."""
    turned = np.zeros((*positions.shape, 3))
    for joint, parent in enumerate(parents):
        before = turned[:, parent] if parent >= 0 else np.broadcast_to(np.eye(3), turned[:, 0].shape)
        children = [child for child, its in enumerate(parents) if its == joint]
        expected = np.einsum("tij,kj->tki", before, bones[children])
        found = _units(positions[:, children] - positions[:, joint, None])
        turned[:, joint] = _fit(expected, found) @ before if children else before
    return turned


def _fit(
    expected: Float64[Array, "frames bones 3"], found: Float64[Array, "frames bones 3"]
) -> Float64[Array, "frames 3 3"]:
    """The rotation from expected to found directions."""
    if expected.shape[1] > 1:
        return np.asarray(kabsch(torch.from_numpy(expected), torch.from_numpy(found)).numpy())
    a, b = expected[:, 0], found[:, 0]
    half = a + b
    opposite = (half**2).sum(axis=1, keepdims=True) < _OPPOSITE
    axis = np.where(opposite, np.cross(a, np.eye(3)[np.abs(a).argmin(axis=1)]), half)
    # Half a turn about a, which leaves it, and then about the middle of a and b, which carries it to b: together the
    # smallest rotation. For opposite directions half a turn about any axis across a is one.
    rotation = _half_turn(axis) @ np.where(opposite[..., None], np.eye(3), _half_turn(a))
    pointless = ((a**2).sum(axis=1) == 0) | ((b**2).sum(axis=1) == 0)  # a bone without length turns nothing
    return np.asarray(np.where(pointless[:, None, None], np.eye(3), rotation))


def _half_turn(axis: Float64[Array, "frames 3"]) -> Float64[Array, "frames 3 3"]:
    square = (axis**2).sum(axis=1)[:, None, None]
    return np.asarray(2 * axis[:, :, None] * axis[:, None] / np.where(square > 0, square, 1) - np.eye(3))


def _written(rig: list[_Joint], place: int) -> tuple[list[str], list[Float64[Array, "frames 3"]]]:
    """The lines of a joint and of all below it, and their angles in the order of the file."""
    joint = rig[place]
    channels = f"CHANNELS 3 {_TURNS}" if joint.parent >= 0 else f"CHANNELS 6 {_SHIFTS} {_TURNS}"
    lines = [f"{'JOINT' if joint.parent >= 0 else 'ROOT'} {joint.name}", "{", _offset(joint.offset), f"  {channels}"]
    columns = [_angles(joint.turned, rig[joint.parent].turned if joint.parent >= 0 else None)]
    for child, other in enumerate(rig):
        if other.parent == place:
            below, angles = _written(rig, child)
            lines += ["  " + line for line in below]
            columns += angles
    if joint.tip is not None:
        lines += ["  End Site", "  {", "  " + _offset(joint.tip), "  }"]
    return [*lines, "}"], columns


def _offset(vector: Float64[Array, "3"]) -> str:
    return "  OFFSET " + " ".join(f"{value:.6f}" for value in vector.tolist())


def _angles(
    turned: Float64[Array, "frames 3 3"], parent: Float64[Array, "frames 3 3"] | None
) -> Float64[Array, "frames 3"]:
    """Degrees of a joint's rotation against its parent, in the order of `_TURNS`, without jumps by whole turns."""
    own = turned if parent is None else np.swapaxes(parent, 1, 2) @ turned
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # at 90 degrees several angles say the same; any of them is right
        angles = Rotation.from_matrix(own).as_euler("ZXY", degrees=True)
    return np.unwrap(angles, period=360, axis=0)
