"""One pose from several views of a person: of each the hypothesis that the others support (torch; numpy at its edge).

Li & Lee 2019, "Generating Multiple Hypotheses for 3D Human Pose Estimation with Mixture Density Network", sec. 4.2.
"""

__all__ = ["FusedPoses", "along_rays", "fuse_views"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from vipe.arrays import Array, blocks
from vipe.errors import ShapeError
from vipe.geometry.kabsch import kabsch
from vipe.geometry.rotations import axis_angle
from vipe.lift.hypotheses import Hypotheses

_MOST_PAIRS = 65_536  # of hypotheses of two views, compared at a time: their joints take 13 MB


@dataclass(frozen=True, kw_only=True)
class FusedPoses:
    """One pose a person from V views, and how it came about."""

    poses: Float32[Array, "N 17 3"]  # world axes, pelvis at the origin, metres of a person of reference size
    chosen: Int64[Array, "N V"]  # which hypothesis of each view was taken
    apart: Float32[Array, "N V"]  # metres, mean joint distance of the one taken from the nearest of each other view
    R_cam_world: Float32[Array, "N V 3 3"]  # the rotations used: given, or estimated


def fuse_views(
    hypotheses: Sequence[Hypotheses],
    R_cam_world: Float[Array, "V 3 3"] | Float[Array, "N V 3 3"] | None = None,
) -> FusedPoses:
    """Choose of each view the hypothesis most consistent with those of the other views, and average the chosen ones.

    A hypothesis is turned into the world. Its distance from another view is the mean joint distance from that view's
    nearest hypothesis. Of each view the one of the least sum of distances is taken, the first of equals. The paper says
    no more than "most consistent"; the distance is ours. Weights of hypotheses play no part.

    Without rotations the world is the camera space of the first view. The rotation of each other view is that of Kabsch
    between the two hypotheses, one of each of the two views, that it fits best, person by person. Then one thing cannot
    be told: if every view holds the true pose and its mirror image in depth, the mirror images fit each other as well.

    Args:
        hypotheses: Of each view, for the same N people in the same order; the numbers of hypotheses may differ. A few
            are enough, such as the kernels of a mixture: without rotations, time grows with the product of two numbers.
        R_cam_world: World to camera, for each view, or for each person and view. A lifter's camera looks straight at
            the person: `along_rays` turns a camera's rotation so. None to estimate them.

    Raises:
        ShapeError: If there are fewer than two views, they have different people, or the rotations do not fit.
    """
    if len(hypotheses) < 2:
        raise ShapeError(f"views are fused from 2 or more, got {len(hypotheses)}")
    people, views = len(hypotheses[0]), len(hypotheses)
    if any(len(view) != people for view in hypotheses):
        raise ShapeError(f"every view must have the same people, got {[len(view) for view in hypotheses]} of them")
    if R_cam_world is not None and R_cam_world.shape not in ((views, 3, 3), (people, views, 3, 3)):
        expected = f"({views}, 3, 3) or ({people}, {views}, 3, 3)"
        raise ShapeError(f"R_cam_world must be {expected}, got shape {R_cam_world.shape}")
    most = max(view.poses.shape[1] for view in hypotheses)
    given = None if R_cam_world is None else np.broadcast_to(R_cam_world, (people, views, 3, 3))
    parts = []
    for rows in blocks(people, max(1, _MOST_PAIRS // most**2)):
        poses = [torch.from_numpy(view.poses[rows]) for view in hypotheses]
        turns = _estimate(poses) if given is None else torch.tensor(given[rows], dtype=torch.float32)
        parts.append(_fuse(poses, turns))
    nobody = (torch.zeros(0, 17, 3), torch.zeros(0, views).long(), torch.zeros(0, views), torch.zeros(0, views, 3, 3))
    fused, chosen, apart, turned = (torch.cat(arrays).numpy() for arrays in zip(*(parts or [nobody]), strict=True))
    return FusedPoses(poses=fused, chosen=chosen, apart=apart, R_cam_world=turned)


def along_rays(
    R_cam_world: Float[Array, "*#batch 3 3"], rays: Float[Array, "*#batch 3"]
) -> Float32[Array, "*batch 3 3"]:
    """The rotation of a camera turned about its centre, by the least angle, to look along the ray to a person.

    Args:
        R_cam_world: World to camera.
        rays: Directions in camera space, z above 0, of any length: for a pixel p, the camera matrix's K^-1 (p, 1).

    Raises:
        ShapeError: If a ray does not point forward.

    >>> along_rays(np.eye(3), np.array([0.0, 0.0, 2.0])).round(6).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if not (rays[..., 2] > 0).all():
        raise ShapeError("rays must point forward from the camera, z above 0; are they in camera space?")
    ray = torch.tensor(rays, dtype=torch.float64)
    ahead = ray.new_tensor([0.0, 0.0, 1.0]).expand_as(ray)
    axis = torch.linalg.cross(ray, ahead)
    turn = axis_angle(axis, torch.atan2(axis.norm(dim=-1), ray[..., 2]))
    turned: Float32[Array, "*batch 3 3"] = (turn.numpy() @ R_cam_world).astype(np.float32)
    return turned


def _fuse(
    poses: Sequence[Float[Tensor, "n _ 17 3"]], R_cam_world: Float[Tensor, "n V 3 3"]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    world = [view @ R_cam_world[:, v, None] for v, view in enumerate(poses)]  # the transpose of R on the left
    chosen, apart, taken = [], [], []
    for v, view in enumerate(world):
        others = [_distance(view, other).amin(-1) for u, other in enumerate(world) if u != v]
        least, row = torch.stack(others).mean(0).min(-1)
        chosen.append(row)
        apart.append(least)
        taken.append(view[torch.arange(len(view)), row])
    return torch.stack(taken).mean(0), torch.stack(chosen, 1), torch.stack(apart, 1), R_cam_world


def _distance(one: Float[Tensor, "n M 17 3"], other: Float[Tensor, "n K 17 3"]) -> Float[Tensor, "n M K"]:
    """Mean joint distance of every two hypotheses."""
    return torch.cdist(one.transpose(1, 2), other.transpose(1, 2), compute_mode="donot_use_mm_for_euclid_dist").mean(1)


def _estimate(poses: Sequence[Float[Tensor, "n _ 17 3"]]) -> Float[Tensor, "n V 3 3"]:
    """Rotations from the space of the first view to that of each view."""
    first = poses[0]
    turns = [torch.eye(3).expand(len(first), 3, 3)]
    for view in poses[1:]:
        ours = first[:, :, None].expand(-1, -1, view.shape[1], -1, -1)
        theirs = view[:, None].expand_as(ours)
        rotation = kabsch(ours, theirs).flatten(1, 2)
        off = (theirs.flatten(1, 2) - ours.flatten(1, 2) @ rotation.mT).norm(dim=-1).mean(-1)
        turns.append(rotation[torch.arange(len(off)), off.argmin(1)])
    return torch.stack(turns, 1)
