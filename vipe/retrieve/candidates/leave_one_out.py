"""Which keypoints to doubt: the affine residual with each seen joint left out, and what follows (torch, numpy)."""

__all__ = ["LeaveOneOut", "joint_weights", "leave_one_out", "robust_candidates"]

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from vipe.arrays import Array
from vipe.crossing import to_array, to_tensor
from vipe.detections import Keypoints
from vipe.detections.normalize import normalize_keypoints
from vipe.embed.affine import column_basis
from vipe.index import Neighbours, PoseIndex
from vipe.retrieve.candidates.scan import affine_residual
from vipe.skeletons.working import COCO13_IN_H36M17

Ranker = Callable[[PoseIndex, Keypoints, int, Int64[Array, " M"] | None], Neighbours]
QuickRanker = Callable[[PoseIndex, Keypoints, int, Int64[Array, " M"] | None], Int64[Array, "Q C"]]

_LEAST_NOISE = 0.02  # per coordinate, in units of the keypoints' RMS radius
# How many times the others' noise variance a joint must be off before a search is made without it. In 1,000,000 poses
# 94 of 100 queries with a joint off by 0.5 RMS radii reach it, and 4 of 100 of those with none off.
_DOUBTFUL = 20.0
_DECIDES_ALONE = 1e-9  # one minus a joint's leverage, in double precision: without it a direction goes unseen


_LEAST_SPARE = 4  # numbers that a search without the joint is left to judge by: six joints


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
        points: The seen joints of the candidates, any unit; `PreparedGallery.at` gives such points too.
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


def joint_weights(
    without: LeaveOneOut, *, noise: float = _LEAST_NOISE, freedom: float = 4.0
) -> Float[Tensor, "*batch S"]:
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


def robust_candidates(
    index: PoseIndex,
    people: Keypoints,
    count: int,
    allowed: Int64[Array, " M"] | None = None,
    *,
    search: Ranker,
    again: QuickRanker,
) -> Neighbours:
    """Candidates of a search, half of them looked for without the joint that spoils the fit, where there is one.

    One keypoint that is far off moves the right poses down the list of affine residuals. Every candidate is fitted
    without each of its joints in turn (`leave_one_out`); the joint without which the best fit is left with least is
    the one to doubt, if its presence adds enough to the sum of squares, compared as in `joint_weights`. A person
    without such a joint gets what `search` gives. The fits are made on the CPU, wherever the index lies: they are a few
    hundred of one person after the other, and the answer decides what comes next.

    Args:
        index: The archive.
        people: The queries.
        count: How many rows a person.
        allowed: Search only these rows.
        search: The search that everybody gets.
        again: The search that people with such a joint get without it, as well; it need not find the very nearest.

    Returns:
        Rows of the index and their affine residuals over all seen joints, least first.
    """
    rows, residual = search(index, people, count, allowed)
    rows, residual = rows.copy(), residual.copy()
    mask, doubted = people.mask.copy(), np.zeros(len(people), dtype=bool)
    unit = to_tensor(normalize_keypoints(people)[0])
    for person, near in enumerate(rows):
        seen = np.flatnonzero(mask[person])
        joint = _doubtful(_points(index, near, seen), unit[person, seen]) if len(near) else None
        if joint is not None:
            mask[person, seen[joint]], doubted[person] = False, True
    trusted = replace(people, mask=mask)
    places = np.flatnonzero(doubted & (normalize_keypoints(trusted)[2] > 0))
    if not len(places):
        return Neighbours(rows, residual)
    others = again(index, trusted[places], count, allowed)
    for person, more in zip(places.tolist(), others, strict=True):
        first = rows[person, : rows.shape[1] // 2]
        whole = np.concatenate([first, more[~np.isin(more, first)]])[: rows.shape[1]]
        seen = np.flatnonzero(people.mask[person])
        left = to_array(affine_residual(_points(index, whole, seen), unit[person : person + 1, seen])[0])
        order = np.argsort(left, kind="stable")
        rows[person], residual[person] = whole[order], left[order]
    return Neighbours(rows, residual)


def _points(index: PoseIndex, rows: Int64[Array, " C"], joints: Int64[Array, " S"]) -> Float32[Tensor, "C S 3"]:
    return to_tensor(index.poses(rows)[:, np.array(COCO13_IN_H36M17)[joints]])


def _doubtful(points: Float[Tensor, "C S 3"], xy: Float[Tensor, "S 2"]) -> int | None:
    """The seen joint to doubt, going by the best of the candidates' fits with and without it."""
    spare = 2 * (len(xy) - 1) - 8
    if spare < _LEAST_SPARE:
        return None
    without = leave_one_out(points, xy)
    whole = float((without.left + without.drop)[:, 0].min())
    left, joint = without.left.amin(0).min(0)
    variance = max(float(left) / spare, _LEAST_NOISE**2 / len(xy))
    return int(joint) if whole - float(left) >= _DOUBTFUL * variance else None
