"""Losses of V-VIPE: reparametrization, reconstruction, triplets mined by 3D distance, and their weighted sum (torch).

`vae_losses` is the loss of the 3D pose VAE (levy2024, eq. 2), `keypoint_losses` that of the 2D encoder (sec. 3.3).
"""

__all__ = [
    "TripletNegative",
    "Triplets",
    "Weights",
    "keypoint_losses",
    "mine",
    "pairwise_mpjpe",
    "reconstruction",
    "reparametrize",
    "triplet",
    "vae_losses",
]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vipe.training.losses import kl_to_standard_normal

TripletNegative = Literal["farther", "apart"]
"""What a negative must be, as for `mine`."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights of the losses in their sum, and the settings of the triplet loss."""

    reconstruction: float
    kl: float
    triplet: float
    gap: float = 0.1  # torso lengths, as for `mine`
    negative: TripletNegative = "farther"  # likewise
    margin: float = 1.0  # of the embedding's distance, as for `triplet`


@dataclass(frozen=True)
class Triplets:
    """For every row of a batch, the rows of its positive and its negative; `valid` where it has both."""

    positive: Int[Tensor, " batch"]
    negative: Int[Tensor, " batch"]
    valid: Bool[Tensor, " batch"]


def vae_losses(
    decoded: Float[Tensor, "batch J 3"],
    target: Float[Tensor, "batch J 3"],
    mean: Float[Tensor, "batch D"],
    log_variance: Float[Tensor, "batch D"] | None,
    weights: Weights,
) -> dict[str, Tensor]:
    """Losses of the 3D pose VAE, and as "loss" their weighted sum (levy2024, eq. 2): MSE + KL + triplet.

    Args:
        decoded: Poses decoded from the reparametrized latents.
        target: Poses that were encoded.
        mean: Of q(z | pose); the triplet loss is of the means.
        log_variance: Of q(z | pose); None for an autoencoder, which has no KL divergence.
        weights: Of the sum.
    """
    losses = {"reconstruction": reconstruction(decoded, target)}
    if log_variance is not None:
        losses["kl"] = kl_to_standard_normal(mean, log_variance)
    losses["triplet"] = _mined_triplet(mean, target, weights)
    return {"loss": _weighted_sum(losses, weights), **losses}


def keypoint_losses(
    decoded: Float[Tensor, "batch J 3"],
    target: Float[Tensor, "batch J 3"],
    embedding: Float[Tensor, "batch D"],
    weights: Weights,
) -> dict[str, Tensor]:
    """Losses of the 2D encoder, and as "loss" their weighted sum (levy2024, sec. 3.3): MSE + triplet.

    Args:
        decoded: Poses decoded from the embeddings.
        target: Poses that the views are of.
        embedding: Of the views.
        weights: Of the sum.
    """
    losses = {"reconstruction": reconstruction(decoded, target), "triplet": _mined_triplet(embedding, target, weights)}
    return {"loss": _weighted_sum(losses, weights), **losses}


def reparametrize(
    mean: Float[Tensor, "batch D"], log_variance: Float[Tensor, "batch D"], noise: Float[Tensor, "batch D"]
) -> Float[Tensor, "batch D"]:
    """The sample of N(mean, diag exp log_variance) for standard normal noise: mean + standard deviation * noise.

    Reference:
        Kingma & Welling 2014, sec. 2.4.

    >>> variance = torch.tensor([[4.0, 0.25]])
    >>> reparametrize(torch.zeros(1, 2), variance.log(), torch.ones(1, 2))
    tensor([[2.0000, 0.5000]])
    """
    return mean + (log_variance / 2).exp() * noise


def reconstruction(decoded: Float[Tensor, "batch J 3"], target: Float[Tensor, "batch J 3"]) -> Float[Tensor, ""]:
    """Mean squared error over rows, joints and coordinates (levy2024, sec. 3.2, L_mse); torso lengths squared."""
    return (decoded - target).square().mean()


def pairwise_mpjpe(poses: Float[Tensor, "batch J 3"]) -> Float[Tensor, "batch batch"]:
    """Mean joint distance between every two poses of a batch, in the poses' unit, without alignment.

    Computed from differences. Inner products lose the small distances that mining ranks.
    """
    by_joint = poses.transpose(0, 1).contiguous()
    return torch.cdist(by_joint, by_joint, compute_mode="donot_use_mm_for_euclid_dist").mean(0)


