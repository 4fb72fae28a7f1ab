"""The user's question, measured: keypoints of one view against a gallery of 3D poses (numpy)."""

__all__ = ["RankingScore", "bootstrap_interval", "rank_raw_2d", "score_ranking"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from vipe.arrays import Array
from vipe.detections import Keypoints, normalize_keypoints
from vipe.errors import ShapeError
from vipe.evaluate.metrics import HIT_THRESHOLD, hits_at, pose_distance


@dataclass(frozen=True, kw_only=True)
class RankingScore:
    """How often a ranking holds the query's pose among its first k, in [0, 1]."""

    name: str
    hit: dict[int, float]
    interval: dict[int, tuple[float, float]]  # 95%, bootstrap over clips
    distance: Float[Array, "queries ranks"]  # of each hit to the query's truth, torso lengths
    queries: int
    gallery: int

    def percent(self, k: int) -> str:
        """Hit@k with its interval, for a table: "88.6 (86.8-90.3)"."""
        low, high = self.interval[k]
        return f"{100 * self.hit[k]:.1f} ({100 * low:.1f}-{100 * high:.1f})"


def score_ranking(
    name: str,
    rows: Int[Array, "queries ranks"],
    truth: Float[Array, "queries 17 3"],
    gallery: Float[Array, "N 17 3"],
    clips: Sequence[str],
    *,
    generator: np.random.Generator,
    ks: Sequence[int] = (1, 10, 20),
    threshold: float = HIT_THRESHOLD,
) -> RankingScore:
    """Judge the ranked gallery rows of each query by their distance to the query's true pose.

    Args:
        name: What to call the ranking in a table.
        rows: Gallery rows, best first; -1 where no hit came back, which counts as a miss.
        truth: Canonical pose each query was made from.
        gallery: Canonical poses that were searched.
        clips: Clip of each query: the unit that the bootstrap resamples, since frames of a clip are not independent.
        generator: For the bootstrap.
        ks: Depths to score.
        threshold: Torso lengths below which a hit counts.
    """
    distance = pose_distance(gallery[rows], truth[:, None])
    distance[rows < 0] = np.nan
    hits = hits_at(distance, ks, threshold)
    return RankingScore(
        name=name,
        hit={k: float(found.mean()) for k, found in hits.items()},
        interval={k: bootstrap_interval(found, clips, generator=generator) for k, found in hits.items()},
        distance=distance,
        queries=len(rows),
        gallery=len(gallery),
    )


def bootstrap_interval(
    values: Float[Array, " N"] | Bool[Array, " N"],
    groups: Sequence[str],
    *,
    generator: np.random.Generator,
    draws: int = 2000,
) -> tuple[float, float]:
    """95% interval of the mean when whole groups (clips) are drawn again with replacement.

    With one group only there is nothing to resample: both ends are the mean.
    """
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.bincount(group, weights=np.asarray(values, dtype=np.float64))
    sizes = np.bincount(group)
    drawn = generator.integers(len(sums), size=(draws, len(sums)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def rank_raw_2d(query: Keypoints, gallery: Keypoints, k: int) -> Int[Array, "queries ranks"]:
    """The baseline without any 3D: gallery views whose keypoints look most like the query's.

    Both are aligned by the best similarity in the image (shift, scale, rotation), in closed form: with a centred
    person as 13 complex numbers of unit norm, the residual is 1 - |<query, view>|^2.

    Args:
        query: N people, every joint seen.
        gallery: One view of each gallery pose, every joint seen.
        k: How many rows to give back for each query.

    Raises:
        ShapeError: If a joint is missing, since this baseline has no answer then.
    """
    if not (query.mask.all() and gallery.mask.all()):
        raise ShapeError("raw 2D ranking needs every joint of every person; drop those with missing joints")
    a, b = _shapes(query), _shapes(gallery)
    likeness = np.abs(a.conj() @ b.T)
    k = min(k, likeness.shape[1])
    nearest = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(likeness, nearest, axis=1), axis=1, kind="stable")
    return np.take_along_axis(nearest, order, axis=1)


def _shapes(keypoints: Keypoints) -> np.ndarray[Any, np.dtype[np.complex64]]:
    xy, _, _ = normalize_keypoints(keypoints)
    points = xy[..., 0] + 1j * xy[..., 1]
    norm = np.linalg.norm(points, axis=1, keepdims=True)
    return np.asarray(points / np.maximum(norm, np.finfo(np.float32).tiny), dtype=np.complex64)
