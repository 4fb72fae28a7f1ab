"""Belief maps lifted by a prior of 3D poses and projected: where the rest of the body has each joint (torch)."""

__all__ = ["PriorConfig", "ProjectedBeliefs", "Projection"]

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vipe.errors import SkeletonError, VipeError
from vipe.lift.ppca.layer import PPCALayer
from vipe.lift.stages.beliefs import beliefs_at, gaussian_beliefs, peaks
from vipe.skeletons.working import COCO13, COCO13_IN_H36M17, H36M17

_LEAST_BELIEF = 1e-3  # of a peak: below, its spread counts as that of this one
_FEWEST = 4  # landmarks that the prior is fitted to
_LEAST_RADIUS = 0.5  # pixels, root mean square: landmarks nearer together tell no pose


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """How belief maps are compared with the prior.

    Raises:
        VipeError: If a number is out of its range.
    """

    sigma: float = 1.5  # pixels of the maps: the width of a landmark's Gaussian
    even: bool = False  # every landmark counts alike, as in the paper; else by the height of its peak
    seen_from: float = 0.0  # peaks below are not given to the prior; the paper's code has 1e-3
    gradient: bool = True  # whether it flows through the lifting; the paper found similar results without

    def __post_init__(self) -> None:
        if not self.sigma > 0 or not 0 <= self.seen_from < 1:
            raise VipeError(
                f"prior of belief maps: sigma must be above 0 and seen_from 0 to 1, got {self.sigma} and "
                f"{self.seen_from}"
            )


@dataclass(frozen=True)
class Projection:
    """What the prior makes of belief maps."""

    beliefs: Float[Tensor, "batch joints height width"]
    pose: Float[Tensor, "batch 17 3"]  # camera space, pelvis at the origin, torso lengths
    found: Float[Tensor, "batch joints 2"]  # the landmarks that were lifted, pixels of the maps
    implied: Float[Tensor, "batch joints 2"]  # where the pose has them


