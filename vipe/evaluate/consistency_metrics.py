"""Whether hypotheses agree with a body and with the image: bone lengths (MPSSE, MPSCE), reprojection (PCKh); numpy."""

__all__ = ["head_size", "mpsce", "mpsse", "reprojection_pckh"]

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64

from vipe.arrays import Array, blocks
from vipe.errors import ShapeError, SkeletonError
from vipe.evaluate.lifting_metrics import check_hypotheses
from vipe.geometry.bones import bone_lengths
from vipe.lift.aggregation.one_pose import weak_perspective
from vipe.skeletons import Skeleton
from vipe.skeletons.working import COCO13, H36M17

_HEAD = [H36M17.index("thorax"), H36M17.index("head")]

_POSES = 1 << 14  # worked on at a time: 17 joints of them take 7 MB


def mpsse(poses: Float[Array, "*batch J 3"], skeleton: Skeleton = H36M17) -> Float64[Array, "*batch"]:
    """Mean difference of the lengths of left and right bones of each pose: segment symmetry error.

    A pair is two bones that end in mirrored joints; the working skeleton has six. The mean over poses is the MPSSE of
    papers. It is 0 for a body built with symmetric lengths, and cannot see lengths that are wrong on both sides.

    Args:
        poses: In any space; their unit is that of the result: metres here, millimetres in papers.
        skeleton: Of the poses.

    Raises:
        ShapeError: If the poses do not have the skeleton's joints.
        SkeletonError: If the skeleton has no mirrored bones.

    Reference:
        Rommel et al. 2024 (ManiPose).
    """
    mirrored = skeleton.mirrored
    ends = [child for _, child in skeleton.bones]
    pairs = [
        (ends.index(skeleton.index(left)), ends.index(mirrored[skeleton.index(left)]))
        for left, right in skeleton.mirror
        if skeleton.index(left) in ends and skeleton.index(right) in ends
    ]
    if not pairs:
        raise SkeletonError(f"skeleton {skeleton.name} has no bones that mirror each other, which symmetry needs")
    lengths = _lengths(poses, skeleton)
    left, right = np.array(pairs).T
    return np.asarray(np.abs(lengths[..., left] - lengths[..., right]).mean(axis=-1))


def mpsce(poses: Float[Array, "*batch T J 3"], skeleton: Skeleton = H36M17) -> Float64[Array, "*batch"]:
    """Standard deviation of the bone lengths over frames of one person, mean over bones: segment consistency error.

    The divisor is T - 1. It is 0 for a body of fixed lengths.

    Args:
        poses: T frames of one person in any order, as (T, J, 3); of M hypotheses for each frame swap the axes to
            (M, T, J, 3). Their unit is that of the result: metres here, millimetres in papers.
        skeleton: Of the poses.

    Raises:
        ShapeError: If the poses do not have the skeleton's joints, or T < 2: one frame has no variance.

    Reference:
        Rommel et al. 2024 (ManiPose).
    """
    if poses.ndim < 3 or poses.shape[-3] < 2:
        raise ShapeError(f"frames of one person must be (T, J, 3) with T at least 2, got shape {poses.shape}")
    return np.asarray(_lengths(poses, skeleton).std(axis=-2, ddof=1).mean(axis=-1))


def head_size(
    poses: Float[Array, "N 17 3"], xy: Float[Array, "N 13 2"], seen: Bool[Array, "N 13"]
) -> Float64[Array, " N"]:
    """Length of the head segment in the image, from thorax to top of the head, in the unit of `xy`.

    It is the segment's 3D length times the scale at which the pose fits the keypoints. A projected segment would shrink
    when the head points at the camera, and the threshold of PCKh with it. Keypoints have no top of the head: where no
    true pose is known, give the mean hypothesis. MPII's own head size is of an annotated box around the head, about the
    segment from upper neck to top, which is shorter.

    Args:
        poses: True poses in camera space, in any unit.
        xy: Keypoints of coco13, pixels, x right, y down.
        seen: Which of them are.

    Returns:
        The sizes, NaN where fewer than two keypoints are seen.

    Raises:
        ShapeError: If the shapes do not fit, or a number is not finite.
    """
    _check(poses[:, None], xy, seen)
    _, scale = _fit(poses, xy, seen)
    lower, top = poses[:, _HEAD].astype(np.float64).swapaxes(0, 1)
    return np.where(seen.sum(axis=1) >= 2, np.linalg.norm(top - lower, axis=-1) * scale, np.nan)


