"""The poses of a store that differ most from each other, found in one pass and bounded memory (numpy)."""

__all__ = ["DifferentPoses", "most_different"]

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from vipe.arrays import Array
from vipe.errors import StoreError
from vipe.geometry import canonicalize_array
from vipe.store.parts import GROUP_ROWS
from vipe.store.store import PoseStore, Where

_BLOCK = GROUP_ROWS // 4


@dataclass(frozen=True, kw_only=True)
class DifferentPoses:
    """Poses, each far from all before it, with their places."""

    poses: Float32[Array, "count 17 3"]  # metres, world space
    clip: tuple[str, ...]
    frame: Int64[Array, " count"]  # in the source clip
    time: Float32[Array, " count"]  # seconds in the source clip
    distance: Float32[Array, " count"]  # mean of the joints' distances to the nearest pose before it, torso lengths

    def __len__(self) -> int:
        return len(self.poses)


def most_different(store: PoseStore, count: int, where: Where = None) -> DifferentPoses:
    """Choose poses by farthest points: the first is the farthest from the mean, each next one the farthest from all.

    Poses are canonical, so neither place, direction nor size counts; the distance of two is the mean of their joints'
    distances. Each block of rows is reduced to its own farthest points, and those of all blocks again: so every pose
    of the store is near a chosen one, at most four times as far as with the best choice (Malkomes et al. 2015, sec. 3).

    Args:
        store: The poses.
        count: How many; all where the store has fewer that differ.
        where: Only these rows.

    Raises:
        StoreError: If `count` is not positive, no row fits, or `where` names no column.
    """
    if count < 1:
        raise StoreError(f"count must be at least 1, got {count}")
    kept: dict[str, list[Array]] = {"canonical": [], "pose": [], "clip": [], "frame": [], "time": []}
    for batch in store.batches(_BLOCK, where):
        poses = batch.column("pose").flatten().to_numpy().reshape(-1, 17, 3)
        canonical = canonicalize_array(poses).poses
        rows, _ = _farthest(canonical, count)
        kept["canonical"].append(canonical[rows])
        kept["pose"].append(poses[rows])
        for name in ("clip", "frame", "time"):
            kept[name].append(batch.column(name).take(rows).to_numpy(zero_copy_only=False))
    if not kept["pose"]:
        raise StoreError(f"{store.path}: no pose fits {where}")
    some = {name: np.concatenate(parts) for name, parts in kept.items()}
    rows, distance = _farthest(some["canonical"], count)
    return DifferentPoses(
        poses=some["pose"][rows],
        clip=tuple(map(str, some["clip"][rows])),
        frame=some["frame"][rows].astype(np.int64),
        time=some["time"][rows].astype(np.float32),
        distance=distance,
    )


def _farthest(poses: Float32[Array, "N 17 3"], count: int) -> tuple[Int64[Array, " chosen"], Float32[Array, " chosen"]]:
    """Rows of farthest points, the greedy choice of Gonzalez 1985, and the distance of each to those before it."""
    nearest = _distance(poses, poses.mean(axis=0))
    chosen: list[int] = []
    distances: list[float] = []
    while len(chosen) < count:
        row = int(nearest.argmax())
        if chosen and nearest[row] <= 0:
            break
        chosen.append(row)
        distances.append(float(nearest[row]))
        own = _distance(poses, poses[row])
        nearest = own if len(chosen) == 1 else np.minimum(nearest, own)
    return np.array(chosen, dtype=np.int64), np.array(distances, dtype=np.float32)


def _distance(poses: Float32[Array, "N 17 3"], one: Float32[Array, "17 3"]) -> Float32[Array, " N"]:
    return np.asarray(np.linalg.norm(poses - one, axis=-1).mean(axis=-1), dtype=np.float32)
