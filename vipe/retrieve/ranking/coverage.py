"""The order of hits: the likeliest first, then the likeliest of what the earlier ones do not cover (numpy)."""

__all__ = ["coverage_order"]

import numpy as np
from jaxtyping import Float, Int64
from scipy.special import expit

from vipe.arrays import Array
from vipe.retrieve.ranking.features import SAME_WIDTH, CandidateFeatures

_COVERED = 0.06  # torso lengths within which a hit covers its neighbours
_COVERING = 100  # hits chosen by coverage; there are 60 voters to cover


def coverage_order(ranking: Float[Array, "Q S"], features: CandidateFeatures, k: int) -> Int64[Array, "Q K"]:
    """The k candidates that together are likeliest to hold the true pose.

    The first is the one of greatest `ranking` (its log odds). Each further one is the candidate around which most of
    the voters' likelihood lies that no earlier one covers: the greedy choice of a maximum coverage problem (Nemhauser
    et al. 1978). So a second reading of the keypoints comes before a tenth neighbour of the first. Where nothing is
    left to cover, and after the first 100, the log odds decide.
    """
    people, count = ranking.shape
    covers = expit((_COVERED - features.distance) / SAME_WIDTH)
    uncovered = features.share.astype(np.float64)
    odds = ranking - ranking.max(axis=1, keepdims=True)
    taken = np.zeros((people, count), dtype=bool)
    order = np.empty((people, min(k, count)), dtype=np.int64)
    everyone = np.arange(people)
    chosen_one_by_one = min(order.shape[1], _COVERING)
    for place in range(chosen_one_by_one):
        gain = odds if place == 0 else np.einsum("qsv,qv->qs", covers, uncovered) + 1e-9 * odds
        chosen = np.where(taken, -np.inf, gain).argmax(axis=1)
        order[:, place] = chosen
        taken[everyone, chosen] = True
        uncovered *= 1 - covers[everyone, chosen]
    rest = np.argsort(np.where(taken, np.inf, -odds), axis=1, kind="stable")
    order[:, chosen_one_by_one:] = rest[:, : order.shape[1] - chosen_one_by_one]
    return order
