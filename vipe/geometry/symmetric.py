"""Symmetric matrices as vectors (torch)."""

__all__ = ["upper_triangle"]

import torch
from jaxtyping import Float
from torch import Tensor


def upper_triangle(symmetric: Float[Tensor, "*batch n n"]) -> Float[Tensor, "*batch D"]:
    """The D = n (n + 1) / 2 numbers of a symmetric matrix, row by row.

    Off-diagonal numbers, which the matrix has twice, are weighted by the root of two. So the inner product of two such
    vectors equals that of their matrices.

    Example:
        >>> upper_triangle(torch.tensor([[1.0, 2.0], [2.0, 3.0]]))
        tensor([1.0000, 2.8284, 3.0000])
    """
    n = symmetric.shape[-1]
    row, column = torch.triu_indices(n, n, device=symmetric.device)
    weight = torch.where(row == column, 1.0, 2**0.5).to(symmetric)
    return symmetric.flatten(-2).index_select(-1, row * n + column) * weight