def mine(distance: Float[Tensor, "batch batch"], gap: float = 0.1, negative: TripletNegative = "farther") -> Triplets:
    """Choose each row's positive and negative by 3D distance (levy2024, sec. 3.2).

    The positive is the nearest other row. The negative is the nearest of the rows that are

    - "farther": at least `gap` farther from the anchor than the positive is. The loss compares these two distances.
    - "apart": at least `gap` away from the positive. So the paper words it: positive and negative are "at least .1
      apart from each other". Such a negative may be hardly farther from the anchor than the positive.

    Every "farther" row is also "apart", by the triangle inequality. Where anchor and positive are one pose, as with two
    views of it, the two rules are the same.

    A row is never its own positive. One pose in two views is, at distance 0, each other's positive. A row without a
    negative is not valid and counts in no mean; with fewer than three rows none is valid.

    Args:
        distance: 3D distance between every two rows, such as `pairwise_mpjpe` of canonical poses.
        gap: In the unit of `distance`; the paper's 0.1 is a tenth of the torso.
        negative: The rule for negatives.

    >>> place = torch.tensor([0.0, 0.2, 0.25, 0.5])
    >>> triplets = mine((place[:, None] - place).abs())
    >>> triplets.positive.tolist(), triplets.negative.tolist()  # row 0: 0.25 is but 0.05 farther than 0.2
    ([1, 2, 1, 2], [3, 0, 0, 0])
    >>> place = torch.tensor([0.0, 0.2, -0.25])  # 0.45 from each other, but only 0.05 between their distances to row 0
    >>> [bool(mine((place[:, None] - place).abs(), negative=rule).valid[0]) for rule in ("farther", "apart")]
    [False, True]
    """
    infinite = torch.inf
    others = distance.clone().fill_diagonal_(infinite)
    nearest, positive = others.min(dim=1)
    allowed = others >= nearest[:, None] + gap if negative == "farther" else distance[positive] >= gap
    far = torch.where(allowed, others, infinite)
    far.scatter_(1, positive[:, None], infinite)  # with a gap of 0 the positive is no negative
    beyond, chosen = far.min(dim=1)
    return Triplets(positive=positive, negative=chosen, valid=torch.isfinite(beyond) & torch.isfinite(nearest))


def triplet(embedding: Float[Tensor, "batch D"], triplets: Triplets, margin: float = 1.0) -> Float[Tensor, ""]:
    """Mean over valid rows of max(0, d(row, positive) - d(row, negative) + margin), d the embedding's distance.

    The formula as printed (levy2024, sec. 3.2) is max(0, D_ik - D_ij + m) of the *3D* distances D. These are constants,
    so it has no gradient, and its sign is reversed. Here 3D distances choose the triplet, and embedding distances are
    trained, as the paper's text describes.

    0, with zero gradient, if no row is valid.

    >>> embedding = torch.tensor([[0.0], [0.5], [-1.2]])
    >>> triplet(embedding, mine(torch.cdist(embedding, embedding)))  # rows 0, 1, 2: 0.3, 0.0 and 0.5
    tensor(0.2667)
    """
    to_positive = _distance(embedding, embedding[triplets.positive])
    to_negative = _distance(embedding, embedding[triplets.negative])
    hinge = (to_positive - to_negative + margin).clamp(min=0) * triplets.valid
    return hinge.sum() / triplets.valid.sum().clamp(min=1)


def _mined_triplet(embedding: Tensor, target: Tensor, weights: Weights) -> Tensor:
    return triplet(embedding, mine(pairwise_mpjpe(target), weights.gap, weights.negative), weights.margin)


def _weighted_sum(losses: Mapping[str, Tensor], weights: Weights) -> Tensor:
    return torch.stack([getattr(weights, name) * loss for name, loss in losses.items()]).sum()


def _distance(a: Float[Tensor, "batch D"], b: Float[Tensor, "batch D"]) -> Float[Tensor, " batch"]:
    # The derivative of the root is infinite at 0, where two views of one pose may land.
    return (a - b).square().sum(-1).add(1e-12).sqrt()
