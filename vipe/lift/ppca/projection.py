"""A prior of poses as a camera sees it: each of its Gaussians from each side (torch).

Images are of weak perspective: x and y of camera space, as they are. The 26 numbers of an image are x and y of each of
the 13 keypoints.
"""

__all__ = ["Aspects", "PosePrior", "Views", "from_image", "keypoint_image"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from vipe.geometry.cameras import look_at
from vipe.geometry.rotations import axis_angle
from vipe.skeletons.working import COCO13_IN_H36M17
from vipe.training.draws import Draws

_FREE = [joint - 1 for joint in COCO13_IN_H36M17]  # the keypoints among the 16 joints that are not the pelvis


@dataclass(frozen=True)
class PosePrior:
    """A mixture of Gaussians of aligned poses times a size: covariance factors^T factors + noise I for each.

    Poses are the 16 joints beside the pelvis, in the unit and heading of `align_poses`. The first factor is the mean
    times the relative spread of sizes, so a pose of any size is s (mean + W z + e) with s ~ N(1, spread^2) where s is
    not multiplied out with z and e: then it is Gaussian.
    """

    log_weight: Float64[Tensor, " K"]
    mean: Float64[Tensor, "K 16 3"]
    factors: Float64[Tensor, "K L 16 3"]
    noise: Float64[Tensor, " K"]  # variance

    @classmethod
    def of(
        cls,
        weight: Float64[Tensor, " K"],
        mean: Float64[Tensor, "K 48"],
        basis: Float64[Tensor, "K J 48"],
        variance: Float64[Tensor, "K J"],
        noise: Float64[Tensor, " K"],
        scale_spread: float,
    ) -> "PosePrior":
        """From the parameters of a `MixtureOfPPCA`."""
        deviation = (variance - noise[:, None]).clamp(min=0).sqrt()
        factors = torch.cat([scale_spread * mean[:, None], basis * deviation[..., None]], dim=1)
        count = len(weight)
        return cls(weight.log(), mean.view(count, -1, 3), factors.view(count, -1, mean.shape[1] // 3, 3), noise)

    def times_covariance(
        self, component: Int64[Tensor, " rows"], rows: Float64[Tensor, "rows 16 3"]
    ) -> Float64[Tensor, "rows 16 3"]:
        """Each row times the covariance of its component."""
        parts = torch.zeros_like(rows)
        for k, factors in enumerate(self.factors.flatten(2)):
            mine = (component == k).nonzero()[:, 0]
            flat = rows[mine].flatten(1)
            product = (flat @ factors.mT) @ factors + self.noise[k] * flat
            parts = parts.index_copy(0, mine, product.view(-1, *rows.shape[1:]))
        return parts

    def draw(self, component: Int64[Tensor, " rows"], generator: torch.Generator) -> Float64[Tensor, "rows 16 3"]:
        """A pose of each row's component."""
        draw = Draws(self.mean, generator)
        latent = draw.normal(len(component), self.factors.shape[1])
        drawn = draw.normal(len(component), *self.mean.shape[1:]) * self.noise.sqrt()[component, None, None]
        drawn += self.mean[component]
        for k, factors in enumerate(self.factors.flatten(2)):
            mine = component == k
            drawn[mine] += (latent[mine] @ factors).view(-1, *self.mean.shape[1:])
        return drawn


@dataclass(frozen=True)
class Aspects:
    """Components of a prior as they look from one side each: Gaussians of 26 image coordinates, in the prior's unit."""

    component: Int64[Tensor, "*batch"]
    rotation: Float64[Tensor, "*batch 3 3"]  # to camera space from that of the prior
    mean: Float64[Tensor, "*batch 26"]
    covariance: Float64[Tensor, "*batch 26 26"]

    @classmethod
    def of(
        cls, prior: PosePrior, component: Int64[Tensor, " rows"], rotation: Float64[Tensor, "rows 3 3"]
    ) -> "Aspects":
        """The image of each row's component under its rotation."""
        image = rotation[:, :2]
        mean = prior.mean[component][:, _FREE] @ image.mT
        factors = (prior.factors[component][:, :, _FREE] @ image[:, None].mT).flatten(2)
        covariance = factors.mT @ factors
        covariance.diagonal(dim1=1, dim2=2).add_(prior.noise[component, None])
        return cls(component, rotation, mean.flatten(1), covariance)

    def __getitem__(self, rows: slice | Int64[Tensor, "*some"]) -> "Aspects":
        return Aspects(self.component[rows], self.rotation[rows], self.mean[rows], self.covariance[rows])

    def view(self, *shape: int) -> "Aspects":
        """The same aspects in another shape."""
        return Aspects(
            self.component.view(shape),
            self.rotation.view(*shape, 3, 3),
            self.mean.view(*shape, -1),
            self.covariance.view(*shape, *self.covariance.shape[-2:]),
        )

    def __len__(self) -> int:
        return len(self.component)


def keypoint_image(poses: Float[Tensor, "*batch 16 3"]) -> Float[Tensor, "*batch 26"]:
    """The image of the 13 keypoints of poses in camera space, without the pelvis."""
    image: Tensor = poses[..., _FREE, :2].flatten(-2)
    return image


def from_image(image: Float[Tensor, "*batch 26"]) -> Float[Tensor, "*batch 16 3"]:
    """The transpose of `keypoint_image`: image coordinates at their joints, 0 elsewhere."""
    poses = image.new_zeros(*image.shape[:-1], 16, 3)
    poses[..., _FREE, :2] = torch.stack([image[..., 0::2], image[..., 1::2]], dim=-1)
    return poses


@dataclass(frozen=True)
class Views:
    """The sides that a person may be seen from: cameras of some tilts and rolls, and headings evenly around."""

    camera: Float64[Tensor, "V 3 3"]  # to camera space from that of poses that face +x with z up
    log_weight: Float64[Tensor, " V"]
    heading: Float64[Tensor, " A"]  # radians, counter-clockwise seen from above; at 0 the person faces the camera

    @classmethod
    def of(
        cls, tilts: Sequence[float], rolls: Sequence[float], headings: int, like: Float64[Tensor, "*any"]
    ) -> "Views":
        """Every tilt with every roll, all equally likely.

        Args:
            tilts: Elevations of the camera, radians: above 0 it looks down.
            rolls: Of the camera, as in `look_at`, radians.
            headings: How many.
            like: Gives device and kind of number.
        """
        tilt, roll = torch.cartesian_prod(like.new_tensor(tilts), like.new_tensor(rolls)).view(-1, 2).unbind(1)
        zero = torch.zeros_like(tilt)
        camera = look_at(zero, tilt, zero + 1, roll, like.new_zeros(3))[0]
        log_weight = torch.full_like(tilt, -math.log(len(tilt)))
        return cls(camera, log_weight, torch.arange(headings).to(like) * (2 * math.pi / headings))

    def rotations(self) -> Float64[Tensor, "V A 3 3"]:
        """Of every camera with every heading, to camera space."""
        return self.camera[:, None] @ axis_angle(self.heading.new_tensor([0.0, 0.0, 1.0]), self.heading)

    def aspects(self, prior: PosePrior) -> Aspects:
        """Every component from every side: K x V x A aspects, in this order."""
        rotation = self.rotations().flatten(0, 1)
        count = len(prior.mean)
        component = torch.arange(count, device=rotation.device).repeat_interleave(len(rotation))
        return Aspects.of(prior, component, rotation.repeat(count, 1, 1))

    def log_prior(self, prior: PosePrior) -> Float64[Tensor, " aspects"]:
        """The log probability of each of the `aspects`."""
        weight = prior.log_weight[:, None] + self.log_weight - math.log(len(self.heading))
        return weight.flatten().repeat_interleave(len(self.heading))
