"""What keypoints say about one aspect of a prior: exact Gaussian inference with place and size unknown (torch)."""

__all__ = ["Fit", "Observed", "fit", "fitting_scale", "orthonormal", "posterior_draws", "posterior_mean"]

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from vipe.lift.ppca.projection import Aspects, PosePrior, from_image, keypoint_image


@dataclass(frozen=True)
class Observed:
    """Keypoints and the covariance of their errors, in RMS radii of the seen keypoints and their squares."""

    xy: Float64[Tensor, "*batch 26"]  # 0 where not seen
    seen: Bool[Tensor, "*batch 13"]
    noise: Float64[Tensor, "*batch 13 2 2"]

    def __getitem__(self, rows: Any) -> "Observed":
        return Observed(self.xy[rows], self.seen[rows], self.noise[rows])

    def __len__(self) -> int:
        return len(self.xy)


@dataclass(frozen=True)
class Fit:
    """Keypoints under aspects: y = scale (image + place) + error, with image ~ N(mean, covariance) and any place.

    `scale` turns the prior's unit into RMS radii. It is the one that gives the mean the RMS radius of the keypoints;
    the spread of sizes is part of the aspect's covariance. A whitened vector is one that has the identity as its
    covariance, without its part along the two directions in which the place moves the keypoints.
    """

    scale: Float64[Tensor, "*batch"]
    factor: Float64[Tensor, "*batch 26 26"]  # lower triangular root of the covariance of y / scale
    place: Float64[Tensor, "*batch 26 2"]  # factor^-1 times the two directions, orthonormal
    residual: Float64[Tensor, "*batch 26"]  # y / scale - mean, whitened
    log_evidence: Float64[Tensor, "*batch"]  # log density of y in the 2 n - 2 dimensions around its centroid, nats

    def __getitem__(self, rows: Any) -> "Fit":
        return Fit(*(getattr(self, field.name)[rows] for field in fields(self)))

    def whiten(self, columns: Float64[Tensor, "*batch 26 n"]) -> Float64[Tensor, "*batch 26 n"]:
        """Whiten vectors of keypoints in the prior's unit."""
        white = torch.linalg.solve_triangular(self.factor, columns, upper=False)
        return white - self.place @ (self.place.mT @ white)

    def pull(self, residual: Float64[Tensor, "*batch 26"]) -> Float64[Tensor, "*batch 26"]:
        """The inverse covariance times vectors that were whitened: what the mean of a pose is drawn by."""
        return torch.linalg.solve_triangular(self.factor.mT, residual[..., None], upper=True)[..., 0]


def fit(aspects: Aspects, observed: Observed) -> Fit:
    """Compare keypoints with aspects; their batches broadcast.

    The place is integrated out with a flat prior, so evidences compare if the same keypoints are seen.

    Args:
        aspects: What is expected.
        observed: At least two seen keypoints, with positive definite noise.
    """
    batch = torch.broadcast_shapes(aspects.mean.shape[:-1], observed.xy.shape[:-1])
    shown = observed.seen.to(aspects.mean.dtype)
    count = shown.sum(-1)
    scale = fitting_scale(aspects.mean, observed.seen)
    covariance = aspects.covariance.expand(*batch, -1, -1).clone()
    of_keypoints = covariance.unflatten(-1, (13, 2)).unflatten(-3, (13, 2)).diagonal(dim1=-4, dim2=-2)
    of_keypoints += observed.noise.movedim(-3, -1) / scale.square()[..., None, None, None]
    columns = covariance.new_zeros(*batch, 26, 3)
    columns[..., 0::2, 1] = columns[..., 1::2, 2] = 1
    columns[..., 0] = observed.xy / scale[..., None] - aspects.mean
    if not bool(observed.seen.all()):  # what is not seen: of unit variance, and of no bearing on the rest
        mask = shown.repeat_interleave(2, -1)
        covariance *= mask[..., :, None] * mask[..., None, :]
        covariance.diagonal(dim1=-2, dim2=-1).add_(1 - mask)
        columns = columns * mask[..., None]
    factor = torch.linalg.cholesky_ex(covariance)[0]
    white = torch.linalg.solve_triangular(factor, columns, upper=False)
    place, log_volume = orthonormal(white[..., 1:])
    residual = white[..., :1] - place @ (place.mT @ white[..., :1])
    free = 2 * (count - 1)
    log_evidence = (
        -0.5 * residual.square().sum((-2, -1))
        - factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        - log_volume
        + count.log()  # from an integral over the place to one along the two directions of unit length
        - free * (scale.log() + 0.5 * math.log(2 * math.pi))
    )
    return Fit(scale, factor, place, residual[..., 0], log_evidence)


def fitting_scale(image: Float64[Tensor, "*#batch 26"], seen: Bool[Tensor, "*#batch 13"]) -> Float64[Tensor, "*batch"]:
    """What an image is multiplied by to have the RMS radius 1 over the seen keypoints."""
    points, weight = image.unflatten(-1, (13, 2)), seen.to(image.dtype)[..., None]
    count = weight.sum((-2, -1))
    centre = (points * weight).sum(-2, keepdim=True) / count[..., None, None]
    return ((points - centre).square() * weight).sum((-2, -1)).div(count).rsqrt()


def posterior_mean(prior: PosePrior, aspects: Aspects, found: Fit) -> Float64[Tensor, "rows 16 3"]:
    """The mean of the pose of each row: camera space, in the prior's unit; its size is that of the image."""
    mean = prior.mean[aspects.component] @ aspects.rotation.mT
    return mean + _moved(prior, aspects, found.pull(found.residual))


def posterior_draws(
    prior: PosePrior, aspects: Aspects, found: Fit, observed: Observed, generator: torch.Generator
) -> Float64[Tensor, "rows 16 3"]:
    """A pose of each row, drawn from the exact posterior; unit and space as of `posterior_mean`.

    A pose and keypoints with errors are drawn from the prior, and the pose is then moved by the regression on what
    the drawn keypoints differ by from the true ones (Matheron's rule). So no covariance of poses is factored.
    """
    drawn = prior.draw(aspects.component, generator) @ aspects.rotation.mT
    root = torch.linalg.cholesky_ex(observed.noise)[0] / found.scale[:, None, None, None]
    errors = torch.randn(*root.shape[:-1], 1, generator=generator, device=root.device, dtype=root.dtype)
    difference = observed.xy / found.scale[:, None] - keypoint_image(drawn) - (root @ errors).flatten(1)
    difference = difference * observed.seen.repeat_interleave(2, -1)
    return drawn + _moved(prior, aspects, found.pull(found.whiten(difference[..., None])[..., 0]))


def _moved(prior: PosePrior, aspects: Aspects, image: Float64[Tensor, "rows 26"]) -> Float64[Tensor, "rows 16 3"]:
    """The covariance of pose and image times an image."""
    turned = from_image(image) @ aspects.rotation  # to the space of the prior
    return prior.times_covariance(aspects.component, turned) @ aspects.rotation.mT


def orthonormal(
    pair: Float64[Tensor, "*batch 26 2"],
) -> tuple[Float64[Tensor, "*batch 26 2"], Float64[Tensor, "*batch"]]:
    """Two vectors made orthonormal (Gram and Schmidt), and the log of the area that they spanned."""
    first, second = pair.unbind(-1)
    length = first.norm(dim=-1, keepdim=True)
    first = first / length
    second = second - first * (first * second).sum(-1, keepdim=True)
    height = second.norm(dim=-1, keepdim=True)
    return torch.stack([first, second / height], -1), (length * height).log()[..., 0]
