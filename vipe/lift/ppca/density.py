"""The exact density of poses of unit torso given keypoints: the size integrated out (torch)."""

__all__ = ["log_cone_integral", "log_joint"]

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from vipe.lift.ppca.inference import UNSEEN, Observed, orthonormal
from vipe.lift.ppca.projection import PosePrior, Views, keypoint_image

_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def log_cone_integral(
    a: Float64[Tensor, "*batch"], b: Float64[Tensor, "*batch"], power: int
) -> Float64[Tensor, "*batch"]:
    """The log of the integral of c^power exp(-a c^2 / 2 + b c) over c > 0, for a > 0.

    Laplace's expansion around the maximum to the second order. For the power 47 its error is below 3e-7 for every b.
    """
    beta = b * a.rsqrt()  # in t = c sqrt(a): t^power exp(-t^2 / 2 + beta t)
    root = (beta.square() + 4 * power).sqrt()
    # The larger root of t^2 = beta t + power, without the difference of nearly equal numbers where beta < 0.
    mode = torch.where(beta > 0, (root + beta) / 2, 2 * power / (root - beta))
    each = mode.reciprocal()
    share = power * each.square()
    curvature = 1 + share
    inverse = curvature.reciprocal()
    # Derivatives of the exponent, each divided by the power of the curvature's root that makes it a number alone.
    step = each * inverse.sqrt()
    third = 2 * share * inverse * step
    fourth = -3 * third * step
    fifth = -4 * fourth * step
    sixth = -5 * fifth * step
    square = third.square()
    terms = fourth / 8 + 5 * square / 24
    terms = terms + sixth / 48 + 35 * fourth.square() / 384 + 7 * third * fifth / 48
    terms = terms + 35 * square * fourth / 64 + 385 * square.square() / 1152
    peak = mode * (beta - mode / 2) + power * mode.log()
    return peak + 0.5 * (2 * math.pi / curvature).log() + terms.log1p() - (power + 1) / 2 * a.log()


def log_joint(
    prior: PosePrior,
    views: Views,
    observed: Observed,
    scale: Float64[Tensor, "rows K V A"],
    poses: Float64[Tensor, "rows M 16 3"],
) -> Float64[Tensor, "rows M"]:
    """The log density of each pose together with its row's keypoints, summed over all aspects, nats.

    A pose of any size is c X, where X has a torso of length one. Its density in 48 coordinates times c^47, integrated
    over c, is the density of X on the surface of unit torso. In c, both the prior of an aspect and the likelihood of
    the keypoints are Gaussian, and the likelihood is the same for all aspects. The prior depends on the heading by a
    quadratic form in (cos, sin, 1), so six numbers of each pose are enough for all headings.

    Args:
        prior: Of poses.
        views: The sides that they may be seen from.
        observed: The keypoints.
        scale: Of each aspect for each row (`fitting_scale`).
        poses: Camera space, of unit torso, without the pelvis.
    """
    size = poses[0, 0].numel() if poses.numel() else 0
    slope, lift, constant = _likelihood(observed, keypoint_image(poses))
    squared = poses.square().sum((-2, -1))[..., None]
    c, s = views.heading.cos(), views.heading.sin()
    linear = torch.stack([c, s, torch.ones_like(c)])
    quadratic = torch.stack([linear[i] * linear[j] * (1 if i == j else 2) for i, j in _PAIRS])
    total = poses.new_full(poses.shape[:2], -math.inf)
    for k, noise in enumerate(prior.noise):
        white, log_volume = _whitening(prior.factors[k].flatten(1), noise)
        mean = prior.mean[k].flatten()
        towards = (mean - (white @ mean) @ white) / noise  # the inverse covariance times the mean
        log_volume = log_volume + towards @ mean
        for v, camera in enumerate(views.camera):
            parts = _heading_parts(poses @ camera)
            along = parts @ white.mT
            gram = along @ along.mT
            form = torch.stack([gram[..., i, j] for i, j in _PAIRS], dim=-1)
            a = (squared - form @ quadratic) / noise
            b = (parts @ towards) @ linear
            unit = scale[:, None, k, v]
            terms = log_cone_integral(a / unit.square() + slope, b / unit + lift, size - 1) - size * unit.log()
            terms = terms + (prior.log_weight[k] + views.log_weight[v] - 0.5 * log_volume)
            total = torch.logaddexp(total, terms.logsumexp(-1))
    return total + constant[:, None] - 0.5 * size * math.log(2 * math.pi) - math.log(len(c))


def _likelihood(
    observed: Observed, images: Float64[Tensor, "rows M 26"]
) -> tuple[Float64[Tensor, "rows M 1"], Float64[Tensor, "rows M 1"], Float64[Tensor, " rows"]]:
    """The log density of keypoints given a pose, at any place, is -slope c^2 / 2 + lift c + constant in its size c."""
    root = torch.linalg.cholesky_ex(observed.noise)[0]
    directions = torch.eye(2, dtype=images.dtype, device=images.device).repeat(13, 1).expand(len(images), 26, 2)
    place, area = orthonormal(torch.linalg.solve_triangular(root, directions, upper=False))
    vectors = torch.cat([observed.xy[..., None], images.mT], dim=-1)
    white = torch.linalg.solve_triangular(root, vectors, upper=False)
    white = white - place @ (place.mT @ white)
    y, x = white[..., :1], white[..., 1:]
    count = observed.seen.to(images.dtype).sum(-1)
    volume = root.diagonal(dim1=-2, dim2=-1).prod(-1) * area
    constant = count.log() - (count - 1) * math.log(2 * math.pi) + (13 - count) * math.log(UNSEEN) - volume.log()
    return x.square().sum(1)[..., None], (x * y).sum(1)[..., None], constant - 0.5 * y.square().sum((1, 2))


def _whitening(
    factors: Float64[Tensor, "L D"], noise: Float64[Tensor, ""]
) -> tuple[Float64[Tensor, "L D"], Float64[Tensor, ""]]:
    """G with (factors^T factors + noise I)^-1 = (I - G^T G) / noise, and the log determinant (Woodbury)."""
    count, size = factors.shape
    inner = factors @ factors.mT + noise * torch.eye(count, dtype=factors.dtype, device=factors.device)
    root = torch.linalg.cholesky(inner)
    log_volume = (size - count) * noise.log() + 2 * root.diagonal().log().sum()
    return torch.linalg.solve_triangular(root, factors, upper=False), log_volume


def _heading_parts(poses: Float64[Tensor, "*batch 16 3"]) -> Float64[Tensor, "*batch 3 48"]:
    """(u, v, w) of a pose, which turned back by a heading is cos u + sin v + w."""
    x, y, z = poses.unbind(-1)
    none = torch.zeros_like(x)
    parts = ((x, y, none), (y, -x, none), (none, none, z))
    return torch.stack([torch.stack(part, -1).flatten(-2) for part in parts], -2)
