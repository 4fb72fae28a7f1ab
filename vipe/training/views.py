"""Simulated training views: the keypoints of poses in random cameras, a batch at a time (torch).

Runs on the device of the poses, with full perspective and the proportions of the poses given. There is no focal length,
since normalizing the keypoints divides it away.
"""

__all__ = ["ViewConfig", "draw_cameras", "draw_seen", "normalize", "simulate_views"]

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vipe.errors import VipeError
from vipe.geometry.cameras import NEAREST, look_at, project, to_camera
from vipe.simulate import CameraRig, DetectorNoise
from vipe.skeletons.working import COCO13, COCO13_IN_H36M17
from vipe.training.draws import Draws

_SPREAD = DetectorNoise().multipliers[:, None].tolist()  # a detector is less exact at some joints
_SOMETIMES_MISSING = [
    i for i, joint in enumerate(COCO13.joints) if joint.split("_")[-1] in ("nose", "elbow", "wrist", "knee", "ankle")
]


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """Cameras of the training views, and errors of their simulated detector.

    `random_share` of each batch is seen by random cameras, the rest by cameras of a rig: the camera augmentation of
    levy2024, sec. 4.4. The paper augments half of each batch; it states no ranges.

    Raises:
        VipeError: If a range is empty or a number out of its range.
    """

    rig: str = "h36m"  # its cameras stand at chest height
    random_share: float = 0.5  # of each batch, seen by random cameras
    elevation: tuple[float, float] = (-0.4, 0.75)  # radians above the horizon, of random cameras
    roll: float = 0.15  # radians either way, of random cameras
    distance: tuple[float, float] = (2.0, 8.0)  # metres, of all cameras
    random_distance: tuple[float, float] | None = None  # metres, of random cameras, which then look at the pelvis
    aim: float = 0.3  # metres either way along each axis, of the point that the camera looks at from the pelvis
    noise: tuple[float, float] = (0.0, 0.05)  # RMS radii; each person's standard deviation is drawn from this range
    missing_share: float = 0.25  # of people with missing joints: nose or limbs
    missing_most: int = 3  # joints that such a person lacks, from 1

    def __post_init__(self) -> None:
        for name in ("elevation", "distance", "random_distance", "noise"):
            low, high = getattr(self, name) or self.distance
            if not low <= high:
                raise VipeError(f"views: {name} must be (least, most), got ({low}, {high})")
        if min(self.distance[0], (self.random_distance or self.distance)[0]) <= 0 or self.noise[0] < 0:
            raise VipeError(
                f"views: distance and random_distance must be above 0 and noise at least 0, got {self.distance}, "
                f"{self.random_distance}, {self.noise}"
            )
        for name in ("random_share", "missing_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise VipeError(f"views: {name} must be 0 to 1, got {getattr(self, name)}")
        if not 0 <= self.missing_most <= len(_SOMETIMES_MISSING):
            raise VipeError(f"views: missing_most must be 0 to {len(_SOMETIMES_MISSING)}, got {self.missing_most}")

    def rig_views(self, device: torch.device) -> Float[Tensor, "views 3"]:
        """Azimuth, elevation and roll of the rig's cameras, radians."""
        views = [[view.azimuth, view.elevation, view.roll] for view in CameraRig.load(self.rig).cameras]
        return torch.tensor(views, device=device)


def simulate_views(
    poses: Float[Tensor, "batch 17 3"], rig: Float[Tensor, "views 3"], config: ViewConfig, generator: torch.Generator
) -> tuple[Float[Tensor, "batch 13 2"], Bool[Tensor, "batch 13"]]:
    """Project each pose into one view: normalized keypoints, and which of them are seen.

    The first `1 - random_share` of the batch is seen by cameras of the rig, the rest by random cameras.

    Args:
        poses: Metres, world space, z up.
        rig: Its views, from which one is drawn: azimuth, elevation, roll, in radians.
        config: Ranges of all that is drawn.
        generator: For every draw, on the device of the poses.
    """
    R_cam_world, t_cam = draw_cameras(poses, rig, config, generator)
    xy = project(poses[:, COCO13_IN_H36M17], R_cam_world, t_cam, poses.new_ones(()), poses.new_zeros(2))
    draw = Draws(poses, generator)
    spread = draw.uniform(len(poses), 1, 1, low=config.noise[0], high=config.noise[1])
    xy = normalize(xy, torch.ones_like(xy[..., 0], dtype=torch.bool)) + spread * draw.normal(*xy.shape) * xy.new_tensor(
        _SPREAD
    )
    seen = draw_seen(len(poses), config, draw)
    return normalize(xy, seen), seen


def draw_cameras(
    poses: Float[Tensor, "batch 17 3"], rig: Float[Tensor, "views 3"], config: ViewConfig, generator: torch.Generator
) -> tuple[Float[Tensor, "batch 3 3"], Float[Tensor, "batch 3"]]:
    """Draw a camera for each pose: `R_cam_world` and `t_cam`, as `look_at` gives them.

    The first `1 - random_share` of the batch has cameras of the rig, the rest random ones. A camera steps back along
    its axis until every joint is at least `vipe.geometry.cameras.NEAREST` ahead of it.
    """
    batch, device = len(poses), poses.device
    draw = Draws(poses, generator)
    chosen = rig[draw.integers(len(rig), batch)]
    around, above = (
        draw.uniform(batch, low=-math.pi, high=math.pi),
        draw.uniform(batch, low=config.elevation[0], high=config.elevation[1]),
    )
    anywhere = torch.stack([around, above, draw.uniform(batch, low=-config.roll, high=config.roll)], dim=-1)
    by_rig = torch.arange(batch, device=device) < round((1 - config.random_share) * batch)
    azimuth, elevation, roll = torch.where(by_rig[:, None], chosen, anywhere).unbind(-1)
    aim = draw.uniform(batch, 3, low=-config.aim, high=config.aim)
    distance = draw.uniform(batch, low=config.distance[0], high=config.distance[1])
    if config.random_distance is not None:
        low, high = config.random_distance
        distance = torch.where(by_rig, distance, draw.uniform(batch, low=low, high=high))
        aim = aim * by_rig[:, None]
    R_cam_world, t_cam = look_at(azimuth, elevation, distance, roll, poses[:, 0] + aim)
    nearest = to_camera(poses, R_cam_world, t_cam)[..., 2].amin(1)
    t_cam[:, 2] += (NEAREST - nearest).clamp(min=0)
    return R_cam_world, t_cam


def draw_seen(batch: int, config: ViewConfig, draw: Draws) -> Bool[Tensor, "batch 13"]:
    """Draw which keypoints are seen: a share of the people lacks up to `missing_most` of nose and limbs."""
    seen = torch.ones(batch, len(COCO13), dtype=torch.bool, device=draw.device)
    if config.missing_most:
        most = 1 + draw.integers(config.missing_most, batch, 1)
        missing = draw.uniform(batch, len(_SOMETIMES_MISSING)).argsort(1) < most
        seen[:, _SOMETIMES_MISSING] = ~(missing & (draw.uniform(batch, 1) < config.missing_share))
    return seen


def normalize(xy: Float[Tensor, "batch J 2"], seen: Bool[Tensor, "batch J"]) -> Float[Tensor, "batch J 2"]:
    """Centre the seen keypoints and divide by their RMS radius; zero where not seen.

    The torch twin of `vipe.detections.normalize_keypoints`. Zeros where all seen keypoints lie at one place.
    """
    weight = seen[..., None].to(xy.dtype)
    count = weight.sum(1, keepdim=True).clamp(min=1)
    centred = (xy - (xy * weight).sum(1, keepdim=True) / count) * weight
    radius = (centred.square().sum((1, 2), keepdim=True) / count).sqrt()
    return centred / radius.clamp(min=torch.finfo(xy.dtype).tiny)
