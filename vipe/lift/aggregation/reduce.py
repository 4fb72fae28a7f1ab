"""A few hypotheses that stand for many: cluster means and how much of the probability each has (numpy)."""

__all__ = ["reduce_hypotheses"]

import warnings

import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.vq import kmeans2

from vipe.arrays import Array
from vipe.errors import VipeError
from vipe.lift.hypotheses import Hypotheses

_ROUNDS = 30  # of k-means, at most


def reduce_hypotheses(hypotheses: Hypotheses, k: int, generator: np.random.Generator) -> Hypotheses:
    """Cluster each person's hypotheses by k-means, and keep the mean of each cluster.

    Clusters are those of SciPy's `kmeans2` on the joints' coordinates, started by k-means++. A cluster's mean is by the
    weights of its hypotheses, and its own weight is their sum; the heaviest comes first. Bones of a mean are a little
    shorter than those of the poses. A mean has no density.

    Args:
        hypotheses: M for each person, of any lifter.
        k: How many to keep.
        generator: For the starts.

    Returns:
        k hypotheses for each person. If there are fewer than k clusters, the last ones repeat the first, with weight 0.

    Raises:
        VipeError: If k is below 1, or there are fewer than k hypotheses.

    Reference:
        wehrbein2021, appendix C: five of 200.
    """
    people, given = hypotheses.poses.shape[:2]
    if not 1 <= k <= given:
        raise VipeError(f"k must be 1 to {given}, the number of hypotheses of a person, got {k}")
    poses = np.empty((people, k, *hypotheses.poses.shape[2:]), np.float32)
    log_weight = np.full((people, k), -np.inf, np.float32)
    for row, (points, weight) in enumerate(zip(hypotheses.poses, hypotheses.weight, strict=True)):
        label = _clusters(points.reshape(given, -1).astype(np.float64), k, generator)
        share = np.bincount(label, weights=weight, minlength=k)
        order = (-share).argsort(kind="stable")
        order = order[share[order] > 0]
        member = label == order[:, None]
        mean = np.einsum("km,mjc->kjc", member * weight / share[order, None], points)
        poses[row] = mean[0]
        poses[row, : len(order)] = mean
        log_weight[row, : len(order)] = np.log(share[order])
    return Hypotheses(poses=poses, log_weight=log_weight)


def _clusters(points: Float[Array, "M D"], k: int, generator: np.random.Generator) -> Int[Array, " M"]:
    """The cluster of each point, below k; equal points make one cluster if there are no more than k different ones."""
    different, label = np.unique(points, axis=0, return_inverse=True)
    if len(different) <= k:
        return label.reshape(-1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="One of the clusters is empty", category=UserWarning)
        _, clusters = kmeans2(points, k, iter=_ROUNDS, minit="++", seed=generator)
    return np.asarray(clusters)
