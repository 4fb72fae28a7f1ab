"""Distances between 3D poses and how often a search finds them (numpy at the edges)."""

__all__ = ["HIT_THRESHOLD", "chance_at", "hits_at", "pose_distance", "without_near_duplicates"]

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int

from vipe.arrays import Array
from vipe.geometry.procrustes import procrustes_mpjpe

HIT_THRESHOLD = 0.1  # torso lengths; Sun et al. 2020 (kappa), kept by Levy & Shrivastava 2024, sec. 4.2


def pose_distance(a: Float[Array, "*#batch 17 3"], b: Float[Array, "*#batch 17 3"]) -> Float32[Array, "*batch"]:
    """Mean joint distance after similarity alignment of canonical poses, in torso lengths.

    Both must be canonical (unit torso): then this is NP-MPJPE of Sun et al. 2020, sec. 4.1, the distance by which
    every hit in this library is judged. Leading axes broadcast. Symmetric only to first order, as every distance
    after alignment: `a` is aligned to `b`.
    """
    left, right = (torch.from_numpy(np.array(side, dtype=np.float32)) for side in (a, b))
    distance: Float32[Array, "*batch"] = procrustes_mpjpe(left, right).numpy()
    return distance


def hits_at(
    distance: Float[Array, "queries ranks"], ks: Sequence[int] = (1, 10, 20), threshold: float = HIT_THRESHOLD
) -> dict[int, Bool[Array, " queries"]]:
    """Whether any of the first k hits of each query lies within the threshold of its true pose.

    Args:
        distance: Pose distance of each ranked hit to the query's truth, best rank first; NaN where no hit came back.
        ks: How far down the list to look. A k beyond the list counts what is there.
        threshold: Torso lengths.
    """
    within = np.asarray(distance < threshold)
    return {k: np.asarray(within[:, :k].any(axis=1)) for k in ks}


def chance_at(
    matches: Int[Array, " queries"], gallery: int | Int[Array, " queries"], ks: Sequence[int] = (1, 10, 20)
) -> dict[int, float]:
    """Hit@k of a random ranking: mean over queries of 1 - C(gallery - matches, k) / C(gallery, k).

    Args:
        matches: How many gallery poses would count as a hit for each query.
        gallery: Number of poses in the gallery, or of those that each query may find.
        ks: As in `hits_at`.
    """
    size = np.broadcast_to(np.asarray(gallery), matches.shape)[:, None]
    result = {}
    for k in ks:
        left = size - np.arange(min(k, int(size.max(initial=0))))
        # The i-th draw misses with probability (gallery - matches - i) / (gallery - i); nobody draws from nothing.
        miss = np.where(left > 0, np.clip(left - matches[:, None], 0, None) / np.maximum(left, 1), 1)
        result[k] = float(1 - miss.prod(axis=1).mean())
    return result


def without_near_duplicates(
    poses: Float[Array, "N 17 3"], threshold: float = 0.05, progress: Callable[[int, int], None] | None = None
) -> Int[Array, " kept"]:
    """Rows of canonical poses that remain when every pose within the threshold of an earlier kept one is dropped.

    Greedy in the given order, as in Sun et al. 2020, sec. 5.1; without it a Hit@k counts a clip's neighbouring
    frames as success. Costs all pairs of kept poses; `progress` is told how many poses are done, of how many.
    """
    kept: list[int] = []
    block = 64
    for start in range(0, len(poses), block):
        rows = np.arange(start, min(start + block, len(poses)))
        if kept:
            rows = rows[~_any_within(poses[rows], poses[kept], threshold)]
        inside = pose_distance(poses[rows][:, None], poses[rows][None]) < threshold
        fresh: list[int] = []
        for i in range(len(rows)):
            if not inside[i, fresh].any():
                fresh.append(i)
        kept.extend(int(rows[i]) for i in fresh)
        if progress is not None:
            progress(min(start + block, len(poses)), len(poses))
    return np.array(kept, dtype=np.int64)


def _any_within(poses: Float[Array, "N 17 3"], gallery: Float[Array, "M 17 3"], threshold: float) -> Bool[Array, " N"]:
    # Most of a clip's frames lie near the frame kept last: look there first, at everything only for the rest.
    found = np.zeros(len(poses), dtype=bool)
    edge = max(0, len(gallery) - 256)
    for part in (gallery[edge:], gallery[:edge]):
        rest = np.flatnonzero(~found)
        if len(rest) and len(part):
            found[rest] = (pose_distance(poses[rest][:, None], part[None]) < threshold).any(axis=1)
    return found
