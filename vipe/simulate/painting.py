"""Shaded shapes painted over images, the nearest in front: rounded limbs, bars, boxes and discs (torch)."""

__all__ = ["Shapes", "hidden", "paint"]

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Shapes:
    """P shapes in each of N images: all within a radius of a segment, the radius changing from one end to the other.

    The surface bulges towards the viewer by `bulge` at the middle of a shape, and by nothing at its outline; without
    it, it is flat. A shape whose segment is a point is a disc. A `square` one is a box, along its segment.
    """

    start: Float[Tensor, "N P 2"]  # pixels, x right, y down
    end: Float[Tensor, "N P 2"]
    radius: Float[Tensor, "N P 2"]  # pixels, at start and end
    depth: Float[Tensor, "N P 2"]  # metres away from the viewer, of the segment's ends
    bulge: Float[Tensor, "N P 2"]  # metres
    colour: Float[Tensor, "N P 3"]  # red, green, blue, 0 to 1
    wave: Float[Tensor, "N P 2"]  # radians a pixel along x and y, of stripes
    contrast: Float[Tensor, "N P"]  # of the stripes
    square: Bool[Tensor, "N P"]

    def joined(self, other: "Shapes") -> "Shapes":
        """These shapes and the other ones."""
        return Shapes(*(torch.cat([getattr(self, f.name), getattr(other, f.name)], dim=1) for f in fields(self)))


@dataclass(frozen=True)
class _Surface:
    """One shape of each image, seen at some points."""

    cover: Float[Tensor, "N points"]  # 1 inside, 0 outside, between them over a pixel at the outline
    depth: Float[Tensor, "N points"]  # metres
    normal: tuple[Float[Tensor, "N points"], Float[Tensor, "N points"], Float[Tensor, "N points"]]  # the last to us


def paint(
    images: Float[Tensor, "N 3 height width"], shapes: Shapes, light: Float[Tensor, "N 3"], ambient: float = 0.35
) -> Float[Tensor, "N 3 height width"]:
    """Paint shapes over images, each where its surface is the nearest.

    The centre of the top left pixel is (0.5, 0.5). Outlines are smooth over a pixel.

    Args:
        images: What is behind the shapes.
        shapes: In any order.
        light: Unit vector to the light: x right, y down, z towards the viewer.
        ambient: Brightness of what the light does not reach, as a share.

    Returns:
        New images.
    """
    count, _, height, width = images.shape
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    x, y = (part.reshape(1, -1).to(images) for part in (x, y))
    painted = images.flatten(2)
    nearest = torch.full_like(painted[:, 0], torch.inf)
    for number in range(shapes.start.shape[1]):
        surface = _surface(shapes, number, x, y)
        cover = surface.cover * (surface.depth < nearest)
        lit = sum(part * light[:, axis, None] for axis, part in enumerate(surface.normal))
        assert isinstance(lit, Tensor)
        wave = shapes.wave[:, number]
        stripes = (x * wave[:, :1] + y * wave[:, 1:]).sin_() * shapes.contrast[:, number, None]
        shade = lit.clamp_min_(0).mul_(1 - ambient).add_(ambient) * stripes.add_(1)
        painted = torch.lerp(painted, shapes.colour[:, number, :, None] * shade[:, None], cover[:, None])
        nearest = torch.where(cover > 0.5, surface.depth, nearest)
    return painted.view(count, 3, height, width)


def hidden(
    shapes: Shapes,
    points: Float[Tensor, "N points 2"],
    depth: Float[Tensor, "N points"],
    within: Float[Tensor, "N points"],
) -> Bool[Tensor, "N points"]:
    """Whether a surface lies in front of each point, more than so many metres.

    Args:
        shapes: What may hide the points.
        points: Pixels.
        depth: Metres away from the viewer.
        within: Metres: how deep in its own limb each point lies.
    """
    found = torch.zeros_like(depth, dtype=torch.bool)
    for number in range(shapes.start.shape[1]):
        surface = _surface(shapes, number, *points.unbind(-1))
        found |= (surface.cover > 0.5) & (surface.depth < depth - within)
    return found


def _surface(shapes: Shapes, number: int, x: Float[Tensor, "#N points"], y: Float[Tensor, "#N points"]) -> _Surface:
    start, end = shapes.start[:, number], shapes.end[:, number]  # (N, 2)
    length = (end - start).norm(dim=-1, keepdim=True)  # (N, 1)
    along = torch.where(length > 0, (end - start) / length.clamp_min(1e-6), end.new_tensor([1.0, 0.0]))
    x, y = x - start[:, :1], y - start[:, 1:]
    place = x * along[:, :1] + y * along[:, 1:]
    inside = torch.minimum(place.clamp_min(0), length)
    share = inside / length.clamp_min(1e-6)
    radius, depth, bulge = (
        torch.lerp(ends[:, number, :1], ends[:, number, 1:], share)
        for ends in (shapes.radius, shapes.depth, shapes.bulge)
    )
    away_x, away_y = x - inside * along[:, :1], y - inside * along[:, 1:]
    distance = (away_x.square() + away_y.square()).sqrt_()
    if shapes.square[:, number].any():
        across = (x * along[:, 1:] - y * along[:, :1]).abs()
        box = torch.maximum(across, (place - inside).abs())
        distance = torch.where(shapes.square[:, number, None], box, distance)
    cover = (radius - distance).add_(0.5).clamp_(0, 1)
    round_ = (bulge > 0) / radius.clamp_min(1e-6)
    normal_x, normal_y = away_x.mul_(round_), away_y.mul_(round_)
    front = (1 - normal_x.square() - normal_y.square()).clamp_min_(0).sqrt_()
    return _Surface(cover, depth - bulge * front, (normal_x, normal_y, front))
