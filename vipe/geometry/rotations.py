"""Rotation matrices: drawn uniformly, or from axis and angle (torch)."""

__all__ = ["axis_angle", "random_rotation"]

import torch
from jaxtyping import Float
from torch import Tensor


def random_rotation(
    *batch: int,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float64,
) -> Float[Tensor, "*batch 3 3"]:
    """Rotations drawn uniformly over all directions and turns (Haar measure), on the generator's device.

    Args:
        *batch: Leading shape; none for one rotation.
        generator: The only source of randomness.
        dtype: float32 or float64.

    Reference:
        Shoemake 1992: a direction drawn uniformly on the sphere in four dimensions, read as a unit quaternion.

    Example:
        >>> rotation = random_rotation(5, generator=torch.Generator().manual_seed(0))
        >>> rotation.shape, [round(value, 6) for value in torch.linalg.det(rotation).tolist()]
        (torch.Size([5, 3, 3]), [1.0, 1.0, 1.0, 1.0, 1.0])
    """
    normal = torch.randn(*batch, 4, generator=generator, dtype=dtype, device=generator.device)
    w, x, y, z = (normal / normal.norm(dim=-1, keepdim=True)).unbind(-1)
    entries = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(entries, dim=-1).reshape(*batch, 3, 3)


def axis_angle(axis: Float[Tensor, "*#batch 3"], angle: Float[Tensor, "*#batch"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation by `angle` radians about `axis`, counterclockwise seen from the axis' tip (Rodrigues' formula).

    Args:
        axis: Direction, of any positive length.
        angle: Radians; broadcasts against the axes.

    Returns:
        R, applied as `points @ R.mT`. The identity where the axis is zero.

    Example:
        >>> quarter_turn = axis_angle(torch.tensor([0.0, 0.0, 1.0]), torch.tensor(torch.pi / 2))
        >>> x, y = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]])
        >>> torch.allclose(x @ quarter_turn.mT, y, atol=1e-6)
        True
    """
    unit = torch.nn.functional.normalize(axis, dim=-1)
    x, y, z = unit.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*x.shape, 3, 3)
    eye = torch.eye(3, dtype=axis.dtype, device=axis.device)
    angle = angle[..., None, None]
    rotation: Tensor = eye + angle.sin() * cross + (1 - angle.cos()) * (cross @ cross)
    return rotation
