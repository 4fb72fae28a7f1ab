"""Losses of Pr-VIPE: matching probability, triplet ratio with mined negatives, positive pairs, prior (torch).

`prvipe_losses` is the whole loss. Sun et al. 2020, "View-Invariant Probabilistic Embedding for Human Pose", sec. 4.
"""

__all__ = ["Weights", "match_probability", "mine_negatives", "prior", "prvipe_losses", "triplet_ratio"]

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vipe.geometry.procrustes import procrustes_mpjpe
from vipe.training.losses import kl_to_standard_normal

_CANDIDATES = 16  # nearest possible negatives of an anchor, compared in 3D
_SMOOTHING = 0.1  # of probabilities, as in the paper's code: 0.9 p + 0.05


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights of the losses in their sum, and the settings of the triplet ratio loss."""

    pairwise: float
    prior: float
    ratio: float  # beta, as for `triplet_ratio`
    match: float  # kappa, as for `mine_negatives`


def prvipe_losses(
    mean: Float[Tensor, "views D"],
    scale: Float[Tensor, "views D"],
    noise: Float[Tensor, "K views D"],
    canonical: Float[Tensor, "batch 17 3"],
    slope: Float[Tensor, ""],
    offset: Float[Tensor, ""],
    weights: Weights,
) -> dict[str, Tensor]:
    """Losses of two views of each pose of a batch, and as "loss" their weighted sum (Sun et al. 2020, eq. 4 to 6).

    Triplet ratio + `weights.pairwise` * positive pairs + `weights.prior` * prior. The first view of a pose is the
    anchor, the second its positive, and the negative is the second view of another pose.

    Args:
        mean: Of the views' Gaussians: first views of all poses, then second views.
        scale: Standard deviations of these.
        noise: Standard normal, for K samples of each view.
        canonical: The poses.
        slope: Of the matching probability.
        offset: Likewise.
        weights: Of the sum.

    Returns:
        "loss", its parts "ratio", "pairwise" and "prior", and "active", the share of anchors that have a negative.
    """
    anchor, positive = (mean + scale * noise).transpose(0, 1).chunk(2)
    first, second = mean.detach().chunk(2)
    negative, active = mine_negatives(first, second, canonical, weights.match)
    matching = _log_probability(anchor, positive, slope, offset)
    mismatching = _log_probability(anchor, positive[negative], slope, offset)
    losses = {
        "ratio": triplet_ratio(matching, mismatching, active, weights.ratio),
        "pairwise": -matching.mean(),
        "prior": prior(mean, scale),
    }
    loss = losses["ratio"] + weights.pairwise * losses["pairwise"] + weights.prior * losses["prior"]
    return {"loss": loss, **losses, "active": active.float().mean()}


def match_probability(
    a: Float[Tensor, "*#batch K D"],
    b: Float[Tensor, "*#batch L D"],
    slope: Float[Tensor, ""],
    offset: Float[Tensor, ""],
) -> Float[Tensor, "*batch"]:
    """Probability that two people are in one pose, from samples of both: mean over pairs of sigmoid(-a |z - z'| + b).

    Sun et al. 2020, eq. 2 and 3; `slope` is a, `offset` is b.

    >>> a, b = torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])  # one sample each, 5 apart
    >>> match_probability(a, b, torch.tensor(0.2), torch.tensor(1.0))  # sigmoid(-0.2 * 5 + 1)
    tensor(0.5000)
    """
    square = a.square().sum(-1)[..., :, None] + b.square().sum(-1)[..., None, :] - 2 * a @ b.mT
    distance = square.clamp(min=1e-12).sqrt()  # the root's slope is infinite at 0
    return (offset - slope * distance).sigmoid().mean((-2, -1))


def triplet_ratio(
    matching: Float[Tensor, " batch"],
    mismatching: Float[Tensor, " batch"],
    active: Bool[Tensor, " batch"],
    ratio: float,
) -> Float[Tensor, ""]:
    """Mean over active anchors of max(0, ln beta - ln p(anchor, positive) + ln p(anchor, negative)).

    0 where a match is at least `ratio` times as probable as the mismatch. 0 if no anchor is active.

    Args:
        matching: Log probability that anchor and positive match.
        mismatching: Log probability that anchor and negative match.
        active: Anchors that have a negative.
        ratio: beta, above 1.

    >>> p, q = torch.tensor([0.8, 0.5]), torch.tensor([0.4, 0.5])  # only the first is twice as probable
    >>> triplet_ratio(p.log(), q.log(), torch.tensor([True, True]), ratio=2.0)  # (0 + ln 2) / 2
    tensor(0.3466)
    """
    hinge = math.log(ratio) - matching + mismatching
    return (hinge.clamp(min=0) * active).sum() / active.sum().clamp(min=1)


def mine_negatives(
    anchor: Float[Tensor, "batch D"],
    positive: Float[Tensor, "batch D"],
    canonical: Float[Tensor, "batch 17 3"],
    match: float,
) -> tuple[Int[Tensor, " batch"], Bool[Tensor, " batch"]]:
    """For each anchor, the row whose second view is its semi-hard negative, and whether it has one.

    Semi-hard: the nearest second view that is farther from the anchor than the anchor's own, and of another pose. Poses
    are different if they are at least `match` apart after similarity alignment. Only the 16 nearest views are compared
    in 3D; an anchor for which none of these is of another pose has no negative.

    Args:
        anchor: Embeddings of the first views.
        positive: Embeddings of the second views.
        canonical: The poses.
        match: kappa, torso lengths.
    """
    distance = torch.cdist(anchor, positive)
    own = distance.diagonal()
    farther = torch.where(distance > own[:, None], distance, torch.inf)
    nearest, rows = farther.topk(min(_CANDIDATES, len(anchor)), dim=1, largest=False)
    other = procrustes_mpjpe(canonical[rows], canonical[:, None]) >= match
    usable = torch.where(other, nearest, torch.inf)
    best, place = usable.min(dim=1)
    return rows.gather(1, place[:, None])[:, 0], torch.isfinite(best)


def prior(mean: Float[Tensor, "views D"], scale: Float[Tensor, "views D"]) -> Float[Tensor, ""]:
    """KL[N(mean, diag scale²) || N(0, I)], averaged over rows (Sun et al. 2020, eq. 6).

    >>> prior(torch.zeros(1, 1), torch.tensor([[2.0]]))  # (4 - ln 4 - 1) / 2
    tensor(0.8069)
    """
    return kl_to_standard_normal(mean, 2 * scale.log())


def _log_probability(
    a: Float[Tensor, "batch K D"], b: Float[Tensor, "batch K D"], slope: Tensor, offset: Tensor
) -> Float[Tensor, " batch"]:
    # Smoothed: a pair at probability 0 keeps a gradient and a finite logarithm.
    return ((1 - _SMOOTHING) * match_probability(a, b, slope, offset) + _SMOOTHING / 2).log()
