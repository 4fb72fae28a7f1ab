"""What stands around a drawn person: backgrounds, light, and loose shapes behind and in front (numpy, to torch)."""

__all__ = ["backgrounds", "directions", "loose_shapes", "stripes", "uniform"]

import math

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor
from torch.nn.functional import interpolate

from vipe.arrays import Array
from vipe.simulate.painting import Shapes

_GRAIN = ((2, 0.6), (8, 0.25), (16, 0.1))  # cells a side, and how far each moves the colour
_DISC, _BOX = 0.3, 0.5  # probabilities of loose shapes that are discs, and boxes among all


def uniform(generator: np.random.Generator, limits: tuple[float, float], *shape: int) -> Float64[Array, "*shape"]:
    """Uniform numbers within limits."""
    return generator.uniform(*limits, shape)


def backgrounds(count: int, side: int, generator: np.random.Generator) -> Float32[Tensor, "N 3 side side"]:
    """Pictures of nothing: one colour, changing slowly over the picture, with coarse and fine spots."""
    images = torch.from_numpy(uniform(generator, (0.1, 0.9), count, 3, 1, 1)).float().expand(-1, -1, side, side)
    for cells, most in _GRAIN:
        spots = torch.from_numpy(uniform(generator, (-most, most), count, 3, cells, cells)).float()
        strength = torch.from_numpy(uniform(generator, (0.0, 1.0), count, 1, 1, 1)).float()
        smooth = interpolate(spots, size=(side, side), mode="bilinear", align_corners=False)
        images = images + strength * smooth
    return images.clamp(0, 1)


def directions(count: int, generator: np.random.Generator) -> Float32[Tensor, "N 3"]:
    """Unit vectors to the light, from the viewer's side: x right, y down, z towards the viewer."""
    vectors = torch.from_numpy(generator.standard_normal((count, 3))).float()
    vectors[:, 1] -= 0.7  # more often from above
    vectors[:, 2] = vectors[:, 2].abs() + 0.5
    light: Tensor = vectors / vectors.norm(dim=1, keepdim=True)
    return light


def loose_shapes(
    count: int,
    most: int,
    side: int,
    size: tuple[float, float],
    depth: float,
    generator: np.random.Generator,
    near: Float[Tensor, "N joints 2"] | None = None,
) -> Shapes:
    """Flat or round bars, boxes and discs.

    Args:
        count: Pictures.
        most: Shapes in a picture, which has 0 to so many.
        side: Of the picture, pixels.
        size: Limits of a shape's radius, shares of the side.
        depth: Metres away from the viewer.
        generator: Every draw uses it.
        near: Pixels, of which each shape's middle is near one; anywhere by default.
    """
    shape = (count, most)
    middle = uniform(generator, (0.0, float(side)), *shape, 2)
    if near is not None and most:
        chosen = generator.integers(near.shape[1], size=shape)
        jitter = 0.05 * side * generator.standard_normal((*shape, 2))
        middle = np.take_along_axis(near.numpy(), chosen[..., None], axis=1) + jitter
    radius = uniform(generator, size, *shape) * side
    kind, angle = generator.random(shape), uniform(generator, (0.0, math.pi), *shape)
    length = np.where(kind < _DISC, 0.0, uniform(generator, (0.5, 3.0), *shape)) * radius
    used = generator.integers(most + 1, size=(count, 1)) > np.arange(most)
    half = length[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    radius = np.where(used, radius, -1.0)  # covers nothing
    flat = generator.random(shape) < _BOX
    wave = stripes(generator, shape)
    return Shapes(
        start=_tensor(middle - half),
        end=_tensor(middle + half),
        radius=_tensor(np.stack([radius, radius], axis=-1)),
        depth=torch.full((*shape, 2), depth),
        bulge=_tensor(np.where(flat, 0.0, 0.1)[..., None].repeat(2, axis=-1)),
        colour=_tensor(uniform(generator, (0.05, 1.0), *shape, 3)),
        wave=wave,
        contrast=_tensor(uniform(generator, (0.0, 0.4), *shape)),
        square=torch.from_numpy((kind >= _DISC) & (kind < _DISC + _BOX)),
    )


def stripes(generator: np.random.Generator, shape: tuple[int, ...]) -> Float32[Tensor, "*shape 2"]:
    """Radians a pixel, along x and y: stripes of 4 to 16 pixels."""
    length, angle = uniform(generator, (4.0, 16.0), *shape), uniform(generator, (0.0, math.pi), *shape)
    return _tensor(2 * math.pi / length[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1))


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(values).float()
