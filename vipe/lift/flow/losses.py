"""Losses of the normalizing flow of Wehrbein et al. 2021, but for the critic's: MMD, best of M, spread (torch)."""

__all__ = ["BANDWIDTHS", "best_mean_error", "mmd", "spread_shortfall"]

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

BANDWIDTHS = (0.0025, 0.04, 0.81)
"""Of the kernels of `mmd`, as in the paper."""


def mmd(
    first: Float[Tensor, "n D"], second: Float[Tensor, "n D"], bandwidths: Sequence[float] = BANDWIDTHS
) -> Float[Tensor, ""]:
    """Squared maximum mean discrepancy of two samples: 0 if they are equal, never negative.

    mean k(a, a') + mean k(b, b') - 2 mean k(a, b) with inverse multiquadratic kernels,
    k(a, b) = sum over bandwidths h of h / (h + |a - b|^2). The paper's text leaves the pairs of a point with itself out
    of the first two means. Here they are in, as in its code: they are constants, and without them two equal samples
    have a negative discrepancy.

    Args:
        first: Points; n at least 1.
        second: As many points.
        bandwidths: In squared units of the points, above 0.

    Reference:
        wehrbein2021, eq. 6 and 10; Gretton et al. 2012.

    >>> a, b = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])  # k(a, a) = k(b, b) = 1 and k(a, b) = 1 / (1 + 1)
    >>> mmd(a, b, bandwidths=(1.0,))
    tensor(1.)
    """
    return (
        _kernel(first, first, bandwidths).mean()
        + _kernel(second, second, bandwidths).mean()
        - 2 * _kernel(first, second, bandwidths).mean()
    )


def best_mean_error(
    hypotheses: Float[Tensor, "batch M J 3"], truth: Float[Tensor, "batch J 3"], k: int
) -> Float[Tensor, ""]:
    """Mean absolute difference of the truth's coordinates from those of the mean of the k best hypotheses.

    The best are those of least mean joint distance. With k = 1 this is the usual best-of-M loss, with k = M it is the
    error of the mean of all.

    Args:
        hypotheses: M at least k.
        truth: In their unit.
        k: Hypotheses that are averaged.

    Reference:
        wehrbein2021, eq. 8.

    >>> hypotheses = torch.tensor([1.0, 2.0, 9.0]).view(1, 3, 1, 1).expand(1, 3, 1, 3)
    >>> best_mean_error(hypotheses, torch.zeros(1, 1, 3), k=2)
    tensor(1.5000)
    """
    with torch.no_grad():
        error = (hypotheses - truth[:, None]).norm(dim=-1).mean(-1)
        best = error.topk(k, dim=1, largest=False, sorted=False).indices
    chosen = torch.take_along_dim(hypotheses, best[..., None, None], dim=1)
    return (chosen.mean(1) - truth).abs().mean()


def spread_shortfall(
    points: Float[Tensor, "batch M J 2"], covariance: Float[Tensor, "batch J 2 2"], doubtful: Bool[Tensor, "batch J"]
) -> Float[Tensor, ""]:
    """How much less the hypotheses' images of doubtful joints spread than their keypoints' covariance S says.

    Of each joint sqrt(max(0, S_xx - C_xx)^2 + max(0, S_yy - C_yy)^2 + (S_xy - C_xy)^2), C being the covariance of the M
    points with the divisor M - 1; 0 where a joint is not doubtful; the mean over rows and joints.

    Args:
        points: Images of the joints in the unit of the covariance's root; M at least 2.
        covariance: Of the keypoints.
        doubtful: Joints that count.

    Reference:
        wehrbein2021, eq. 3 and 4.

    >>> points = torch.tensor([[-1.0, 0.0], [1.0, 0.0]]).view(1, 2, 1, 2)  # variance 2 in x, 0 in y
    >>> spread_shortfall(points, torch.tensor([[[[1.0, 0.0], [0.0, 3.0]]]]), torch.ones(1, 1, dtype=torch.bool))
    tensor(3.)
    """
    offset = points - points.mean(1, keepdim=True)
    share = 1 / (points.shape[1] - 1)
    x, y = offset[..., 0], offset[..., 1]
    missing_x = (covariance[..., 0, 0] - share * x.square().sum(1)).clamp(min=0)
    missing_y = (covariance[..., 1, 1] - share * y.square().sum(1)).clamp(min=0)
    crossed = covariance[..., 0, 1] - share * (x * y).sum(1)
    # The slope of a norm is 0 at 0, that of a root of a sum of squares is not a number.
    short = torch.stack([missing_x, missing_y, crossed], -1).norm(dim=-1)
    return (short * doubtful).mean()  # type: ignore[no-any-return]


def _kernel(a: Float[Tensor, "n D"], b: Float[Tensor, "m D"], bandwidths: Sequence[float]) -> Float[Tensor, "n m"]:
    square = (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.mT).clamp(min=0)
    kernel = torch.zeros_like(square)
    for bandwidth in bandwidths:
        kernel = kernel + bandwidth / (bandwidth + square)
    return kernel
