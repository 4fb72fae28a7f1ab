"""Which keypoints to doubt: the affine residual with each seen joint left out, and weights from it (torch)."""

__all__ = ["LeaveOneOut", "joint_weights", "leave_one_out"]

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vipe.embed.affine import column_basis

_DECIDES_ALONE = 1e-9  # one minus a joint's leverage, in double precision: without it a direction goes unseen


class LeaveOneOut(NamedTuple):
    """What is left of candidates' fits, with all joints and with each left out; sums are of squares over x and y."""

    residual: Float[Tensor, "*batch S"]
    """`affine_residual` without the joint: relative to the size of the other keypoints. 0 where those coincide."""
    left: Float[Tensor, "*batch S"]
    """The sum without the joint, as a share of the squared size of all keypoints, so that joints compare."""
    drop: Float[Tensor, "*batch S"]
    """How much less that is than with all joints; never negative."""


def leave_one_out(points: Float[Tensor, "*#batch S 3"], xy: Float[Tensor, "*#batch S 2"]) -> LeaveOneOut:
    """Fit the best affine camera to all seen joints but one, for each of them, without fitting again.

    With B the orthonormal basis of the centred points, h_j = 1/S + |B_j|² the leverage of joint j and e_j its
    reprojection error with all joints, leaving joint j out takes |e_j|² / (1 - h_j) off the sum of squares. Where
    h_j = 1 the joint alone holds a direction of the body: its error is 0 whatever it shows, and nothing is taken off.

    Args:
        points: The seen joints of the candidates, any unit; `Gallery.at` serves as well as the poses themselves.
        xy: The same joints of the query, pixels, broadcast over candidates. If they all coincide, all is 0.

    Returns:
        In double precision inside, and as `xy` came outside.

    Reference:
        The deletion formula of linear regression; Cook & Weisberg 1982, Residuals and Influence in Regression, 2.2.
    """
    joints = points.shape[-2]
    centred = points.double() - points.double().mean(-2, keepdim=True)
    basis = column_basis(centred)
    offset = xy.double() - xy.double().mean(-2, keepdim=True)
    size = offset.square().sum((-2, -1), keepdim=True)
    unit = offset * torch.where(size > 0, size.rsqrt(), 0)
    error = unit - basis.mT @ (basis @ unit)
    squares = error.square().sum(-1)
    free = 1 - 1 / joints - basis.square().sum(-2)
    drop = torch.where(free > _DECIDES_ALONE, squares / free.clamp(min=_DECIDES_ALONE), 0)
    whole = squares.sum(-1, keepdim=True)
    drop = torch.minimum(drop, whole)
    left = whole - drop
    # Leaving a point out of a centred set takes S / (S - 1) of its squared distance off the sum.
    others = (unit.square().sum((-2, -1))[..., None] - unit.square().sum(-1) * joints / (joints - 1)).clamp(min=0)
    residual = torch.where(others > _DECIDES_ALONE, left / others.clamp(min=_DECIDES_ALONE), 0).clamp(max=1).sqrt()
    return LeaveOneOut(*(part.to(xy.dtype) for part in (residual, left, drop)))


def joint_weights(without: LeaveOneOut, *, noise: float = 0.02, freedom: float = 4.0) -> Float[Tensor, "*batch S"]:
    """Weigh each joint by how badly the camera of the others misses it.

    What a joint's presence adds is compared with the noise that the others show, s² = left / (2 (S - 1) - 8), or
    `noise` if that is more: t² = drop / s². The weight is that of a bivariate Student density, (ν + 2) / (ν + t²), at
    most 1; a joint about as far off as noise would put it (t² = 2) keeps all of its weight.

    One joint that is off spoils the fit of all, but only its own t² is measured against joints that agree. Several
    that are off hide each other.

    Args:
        without: From `leave_one_out`, of the candidates.
        noise: Least noise assumed, per coordinate, in units of the keypoints' RMS radius.
        freedom: ν; fewer doubts sooner.

    Returns:
        Between 0 and 1. All 1 where fewer than six joints are seen: the other five, at four and fewer, fit whatever
        they show or leave nothing to tell noise by.
    """
    joints = without.left.shape[-1]
    spare = 2 * (joints - 1) - 8
    if spare <= 0:
        return torch.ones_like(without.left)
    variance = (without.left / spare).clamp(min=noise**2 / joints)
    return ((freedom + 2) / (freedom + without.drop / variance)).clamp(max=1)
