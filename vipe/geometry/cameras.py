"""Pinhole cameras: their place and direction, and the image of world points (torch)."""

__all__ = ["NEAREST", "in_front", "look_at", "project", "to_camera"]

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

NEAREST = 0.1
"""Metres in front of a camera from which on a point counts as visible."""


def look_at(
    azimuth: Float[Tensor, "*#batch"],
    elevation: Float[Tensor, "*#batch"],
    distance: Float[Tensor, "*#batch"],
    roll: Float[Tensor, "*#batch"],
    target: Float[Tensor, "*#batch 3"],
) -> tuple[Float[Tensor, "*batch 3 3"], Float[Tensor, "*batch 3"]]:
    """Cameras on spheres around `target` that look at it; before the roll the world's z is up in the image.

    The camera centre is `target + distance * (cos el cos az, cos el sin az, sin el)`: azimuth from world x
    towards y, elevation above the horizontal plane. A positive roll turns the camera clockwise about its viewing axis
    (image x towards image y), so the image turns counterclockwise. All arguments broadcast.

    Args:
        azimuth: Radians.
        elevation: Radians. At +-pi/2, where "up" is ambiguous, the result is the limit along the azimuth.
        distance: Metres, above 0.
        roll: Radians.
        target: World point on the optical axis, metres.

    Returns:
        `R_cam_world` and `t_cam`: a world point X is at `R_cam_world X + t_cam` in camera space (x right, y down,
        z forward).

    Example:
        >>> zero = torch.tensor(0.0)
        >>> R_cam_world, t_cam = look_at(zero, zero, torch.tensor(4.0), zero, target=torch.zeros(3))
        >>> torch.equal(t_cam, torch.tensor([0.0, 0.0, 4.0]))  # the target lies 4 m ahead
        True
    """
    batch = np.broadcast_shapes(azimuth.shape, elevation.shape, distance.shape, roll.shape, target.shape[:-1])
    azimuth, elevation, roll = azimuth.expand(batch), elevation.expand(batch), roll.expand(batch)
    sa, ca, se, ce = azimuth.sin(), azimuth.cos(), elevation.sin(), elevation.cos()
    right = torch.stack([-sa, ca, torch.zeros_like(sa)], dim=-1)
    down = torch.stack([se * ca, se * sa, -ce], dim=-1)
    forward = torch.stack([-ce * ca, -ce * sa, -se], dim=-1)
    sr, cr = roll.sin()[..., None], roll.cos()[..., None]
    R_cam_world = torch.stack([cr * right + sr * down, cr * down - sr * right, forward], dim=-2)
    centre = target - distance[..., None] * forward
    return R_cam_world, -(R_cam_world @ centre[..., None])[..., 0]


def to_camera(
    points: Float[Tensor, "*#batch J 3"], R_cam_world: Float[Tensor, "*#batch 3 3"], t_cam: Float[Tensor, "*#batch 3"]
) -> Float[Tensor, "*batch J 3"]:
    """World points in camera space (x right, y down, z forward), metres.

    Example:
        >>> to_camera(torch.tensor([[0.0, 0.0, 1.0]]), torch.eye(3), torch.tensor([0.0, 0.0, 4.0]))
        tensor([[0., 0., 5.]])
    """
    return points @ R_cam_world.mT + t_cam[..., None, :]


def in_front(
    points: Float[Tensor, "*#batch J 3"],
    R_cam_world: Float[Tensor, "*#batch 3 3"],
    t_cam: Float[Tensor, "*#batch 3"],
    near: float = NEAREST,
) -> Bool[Tensor, "*batch J"]:
    """Whether each world point lies more than `near` metres in front of the camera.

    Example:
        >>> points = torch.tensor([[0.0, 0.0, 4.0], [0.0, 0.0, -4.0]])
        >>> in_front(points, torch.eye(3), torch.zeros(3))
        tensor([ True, False])
    """
    return to_camera(points, R_cam_world, t_cam)[..., 2] > near


def project(
    points: Float[Tensor, "*#batch J 3"],
    R_cam_world: Float[Tensor, "*#batch 3 3"],
    t_cam: Float[Tensor, "*#batch 3"],
    focal: Float[Tensor, "*#batch"],
    center: Float[Tensor, "*#batch 2"],
) -> Float[Tensor, "*batch J 2"]:
    """Full perspective images of world points: `focal * (x, y) / z + center` in camera space.

    Args:
        points: World, metres.
        R_cam_world: World to camera.
        t_cam: Metres.
        focal: Focal length in pixels (square pixels).
        center: Principal point in pixels; (0, 0) is the top left corner of the image.

    Returns:
        Pixels, x right and y down. A point in or behind the camera's plane has no image: it gives NaN and no gradient.
        Where that can happen, call `in_front` first.

    Example:
        >>> points = torch.tensor([[0.5, 1.0, 4.0]])
        >>> project(points, torch.eye(3), torch.zeros(3), torch.tensor(800.0), torch.tensor([320.0, 240.0]))
        tensor([[420., 440.]])
    """
    camera = to_camera(points, R_cam_world, t_cam)
    depth = camera[..., 2:]
    ahead = depth > 0
    xy = camera[..., :2] / torch.where(ahead, depth, 1.0)
    pixels = focal[..., None, None] * xy + center[..., None, :]
    return torch.where(ahead, pixels, torch.nan)