def reprojection_pckh(
    poses: Float[Array, "N M 17 3"],
    xy: Float[Array, "N 13 2"],
    seen: Bool[Array, "N 13"],
    head: Float[Array, " N"],
    threshold: float = 0.5,
) -> Float64[Array, "N M"]:
    """Share of the seen keypoints that a hypothesis meets within a share of the head size: PCKh@0.5 of reprojections.

    Li & Lee 2019 show by it that their five hypotheses agree with the image (98.1% in table 7). Neither camera nor root
    is asked for: each hypothesis is put over the keypoints by the scale and shift that fit best (`weak_perspective`).
    So a few keypoints are met more easily than thirteen.

    Args:
        poses: Hypotheses in camera space, in any unit.
        xy: Keypoints of coco13, pixels, x right, y down.
        seen: Which of them are.
        head: Head sizes in pixels, as of `head_size`.
        threshold: Of the head size; a distance of just the threshold is met.

    Returns:
        The shares, NaN where fewer than two keypoints are seen: then any hypothesis fits.

    Raises:
        ShapeError: If the shapes do not fit, or a number is not finite.

    Reference:
        Andriluka et al. 2014 (PCKh); Li & Lee 2019, sec. 4.4.
    """
    _check(poses, xy, seen)
    if head.shape != (len(poses),):
        raise ShapeError(f"head sizes must be ({len(poses)},), got shape {head.shape}")
    result = np.empty(poses.shape[:2])
    for rows in blocks(len(poses), max(1, _POSES // poses.shape[1])):
        goal, mask = np.where(seen[rows, :, None], xy[rows], 0)[:, None], seen[rows, None]
        image, _ = _fit(poses[rows], goal, mask)
        met = np.linalg.norm(image - goal, axis=-1) <= threshold * head[rows, None, None]
        result[rows] = (met & mask).sum(axis=-1) / np.maximum(mask.sum(axis=-1), 1)
    result[seen.sum(axis=1) < 2] = np.nan
    return result


def _lengths(poses: Float[Array, "*batch J 3"], skeleton: Skeleton) -> Float64[Array, "*batch B"]:
    flat = poses.reshape(-1, *poses.shape[-2:])
    lengths = np.empty((len(flat), len(skeleton.bones)))
    for rows in blocks(len(flat), _POSES):
        lengths[rows] = bone_lengths(torch.from_numpy(flat[rows].astype(np.float64)), skeleton.parents).numpy()
    return lengths.reshape(*poses.shape[:-2], len(skeleton.bones))


def _fit(poses: Array, xy: Array, seen: Array) -> tuple[Float64[Array, "*batch 13 2"], Float64[Array, "*batch"]]:
    image, scale = weak_perspective(
        torch.from_numpy(poses.astype(np.float64)), torch.from_numpy(xy.astype(np.float64)), torch.tensor(seen)
    )
    return image.numpy(), scale.numpy()


def _check(poses: Float[Array, "N M 17 3"], xy: Float[Array, "N 13 2"], seen: Bool[Array, "N 13"]) -> None:
    check_hypotheses(poses)
    n, joints = len(poses), len(COCO13)
    if poses.shape[2] != len(H36M17) or xy.shape != (n, joints, 2) or seen.shape != (n, joints):
        raise ShapeError(
            f"hypotheses, keypoints and mask must be (N, M, {len(H36M17)}, 3), (N, {joints}, 2) and (N, {joints}), "
            f"got shapes {poses.shape}, {xy.shape} and {seen.shape}"
        )
    if not np.isfinite(xy[seen]).all():
        row = int(np.argmax((~np.isfinite(xy).all(axis=2) & seen).any(axis=1)))
        raise ShapeError(f"keypoints of person {row} hold a seen one that is not finite")
