"""One motion from the hypotheses of a video's frames: their likeliest path, smoothed, on one body (numpy)."""

__all__ = ["body_lengths", "smooth_track"]

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64, Integer
from scipy.ndimage import gaussian_filter1d

from vipe.arrays import Array
from vipe.errors import ShapeError, VipeError
from vipe.geometry.bones import SHORTEST, bone_lengths, bone_vectors, from_bone_vectors
from vipe.lift.hypotheses import Hypotheses
from vipe.skeletons.working import CHILDREN, H36M17

_SPEED = 1.0  # metres a second that a joint moves in each direction, seen from the pelvis: fast walking
_NEAR = 0.25  # quantile of the distances between hypotheses of a frame: those of one mode, if there are a few
_KERNEL = 0.3  # of it: deviation of the kernel of the mean shift; from 0.5 on it would merge two modes that are so near
_STEPS = 5  # of the mean shift
_SMOOTHING = 0.06  # seconds: standard deviation of the Gaussian over time; halves movements of 3 hertz
_NOTHING = 1e-300  # of weight
_MIRRORED = [CHILDREN.index(H36M17.mirrored[child]) for child in CHILDREN]


def smooth_track(
    hypotheses: Hypotheses,
    fps: float,
    *,
    frame: Integer[Array, " N"] | None = None,
    smoothing: float = _SMOOTHING,
) -> Float32[Array, "frames 17 3"]:
    """One pose for each frame of a tracked person: a smooth motion of a body whose bones keep their lengths.

    1. In each frame, every hypothesis is replaced by the mean of those near it, in a few steps of the mean shift, and
       gets the logarithm of the weight near it as its score. That takes the noise of sampling away, and leaves the
       modes apart.
    2. The path through the frames of least change minus score is found exactly by dynamic programming. Change is the
       sum over joints of the squared distance, over twice the variance that movement and noise explain. So a reading
       that one frame prefers, such as a limb mirrored in depth, loses against the one that fits before and after.
    3. Directions of bones along the path are interpolated over frames without a sighting, and smoothed over time by a
       Gaussian. Bones get the lengths of `body_lengths`.

    Args:
        hypotheses: Of N frames of one person, in order of time; M each.
        fps: Frames a second.
        frame: Number of each frame, ascending; 0 to N - 1 if not given. Frames between them are interpolated.
        smoothing: Standard deviation of the Gaussian over time, seconds; 0 keeps the path as it is.

    Returns:
        Poses of the frames from the first to the last, as the hypotheses: camera space, pelvis at the origin, metres of
        a person of reference size. Where the person goes is not told.

    Raises:
        ShapeError: If there is no hypothesis, or `frame` does not hold N ascending numbers.
        VipeError: If `fps` is not above 0, or `smoothing` is negative.

    Reference:
        Dynamic programming: Viterbi 1967. Mean shift: Fukunaga & Hostetler 1975.
    """
    if not hypotheses.poses.size:
        raise ShapeError(f"a track needs at least one frame and one hypothesis, got {hypotheses.poses.shape[:2]}")
    if not 0 < fps < np.inf or not 0 <= smoothing < np.inf:
        raise VipeError(f"a track needs a finite fps above 0 and smoothing of 0 or more, got {fps} and {smoothing}")
    number = np.arange(len(hypotheses)) if frame is None else np.asarray(frame).astype(np.int64)
    if number.shape != (len(hypotheses),) or (np.diff(number) <= 0).any():
        raise ShapeError(f"frame must be {len(hypotheses)} ascending numbers, one for each row of the hypotheses")
    chosen = _likeliest_path(hypotheses, np.diff(number) / fps)
    vectors = bone_vectors(torch.from_numpy(chosen), H36M17.parents).numpy()
    every = np.arange(number[0], number[-1] + 1)
    directions = _interpolated(_normalized(vectors), number, every)
    if smoothing > 0:
        directions = _normalized(gaussian_filter1d(directions, smoothing * fps, axis=0, mode="nearest"), directions)
    bones = torch.from_numpy(directions * body_lengths(hypotheses)[:, None])
    return np.asarray(from_bone_vectors(bones, H36M17.parents).numpy(), dtype=np.float32)


