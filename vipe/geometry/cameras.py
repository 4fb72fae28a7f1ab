"""Pinhole cameras: where they stand and look, and where points fall in their image (torch)."""

__all__ = ["in_front", "look_at", "project", "to_camera"]

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor


def look_at(
    azimuth: Float[Tensor, "*#batch"],
    elevation: Float[Tensor, "*#batch"],
    distance: Float[Tensor, "*#batch"],
    roll: Float[Tensor, "*#batch"],
    target: Float[Tensor, "*#batch 3"],
) -> tuple[Float[Tensor, "*batch 3 3"], Float[Tensor, "*batch 3"]]:
    """Cameras on spheres around `target`, looking at it, the world's z up in the image before the roll.

    The camera centre is `target + distance * (cos el cos az, cos el sin az, sin el)`: azimuth from world x
    towards y, elevation above the horizontal plane. Roll turns the camera clockwise about its viewing axis (x
    towards y in image axes, as seen by the camera), so that the image turns counterclockwise. All arguments
    broadcast.

    Args:
        azimuth: Radians.
        elevation: Radians. At +-pi/2 up is ambiguous; the limit along the azimuth is taken, which is defined.
        distance: Metres, above 0.
        roll: Radians.
        target: World point on the optical axis, metres.

    Returns:
        `R_cam_world` and `t_cam`: a world point X is at `R_cam_world X + t_cam` in camera space (x right, y down,
        z forward).
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
    """World points in camera space (x right, y down, z forward), metres."""
    return points @ R_cam_world.mT + t_cam[..., None, :]


def in_front(
    points: Float[Tensor, "*#batch J 3"],
    R_cam_world: Float[Tensor, "*#batch 3 3"],
    t_cam: Float[Tensor, "*#batch 3"],
    near: float = 0.1,
) -> Bool[Tensor, "*batch J"]:
    """Whether each world point is farther than `near` metres in front of the camera, so that it has an image."""
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
        Pixels, x right and y down. A point in or behind the camera's plane has no image and gives NaN: ask
        `in_front` first where that can happen. Such points take no part in gradients.
    """
    camera = to_camera(points, R_cam_world, t_cam)
    depth = camera[..., 2:]
    seen = depth > 0
    xy = camera[..., :2] / torch.where(seen, depth, 1.0)
    pixels = focal[..., None, None] * xy + center[..., None, :]
    return torch.where(seen, pixels, torch.nan)
