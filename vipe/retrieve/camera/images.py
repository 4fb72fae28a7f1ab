"""Where the keypoints of poses land, and the scale and shift of the camera that shows them best (torch)."""

__all__ = ["flattened", "seen_by"]

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from vipe.detections import Keypoints
from vipe.retrieve.camera.problem import MIN_DEPTH
from vipe.skeletons.working import COCO13_IN_H36M17


def flattened(poses: Float64[Tensor, "B 17 3"], inverse_depth: Float64[Tensor, " B"]) -> Float64[Tensor, "B 13 2"]:
    """Where keypoints land under a camera of scale 1 and shift 0, as in `Fits`."""
    points = poses[:, list(COCO13_IN_H36M17)]
    return points[..., :2] / (1 + inverse_depth[:, None] * points[..., 2]).clamp_min(MIN_DEPTH)[..., None]


def seen_by(
    poses: Float64[Tensor, "B 17 3"], inverse_depth: Float64[Tensor, " B"], person: Keypoints
) -> tuple[Float64[Tensor, " B"], Float64[Tensor, "B 2"]]:
    """Scale and shift of the camera under which poses land nearest to a person's seen keypoints (least squares).

    Args:
        poses: In the camera's directions.
        inverse_depth: Of the camera, per unit of the poses.
        person: One, on coco13.

    Returns:
        Scale, pixels per unit of the poses at the pelvis, and shift, pixels: where the pelvis lands.
    """
    seen = torch.tensor(person.mask[0])
    flat, marks = flattened(poses, inverse_depth)[:, seen], torch.from_numpy(person.xy[0].astype(np.float64))[seen]
    centre, middle = flat.mean(1, keepdim=True), marks.mean(0)
    off = flat - centre
    scale = (off * (marks - middle)).sum((1, 2)) / off.square().sum((1, 2)).clamp_min(torch.finfo(off.dtype).tiny)
    return scale, middle - scale[:, None] * centre[:, 0]