class ProjectedBeliefs(nn.Module):
    """Landmarks of belief maps, lifted to the likeliest pose, and its projection as belief maps.

    A map that was trained by squared error is the Gaussian of a landmark, averaged over where the landmark may be. If
    it may be anywhere around the peak with variance v, the peak is sigma^2 / (sigma^2 + v) high. So each peak tells
    how far its landmark may be off, and the prior is fitted with these variances: a landmark that is guessed yields to
    those that are seen. The paper's fit has them all alike (`even`).

    With fewer than four landmarks, or with all of them at one place, the prior says nothing: the landmarks themselves
    are projected, and the pose is that of nobody, zeros.

    Args:
        layer: The prior: `PPCALifter.layer()`.
        joints: Of each map, names of h36m17; the prior is fitted to those that are in coco13.
        config: How maps are compared with it.

    Raises:
        SkeletonError: If a joint is unknown or twice, or fewer than four are in coco13.

    Reference:
        Tome et al. 2017, sec. 5.3 and 5.4.
    """

    def __init__(
        self, layer: PPCALayer, joints: Sequence[str] = COCO13.joints, config: PriorConfig | None = None
    ) -> None:
        super().__init__()
        self.layer, self.config, self.joints = layer, config or PriorConfig(), tuple(joints)
        if unknown := [joint for joint in self.joints if joint not in H36M17.joints]:
            raise SkeletonError(f"belief maps: no joint {unknown[0]!r} in h36m17; it has {', '.join(H36M17.joints)}")
        if len(set(self.joints)) < len(self.joints):
            raise SkeletonError(f"belief maps: one joint has two maps in {', '.join(self.joints)}")
        self._given = [COCO13.index(joint) for joint in self.joints if joint in COCO13.joints]
        self._maps = [number for number, joint in enumerate(self.joints) if joint in COCO13.joints]
        self._shown = [H36M17.index(joint) for joint in self.joints]
        if len(self._given) < _FEWEST:
            raise SkeletonError(f"belief maps: {len(self._given)} of the joints are in coco13, {_FEWEST} are needed")

    def forward(self, beliefs: Float[Tensor, "batch joints height width"]) -> Projection:
        """Lift and project.

        Args:
            beliefs: One map for each of `joints`.
        """
        # Landmarks and covariances need more digits than a network in half precision.
        flows = torch.is_grad_enabled() and self.config.gradient
        with torch.set_grad_enabled(flows), torch.autocast(beliefs.device.type, enabled=False):
            return self._project(beliefs if beliefs.dtype == torch.float64 else beliefs.float())

    def _project(self, beliefs: Float[Tensor, "batch joints height width"]) -> Projection:
        sigma = self.config.sigma
        found = peaks(beliefs, sigma)
        pose, implied = self.lift(found, beliefs_at(beliefs, found).detach())
        drawn = gaussian_beliefs(implied, (beliefs.shape[-1], beliefs.shape[-2]), sigma)
        return Projection(drawn, pose, found, implied)

    def lift(
        self, found: Float[Tensor, "batch joints 2"], height: Float[Tensor, "batch joints"]
    ) -> tuple[Float[Tensor, "batch 17 3"], Float[Tensor, "batch joints 2"]]:
        """The pose of landmarks, and where it has all joints.

        Args:
            found: Pixels of the maps.
            height: Of each landmark's peak.
        """
        xy, height = found[:, self._maps], height[:, self._maps]
        seen = height >= self.config.seen_from
        weight = seen[..., None].to(xy.dtype)
        count = weight.sum(1, keepdim=True).clamp_min(1)
        center = (xy * weight).sum(1, keepdim=True) / count
        square = ((xy - center) * weight).square().sum((1, 2), keepdim=True) / count
        usable = (seen.sum(1) >= _FEWEST) & (square[:, 0, 0] >= _LEAST_RADIUS**2)
        some = usable[:, None, None]
        # Rows that tell nothing get any keypoints; what comes of them is left out below, and with it the gradient.
        radius = torch.where(some, square, 1.0).sqrt()
        anybody = torch.linspace(-1, 1, 26, dtype=xy.dtype, device=xy.device).view(2, 13).mT
        unit = anybody.expand(len(xy), 13, 2).clone()
        unit[:, self._given] = torch.where(some, (xy - center) / radius, unit[:, self._given])
        shown = torch.zeros(len(xy), 13, dtype=torch.bool, device=xy.device)
        shown[:, self._given] = seen | ~usable[:, None]
        pose, implied = self.layer(unit, shown, self._covariance(height, radius))
        placed = _images(pose, implied)[:, self._shown] * radius + center
        return torch.where(some, pose, 0.0), torch.where(some, placed, found)

    def _covariance(
        self, height: Float[Tensor, "batch given"], radius: Float[Tensor, "batch 1 1"]
    ) -> Float[Tensor, "batch 13 2 2"] | None:
        """Of each landmark's error, in squared RMS radii; None if all count alike."""
        if self.config.even:
            return None
        spread = self.config.sigma**2 * (1 / height.clamp(_LEAST_BELIEF, 1) - 1) / radius.detach()[..., 0].square()
        variance = torch.full_like(spread[:, :1], self.layer.network.config.nominal_noise**2).repeat(1, 13)
        variance[:, self._given] += spread
        return variance[..., None, None] * torch.eye(2, dtype=height.dtype, device=height.device)


def _images(pose: Float[Tensor, "batch 17 3"], implied: Float[Tensor, "batch 13 2"]) -> Float[Tensor, "batch 17 2"]:
    """Of all joints of a pose, from those of coco13: its size and its place in the image."""
    joints = pose[:, COCO13_IN_H36M17, :2]
    from_pose, from_image = joints - joints.mean(1, keepdim=True), implied - implied.mean(1, keepdim=True)
    scale = (from_pose * from_image).sum((1, 2), keepdim=True) / from_pose.square().sum((1, 2), keepdim=True)
    return scale * (pose[..., :2] - joints.mean(1, keepdim=True)) + implied.mean(1, keepdim=True)
