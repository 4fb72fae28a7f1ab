"""Candidates of the affine signature compared again, with what is known of each keypoint (numpy)."""

__all__ = ["DEPTH", "Sureness", "rescored", "rescored_places", "residuals_of_any_build", "weighted_residuals"]

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from vipe.arrays import Array
from vipe.detections import Keypoints, normalize_keypoints
from vipe.index import PoseIndex
from vipe.retrieve.body import CARRIED, IN_GROUP
from vipe.skeletons.joint_conventions import load_convention
from vipe.skeletons.working import CHILDREN, COCO13_IN_H36M17, PARENTS

DEPTH = 15
"""How many times as many candidates are compared again as are kept. Of real detections against joint centres of motion
capture (cameras 1 and 2), 3,000 candidates of the signature hold 97 of OpenPose's 100 poses, 1,000 hold 88."""

_CLOSELY = 3
"""How many times as many are compared with bones of any length; the others by keypoints alone, which is four times as
fast. The best 200 then hold 96 and 88 of 100 poses of OpenPose and BlazePose; by keypoints alone 91 and 85."""

_KEYPOINTS, _ENDS, _STARTS = list(COCO13_IN_H36M17), list(CHILDREN), list(PARENTS)
_FLAT = 1e-9  # added to the Gram matrix of a pose, torso lengths squared: poses in a plane have no third dimension


@dataclass(frozen=True)
class Sureness:
    """How far the keypoints of Q people, and the bones of their bodies, are from an archive's."""

    weight: Float[Array, "Q 13"]  # of each keypoint: one over its variance in RMS radii, 0 where unseen
    bone_spread: Float[Array, "9"]  # standard deviation of bone lengths by `BONE_GROUPS`, as shares

    def __getitem__(self, rows: slice | Int64[Array, " M"]) -> "Sureness":
        return Sureness(self.weight[rows], self.bone_spread)


def rescored(
    index: PoseIndex, people: Keypoints, sureness: Sureness, rows: Int64[Array, "Q C"], count: int
) -> Int64[Array, "Q K"]:
    """Places of each person's `count` rows that an affine camera explains best, keypoint by keypoint as sure as it is.

    The signature takes all keypoints as equally sure, to lie at the archive's joints, on the canonical body. Here each
    has its variance and its convention's spread, poses have the convention's offsets, and bones their spread.

    Args:
        index: The archive.
        people: On coco13.
        sureness: Of the same people.
        rows: Of the index.
        count: At most C.
    """
    best = [
        rescored_places(index.poses(own)[None], people[row], sureness[row : row + 1], count)
        for row, own in enumerate(rows)
    ]
    return np.concatenate(best) if best else np.empty((0, count), dtype=np.int64)


def rescored_places(
    poses: Float[Array, "Q C 17 3"],
    people: Keypoints,
    sureness: Sureness,
    count: int,
    usable: Bool[Array, "Q C"] | None = None,
) -> Int64[Array, "Q K"]:
    """The same of poses; those that are not usable come last."""
    unit = normalize_keypoints(people)[0].astype(np.float64)
    offsets = load_convention(people.convention).offsets
    best = np.empty((len(poses), count), dtype=np.int64)
    for person, own in enumerate(poses):
        xy, weight = unit[person], sureness.weight[person]
        points = own[:, _KEYPOINTS] + offsets
        residual = weighted_residuals(points, xy, weight)
        if usable is not None:
            residual = np.where(usable[person], residual, np.inf)
        closely = np.argsort(residual, kind="stable")[: _CLOSELY * count]
        bones = own[closely][:, _ENDS] - own[closely][:, _STARTS]
        again = residuals_of_any_build(
            points[closely], bones, unit[person], sureness.weight[person], sureness.bone_spread
        )
        again = np.where(np.isfinite(residual[closely]), again, np.inf)
        best[person] = closely[np.argsort(again, kind="stable")[:count]]
    return best


def weighted_residuals(
    points: Float[Array, "C 13 3"], xy: Float[Array, "13 2"], weight: Float[Array, "13"]
) -> Float[Array, " C"]:
    """Least weighted sum of squares of keypoints from what an affine camera makes of each pose, one over variances."""
    points, xy, gram = _centred(points, xy, weight)
    along = points.swapaxes(1, 2) @ xy
    return np.asarray(np.square(xy).sum() - (along * np.linalg.solve(gram, along)).sum(axis=(1, 2)))


def residuals_of_any_build(
    points: Float[Array, "C 13 3"],
    bones: Float[Array, "C 16 3"],
    xy: Float[Array, "13 2"],
    weight: Float[Array, "13"],
    spread: Float[Array, "9"],
) -> Float[Array, " C"]:
    """The same if bones of a group may be longer or shorter together, by N(0, spread^2) as a share.

    About the best camera A of the pose P as it is, keypoints are x = P A' + sum_g b_g D_g A to first order, with D_g
    the moves of joints as the bones of group g grow. Camera A' and b are found together, b with its prior, so the
    result is at most that of `weighted_residuals`.
    """
    points, xy, gram = _centred(points, xy, weight)
    share, root = weight / weight.sum(), np.sqrt(weight)[:, None]
    to_camera = np.linalg.solve(gram, points.swapaxes(1, 2))
    camera = to_camera @ xy
    left = xy - points @ camera
    carried = (CARRIED[_KEYPOINTS] - share @ CARRIED[_KEYPOINTS]) * root
    by_group = (carried[:, None] * IN_GROUP.T).reshape(-1, len(IN_GROUP))
    moves = (by_group @ (bones @ camera)).reshape(len(points), len(root), len(spread), 2)
    moves = moves.swapaxes(2, 3).reshape(len(points), len(root), -1)
    moves = (moves - points @ (to_camera @ moves)).reshape(len(points), -1, len(spread))  # the camera undoes the rest
    matrix = moves.swapaxes(1, 2) @ moves + np.diag(1 / spread**2)
    right = moves.swapaxes(1, 2) @ left.reshape(len(points), -1, 1)
    return np.asarray(np.square(left).sum(axis=(1, 2)) - (right * np.linalg.solve(matrix, right)).sum(axis=(1, 2)))


def _centred(
    points: Float[Array, "C 13 3"], xy: Float[Array, "13 2"], weight: Float[Array, "13"]
) -> tuple[Float[Array, "C 13 3"], Float[Array, "13 2"], Float[Array, "C 3 3"]]:
    """Poses and keypoints less their weighted means, times the roots of the weights; and the poses' Gram matrices."""
    share, root = weight / weight.sum(), np.sqrt(weight)[:, None]
    points = (points - (share[:, None] * points).sum(axis=1, keepdims=True)) * root
    xy = (xy - (share[:, None] * xy).sum(axis=0)) * root
    gram = points.swapaxes(1, 2) @ points
    return points, xy, gram + _FLAT * np.trace(gram, axis1=1, axis2=2)[:, None, None] * np.eye(3)
