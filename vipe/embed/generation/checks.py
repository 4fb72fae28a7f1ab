"""Checks of generated poses: nearest recorded pose, distance to the source, bone lengths, smoothness (numpy)."""

__all__ = ["bone_length_error", "decreasing_steps", "nearest_poses", "pose_difference"]

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64

from vipe.arrays import Array, blocks
from vipe.errors import VipeError
from vipe.geometry.bones import bone_lengths
from vipe.geometry.canonical import canonicalize, canonicalize_array
from vipe.geometry.procrustes import procrustes_mpjpe
from vipe.skeletons.working import H36M17

_PAIRS = 1 << 20  # compared at a time: bounds memory
_ROUNDING = 1e-6  # torso lengths: difference of equal distances in float32


def nearest_poses(
    poses: Float[Array, "N 17 3"], recorded: Float[Array, "M 17 3"], *, apart: Bool[Array, "N M"] | None = None
) -> tuple[Float32[Array, " N"], Int64[Array, " N"]]:
    """Distance to the nearest recorded pose, in torso lengths, and its row.

    The distance is the mean over joints after similarity alignment of the canonical poses, as for hits.

    Args:
        poses: Any size and place.
        recorded: Poses to compare with; at least one.
        apart: Pairs that count; all if not given.

    Raises:
        VipeError: If there is no pair for a pose.
    """
    if not len(recorded) or (apart is not None and not apart.any(axis=1).all()):
        raise VipeError("there is no recorded pose to compare with")
    one, other = (torch.from_numpy(canonicalize_array(side).poses) for side in (poses, recorded))
    distance, row = np.empty(len(one), np.float32), np.empty(len(one), np.int64)
    step = max(1, _PAIRS // len(other))
    for rows in blocks(len(one), step):
        pairs = procrustes_mpjpe(other, one[rows, None]).numpy()
        if apart is not None:
            pairs = np.where(apart[rows], pairs, np.inf)
        row[rows] = pairs.argmin(axis=1)
        distance[rows] = pairs.min(axis=1)
    return distance, row


def pose_difference(poses: Float[Array, "*batch 17 3"], source: Float[Array, "17 3"]) -> Float32[Array, "*batch"]:
    """Mean joint distance after similarity alignment of canonical poses, in torso lengths."""
    a, b = (canonicalize(torch.tensor(side, dtype=torch.float32)).poses for side in (poses, source))
    return np.asarray(procrustes_mpjpe(a, b).numpy())


def bone_length_error(poses: Float[Array, "N 17 3"], source: Float[Array, "17 3"]) -> float:
    """The largest relative error of a bone's length, against the source's."""
    own, made = (bone_lengths(torch.tensor(side, dtype=torch.float32), H36M17.parents) for side in (source, poses))
    return float((made / own - 1).abs().max())


def decreasing_steps(distance: Float[Array, "*batch steps"]) -> Bool[Array, "*batch steps-1"]:
    """Steps after which the distance to the source is smaller than before them: where generation is not smooth.

    Args:
        distance: To the source, in the order of growing alpha.

    >>> decreasing_steps(np.array([0.0, 0.2, 0.1, 0.3]))
    array([False,  True, False])
    """
    return np.asarray(np.diff(distance, axis=-1) < -_ROUNDING)
