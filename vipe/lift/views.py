"""Training views of lifters: keypoints of augmented poses in random cameras, and the poses in camera space (torch)."""

__all__ = ["LiftViews", "LiftViewConfig", "mirrored_poses", "simulate_lift_views", "without_covariance"]

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from vipe.errors import VipeError
from vipe.geometry.bones import bone_lengths
from vipe.geometry.cameras import project, to_camera
from vipe.lift.condition import Condition
from vipe.simulate import DetectorNoise
from vipe.skeletons.working import BONES, COCO13_IN_H36M17, H36M17
from vipe.training.draws import Draws
from vipe.training.views import ViewConfig, draw_cameras, draw_seen, normalize

_MULTIPLIERS = DetectorNoise().multipliers[:, None].tolist()  # a detector is less exact at some joints
_SPINE, _THORAX = BONES.index("spine"), BONES.index("thorax")


@dataclass(frozen=True, kw_only=True)
class LiftViewConfig(ViewConfig):
    """Cameras of the training views, and errors of their simulated detector, with a covariance a keypoint.

    Raises:
        VipeError: If a range is empty or a number out of its range.
    """

    random_share: float = 1.0
    elevation: tuple[float, float] = (-0.4, 0.8)
    noise: tuple[float, float] = (0.0, 0.06)
    missing_share: float = 0.4
    missing_most: int = 4
    uneven: float = 0.4  # spread of the logarithm of a keypoint's standard deviation around its usual one
    doubtful_share: float = 0.05  # of keypoints, whose standard deviation is larger
    doubtful: float = 4.0  # times as large
    elongation: float = 0.3  # spread of the logarithm of the ratio of an error ellipse's axes to a circle's radius
    usual_share: float = 0.5  # of people whose keypoints have the usual, round errors
    unknown_share: float = 0.25  # of people whose covariance is not told

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("doubtful_share", "usual_share", "unknown_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise VipeError(f"views: {name} must be 0 to 1, got {getattr(self, name)}")
        for name in ("uneven", "doubtful", "elongation"):
            if not getattr(self, name) >= 0:
                raise VipeError(f"views: {name} must not be negative, got {getattr(self, name)}")


@dataclass(frozen=True)
class LiftViews:
    """Views and the poses that they show."""

    condition: Condition
    poses: Float[Tensor, "batch 17 3"]  # camera space along the ray to the person, pelvis at 0, own torso lengths
    exact: Float[Tensor, "batch 13 2"]  # keypoints without the detector's errors, all joints, in the condition's units

    def mirrored(self) -> "LiftViews":
        """The mirror images of people and views."""
        exact = replace(self.condition, xy=self.exact).mirrored().xy
        return LiftViews(self.condition.mirrored(), mirrored_poses(self.poses), exact)

    def joined(self, other: "LiftViews") -> "LiftViews":
        """These views and then the other ones."""
        one, two = self.condition, other.condition
        condition = Condition(
            torch.cat([one.xy, two.xy]),
            torch.cat([one.seen, two.seen]),
            torch.cat([one.covariance, two.covariance]),
            torch.cat([one.known, two.known]),
        )
        return LiftViews(condition, torch.cat([self.poses, other.poses]), torch.cat([self.exact, other.exact]))


def mirrored_poses(poses: Float[Tensor, "*batch 17 3"]) -> Float[Tensor, "*batch 17 3"]:
    """Mirror images in camera space: x negated, left and right joints exchanged."""
    return poses[..., list(H36M17.mirrored), :] * poses.new_tensor([-1.0, 1.0, 1.0])


def without_covariance(condition: Condition) -> Condition:
    """The same keypoints of a detector that tells no covariance."""
    return replace(
        condition, covariance=torch.zeros_like(condition.covariance), known=torch.zeros_like(condition.known)
    )


def simulate_lift_views(
    poses: Float[Tensor, "batch 17 3"],
    rig: Float[Tensor, "views 3"],
    config: LiftViewConfig,
    generator: torch.Generator,
) -> LiftViews:
    """Project each pose into one view and disturb it; the pose comes back in the space of that camera.

    One image neither tells the focal length nor where its centre was: keypoints are normalized. So the camera space is
    that of a camera turned to look straight at the person: its z axis goes through the centroid of the 13 joints.

    Args:
        poses: Metres, world space, z up.
        rig: Azimuth, elevation and roll of a rig's cameras, radians.
        config: Ranges of all that is drawn.
        generator: For every draw, on the device of the poses.
    """
    R_cam_world, t_cam = draw_cameras(poses, rig, config, generator)
    draw = Draws(poses, generator)
    points = poses[:, COCO13_IN_H36M17]
    xy = project(points, R_cam_world, t_cam, poses.new_ones(()), poses.new_zeros(2))
    everything = torch.ones_like(xy[..., 0], dtype=torch.bool)
    xy = normalize(xy, everything)
    covariance = _draw_covariance(len(poses), config, draw)
    factor = torch.linalg.cholesky(covariance + 1e-12 * torch.eye(2, dtype=xy.dtype, device=xy.device))
    found = xy + (factor @ draw.normal(*xy.shape, 1))[..., 0]
    seen = draw_seen(len(poses), config, draw)
    known = draw.uniform(len(poses)) >= config.unknown_share

    weight = seen[..., None].to(xy.dtype)
    count = weight.sum(1, keepdim=True)
    center = (found * weight).sum(1, keepdim=True) / count
    radius = (((found - center) * weight).square().sum((1, 2), keepdim=True) / count).sqrt()
    shown = (seen & known[:, None])[..., None, None]
    condition = Condition(
        xy=(found - center) / radius * weight,
        seen=seen,
        covariance=covariance / radius[..., None].square() * shown,
        known=known,
    )
    camera = to_camera(poses, R_cam_world, t_cam)
    turn = _to_ray(camera[:, COCO13_IN_H36M17].mean(1))
    turned = (camera - camera[:, :1]) @ turn.mT
    lengths = bone_lengths(turned, H36M17.parents)
    torso = lengths[:, _SPINE] + lengths[:, _THORAX]
    return LiftViews(condition, turned / torso[:, None, None], (xy - center) / radius)


def _draw_covariance(batch: int, config: LiftViewConfig, draw: Draws) -> Float[Tensor, "batch 13 2 2"]:
    """Covariance of each keypoint's error, squared RMS radii."""
    size = draw.uniform(batch, 1, 1, low=config.noise[0], high=config.noise[1])
    usual = size.new_tensor(_MULTIPLIERS)
    joints = len(usual)
    uneven = (config.uneven * draw.normal(batch, joints, 1)).exp()
    uneven = uneven * torch.where(draw.uniform(batch, joints, 1) < config.doubtful_share, config.doubtful, 1.0)
    stretch = config.elongation * draw.normal(batch, joints)
    angle = draw.uniform(batch, joints, high=torch.pi)
    plain = draw.uniform(batch, 1, 1) < config.usual_share
    deviation = (size * usual * torch.where(plain, 1.0, uneven))[..., 0]
    stretch = torch.where(plain[..., 0], 0.0, stretch)
    long, short = (deviation * stretch.exp()).square(), (deviation * (-stretch).exp()).square()
    c, s = angle.cos(), angle.sin()
    xx, yy = long * c * c + short * s * s, long * s * s + short * c * c
    xy = (long - short) * c * s
    return torch.stack([torch.stack([xx, xy], -1), torch.stack([xy, yy], -1)], -2)


def _to_ray(center: Float[Tensor, "batch 3"]) -> Float[Tensor, "batch 3 3"]:
    """The least rotation that takes the direction to each point to (0, 0, 1); the points lie ahead (z > 0)."""
    ray = torch.nn.functional.normalize(center, dim=-1)
    x, y, z = ray.unbind(-1)
    share = 1 / (1 + z)
    return torch.stack(
        [
            torch.stack([1 - x * x * share, -x * y * share, -x], -1),
            torch.stack([-x * y * share, 1 - y * y * share, -y], -1),
            ray,
        ],
        -2,
    )
