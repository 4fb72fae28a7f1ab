"""What keypoints say about one aspect of a prior: exact Gaussian inference with place and size unknown (torch)."""

__all__ = [
    "UNSEEN",
    "Fit",
    "Observed",
    "fit",
    "fitting_scale",
    "log_evidence",
    "log_evidence_of_all",
    "orthonormal",
    "posterior_draws",
    "posterior_mean",
]

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from vipe.arrays import blocks
from vipe.lift.ppca.projection import Aspects, PosePrior, from_image, keypoint_image
from vipe.training.draws import Draws

UNSEEN = 1e10
"""Variance of a keypoint that is not seen: it changes nothing but the last digits of float64."""

_PAIRS = 320  # of a person and an aspect, compared at a time: their covariances take 1.7 MB


@dataclass(frozen=True)
class Observed:
    """Keypoints and the covariance of their errors, in RMS radii of the seen keypoints and their squares."""

    xy: Float64[Tensor, "*batch 26"]  # 0 where not seen
    seen: Bool[Tensor, "*batch 13"]
    noise: Float64[Tensor, "*batch 26 26"]  # 0 between keypoints; `UNSEEN` times the identity where not seen

    @classmethod
    def of(
        cls,
        xy: Float64[Tensor, "*batch 13 2"],
        seen: Bool[Tensor, "*batch 13"],
        noise: Float64[Tensor, "*batch 13 2 2"],
    ) -> "Observed":
        """From each keypoint's covariance; what is not seen may have any value."""
        shown = seen[..., None, None]
        unseen = UNSEEN * torch.eye(2, dtype=noise.dtype, device=noise.device)
        each = torch.where(shown, noise, unseen)
        apart = torch.eye(13, dtype=noise.dtype, device=noise.device)
        blocks = each[..., :, :, None, :] * apart[:, None, :, None]
        return cls(torch.where(shown[..., 0], xy, 0.0).flatten(-2), seen, blocks.flatten(-2).flatten(-3, -2))

    def __getitem__(self, rows: Any) -> "Observed":
        return Observed(self.xy[rows], self.seen[rows], self.noise[rows])

    def __len__(self) -> int:
        return len(self.xy)


@dataclass(frozen=True)
class Fit:
    """Keypoints under aspects: y = scale image + place + error, with image ~ N(mean, covariance) and any place.

    `scale` turns the prior's unit into RMS radii: the mean, so scaled, has the RMS radius of the keypoints. The spread
    of sizes around it is part of the aspect's covariance. A whitened vector has the identity as its covariance, and no
    part along the two directions in which the place moves the keypoints.
    """

    scale: Float64[Tensor, "*batch"]
    factor: Float64[Tensor, "*batch 26 26"]  # lower triangular root of the covariance of y
    place: Float64[Tensor, "*batch 26 2"]  # factor^-1 times the two directions, made orthonormal
    residual: Float64[Tensor, "*batch 26"]  # y - scale mean, whitened

    def __getitem__(self, rows: Any) -> "Fit":
        return Fit(*(getattr(self, field.name)[rows] for field in fields(self)))

    def whiten(self, columns: Float64[Tensor, "*batch 26 n"]) -> Float64[Tensor, "*batch 26 n"]:
        """Whiten vectors of keypoints in RMS radii."""
        white = torch.linalg.solve_triangular(self.factor, columns, upper=False)
        whitened: Tensor = white - self.place @ (self.place.mT @ white)
        return whitened

    def pull(self, whitened: Float64[Tensor, "*batch 26 n"]) -> Float64[Tensor, "*batch 26 n"]:
        """The transpose of `whiten`: the inverse covariance times the vectors before they were whitened."""
        pulled: Tensor = torch.linalg.solve_triangular(self.factor.mT, whitened, upper=True)
        return pulled

    def locate(self, residual: Float64[Tensor, "*batch 26"]) -> Float64[Tensor, "*batch 2"]:
        """The place: by how much keypoints, of which the scaled mean was subtracted, are moved; RMS radii."""
        columns = torch.cat([residual[..., None], _directions(residual).expand(*residual.shape, 2)], dim=-1)
        along = self.place.mT @ torch.linalg.solve_triangular(self.factor, columns, upper=False)
        place: Tensor = torch.linalg.solve_triangular(along[..., 1:], along[..., :1], upper=True)[..., 0]
        return place


