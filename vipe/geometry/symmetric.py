"""Symmetric matrices as vectors (torch)."""

__all__ = ["upper_triangle"]

import torch
from jaxtyping import Float
from torch import Tensor


def upper_triangle(symmetric: Float[Tensor, "*batch n n"]) -> Float[Tensor, "*batch D"]:
    """The D = n (n + 1) / 2 numbers of a symmetric matrix, row by row.

    Off-diagonals, which the matrix has twice, are weighted by the root of two: the inner product of two such vectors is
    that of the matrices.
    """
    n = symmetric.shape[-1]
    row, column = torch.triu_indices(n, n, device=symmetric.device)
    weight = torch.where(row == column, 1.0, 2**0.5).to(symmetric)
    return symmetric.flatten(-2).index_select(-1, row * n + column) * weight
