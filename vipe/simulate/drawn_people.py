"""Pictures of drawn people: poses as shaded limbs before a background, partly hidden, with true keypoints (numpy).

They stand in for photographs with known joints. A picture looks like no photograph, but asks the same questions: which
limb is this, is it the left or the right one, where is the hand behind the back?
"""

__all__ = ["DrawConfig", "DrawnPeople", "draw_people"]

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, UInt8
from torch import Tensor

from vipe.arrays import Array, blocks, take_rows
from vipe.detections import Keypoints
from vipe.errors import ShapeError, VipeError
from vipe.geometry.cameras import NEAREST, look_at, project, to_camera
from vipe.simulate.detector import DISTANCE
from vipe.simulate.limbs import limbs
from vipe.simulate.painting import hidden, paint
from vipe.simulate.rigs import View, Views
from vipe.simulate.scenery import backgrounds, directions, loose_shapes, uniform
from vipe.skeletons.working import COCO13_IN_H36M17

_MARGIN = 0.04  # metres in front of a joint's own flesh, from which on a surface hides it
_BLOCK = 16  # pictures at a time: what is painted stays in the cache


@dataclass(frozen=True, kw_only=True)
class DrawConfig:
    """What pictures of drawn people look like; lengths are shares of a picture's side.

    Raises:
        VipeError: If a number is out of its range.
    """

    side: int = 64  # pixels, of the square picture
    person: tuple[float, float] = (0.75, 0.92)  # the longer side of the box around the joints
    shift: float = 0.04  # either way, of the middle of that box from the middle of the picture
    width: tuple[float, float] = (0.8, 1.3)  # of a person's limbs, against the table's
    uneven: float = 0.1  # either way, of one limb's width against the person's
    contrast: float = 0.25  # most, of the stripes of cloth
    coded: float = 0.0  # of a limb's own colour in its colour, left and right ones: with 1 each limb tells its name
    clutter: int = 3  # most shapes behind the person
    obstacles: int = 2  # most shapes in front of the person
    obstacle: tuple[float, float] = (0.05, 0.11)  # half the size of a shape in front
    noise: float = 0.04  # most, standard deviation of a pixel's error; white is 1

    def __post_init__(self) -> None:
        for name in ("person", "width", "obstacle"):
            low, high = getattr(self, name)
            if not 0 < low <= high < math.inf:
                raise VipeError(f"drawn people: {name} must be two numbers above 0 in order, got {low} and {high}")
        if self.side < 8 or self.clutter < 0 or self.obstacles < 0:
            raise VipeError(
                f"drawn people: side must be at least 8, clutter and obstacles at least 0, got {self.side}, "
                f"{self.clutter} and {self.obstacles}"
            )
        if not 0 <= self.coded <= 1:
            raise VipeError(f"drawn people: coded must be 0 to 1, got {self.coded}")
        for name in ("shift", "uneven", "contrast", "noise"):
            if not 0 <= getattr(self, name) < 1:
                raise VipeError(f"drawn people: {name} must be at least 0 and below 1, got {getattr(self, name)}")
        if self.person[1] / 2 + self.shift > 0.5:
            raise VipeError(f"drawn people: {self.person[1]} of a side, moved by {self.shift}, leaves the picture")


@dataclass(frozen=True)
class DrawnPeople:
    """Pictures of one person each, and what is true of them."""

    images: UInt8[Array, "N side side 3"]  # red, green, blue
    keypoints: Keypoints  # coco13, exact, also of joints that are hidden; pixels of the pictures
    occluded: Bool[Array, "N 13"]  # hidden by the person, or by something in front of them

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Any) -> "DrawnPeople":
        return DrawnPeople(self.images[rows], self.keypoints[rows], self.occluded[rows])


