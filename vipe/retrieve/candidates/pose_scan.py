"""How far every pose of an archive is from one pose, block by block (numpy; torch inside)."""

__all__ = ["pose_distances"]

import numpy as np
from jaxtyping import Float, Float32, Int64

from vipe.arrays import Array, blocks
from vipe.crossing import to_array, to_tensor
from vipe.geometry.procrustes import procrustes_mpjpe
from vipe.index import PoseIndex

_AT_ONCE = 65_536  # poses: 13 MB


def pose_distances(
    index: PoseIndex,
    pose: Float[Array, "17 3"],
    rows: Int64[Array, " M"] | None = None,
    weight: Float[Array, " 17"] | None = None,
) -> Float32[Array, " M"]:
    """Mean distance per joint of rows of an archive from one pose, after each is aligned to it (`procrustes_mpjpe`).

    Every pose is compared, on the index's device: 0.8 s a million on a core, and all cores take part. Memory is that of
    a block and of the distances.

    Args:
        index: The archive, of any encoder.
        pose: Canonical, torso lengths.
        rows: Which rows; all by default.
        weight: How much each joint counts; all alike by default. Joints of weight 0 are not looked at.

    Returns:
        Torso lengths.
    """
    count = len(index) if rows is None else len(rows)
    joints = np.arange(17) if weight is None else np.flatnonzero(weight)
    target = to_tensor(np.asarray(pose[joints], dtype=np.float32), index.device)
    equal = weight is None or np.ptp(weight[joints]) == 0
    share = None if weight is None or equal else to_tensor(np.asarray(weight[joints]), index.device)
    distance = np.empty(count, dtype=np.float32)
    for block in blocks(count, _AT_ONCE):
        some = index.pose_rows.take(np.arange(block.start, block.stop) if rows is None else rows[block])
        source = to_tensor(np.ascontiguousarray(some if weight is None else some[:, joints]), index.device)
        distance[block] = to_array(procrustes_mpjpe(source, target, share))
    return distance
