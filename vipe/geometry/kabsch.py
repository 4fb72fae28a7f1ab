"""The rotation that best carries one set of points onto another (torch)."""

__all__ = ["kabsch", "nearest_rotation"]

import torch
from jaxtyping import Float
from torch import Tensor

from vipe.errors import ShapeError


def kabsch(
    source: Float[Tensor, "*batch points 3"], target: Float[Tensor, "*batch points 3"]
) -> Float[Tensor, "*batch 3 3"]:
    """Find the rotation R minimizing sum_i |target_i - R source_i|^2.

    The rotation is about the origin: center both sets first if their means differ. R is always
    proper (det R = +1), so a mirrored body is never "aligned" by reflection.

    Args:
        source: Points to rotate, in any unit.
        target: Where they should land, in the same unit.

    Returns:
        R, applied as `source @ R.mT`. Not unique, and not differentiable, if `source` lies on one line.

    Raises:
        ShapeError: If the two shapes differ.

    Reference:
        Kabsch 1976. Fixes the global rotation in Levy & Shrivastava 2024 (V-VIPE), eq. 1.

    Example:
        >>> quarter_turn = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        >>> points = torch.eye(3)
        >>> (kabsch(points, points @ quarter_turn.mT) - quarter_turn).abs().max() < 1e-6
        tensor(True)
    """
    if source.shape != target.shape:
        raise ShapeError(f"source and target need one shape, got {tuple(source.shape)} and {tuple(target.shape)}")
    return nearest_rotation(target.mT @ source)


def nearest_rotation(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The rotation R with the largest trace(R^T M): the nearest one to M, never a reflection.

    The SVD runs in float32 at least, whatever the dtype of M. Where the two smaller singular values are 0, or equal
    with det M < 0, several rotations are nearest; the result is one of them.
    """
    u, s, vt = torch.linalg.svd(matrix.to(torch.promote_types(matrix.dtype, torch.float32)))
    # The best orthogonal matrix may be a reflection. Negating the axis of the least singular value repairs that.
    turn = torch.cat([torch.ones_like(s[..., :2]), torch.linalg.det(u @ vt)[..., None]], dim=-1)
    rotation: Tensor = (u * turn[..., None, :]) @ vt
    return rotation.to(matrix.dtype)
