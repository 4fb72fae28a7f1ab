"""What V-VIPE is trained to make small: reconstruction, KL divergence, triplets mined by 3D distance (torch)."""

__all__ = ["Triplets", "kl_to_standard_normal", "mine", "mpjpe", "pairwise_mpjpe", "reconstruction", "triplet"]

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Triplets:
    """For every row of a batch, the rows of its positive and its negative; `valid` where there are both."""

    positive: Int[Tensor, " batch"]
    negative: Int[Tensor, " batch"]
    valid: Bool[Tensor, " batch"]


def reconstruction(decoded: Float[Tensor, "batch J 3"], target: Float[Tensor, "batch J 3"]) -> Float[Tensor, ""]:
    """Mean squared error over rows, joints and coordinates (levy2024, sec. 3.2, L_mse); torso lengths squared."""
    return (decoded - target).square().mean()


def mpjpe(decoded: Float[Tensor, "batch J 3"], target: Float[Tensor, "batch J 3"]) -> Float[Tensor, ""]:
    """Mean joint distance over rows and joints, in the poses' unit, without alignment."""
    return (decoded - target).norm(dim=-1).mean()  # type: ignore[no-any-return]


def kl_to_standard_normal(mean: Float[Tensor, "batch D"], log_variance: Float[Tensor, "batch D"]) -> Float[Tensor, ""]:
    """KL[N(mean, variance) || N(0, I)] in nats, summed over dimensions, averaged over rows (levy2024, L_KL).

    Closed form: 1/2 sum_d (mean_d^2 + variance_d - log variance_d - 1).
    """
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(-1).mean()


def pairwise_mpjpe(poses: Float[Tensor, "batch J 3"]) -> Float[Tensor, "batch batch"]:
    """Mean joint distance between every two poses of a batch, in the poses' unit, without alignment.

    Computed from differences, not from inner products: those lose the small distances that mining ranks.
    """
    by_joint = poses.transpose(0, 1).contiguous()
    return torch.cdist(by_joint, by_joint, compute_mode="donot_use_mm_for_euclid_dist").mean(0)


def mine(distance: Float[Tensor, "batch batch"], gap: float = 0.1) -> Triplets:
    """Choose each row's positive and negative by 3D distance (levy2024, sec. 3.2).

    The positive is the nearest other row. The negative is the next nearest that is at least `gap` farther than the
    positive: hard, but not so hard that it is noise. A row is never its own positive; the same frame twice in a
    batch (one pose in two views) is, at distance 0, each other's positive, which is what a view-invariant embedding
    should learn. A row for which no other is far enough has no negative: it is not valid and counts in no mean.
    With fewer than three rows none is valid.

    Args:
        distance: 3D distance between every two rows, such as `pairwise_mpjpe` of canonical poses.
        gap: In the unit of `distance`; the paper's 0.1, a tenth of the torso.
    """
    infinite = torch.inf
    others = distance.clone().fill_diagonal_(infinite)
    nearest, positive = others.min(dim=1)
    far = torch.where(others >= nearest[:, None] + gap, others, infinite)
    far.scatter_(1, positive[:, None], infinite)  # with a gap of 0 the positive is no negative
    beyond, negative = far.min(dim=1)
    return Triplets(positive=positive, negative=negative, valid=torch.isfinite(beyond) & torch.isfinite(nearest))


def triplet(embedding: Float[Tensor, "batch D"], triplets: Triplets, margin: float = 1.0) -> Float[Tensor, ""]:
    """Mean over valid rows of max(0, d(row, positive) - d(row, negative) + margin), d the embedding's distance.

    As printed (levy2024, sec. 3.2) the hinge subtracts the *3D* distances, D_ik - D_ij + m: these are constants of
    the data, so it has no gradient, and its sign would push the positive away. Its text says what is meant, and
    this is that: 3D distances choose the triplet, embedding distances are trained.

    0 (with zero gradient) if no row is valid.
    """
    to_positive = _distance(embedding, embedding[triplets.positive])
    to_negative = _distance(embedding, embedding[triplets.negative])
    hinge = (to_positive - to_negative + margin).clamp(min=0) * triplets.valid
    return hinge.sum() / triplets.valid.sum().clamp(min=1)


def _distance(a: Float[Tensor, "batch D"], b: Float[Tensor, "batch D"]) -> Float[Tensor, " batch"]:
    # The root's slope is infinite at 0, where two views of one frame may well land.
    return (a - b).square().sum(-1).add(1e-12).sqrt()
