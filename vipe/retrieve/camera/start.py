"""Where the camera fit starts: the two scaled-orthographic cameras that fit the flat of the body (torch planes)."""

__all__ = ["mirrored_starts"]

import torch
from jaxtyping import Float
from torch import Tensor

from vipe.geometry.planes import dot
from vipe.retrieve.camera.problem import TINY, Layout, Problem, cross, group_of_bone, joint_places

_DAMPING = 1e-3


def mirrored_starts(problem: Problem) -> tuple[Float[Tensor, "24 N"], Float[Tensor, "24 N"], Float[Tensor, " N"]]:
    """The two scaled-orthographic cameras that fit the flat of the body, each the depth reversal of the other.

    The likelier comes first. The third result is its lead in units of the cost, if such cameras were all there is.

    Along the direction n in which the visible joints extend least, noise and body decide more than the camera does. So
    only the part A2 of the affine camera that is at right angles to n is fitted. What the camera does to n follows, up
    to its sign: the two rows of a scaled-orthographic camera are orthogonal and of one length.
    """
    group = group_of_bone(problem.bones.device)
    points = joint_places(problem.bones * (1 + problem.proportions[group])[:, None])
    points = points - (problem.share * points).sum(0)
    weighted = problem.share * points
    spread = (weighted[:, :, None] * points[:, None]).sum(0)  # 3 3 N
    both = (problem.share[:, None] * problem.xy[:, :, None] * points[:, None]).sum(0)  # 2 3 N
    size = (spread[0, 0] + spread[1, 1] + spread[2, 2]).clamp_min(TINY)
    spread = spread / size
    both = both / size
    eye = torch.eye(3, dtype=spread.dtype, device=spread.device)[..., None]
    normal = _thinnest(spread)
    # Any stiffness along n will do, since n is taken out again.
    camera = _product(both, _adjugate(spread + normal[:, None] * normal[None] + 1e-4 * eye, invert=True))
    camera = camera - (camera * normal).sum(1, keepdim=True) * normal
    p, q, r = (
        dot(camera[0], camera[0]),
        dot(camera[0], camera[1]),
        dot(camera[1], camera[1]),
    )
    middle, half = (p + r) / 2, (((p - r) / 2).square() + q.square()).sqrt()
    least = (half * 2).clamp_min(0).sqrt()  # root of the difference of the eigenvalues of A2 A2^T
    angle = torch.atan2(2 * q, p - r) / 2
    short = torch.stack([-angle.sin(), angle.cos()])  # the image direction in which the body looks foreshortened
    missing = (least * short)[:, None] * normal
    scale = (middle + half).sqrt()
    # By how much the sign that agrees with the keypoints leaves less of them, in units of the cost.
    lead = 4 * problem.weight.sum(0) * size * (missing * both).sum((0, 1))
    missing = torch.where(lead < 0, -missing, missing)
    states = []
    for sign in (1.0, -1.0):
        state = points.new_zeros(Layout.SIZE, points.shape[-1])
        state[Layout.DAMPING] = _DAMPING
        known = problem.known
        state[Layout.INVERSE_DEPTH] = problem.prior.inverse_depth if known is None else known.usual + known.size * scale
        state[Layout.ROTATION] = _orthonormal(camera + sign * missing).flatten(0, 1)
        state[Layout.SCALE] = scale
        state[Layout.BONES] = problem.proportions
        states.append(state)
    return states[0], states[1], lead.abs()


def _thinnest(spread: Float[Tensor, "3 3 N"]) -> Float[Tensor, "3 N"]:
    """The direction of least spread: the largest eigenvector of the adjugate, by squaring it."""
    power = _adjugate(spread + 1e-6 * torch.eye(3, dtype=spread.dtype, device=spread.device)[..., None])
    for _ in range(6):
        power = power / (power[0, 0] + power[1, 1] + power[2, 2])
        power = _product(power, power)
    column = power.square().sum(0).argmax(0)
    vector = power.gather(1, column.expand(3, 1, -1))[:, 0]
    return vector / dot(vector, vector).sqrt().clamp_min(TINY)


def _product(a: Float[Tensor, "i 3 N"], b: Float[Tensor, "3 3 N"]) -> Float[Tensor, "i 3 N"]:
    return (a[:, :, None] * b[None]).sum(1)


def _adjugate(m: Float[Tensor, "3 3 N"], *, invert: bool = False) -> Float[Tensor, "3 3 N"]:
    """Of a symmetric matrix; over the determinant it is the inverse."""
    a = torch.stack([cross(m[i - 2], m[i - 1]) for i in range(3)])
    return a / (m[0] * a[0]).sum(0) if invert else a


def _orthonormal(rows: Float[Tensor, "2 3 N"]) -> Float[Tensor, "3 3 N"]:
    """A rotation from two rows, by Gram-Schmidt; where they have no direction some rotation is given."""
    first, second = rows
    norm = dot(first, first).sqrt()
    x, y = torch.eye(2, 3, dtype=rows.dtype, device=rows.device)[..., None]
    first = torch.where(norm > 1e-6, first / norm.clamp_min(TINY), x)
    rest = second - dot(first, second) * first
    other = torch.where(first[0].abs() < 0.6, x, y)
    other = other - dot(first, other.expand_as(first)) * first
    rest = torch.where(dot(rest, rest).sqrt() > 1e-6, rest, other)
    rest = rest / dot(rest, rest).sqrt().clamp_min(TINY)
    return torch.stack([first, rest, cross(first, rest)])
