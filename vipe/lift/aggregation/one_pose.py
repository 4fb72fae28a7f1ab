"""One pose from many hypotheses without the truth: means, the densest, and the poses that reproject best (torch).

JPMA and RPEA as published put the true root and the camera's intrinsics into the reprojection. Here nothing true
enters: each hypothesis is put over the keypoints by the scale and shift of `weak_perspective`.

A numpy array in place of a tensor is refused with ArgumentError.
"""

__all__ = ["densest_pose", "jpma", "mean_pose", "rpea", "weak_perspective", "weighted_mean"]

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vipe.errors import ArgumentError, ShapeError
from vipe.skeletons.working import COCO13, COCO13_IN_H36M17

RPEA_HYPOTHESES = 8
"""Hypotheses that a joint of RPEA is averaged over, as published."""

RPEA_TEMPERATURE = 0.01
"""Metres at the person's depth. The published 0.005 is in halves of the image's width: 2.5 of Human3.6M's 1000 pixels,
which is 11 mm at 5 m from a camera of focal length 1145 pixels."""

_FEWEST = 2  # keypoints: one tells no scale


def mean_pose(poses: Float[Tensor, "*batch M J 3"]) -> Float[Tensor, "*batch J 3"]:
    """The mean of the hypotheses, all of equal weight; its bones are shorter than theirs. Of one, that one.

    Args:
        poses: Hypotheses, root-centered, in any unit.

    Raises:
        ShapeError: If there is no hypothesis.
    """
    _check(poses)
    return poses.mean(-3)


def weighted_mean(
    poses: Float[Tensor, "*batch M J 3"], log_weight: Float[Tensor, "*batch M"]
) -> Float[Tensor, "*batch J 3"]:
    """The mean of the hypotheses by their weights: alpha-weighted, for the means of a mixture (Li & Lee 2019).

    Args:
        poses: Hypotheses, root-centered, in any unit.
        log_weight: Logarithms of weights, up to a constant; minus infinity for a weight of 0 (NaN if all are).

    Raises:
        ShapeError: If there is no hypothesis, or the weights do not fit them.
    """
    _check(poses, log_weight)
    return (log_weight.softmax(-1)[..., None, None] * poses).sum(-3)


def densest_pose(
    poses: Float[Tensor, "*batch M J 3"], log_density: Float[Tensor, "*batch M"]
) -> Float[Tensor, "*batch J 3"]:
    """The hypothesis of the highest density, the first of equals: the samples' mode.

    Args:
        poses: Hypotheses.
        log_density: Of each hypothesis.

    Raises:
        ShapeError: If there is no hypothesis, or the densities do not fit them.
    """
    _check(poses, log_density)
    return _take(poses, log_density.argmax(-1))


def jpma(
    poses: Float[Tensor, "*batch M 17 3"], xy: Float[Tensor, "*batch 13 2"], seen: Bool[Tensor, "*batch 13"]
) -> Float[Tensor, "*batch 17 3"]:
    """Joint by joint the hypothesis of least reprojection error, with estimated scale and shift (JPMA).

    A joint without a seen keypoint (pelvis, spine, thorax and head have none) comes from the hypothesis of the least
    mean error. Joints of several hypotheses make no body of constant bone lengths.

    Args:
        poses: Hypotheses of the working skeleton in camera space, in any unit.
        xy: Keypoints of coco13, pixels or any unit with x right, y down.
        seen: Which of them are; the others' values do not matter.

    Returns:
        The poses. Where fewer than two keypoints are seen no hypothesis reprojects better: their mean.

    Raises:
        ShapeError: If the shapes do not fit.

    Reference:
        Shan et al. 2023 (D3DP), sec. 3.3.
    """
    error, usable, _ = _reprojection(poses, xy, seen)
    best = error.argmin(-2)
    joints = torch.take_along_dim(poses, best[..., None, :, None], dim=-3).squeeze(-3)
    return torch.where(usable[..., None, None], joints, poses.mean(-3))


def rpea(
    poses: Float[Tensor, "*batch M 17 3"],
    xy: Float[Tensor, "*batch 13 2"],
    seen: Bool[Tensor, "*batch 13"],
    most: int = RPEA_HYPOTHESES,
    temperature: float = RPEA_TEMPERATURE,
) -> Float[Tensor, "*batch 17 3"]:
    """Joint by joint the mean of the hypotheses of least reprojection error, with estimated scale and shift (RPEA).

    Weights are exp(-error / temperature), with the errors turned into the poses' unit by the mean of the hypotheses'
    scales. A joint without a seen keypoint takes each hypothesis's mean error.

    Args:
        poses: Hypotheses of the working skeleton in camera space.
        xy: Keypoints of coco13, pixels or any unit with x right, y down.
        seen: Which of them are; the others' values do not matter.
        most: How many hypotheses a joint is averaged over; all, if there are fewer. 1 gives `jpma`.
        temperature: In the unit of the poses; the default is for metres.

    Returns:
        The poses; the mean of all hypotheses where fewer than two keypoints are seen.

    Raises:
        ShapeError: If the shapes do not fit, or `most` or the temperature is not above 0.

    Reference:
        The aggregation of FMPose3D; the published one uses the true root.
    """
    if most < 1 or not temperature > 0:
        raise ShapeError(f"rpea needs at least 1 hypothesis and a temperature above 0, got {most} and {temperature}")
    error, usable, scale = _reprojection(poses, xy, seen)
    unit = scale.mean(-1).clamp_min(torch.finfo(scale.dtype).eps)[..., None, None]
    least, rows = (error / unit).topk(min(most, poses.shape[-3]), dim=-2, largest=False)
    weight = (-least / temperature).softmax(-2)
    joints = (weight[..., None] * torch.take_along_dim(poses, rows[..., None], dim=-3)).sum(-3)
    return torch.where(usable[..., None, None], joints, poses.mean(-3))


