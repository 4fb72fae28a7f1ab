"""Lifting as a differentiable layer: from keypoints to a pose and the keypoints' places that it implies (torch)."""

__all__ = ["PPCALayer"]

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vipe.lift.condition import Condition
from vipe.lift.lifter import of_unit_torso
from vipe.lift.ppca.inference import fit, posterior_mean
from vipe.lift.ppca.network import PPCANetwork
from vipe.lift.ppca.projection import keypoint_image


class PPCALayer(nn.Module):
    """The lifter as a part of a larger network, such as one whose 2D landmarks it refines.

    The aspect (component, tilt, heading) of greatest evidence is held: between switches from one aspect to another the
    keypoints that the pose implies are linear in those given, and the gradient is exact. With errors that are round and
    alike, the derivative of the implied by the given keypoints is a symmetric matrix with eigenvalues from 0 to 1, and
    1 for the two directions that move all keypoints alike.

    Args:
        network: Of a fitted lifter: `lifter.model`.

    Reference:
        Tome et al. 2017, sec. 5.3 and 5.4; supplementary material, sec. 1.1, for the sub-gradient.
    """

    def __init__(self, network: PPCANetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        xy: Float[Tensor, "batch 13 2"],
        seen: Bool[Tensor, "batch 13"] | None = None,
        covariance: Float[Tensor, "batch 13 2 2"] | None = None,
    ) -> tuple[Float[Tensor, "batch 17 3"], Float[Tensor, "batch 13 2"]]:
        """Lift keypoints.

        Args:
            xy: Centred, RMS radius 1 over the seen keypoints, as in `Condition`.
            seen: All by default.
            covariance: Of their errors; the network's `nominal_noise` by default.

        Returns:
            The pose in camera space, pelvis at the origin, in torso lengths; and where it has the keypoints in the
            image, in the units of `xy`, also those that are not seen.
        """
        network, geometry = self.network, self.network.geometry
        seen = torch.ones_like(xy[..., 0], dtype=torch.bool) if seen is None else seen
        known = torch.full_like(seen[:, 0], covariance is not None)
        error = torch.zeros(*xy.shape, 2).to(xy) if covariance is None else covariance
        condition = Condition(xy, seen, error, known)
        observed = network.observe(condition)
        with torch.no_grad():
            aspects = network.best(condition)
        found = fit(aspects, observed)
        pose = posterior_mean(geometry.prior, aspects, found)
        place = found.locate(observed.xy - found.scale[:, None] * aspects.mean)
        implied = keypoint_image(pose).view(len(pose), 13, 2) + place[:, None]
        whole = torch.cat([torch.zeros_like(pose[:, :1]), pose], dim=1)
        return of_unit_torso(whole).to(xy.dtype), implied.to(xy.dtype)
