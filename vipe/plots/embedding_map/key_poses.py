"""Key poses: a few usual ones that look different, by which every pose of a map is coloured (numpy)."""

__all__ = ["KeyPoses", "key_poses"]

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from vipe.arrays import Array, blocks
from vipe.errors import VipeError
from vipe.plots.embedding_map.coverage import covering_rows

_CANDIDATES, _SAMPLE = 256, 4096  # poses that may become keys; poses that they stand for
_USUAL = 2  # times as many usual poses as keys, of which the most different become keys
_BLOCK = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class KeyPoses:
    """A few poses of a map, and which of them each pose is nearest to."""

    points: Int64[Array, " keys"]  # of the map
    nearest: Int64[Array, " N"]  # number of a key


def key_poses(poses: Float32[Array, "N 17 3"], count: int = 10) -> KeyPoses:
    """Choose poses that look different, and give each pose its nearest.

    Farthest points alone would be the odd ones, with hardly a pose beside them. So twice as many usual poses are found
    first, greedily, each the one that brings all poses nearest to those that were found (the k-median problem, by
    Nemhauser et al. 1978). The first key is the first of these, each further key the farthest from all keys before it
    (Gonzalez 1985). The distance of two poses is the mean of their joints' distances. Nothing is drawn at random.

    Args:
        poses: Canonical.
        count: How many; fewer where fewer differ.

    Raises:
        VipeError: If `count` is below 1, or there is no pose.

    Reference:
        Levy & Shrivastava 2024, fig. 8, which takes 10 and does not say how they were found.
    """
    if count < 1 or not len(poses):
        raise VipeError(f"key poses: expected at least 1 of at least 1 pose, got {count} of {len(poses)}")
    usual = _usual(poses, _USUAL * count)
    points = [int(usual[0])]
    apart = _distance(poses[usual], poses[points[0]])
    while len(points) < count and apart.max() > 0:
        points.append(int(usual[apart.argmax()]))
        apart = np.minimum(apart, _distance(poses[usual], poses[points[-1]]))
    nearest = np.empty(len(poses), dtype=np.int64)
    for rows in blocks(len(poses), _BLOCK):
        nearest[rows] = np.stack([_distance(poses[rows], poses[point]) for point in points]).argmin(axis=0)
    return KeyPoses(points=np.array(points, dtype=np.int64), nearest=nearest)


def _usual(poses: Float32[Array, "N 17 3"], count: int) -> Int64[Array, " usual"]:
    candidates = covering_rows(poses.reshape(len(poses), -1), _CANDIDATES)
    sample = poses[:: -(-len(poses) // _SAMPLE)]
    apart = np.stack([_distance(sample, poses[row]) for row in candidates])
    best, chosen = np.full(len(sample), np.inf, dtype=np.float32), list[int]()
    for _ in range(min(count, len(candidates))):
        chosen.append(int(np.minimum(apart, best).sum(axis=1).argmin()))
        best = np.minimum(best, apart[chosen[-1]])
    return candidates[chosen]


def _distance(poses: Float32[Array, "N 17 3"], one: Float32[Array, "17 3"]) -> Float32[Array, " N"]:
    return np.asarray(np.linalg.norm(poses - one, axis=-1).mean(axis=-1), dtype=np.float32)
