"""Losses of the towers: a contrastive loss over a batch, with near poses as answers in part (torch)."""

__all__ = ["contrast", "likeness"]

from jaxtyping import Float
from torch import Tensor


def likeness(canonical: Float[Tensor, "batch 17 3"], near: float) -> Float[Tensor, "batch batch"]:
    """Soft targets: how far each pose counts as an answer to each other, 1 to itself.

    exp(-d² / 2 near²), where d is their RMS joint distance.

    >>> import torch
    >>> poses = torch.zeros(2, 17, 3)
    >>> poses[1] += torch.tensor([0.05, 0.0, 0.0])
    >>> likeness(poses, near=0.05)
    tensor([[1.0000, 0.6065],
            [0.6065, 1.0000]])
    """
    flat = canonical.flatten(1)
    squared = _squared(flat, flat).clamp(min=0) / canonical.shape[1]
    return (-squared / (2 * near**2)).exp()


def contrast(
    a: Float[Tensor, "n D"], b: Float[Tensor, "m D"], answers: Float[Tensor, "n m"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Cross entropy of finding b from a, and a from b; scores are negative squared distances.

    InfoNCE (van den Oord et al. 2018) in both directions, with soft targets: each row of `answers`, scaled to sum to 1.

    With targets q and scores s the loss of a row is logsumexp(s) - <q, s>. <q, s> needs no matrix of its own, since
    sum_j q_j |a - b_j|^2 = |a|^2 + sum_j q_j |b_j|^2 - 2 a . (sum_j q_j b_j).

    Args:
        a: Embeddings that search.
        b: Embeddings that are searched.
        answers: How far each of b is an answer to each of a, such as `likeness`.

    >>> import torch
    >>> two = torch.tensor([[0.0], [1.0]])
    >>> forth, back = contrast(two, two, torch.eye(2))  # log(1 + exp(-1)) each
    >>> round(float(forth), 4), round(float(back), 4)
    (0.3133, 0.3133)
    """
    scores = -_squared(a, b)
    losses = []
    for dim, (x, y, share) in enumerate(((a, b, answers), (b, a, answers.T))):
        share = share / share.sum(1, keepdim=True)
        away = x.square().sum(1) + share @ y.square().sum(1) - 2 * (x * (share @ y)).sum(1)
        losses.append((scores.logsumexp(1 - dim) + away).mean())
    return losses[0], losses[1]


def _squared(a: Float[Tensor, "n D"], b: Float[Tensor, "m D"]) -> Float[Tensor, "n m"]:
    return a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * a @ b.T
