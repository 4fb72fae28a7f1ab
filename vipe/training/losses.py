"""Losses that several methods share: KL divergence from the standard normal, mean joint distance (torch)."""

__all__ = ["kl_to_standard_normal", "mpjpe"]

from jaxtyping import Float
from torch import Tensor


def kl_to_standard_normal(mean: Float[Tensor, "batch D"], log_variance: Float[Tensor, "batch D"]) -> Float[Tensor, ""]:
    """KL[N(mean, diag variance) || N(0, I)] in nats: summed over dimensions, averaged over rows.

    Closed form of a row: 1/2 sum_d (mean_d^2 + variance_d - log variance_d - 1).

    L_KL of V-VIPE (levy2024, sec. 3.2) and the prior of Pr-VIPE (Sun et al. 2020, sec. 4.3).

    >>> import torch
    >>> kl_to_standard_normal(torch.zeros(1, 3), torch.zeros(1, 3))  # the standard normal itself
    tensor(0.)
    >>> kl_to_standard_normal(torch.tensor([[2.0, 0.0]]), torch.zeros(1, 2))  # half the squared shift of the mean
    tensor(2.)
    """
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(-1).mean()


def mpjpe(decoded: Float[Tensor, "batch J 3"], target: Float[Tensor, "batch J 3"]) -> Float[Tensor, ""]:
    """Mean joint distance over rows and joints, in the poses' unit, without alignment.

    >>> import torch
    >>> mpjpe(torch.zeros(1, 2, 3), torch.tensor([[[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]]]))  # distances 5 and 1
    tensor(3.)
    """
    return (decoded - target).norm(dim=-1).mean()  # type: ignore[no-any-return]
