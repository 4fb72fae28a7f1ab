"""Losses of ProPose: of both learners, the flow, the adversary, and of what sampling gives (torch).

Reference:
    Han et al. 2025 (ProPose), whose equations are named at each loss. Distances of poses are in torso lengths and
    summed over joints, those of keypoints in RMS radii and summed over keypoints; all are averaged over the batch.
"""

__all__ = [
    "bidirectional",
    "discriminator_loss",
    "flow_nll",
    "joint_distance",
    "keypoint_distance",
    "mode_to_mode",
    "pulling_away",
]

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def joint_distance(
    poses: Float[Tensor, "*#batch J 3"], target: Float[Tensor, "*#batch J 3"]
) -> Float[Tensor, "*batch"]:
    """Sum over joints of the distance: L_recon3D (eq. 4), and L_rand (eq. 13) of one random hypothesis.

    The paper calls it a mean squared error, but its formula has no square: errors count linearly.

    >>> joint_distance(torch.zeros(2, 3), torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]]))
    tensor(6.)
    """
    return (poses - target).norm(dim=-1).sum(-1)  # type: ignore[no-any-return]


def keypoint_distance(
    decoded: Float[Tensor, "batch K 2"], xy: Float[Tensor, "batch K 2"], seen: Bool[Tensor, "batch K"]
) -> Float[Tensor, ""]:
    """Sum over the seen keypoints of |x| + |y| of the difference: L_recon2D (eq. 6).

    The paper has all keypoints; values of unseen ones do not enter. 0 where nothing is seen.
    """
    return torch.where(seen[..., None], decoded - xy, 0).abs().sum((-2, -1)).mean()


def flow_nll(
    base: Float[Tensor, "batch d"],
    log_det: Float[Tensor, " batch"],
    mean: Float[Tensor, "batch d"],
    log_scale: Float[Tensor, "batch d"],
) -> Float[Tensor, ""]:
    """Negative log density of a latent, nats, summed over dimensions: L_NLL (eq. 10).

    Args:
        base: f(w; c), the latent mapped to the base space.
        log_det: log |det df/dw|.
        mean: mu_2D of each base distribution.
        log_scale: log sigma_2D.
    """
    scaled = (base - mean) * (-log_scale).exp()
    normal = (log_scale + 0.5 * scaled.square() + 0.5 * math.log(2 * math.pi)).sum(-1)
    return (normal - log_det).mean()


def mode_to_mode(base: Float[Tensor, "batch d"], mean: Float[Tensor, "batch d"]) -> Float[Tensor, ""]:
    """Distance between the image f(mu_3D) of one mode and the other mode mu_2D: L_m2m (eq. 15)."""
    return (base - mean).norm(dim=-1).mean()  # type: ignore[no-any-return]


def discriminator_loss(
    real: Float[Tensor, " batch"], made: Float[Tensor, " batch"], margin: float
) -> Float[Tensor, ""]:
    """Energy of true poses, and what made poses' energy lacks of the margin: L_D (eq. 11).

    Args:
        real: Energy of true poses: how far the discriminator's reconstruction is from them.
        made: Energy of poses that were made.
        margin: Energy above which made poses are pushed no further.

    >>> discriminator_loss(torch.tensor([0.5, 0.5]), torch.tensor([0.2, 3.0]), margin=1.0)
    tensor(0.9000)
    """
    return real.mean() + (margin - made).relu().mean()


def pulling_away(codes: Float[Tensor, "batch D"]) -> Float[Tensor, ""]:
    """Mean squared cosine between the codes of different rows: L_PT (eq. 11); 0 for one row.

    It keeps made poses apart. The codes are those of the discriminator's encoder, as in Zhao et al. 2017, sec. 2.4.

    >>> pulling_away(torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]))  # a pair at 90 degrees, two at 45
    tensor(0.3333)
    """
    rows = len(codes)
    unit = torch.nn.functional.normalize(codes, dim=-1)
    squares = (unit @ unit.mT).square()
    return (squares.sum() - squares.diagonal().sum()) / max(1, rows * (rows - 1))


def bidirectional(
    best: Float[Tensor, "batch k J 3"], random: Float[Tensor, "batch J 3"], target: Float[Tensor, "batch J 3"]
) -> Float[Tensor, " batch"]:
    """Distance of the best hypotheses' mean, and of a random one, from the true pose: L_BoM + L_rand (eq. 12, 13).

    Args:
        best: The k best of L hypotheses; k = 1 is the usual best-of-M loss.
        random: One drawn without regard to the truth.
        target: The true poses.

    Returns:
        For each row, in the poses' unit, summed over joints.
    """
    return joint_distance(best.mean(1), target) + joint_distance(random, target)
