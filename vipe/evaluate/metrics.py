"""Metrics as functions: distances of 3D poses, hits among the first k, and the calibration of probabilities (numpy)."""

__all__ = [
    "CLOSE_THRESHOLD",
    "HIT_DEPTHS",
    "HIT_THRESHOLD",
    "HIT_THRESHOLDS",
    "NEAR_DUPLICATE",
    "auroc",
    "calibration_error_by_chance",
    "chance_at",
    "expected_calibration_error",
    "hits_at",
    "pose_distance",
    "reliability",
    "without_near_duplicates",
]

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from scipy.stats import rankdata

from vipe.arrays import Array
from vipe.geometry.procrustes import CLOSE_THRESHOLD, HIT_THRESHOLD, procrustes_mpjpe

HIT_THRESHOLDS = (HIT_THRESHOLD, CLOSE_THRESHOLD)
"""The thresholds of every protocol; the first is the one that counts."""

HIT_DEPTHS = (1, 10, 20)
"""The k of Hit@k: Sun et al. 2020, Levy & Shrivastava 2024."""

NEAR_DUPLICATE = 0.05
"""Torso lengths within which two gallery poses are near-duplicates. Our choice: Sun et al. 2020 remove similar poses
too, without a published distance. It equals `CLOSE_THRESHOLD`, so that below that threshold hardly any gallery pose but
the query's own is a hit."""

_BINS = 15  # Guo et al. 2017


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
    distance: Float[Array, "queries ranks"], ks: Sequence[int] = HIT_DEPTHS, threshold: float = HIT_THRESHOLD
) -> dict[int, Bool[Array, " queries"]]:
    """Whether any of each query's first k results lies within the threshold of its true pose.

    Args:
        distance: Pose distance of each result to the query's true pose, best rank first; NaN where none came back.
        ks: How far down the list to look. A k beyond the list looks at the whole list.
        threshold: Torso lengths; a distance of just the threshold is no hit.

    >>> hits = hits_at(np.array([[0.3, 0.04], [0.02, 0.3]]), ks=(1, 2))
    >>> {k: found.tolist() for k, found in hits.items()}
    {1: [False, True], 2: [True, True]}
    """
    within = np.asarray(distance < threshold)
    return {k: np.asarray(within[:, :k].any(axis=1)) for k in ks}


def chance_at(
    matches: Int[Array, " queries"], gallery: int | Int[Array, " queries"], ks: Sequence[int] = HIT_DEPTHS
) -> dict[int, float]:
    """Hit@k of a random ranking: mean over queries of 1 - C(gallery - matches, k) / C(gallery, k).

    Args:
        matches: How many gallery poses would count as a hit for each query.
        gallery: Number of poses in the gallery, or of those that each query may find.
        ks: As in `hits_at`.

    One of four poses is a hit:

    >>> chance_at(np.array([1]), 4, ks=(1, 2))
    {1: 0.25, 2: 0.5}
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
    poses: Float[Array, "N 17 3"],
    threshold: float = NEAR_DUPLICATE,
    progress: Callable[[int, int], None] | None = None,
) -> Int[Array, " distinct"]:
    """Rows of canonical poses that remain when every pose within the threshold of an earlier remaining one is dropped.

    Greedy, in the given order. With near-duplicates in the gallery, a query's neighbouring frames would count as hits.
    The threshold is our own choice (`NEAR_DUPLICATE`). The cost is all pairs of remaining poses; `progress` is called
    with how many poses are done, of how many.
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


def expected_calibration_error(probability: Float[Array, " N"], right: Bool[Array, " N"], bins: int = _BINS) -> float:
    """Mean distance of probability and rate of success over bins of equal width, each weighted by its examples.

    0 for a forecaster whose probabilities are the rates, and for no examples (N = 0).

    Reference:
        Naeini et al. 2015; Guo et al. 2017, eq. 3.

    A forecaster that is right in three of ten cases and always gives 80%:

    >>> round(expected_calibration_error(np.full(10, 0.8), np.arange(10) < 3), 3)
    0.5
    """
    return float(
        sum(abs(bar["probability"] - bar["rate"]) * bar["share"] for bar in reliability(probability, right, bins))
    )


def calibration_error_by_chance(
    probability: Float[Array, " N"], *, generator: np.random.Generator, draws: int = 200
) -> float:
    """The expected calibration error that these probabilities have on average if they are right.

    Of few examples the rate of a bin is off by chance, so even perfect probabilities have an error: about 0.08 with 200
    examples in 15 bins, 0.03 with 1,800. An error is worth a thought where it is above that.

    Args:
        probability: Of N independent examples.
        generator: Draws what comes true.
        draws: How often.

    Who is certain is never off by chance:

    >>> calibration_error_by_chance(np.ones(10), generator=np.random.default_rng(0))
    0.0
    """
    came_true = generator.random((draws, len(probability))) < probability
    return float(np.mean([expected_calibration_error(probability, one) for one in came_true]))


def reliability(probability: Float[Array, " N"], right: Bool[Array, " N"], bins: int = _BINS) -> list[dict[str, float]]:
    """Mean probability, rate of success and share of the examples, of each bin that holds any."""
    number = np.minimum((probability * bins).astype(np.int64), bins - 1)
    return [
        {
            "probability": float(probability[number == one].mean(dtype=np.float64)),
            "rate": float(right[number == one].mean()),
            "share": float((number == one).mean()),
        }
        for one in np.unique(number)
    ]


def auroc(score: Float[Array, " N"], positive: Bool[Array, " N"]) -> float | None:
    """Probability that a positive example scores higher than a negative one, ties halved; None if either is missing.

    >>> auroc(np.array([0.1, 0.4, 0.8]), np.array([False, True, True]))
    1.0
    """
    count, others = int(positive.sum()), int((~positive).sum())
    if not count or not others:
        return None
    return float((rankdata(score)[positive].sum() - count * (count + 1) / 2) / (count * others))


def _any_within(poses: Float[Array, "N 17 3"], gallery: Float[Array, "M 17 3"], threshold: float) -> Bool[Array, " N"]:
    # Most of a clip's frames lie near the frame kept last: look there first, at everything only for the rest.
    found = np.zeros(len(poses), dtype=bool)
    edge = max(0, len(gallery) - 256)
    for part in (gallery[edge:], gallery[:edge]):
        rest = np.flatnonzero(~found)
        if len(rest) and len(part):
            found[rest] = (pose_distance(poses[rest][:, None], part[None]) < threshold).any(axis=1)
    return found