def body_lengths(hypotheses: Hypotheses) -> Float64[Array, " 16"]:
    """Bone lengths of one body: of each bone the weighted median over all hypotheses, left and right together.

    Args:
        hypotheses: Of one person, in one image or in many.

    Returns:
        Metres, in the order of `Skeleton.bones`.

    Raises:
        ShapeError: If there is no hypothesis.
    """
    if not hypotheses.poses.size:
        raise ShapeError(f"a body needs at least one hypothesis, got {hypotheses.poses.shape[:2]}")
    poses = torch.tensor(hypotheses.poses.reshape(-1, 17, 3))
    lengths = bone_lengths(poses, H36M17.parents).numpy().astype(np.float64)
    weight = np.tile(hypotheses.weight.ravel(), 2)
    both = np.concatenate([lengths, lengths[:, _MIRRORED]])
    order = np.argsort(both, axis=0, kind="stable")
    reached = np.cumsum(weight[order], axis=0) >= weight.sum() / 2
    middle = np.take_along_axis(order, reached.argmax(axis=0)[None], axis=0)
    return np.asarray(np.take_along_axis(both, middle, axis=0)[0])


def _likeliest_path(hypotheses: Hypotheses, seconds: Float64[Array, " steps"]) -> Float64[Array, "N 17 3"]:
    """A pose for each frame; `seconds` lie between one frame and the next."""
    poses, score, _ = _shifted(hypotheses.poses[0].astype(np.float64), hypotheses.weight[0])
    frames, came, cost = [poses], [], -score
    for row in range(1, len(hypotheses)):
        poses, score, width = _shifted(hypotheses.poses[row].astype(np.float64), hypotheses.weight[row])
        variance = max(width**2 + (_SPEED * float(seconds[row - 1])) ** 2, SHORTEST**2)
        ways = cost[:, None] + _squares(frames[-1], poses) / (2 * variance)
        came.append(ways.argmin(axis=0))
        cost = ways.min(axis=0) - score
        frames.append(poses)
    path = [int(cost.argmin())]
    for before in reversed(came):
        path.append(int(before[path[-1]]))
    return np.stack([poses[place] for poses, place in zip(frames, reversed(path), strict=True)])


def _shifted(
    poses: Float64[Array, "M 17 3"], weight: Float64[Array, " M"]
) -> tuple[Float64[Array, "M 17 3"], Float64[Array, " M"], float]:
    """Hypotheses moved to the means around them, the logarithm of the weight there, and the distance of near ones.

    Distances are root mean squares over the joints, metres; the kernel is a Gaussian of them.
    """
    joints = poses.shape[1]
    square = _squares(poses, poses) / joints
    apart = square[np.triu_indices(len(poses), 1)]
    near = float(np.quantile(apart, _NEAR)) if len(apart) else 0.0
    if near <= SHORTEST**2:
        return poses, np.log(weight.clip(min=_NOTHING)), 0.0
    moved = poses
    for _ in range(_STEPS):
        share = np.exp(-_squares(moved, poses) / joints / (2 * _KERNEL**2 * near)) * weight
        around = share.sum(axis=1).clip(min=_NOTHING)
        mean = (share / around[:, None] @ poses.reshape(len(poses), -1)).reshape(poses.shape)
        moved = np.where((around > _NOTHING)[:, None, None], mean, moved)  # without weight there is no mean
    return moved, np.log(around), near**0.5


def _squares(a: Float64[Array, "A 17 3"], b: Float64[Array, "B 17 3"]) -> Float64[Array, "A B"]:
    """Sums over the joints of squared distances, of every pose to every other one."""
    flat, other = a.reshape(len(a), -1), b.reshape(len(b), -1)
    square = (flat**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * flat @ other.T
    return np.asarray(np.maximum(square, 0))


def _interpolated(
    directions: Float64[Array, "N 16 3"], number: Int64[Array, " N"], every: Int64[Array, " frames"]
) -> Float64[Array, "frames 16 3"]:
    """Directions at every frame, in straight lines from one sighting to the next."""
    after = np.clip(np.searchsorted(number, every), 1, max(1, len(number) - 1))
    if len(number) == 1:
        return directions
    start, end = number[after - 1], number[after]
    share = ((every - start) / (end - start))[:, None, None]
    return _normalized((1 - share) * directions[after - 1] + share * directions[after], directions[after - 1])


def _normalized(
    vectors: Float[Array, "*batch 3"], otherwise: Float[Array, "*batch 3"] | None = None
) -> Float64[Array, "*batch 3"]:
    """Unit vectors; where one has no direction, that of `otherwise`, or up."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    blank = np.array([0.0, -1.0, 0.0]) if otherwise is None else otherwise
    return np.where(length > SHORTEST, vectors / np.maximum(length, SHORTEST), blank)