def draw_people(
    poses: Float[Array, "N 17 3"],
    views: View | Sequence[View] | Views,
    *,
    config: DrawConfig | None = None,
    generator: np.random.Generator,
) -> DrawnPeople:
    """Draw each pose as a camera sees it: full perspective, the person filling the picture.

    Limbs are rounded and lit from one side. A limb hides what lies behind it. Clothes have colours and stripes, the
    same left and right; hands and head have skin, and a dark nose tells front from back. A joint is occluded if a
    surface covers its place and lies in front of its own flesh: another limb, or an obstacle. A joint that lies in
    front of or behind its own limb, such as the elbow of an arm that points at the camera, may be occluded by it too.

    Args:
        poses: h36m17, metres, world space with z up, as recorded.
        views: One for all, or one a pose. The camera looks at the person's middle.
        config: What the pictures look like.
        generator: Every draw uses it.

    Raises:
        ShapeError: If `poses` are not (N, 17, 3) and finite, or views are of another number.

    Example:
        >>> poses = np.random.default_rng(0).normal(size=(5, 17, 3))
        >>> front = View(name="front", azimuth=0.0, elevation=0.1)
        >>> people = draw_people(poses, front, generator=np.random.default_rng(1))
        >>> people.images.shape, people.keypoints.xy.shape, people.occluded.shape
        ((5, 64, 64, 3), (5, 13, 2), (5, 13))
    """
    config = config or DrawConfig()
    if poses.ndim != 3 or poses.shape[1:] != (17, 3) or not np.isfinite(poses).all():
        raise ShapeError(f"poses to draw must be (N, 17, 3) and finite, got shape {poses.shape}")
    if isinstance(views, View):
        views = [views] * len(poses)
    if not isinstance(views, Views):
        views = Views.of(views)
    if len(views) != len(poses):
        raise ShapeError(f"views must be one for all or one for each of {len(poses)} poses, got {len(views)}")
    side = config.side
    images = np.zeros((len(poses), side, side, 3), dtype=np.uint8)
    xy = np.zeros((len(poses), 13, 2), dtype=np.float32)
    occluded = np.zeros((len(poses), 13), dtype=bool)
    for rows in blocks(len(poses), _BLOCK):
        seen = _seen(poses[rows].astype(np.float64), take_rows(views, rows), config, generator, rows.start)
        images[rows], xy[rows], occluded[rows] = _draw(*seen, config, generator)
    size = np.full((len(poses), 2), side, dtype=np.float64)
    keypoints = replace(Keypoints.of(xy), image_size=size)
    return DrawnPeople(images=images, keypoints=keypoints, occluded=occluded)


def _seen(
    poses: Float64[Array, "N 17 3"], views: Views, config: DrawConfig, generator: np.random.Generator, first: int
) -> tuple[Float32[Tensor, "N 17 2"], Float32[Tensor, "N 17"], Float32[Tensor, "N 17"]]:
    """Of each joint its pixel, its distance in metres, and how many pixels a metre has there."""
    points = torch.from_numpy(poses - poses[:, COCO13_IN_H36M17].mean(axis=1, keepdims=True))
    far = np.full(len(poses), DISTANCE) if views.distance is None else views.distance
    azimuth, elevation, roll, distance = map(torch.from_numpy, (views.azimuth, views.elevation, views.roll, far))
    R_cam_world, t_cam = look_at(azimuth, elevation, distance, roll, points.new_zeros(len(poses), 3))
    depth = to_camera(points, R_cam_world, t_cam)[..., 2]
    if not (depth > NEAREST).all():
        row = int((depth <= NEAREST).any(dim=1).nonzero()[0, 0])
        raise VipeError(f"pose {first + row} cannot be drawn: the camera is {far[row]:.2f} m away, expected farther")
    xy = project(points, R_cam_world, t_cam, points.new_ones(()), points.new_zeros(2))
    low, high = xy.amin(dim=1), xy.amax(dim=1)
    share = torch.from_numpy(uniform(generator, config.person, len(poses)))
    shift = torch.from_numpy(uniform(generator, (0.5 - config.shift, 0.5 + config.shift), len(poses), 1, 2))
    focal = share * config.side / (high - low).amax(dim=1).clamp_min(1e-9)
    place = (xy - (low + high)[:, None] / 2) * focal[:, None, None] + shift * config.side
    return place.float(), depth.float(), (focal[:, None] / depth).float()


def _draw(
    xy: Float32[Tensor, "N 17 2"],
    depth: Float32[Tensor, "N 17"],
    scale: Float32[Tensor, "N 17"],
    config: DrawConfig,
    generator: np.random.Generator,
) -> tuple[UInt8[Array, "N side side 3"], Float32[Array, "N 13 2"], Bool[Array, "N 13"]]:
    """Pictures, and of the joints of coco13 their pixels and whether they are hidden."""
    count, side = len(xy), config.side
    person, flesh = limbs(xy, depth, scale, config.width, config.uneven, config.contrast, config.coded, generator)
    behind = loose_shapes(count, config.clutter, side, (0.03, 0.12), float(depth.max()) + 1, generator)
    front = loose_shapes(count, config.obstacles, side, config.obstacle, 0.0, generator, near=xy)
    shapes = person.joined(front)
    images = paint(backgrounds(count, side, generator), behind.joined(shapes), directions(count, generator))
    error = uniform(generator, (0.0, config.noise), count, 1, 1, 1) * generator.standard_normal((count, 3, side, side))
    pixels = ((images.numpy() + error).clip(0, 1) * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    joints = list(COCO13_IN_H36M17)
    covered = hidden(shapes, xy[:, joints], depth[:, joints], flesh[:, joints] + _MARGIN)
    return np.ascontiguousarray(pixels), xy[:, joints].numpy(), covered.numpy()