def fit(aspects: Aspects, observed: Observed) -> Fit:
    """Compare keypoints with aspects; their batches broadcast.

    Args:
        aspects: What is expected.
        observed: At least two seen keypoints, with positive definite noise.
    """
    scale, factor, white = _white(aspects, observed)
    place = orthonormal(white[..., 1:])[0]
    residual = white[..., :1] - place @ (place.mT @ white[..., :1])
    return Fit(scale, factor, place, residual[..., 0])


def log_evidence(aspects: Aspects, observed: Observed) -> Float64[Tensor, "*batch"]:
    """The log density of keypoints under aspects, in the 2 n - 2 dimensions around their centroid, nats.

    Size and pose are integrated out, and the place with a flat prior. Arguments as of `fit`.
    """
    _, factor, white = _white(aspects, observed)
    return _log_evidence(factor, white, observed.seen)


def log_evidence_of_all(aspects: Aspects, observed: Observed) -> Float64[Tensor, "rows aspects"]:
    """`log_evidence` of every row under every aspect, some pairs at a time.

    Covariances are formed and factored in the same memory again and again: new memory would take half of the time.
    """
    rows, count = len(observed), len(aspects)
    evidence = observed.xy.new_empty(rows, count)
    most = max(1, _PAIRS // max(1, count)) * min(count, _PAIRS)
    space = [observed.xy.new_empty(most, size, 26) for size in (26, 26, 3, 3)]
    for some in blocks(count, _PAIRS):
        part = aspects[some]
        for people in blocks(rows, max(1, _PAIRS // count)):
            row = observed[people, None]
            scale = fitting_scale(part.mean, row.seen)
            covariance, factor, columns, white = (
                array[: scale.numel()].view(*scale.shape, -1, 26).mT for array in space
            )
            torch.mul(part.covariance.mT, scale.square()[..., None, None], out=covariance)
            covariance += row.noise.mT
            torch.linalg.cholesky_ex(covariance, out=(factor, scale.new_empty(0, dtype=torch.int32)))
            columns[..., 0] = row.xy - scale[..., None] * part.mean
            columns[..., 1:] = _directions(row.xy)
            torch.linalg.solve_triangular(factor, columns, upper=False, out=white)
            evidence[people, some] = _log_evidence(factor, white, row.seen)
    return evidence


def posterior_mean(prior: PosePrior, aspects: Aspects, found: Fit) -> Float64[Tensor, "rows 16 3"]:
    """The mean of the pose of each row, of the size that it has in the image: camera space, RMS radii."""
    mean = found.scale[:, None, None] * (prior.mean[aspects.component] @ aspects.rotation.mT)
    return mean + regression(prior, aspects, found, found.pull(found.residual[..., None])[..., 0])


def posterior_draws(
    prior: PosePrior, aspects: Aspects, found: Fit, observed: Observed, generator: torch.Generator
) -> Float64[Tensor, "rows 16 3"]:
    """A pose for each row, drawn from the exact posterior; size and space as of `posterior_mean`.

    A pose and keypoints with errors are drawn from the prior; the pose is then moved by the regression on what the
    drawn keypoints differ by from the true ones (Matheron's rule). No covariance of poses is factored.
    """
    drawn = found.scale[:, None, None] * (prior.draw(aspects.component, generator) @ aspects.rotation.mT)
    errors = Draws(drawn, generator).normal(len(drawn), 26, 1)
    errors = torch.linalg.cholesky_ex(observed.noise)[0] @ errors
    difference = observed.xy - keypoint_image(drawn) - errors[..., 0]
    pulled = found.pull(found.whiten(difference[..., None]))
    return drawn + regression(prior, aspects, found, pulled[..., 0])


def regression(
    prior: PosePrior, aspects: Aspects, found: Fit, image: Float64[Tensor, "rows 26"]
) -> Float64[Tensor, "rows 16 3"]:
    """The covariance of pose and image times an image."""
    turned = from_image(image) @ aspects.rotation  # to the space of the prior
    moved = prior.times_covariance(aspects.component, turned) @ aspects.rotation.mT
    return found.scale.square()[:, None, None] * moved


def fitting_scale(image: Float64[Tensor, "*#batch 26"], seen: Bool[Tensor, "*#batch 13"]) -> Float64[Tensor, "*batch"]:
    """What an image is multiplied by to have the RMS radius 1 over the seen keypoints."""
    x, y, weight = image[..., 0::2], image[..., 1::2], seen.to(image.dtype)
    count = weight.sum(-1)
    squares = (x.square() * weight).sum(-1) + (y.square() * weight).sum(-1)
    outside = ((x * weight).sum(-1).square() + (y * weight).sum(-1).square()) / count
    return ((squares - outside) / count).rsqrt()


def orthonormal(
    pair: Float64[Tensor, "*batch 26 2"],
) -> tuple[Float64[Tensor, "*batch 26 2"], Float64[Tensor, "*batch"]]:
    """Two vectors made orthonormal (Gram and Schmidt), and the area that they spanned."""
    first, second = pair.unbind(-1)
    length = first.norm(dim=-1, keepdim=True)
    first = first / length
    second = second - first * (first * second).sum(-1, keepdim=True)
    height = second.norm(dim=-1, keepdim=True)
    return torch.stack([first, second / height], -1), (length * height)[..., 0]


def _white(
    aspects: Aspects, observed: Observed
) -> tuple[Float64[Tensor, "*batch"], Float64[Tensor, "*batch 26 26"], Float64[Tensor, "*batch 26 3"]]:
    """Scale, root of the covariance, and its inverse times residual and the directions of the place."""
    scale = fitting_scale(aspects.mean, observed.seen)
    covariance = aspects.covariance * scale.square()[..., None, None] + observed.noise
    factor = torch.linalg.cholesky_ex(covariance)[0]
    residual = observed.xy - scale[..., None] * aspects.mean
    columns = torch.cat([residual[..., None], _directions(residual).expand(*residual.shape, 2)], dim=-1)
    return scale, factor, torch.linalg.solve_triangular(factor, columns, upper=False)


def _directions(like: Float64[Tensor, "*batch"]) -> Float64[Tensor, "26 2"]:
    """How an image changes with its place."""
    return torch.eye(2, dtype=like.dtype, device=like.device).repeat(13, 1)


def _log_evidence(
    factor: Float64[Tensor, "*batch 26 26"], white: Float64[Tensor, "*batch 26 3"], seen: Bool[Tensor, "*#batch 13"]
) -> Float64[Tensor, "*batch"]:
    gram = white.mT @ white
    rr, rx, ry, xx, xy, yy = (gram[..., i, j] for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)))
    area = xx * yy - xy * xy
    squared = rr - (yy * rx * rx - 2 * xy * rx * ry + xx * ry * ry) / area
    count = seen.to(gram.dtype).sum(-1)
    volume = factor.diagonal(dim1=-2, dim2=-1).prod(-1) * area.sqrt()
    # The integral over the place is along (1, 1, ...), of length sqrt(count) for x and for y.
    constant = count.log() - (count - 1) * math.log(2 * math.pi) + (13 - count) * math.log(UNSEEN)
    evidence: Tensor = constant - 0.5 * squared - volume.log()
    return evidence
