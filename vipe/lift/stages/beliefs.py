"""Belief maps and landmarks, both ways, with the gradients that training end to end needs (torch).

Neither way has a derivative: a map's most confident pixel jumps, and a Gaussian stands at whole pixels. The gradients
here are those of Tome et al. 2017, supplementary material, sec. 1.2. Places are pixels of the maps, x right, y down,
(0, 0) at the centre of the top left pixel.
"""

__all__ = ["beliefs_at", "gaussian_beliefs", "peaks", "to_image", "to_map"]

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vipe.errors import VipeError


def peaks(beliefs: Float[Tensor, "*batch joints height width"], sigma: float = 1.5) -> Float[Tensor, "*batch joints 2"]:
    """The most confident pixel of each map: x, y. Of several equal ones the first, row by row.

    Gradient: where a landmark should move by the descent of its gradient g, the map is asked to fall at the landmark by
    |g|, and to rise by |g| times a Gaussian around the landmark, in the quadrant of the move. A coordinate of g that is
    0 leaves the move along it open, so that the quadrant becomes a half plane.

    Args:
        beliefs: Any values.
        sigma: Pixels, above 0: the width of that Gaussian, as that of the maps.

    Raises:
        VipeError: If `sigma` is not above 0.

    Reference:
        Tome et al. 2017, sec. 5.2; supplementary material, sec. 1.2, "Updating B".
    """
    _check_sigma(sigma)
    found: Tensor = _Peaks.apply(beliefs, sigma)  # type: ignore[no-untyped-call]
    return found


def gaussian_beliefs(
    xy: Float[Tensor, "*batch joints 2"], size: tuple[int, int], sigma: float = 1.5
) -> Float[Tensor, "*batch joints height width"]:
    """A map for each landmark: 1 at the pixel that it falls in, smoothed by a Gaussian whose maximum is 1.

    A landmark outside the map has there what reaches into it.

    Gradient: by a coordinate, the Gaussian half a pixel further less the one half a pixel before. So the gradient of
    a weighted sum of the map is exactly the difference of the sums of these two.

    Args:
        xy: Pixels of the map.
        size: Width and height of the maps in pixels.
        sigma: Pixels, above 0.

    Raises:
        VipeError: If `sigma` is not above 0.

    Reference:
        Tome et al. 2017, sec. 5.4; supplementary material, sec. 1.2, with a step of one pixel.

    >>> maps = gaussian_beliefs(torch.tensor([[2.4, 0.6]]), (4, 3))
    >>> maps.shape, peaks(maps).tolist(), maps.max().item()
    (torch.Size([1, 3, 4]), [[2.0, 1.0]], 1.0)
    """
    _check_sigma(sigma)
    drawn: Tensor = _GaussianBeliefs.apply(xy, size, sigma)  # type: ignore[no-untyped-call]
    return drawn


def beliefs_at(
    beliefs: Float[Tensor, "*batch joints height width"], xy: Float[Tensor, "*batch joints 2"]
) -> Float[Tensor, "*batch joints"]:
    """The value of each map at the pixel that a landmark falls in, the nearest one if it lies outside."""
    height, width = beliefs.shape[-2:]
    column, row = xy.round().long().unbind(-1)
    place = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    return beliefs.flatten(-2).gather(-1, place[..., None])[..., 0]


def to_map(xy: Float[Tensor, "*batch 2"], stride: float) -> Float[Tensor, "*batch 2"]:
    """Pixels of an image, whose corner is (0, 0), as pixels of maps that are `stride` times coarser.

    >>> to_map(torch.tensor([2.0, 6.0]), 4.0).tolist()
    [0.0, 1.0]
    """
    return xy / stride - 0.5


def to_image(xy: Float[Tensor, "*batch 2"], stride: float) -> Float[Tensor, "*batch 2"]:
    """The inverse of `to_map`."""
    return (xy + 0.5) * stride


class _Peaks(torch.autograd.Function):
    """See `peaks`."""

    @staticmethod
    def forward(ctx: Any, beliefs: Tensor, sigma: float) -> Tensor:
        width = beliefs.shape[-1]
        place = beliefs.flatten(-2).argmax(dim=-1)
        xy = torch.stack([place % width, torch.div(place, width, rounding_mode="floor")], dim=-1).to(beliefs.dtype)
        ctx.save_for_backward(xy)
        ctx.size, ctx.sigma = beliefs.shape[-2:], sigma
        return xy

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        (xy,) = ctx.saved_tensors
        along_x, along_y = _offsets(xy, ctx.size)
        strength = gradient.norm(dim=-1)[..., None, None]
        wanted = -gradient.sign()[..., None]  # (..., joints, 2, 1): the direction of descent
        rise_x = _bell(along_x, ctx.sigma) * (along_x * wanted[..., 0, :] >= 0)
        rise_y = _bell(along_y, ctx.sigma) * (along_y * wanted[..., 1, :] >= 0)
        rise = rise_y[..., :, None] * rise_x[..., None, :]
        here = (along_y == 0)[..., :, None] & (along_x == 0)[..., None, :]
        return torch.where(here, strength, -strength * rise), None


class _GaussianBeliefs(torch.autograd.Function):
    """See `gaussian_beliefs`."""

    @staticmethod
    def forward(ctx: Any, xy: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
        ctx.save_for_backward(xy)
        ctx.size, ctx.sigma = (size[1], size[0]), sigma
        along_x, along_y = _offsets(xy.round(), ctx.size)
        return _bell(along_y, sigma)[..., :, None] * _bell(along_x, sigma)[..., None, :]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        (xy,) = ctx.saved_tensors
        along_x, along_y = _offsets(xy.round(), ctx.size)
        bells = [_bell(along, ctx.sigma) for along in (along_x, along_y)]
        steps = [_bell(along - 0.5, ctx.sigma) - _bell(along + 0.5, ctx.sigma) for along in (along_x, along_y)]
        by_x = (gradient @ steps[0][..., None])[..., 0] * bells[1]
        by_y = (gradient @ bells[0][..., None])[..., 0] * steps[1]
        return torch.stack([by_x.sum(-1), by_y.sum(-1)], dim=-1), None, None


def _offsets(
    xy: Float[Tensor, "*batch 2"], size: tuple[int, int]
) -> tuple[Float[Tensor, "*batch width"], Float[Tensor, "*batch height"]]:
    """How far the columns and rows of a map of (height, width) lie from landmarks."""
    height, width = size
    columns, rows = (torch.arange(count, dtype=xy.dtype, device=xy.device) for count in (width, height))
    return columns - xy[..., :1], rows - xy[..., 1:]


def _bell(along: Float[Tensor, "*any"], sigma: float) -> Float[Tensor, "*any"]:
    return (along.square() * (-0.5 / sigma**2)).exp()


def _check_sigma(sigma: float) -> None:
    if not sigma > 0:
        raise VipeError(f"belief maps: sigma must be above 0 pixels, got {sigma}")