def weak_perspective(
    poses: Float[Tensor, "*#batch 17 3"], xy: Float[Tensor, "*#batch 13 2"], seen: Bool[Tensor, "*#batch 13"]
) -> tuple[Float[Tensor, "*batch 13 2"], Float[Tensor, "*batch"]]:
    """Scale s and shift t minimizing sum |xy - (s (x, y) + t)|^2 over the seen keypoints; the image of all joints.

    The depth z is dropped: the person's own depth is taken as small against the distance from the camera. The scale is
    at least 0, so that no pose is turned upside down.

    Args:
        poses: Of the working skeleton in camera space, x right, y down; place and unit do not matter.
        xy: Keypoints of coco13, pixels or any unit with x right, y down.
        seen: Which of them are; the others' values do not matter.

    Returns:
        The image of the joints of coco13, in the unit of `xy`, and s. With one seen keypoint, or all joints behind each
        other, s is 0 and all joints fall on the mean of the keypoints; with none, on the origin.

    Raises:
        ShapeError: If the shapes do not fit.
    """
    _check_tensors(poses, xy, seen)
    joints = len(COCO13)
    if poses.shape[-2:] != (17, 3) or xy.shape[-2:] != (joints, 2) or seen.shape[-1:] != (joints,):
        raise ShapeError(
            f"poses, keypoints and mask must end in (17, 3), ({joints}, 2) and ({joints},), got shapes "
            f"{tuple(poses.shape)}, {tuple(xy.shape)} and {tuple(seen.shape)}"
        )
    flat = poses[..., COCO13_IN_H36M17, :2]
    mask = seen[..., None]
    goal = torch.where(mask, xy, 0)
    count = mask.sum(-2, keepdim=True).clamp_min(1)
    middle, place = (torch.where(mask, flat, 0).sum(-2, keepdim=True) / count), goal.sum(-2, keepdim=True) / count
    off = torch.where(mask, flat - middle, 0)
    size = off.square().sum((-2, -1))
    fit = (off * (goal - place)).sum((-2, -1))
    scale = fit.clamp_min(0) / torch.where(size > 0, size, 1)
    return scale[..., None, None] * (flat - middle) + place, scale


def _reprojection(
    poses: Float[Tensor, "*batch M 17 3"], xy: Float[Tensor, "*batch 13 2"], seen: Bool[Tensor, "*batch 13"]
) -> tuple[Float[Tensor, "*batch M 17"], Bool[Tensor, "*batch"], Float[Tensor, "*batch M"]]:
    """Distance of each joint's image from its keypoint, whether there are enough keypoints, and the scales."""
    _check(poses)
    _check_tensors(xy, seen)
    if xy.shape[:-2] != poses.shape[:-3] or seen.shape[:-1] != poses.shape[:-3]:
        raise ShapeError(
            f"keypoints and mask must have the batch {tuple(poses.shape[:-3])} of the hypotheses, got shapes "
            f"{tuple(xy.shape)} and {tuple(seen.shape)}"
        )
    mask = seen.unsqueeze(-2)
    image, scale = weak_perspective(poses, xy.unsqueeze(-3), mask)
    off = torch.where(mask, (image - torch.where(mask[..., None], xy.unsqueeze(-3), 0)).norm(dim=-1), 0)
    mean = off.sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp_min(1)
    error = mean.repeat_interleave(poses.shape[-2], dim=-1)
    error[..., COCO13_IN_H36M17] = torch.where(mask, off, mean)
    return error, seen.sum(-1) >= _FEWEST, scale


def _take(poses: Tensor, row: Tensor) -> Tensor:
    return torch.take_along_dim(poses, row[..., None, None, None], dim=-3).squeeze(-3)


def _check(poses: Tensor, values: Tensor | None = None) -> None:
    _check_tensors(poses, values)
    if poses.ndim < 3 or poses.shape[-1] != 3 or poses.shape[-3] < 1:
        raise ShapeError(f"hypotheses must end in (M, J, 3) with M at least 1, got shape {tuple(poses.shape)}")
    if values is not None and values.shape != poses.shape[:-2]:
        raise ShapeError(f"values must be {tuple(poses.shape[:-2])} like the hypotheses, got {tuple(values.shape)}")


def _check_tensors(*given: Tensor | None) -> None:
    for one in given:
        if one is not None and not isinstance(one, Tensor):
            raise ArgumentError(f"expected a torch tensor, got {type(one).__name__}; use torch.from_numpy(...)")
