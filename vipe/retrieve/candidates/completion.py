"""Candidates for people with joints missing: completed several times, then searched with all joints (numpy; torch)."""

__all__ = ["complete", "completed_candidates"]


import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from vipe.arrays import Array
from vipe.crossing import to_array, to_tensor
from vipe.detections import Keypoints
from vipe.detections.normalize import normalize_keypoints
from vipe.embed.affine import view_signature
from vipe.errors import ShapeError
from vipe.index import Neighbours, PoseIndex
from vipe.retrieve.candidates.prepared import PreparedIndex
from vipe.retrieve.candidates.scan import PreparedGallery, affine_residual, scan
from vipe.skeletons.working import COCO13_IN_H36M17

_A_JOINT = 4  # completions for each missing joint
_PROPOSALS = 128
_NOISE = 0.05  # RMS radii by which seen joints miss the image of a pose that is roughly the right one


def completed_candidates(
    index: PoseIndex,
    people: Keypoints,
    count: int,
    allowed: Int64[Array, " M"] | None = None,
    *,
    completions: int | None = None,
) -> Neighbours:
    """Find poses of little affine residual over the seen joints without looking at all poses.

    Each person is completed several times (`complete`) by a sample of the index's own poses, the index is searched
    with each completion, and the best of what comes back by the residual over the seen joints are the answer. Not
    exact: a pose is found if one of the completions comes near it. Worth it where one search of the index costs a
    small part of a scan, as with recipe "ivf"; with a recipe that looks at every pose it is slower than the scan.

    Args:
        index: Of affine signatures.
        people: Who all show the same joints; a person's must not all coincide.
        count: How many rows a person; as many as there are where the index (or `allowed`) has fewer.
        allowed: Search only these rows.
        completions: How many for each person; the default is four for each missing joint.

    Returns:
        Rows of the index and residuals as `scan` gives them, least first.

    Raises:
        ShapeError: If people show different joints, or the index holds something else.
    """
    if (people.mask != people.mask[:1]).any():
        raise ShapeError("people must all show the same joints; search for those of each mask apart")
    count = min(count, len(index) if allowed is None else len(allowed))
    seen = np.flatnonzero(people.mask[0])
    xy = to_tensor(normalize_keypoints(people)[0][:, seen])
    if completions is None:
        completions = max(1, _A_JOINT * (people.mask.shape[1] - len(seen)))
    sample = index.cached(PreparedIndex).sample
    whole = complete(*sample, to_tensor(seen, index.device), xy.to(index.device), completions)
    # From here on the CPU: signatures are small, and so are the rows of one person after the other.
    signatures = to_array(view_signature(whole.flatten(0, 1).cpu()))
    found = index.nearest(signatures, count, allowed)[0].reshape(len(people), -1)
    rows = np.empty((len(people), count), dtype=np.int64)
    residual = np.empty((len(people), count), dtype=np.float32)
    for person, several in enumerate(found):
        near = np.unique(several)
        points = to_tensor(index.poses(near)[:, np.array(COCO13_IN_H36M17)[seen]])
        left = to_array(affine_residual(points, xy[person : person + 1])[0])
        best = np.argsort(left, kind="stable")[:count]
        rows[person], residual[person] = near[best], left[best]
    return Neighbours(rows, residual)


def complete(
    poses: Float32[Tensor, "n J 3"],
    gallery: PreparedGallery,
    joints: Int64[Tensor, " S"],
    xy: Float32[Tensor, "Q S 2"],
    completions: int,
) -> Float32[Tensor, "Q M J 2"]:
    """Complete keypoints by poses whose seen joints fit them, in several ways that differ.

    The poses of least affine residual each propose where the missing joints fall under their affine camera. The camera
    is the likeliest one, given noise of the keypoints and that it should scale all directions alike: a direction in
    which the seen joints hardly extend would otherwise be stretched without bounds, and the missing joints with it.
    Of the proposals those are chosen, one after another, that most lower the mean squared distance from a proposal to
    the nearest chosen one, each weighed by the likelihood of its residual.

    Args:
        poses: Any unit; on the device of all else.
        gallery: The same poses, prepared.
        joints: Which are seen.
        xy: Where, pixels; a person's must not all coincide.
        completions: How many; fewer if there are fewer poses.

    Returns:
        All joints, the seen ones as they were given, centred at these and in units of their RMS radius.
    """
    centred = xy - xy.mean(1, keepdim=True)
    unit = centred / centred.square().sum((1, 2), keepdim=True).div(len(joints)).sqrt()
    found, residual = scan(gallery, joints, unit, _PROPOSALS)
    body = poses[found]
    shown = body[:, :, joints]
    mean = shown.mean(2, keepdim=True)
    body, shown = body - mean, shown - mean
    spread = shown.square().sum((2, 3), keepdim=True).div(len(joints))
    # Ridge regression: a camera that scales by the ratio of the sizes has entries of about spread^-1/2.
    gram = shown.mT @ shown + _NOISE**2 * spread * torch.eye(3, dtype=spread.dtype, device=spread.device)
    camera = torch.linalg.solve(gram, shown.mT @ unit[:, None])
    proposed = body @ camera
    proposed[:, :, joints] = unit[:, None]
    weight = (-0.5 * len(joints) * (residual.square() - residual[:, :1].square()) / _NOISE**2).exp()
    flat = proposed.flatten(2)
    distance = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist").square()
    chosen = torch.empty((len(xy), min(completions, found.shape[1])), dtype=torch.int64, device=xy.device)
    nearest = torch.full_like(weight, float("inf"))
    for number in range(chosen.shape[1]):
        after = torch.minimum(nearest[:, None], distance)
        chosen[:, number] = (after * weight[:, None]).sum(2).argmin(1)
        nearest = after[torch.arange(len(xy), device=xy.device), chosen[:, number]]
    return torch.take_along_dim(proposed, chosen[..., None, None], 1)
