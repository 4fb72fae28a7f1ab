"""Similarity alignment of poses, and the distance that remains after it (torch)."""

__all__ = ["CLOSE_THRESHOLD", "HIT_THRESHOLD", "align", "procrustes_mpjpe"]

import math

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vipe.cores import cores
from vipe.errors import ShapeError
from vipe.geometry.kabsch import nearest_rotation
from vipe.geometry.planes import BLOCK, dot, from_planes, in_blocks, rotate, to_planes

TIED = 1e-6
"""Two rotations that fit equally well to this relative accuracy are tied, and an SVD picks one: the closed form would
divide by the gap between them."""

HIT_THRESHOLD = 0.1
"""Torso lengths within which a pose is a hit: Sun et al. 2020 (kappa), Levy & Shrivastava 2024, sec. 4.2."""

CLOSE_THRESHOLD = 0.05
"""Torso lengths of a stricter hit, half of the papers': our choice."""


def align(
    source: Float[Tensor, "*#batch J 3"], target: Float[Tensor, "*#batch J 3"]
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch 3 3"], Float[Tensor, "*batch 3"]]:
    """Find scale s, rotation R and shift t minimizing sum_j |target_j - (s R source_j + t)|^2.

    R is always proper (det R = +1): a mirrored pose is not aligned by reflection. The solution is a closed form without
    SVD; `_fit_rotation` derives it.

    Args:
        source: Points to move, in any unit; broadcasts.
        target: Where they should land; its unit is that of t.

    Returns:
        s, R and t; the moved points are `s[..., None, None] * source @ R.mT + t[..., None, :]`. If several rotations
        fit equally well (all points on one line, for example), R is one of them and has gradient 0. If all points of
        the source coincide, s is 1 and R the identity. If all points of the target coincide, s is 0.

    Raises:
        ShapeError: If the joints differ, or the batches do not broadcast.

    Reference:
        Umeyama 1991 (the problem, solved by SVD).

    Example:
        >>> source = torch.eye(3)
        >>> scale, _, shift = align(source, 2 * source + 5)
        >>> round(scale.item(), 4), [round(value, 4) for value in shift.tolist()]
        (2.0, [5.0, 5.0, 5.0])
    """
    batch = _check(source, target)
    a = to_planes(source.expand(*batch, *source.shape[-2:]))
    b = to_planes(target.expand(*batch, *target.shape[-2:]))
    center, goal = a.mean(0), b.mean(0)
    scale, rotation = _fit(a - center, b - goal)
    shift = goal - scale * rotate(rotation, center[None])[0]
    return scale.reshape(batch), from_planes(rotation, batch), shift.T.reshape(*batch, 3)


def procrustes_mpjpe(
    source: Float[Tensor, "*#batch J 3"],
    target: Float[Tensor, "*#batch J 3"],
    weight: Float[Tensor, " J"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Mean distance per joint after the source is aligned to the target by rotation, scale and shift (see `align`).

    `procrustes_mpjpe(queries[:, None], gallery)` compares all queries with all poses of a gallery: without gradients,
    on the CPU, it works block by block on all cores and never holds the broadcast poses.

    Args:
        source: Poses to move, in any unit; broadcasts.
        target: Poses to compare with; their unit is that of the result.
        weight: How much each joint counts, in the squares that the alignment minimizes and in the mean; at least 0,
            not all 0. A joint of weight 0 counts as if it were not there. By default all count alike.

    Returns:
        Distances, finite for every finite input. They are not symmetric: the scale is the target's. If all joints of
        the target coincide, the best scale and the distance are 0.

    Raises:
        ShapeError: If the joints differ, the batches do not broadcast, or the weights are no such numbers.

    Example:
        >>> pose = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]])
        >>> moved = 3 * pose + 7
        >>> mirrored = pose * torch.tensor([-1.0, 1.0, 1.0])
        >>> [round(value, 3) for value in procrustes_mpjpe(torch.stack([moved, mirrored]), pose).tolist()]
        [0.0, 0.551]
    """
    batch = _check(source, target)
    share = None if weight is None else _shares(weight, source)
    a, b = source.expand(*batch, *source.shape[-2:]), target.expand(*batch, *target.shape[-2:])
    differentiated = torch.is_grad_enabled() and (source.requires_grad or target.requires_grad)
    if differentiated or source.device.type != "cpu" or math.prod(batch) <= BLOCK:
        return _residual(to_planes(a), to_planes(b), share).reshape(batch)
    result = torch.empty(batch, dtype=torch.promote_types(source.dtype, target.dtype))
    _fill(result, a.detach(), b.detach(), share)
    return result


def _fill(result: Tensor, a: Tensor, b: Tensor, share: Tensor | None) -> None:
    """Walk the leading axes down to slices of a block's size, which are views, and work on those."""
    width = math.prod(result.shape[1:])
    if width > BLOCK:
        for row in range(len(result)):
            _fill(result[row], a[row], b[row], share)
        return

    def work(rows: slice) -> None:
        result[rows] = _residual(to_planes(a[rows]), to_planes(b[rows]), share).reshape(result[rows].shape)

    in_blocks(work, len(result), max(1, BLOCK // width), workers=cores())


def _residual(
    a: Float[Tensor, "J 3 N"], b: Float[Tensor, "J 3 N"], share: Float[Tensor, "J 1"] | None
) -> Float[Tensor, " N"]:
    if share is None:
        a, b = a - a.mean(0), b - b.mean(0)
        scale, rotation = _fit(a, b)
    else:
        a, b = (points - (share[..., None] * points).sum(0) for points in (a, b))
        root = share[..., None].sqrt()  # so that squares are weighted by the share itself
        scale, rotation = _fit(root * a, root * b)
    off = b - rotate(scale * rotation, a)
    square = dot(off, off)
    # The root of 0 has no gradient: two wheres keep it from becoming 0 times infinity.
    hit = square == 0
    distance = torch.where(hit, 0.0, torch.where(hit, 1.0, square).sqrt())
    return distance.mean(0) if share is None else (share * distance).sum(0)


def _shares(weight: Tensor, points: Tensor) -> Float[Tensor, "J 1"]:
    """The weights with the sum 1, of the kind of the points."""
    joints = points.shape[-2]
    if weight.shape != (joints,) or not bool(torch.isfinite(weight).all()) or bool((weight < 0).any()):
        raise ShapeError(f"weight must be {joints} finite numbers of at least 0, got shape {tuple(weight.shape)}")
    if not bool((weight > 0).any()):
        raise ShapeError("weight is 0 for every joint, expected one above 0 at least")
    return (weight / weight.sum()).to(points)[:, None]


def _fit(a: Float[Tensor, "J 3 N"], b: Float[Tensor, "J 3 N"]) -> tuple[Float[Tensor, " N"], Float[Tensor, "3 3 N"]]:
    """Scale and rotation for sets that are centered already."""
    covariance = b[0][:, None] * a[0][None]
    for x, y in zip(a[1:], b[1:], strict=True):
        covariance.addcmul_(y[:, None], x[None])
    rotation, fit = _fit_rotation(covariance)
    spread = dot(a, a).sum(0)
    return torch.where(spread > 0, fit / torch.where(spread > 0, spread, 1.0), 1.0), rotation


def _fit_rotation(covariance: Float[Tensor, "3 3 N"]) -> tuple[Float[Tensor, "3 3 N"], Float[Tensor, " N"]]:
    """The rotation R that maximizes trace(R^T M), and that trace.

    With singular values s1 >= s2 >= s3 of M and s3 signed as det M, the trace is w = s1 + s2 + s3, the largest root of
    the quartic w^4 - 2 |M|^2 w^2 - 8 det(M) w + |M|^4 - 4 |cof M|^2 (Theobald 2005). The squares of the s are the roots
    of a cubic, solved with cosines; one Newton step on the quartic repairs what cancels there. Then M = R S with S
    symmetric, S^2 = M^T M, and Cayley and Hamilton's theorem gives R = (cof M + w M) (M^T M + h I)^-1 with
    h = (w^2 - |M|^2) / 2. The matrix inverted has the determinant ((s1+s2) (s1+s3) (s2+s3))^2: zero exactly where R is
    not unique.
    """
    dtype = covariance.dtype
    m = covariance.double()  # nine numbers of a pair's hundred: double costs little here and saves care
    size = m.square().sum((0, 1))
    empty = size <= torch.finfo(dtype).tiny
    size = torch.where(empty, 1.0, size).sqrt()
    m = m / size
    cof = torch.stack([torch.linalg.cross(m[i - 2], m[i - 1], dim=0) for i in range(3)])
    det = dot(m[0], cof[0])
    minors = cof.square().sum((0, 1))
    with torch.no_grad():
        # Roots of x^3 - x^2 + minors x - det^2: thirds of a turn apart around 1/3 (the trace of M^T M is 1).
        radius = ((1 / 3 - minors) / 3).clamp_min(1e-30).sqrt()
        angle = ((1 / 27 - minors / 6 + det.square() / 2) / radius**3).clamp(-1, 1).acos() / 3
        first = (1 / 3 + 2 * radius * angle.cos()).sqrt()
        third = (1 / 3 + 2 * radius * (angle + 2 * math.pi / 3).cos()).clamp_min(0).sqrt()
        second = (1 / 3 + 2 * radius * (angle - 2 * math.pi / 3).cos()).clamp_min(0).sqrt()
        rest = second + torch.copysign(third, det)
        tied = empty | (rest <= TIED)
        w = first + rest
    # A Newton step from the root differentiates as the root itself does.
    slope = torch.where(tied, 1.0, 4 * (w * (w.square() - 1) - 2 * det))
    w = w - ((w.square() - 1).square() - 8 * det * w - 4 * minors) / slope
    h = (w.square() - 1) / 2
    columns = m.transpose(0, 1)
    gram = [[dot(columns[i], columns[k]) for k in range(3)] for i in range(3)]
    (a, d, e), (_, b, f), (_, _, c) = gram
    a, b, c = a + h, b + h, c + h
    x, y, z = b * c - f * f, e * f - d * c, d * f - e * b
    adjugate = torch.stack([x, y, z, y, a * c - e * e, d * e - a * f, z, d * e - a * f, a * b - d * d]).reshape(m.shape)
    bottom = a * x + d * y + e * z
    rotation = rotate(adjugate / torch.where(tied, 1.0, bottom), cof + w * m)  # rows times a symmetric matrix
    w = torch.where(tied, 0.0, w)
    if bool(tied.any()):
        rotation, w = _settle(rotation, w, m, tied)
    return rotation.to(dtype), (w * torch.where(empty, 0.0, size)).to(dtype)


def _settle(
    rotation: Float[Tensor, "3 3 N"], w: Float[Tensor, " N"], m: Float[Tensor, "3 3 N"], tied: Bool[Tensor, " N"]
) -> tuple[Float[Tensor, "3 3 N"], Float[Tensor, " N"]]:
    """Replace the tied rows by what an SVD picks, without gradients."""
    with torch.no_grad():
        rows = m[..., tied].movedim(-1, 0)
        best = nearest_rotation(rows)
        trace = (best * rows).sum((-2, -1))
    rotation, w = rotation.clone(), w.clone()
    rotation[..., tied] = best.movedim(0, -1)
    w[tied] = trace
    return rotation, w


def _check(source: Tensor, target: Tensor) -> torch.Size:
    shapes = f"got shapes {tuple(source.shape)} and {tuple(target.shape)}"
    if source.ndim < 2 or target.ndim < 2 or source.shape[-2:] != target.shape[-2:] or source.shape[-1] != 3:
        raise ShapeError(f"source and target must end in one (J, 3), {shapes}")
    try:
        return torch.Size(np.broadcast_shapes(source.shape[:-2], target.shape[:-2]))
    except ValueError:
        raise ShapeError(f"batches of source and target do not broadcast, {shapes}; is an axis missing?") from None
