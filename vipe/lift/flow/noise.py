"""The baseline that the flow's samples are compared with: one pose, and the keypoints' noise around it (torch)."""

__all__ = ["noise_around"]

import torch
from jaxtyping import Float
from torch import Tensor

from vipe.lift.aggregation.one_pose import weak_perspective
from vipe.lift.condition import NOMINAL_NOISE, Condition
from vipe.lift.network import Samples
from vipe.skeletons.working import COCO13_IN_H36M17
from vipe.training.draws import Draws


def noise_around(
    poses: Float[Tensor, "batch 17 3"], condition: Condition, n: int, depth: float, generator: torch.Generator
) -> Samples:
    """Draw `n` poses for each row: the pose given, each joint moved by the errors that its keypoint may have.

    In x and y a joint is moved by the Gaussian of its keypoint, turned into torso lengths by the scale that puts the
    pose over the keypoints (`weak_perspective`). A keypoint that is not seen, or whose covariance is not known, has
    round errors of `NOMINAL_NOISE`; a joint without a keypoint (spine, thorax, head) has none. The depth of every joint
    is moved by the same Gaussian. The pelvis stays.

    Args:
        poses: Predicted, for the rows of the condition: camera space, pelvis at the origin, torso lengths.
        condition: The keypoints.
        n: Poses a row.
        depth: Standard deviation of the depth, torso lengths. The paper gives none; choose it on validation views.
        generator: For every draw, on the poses' device.

    Returns:
        The poses, of equal weight. Where no scale can be told (it is 0) x and y stay.

    Reference:
        wehrbein2021, sec. 4.5 and fig. 5: "z0 + noise".
    """
    _, scale = weak_perspective(poses, condition.xy, condition.seen)
    told = condition.seen & condition.known[:, None]
    usual = NOMINAL_NOISE**2 * torch.eye(2, dtype=poses.dtype, device=poses.device)
    covariance = torch.where(told[..., None, None], condition.covariance, usual)
    # A symmetric root exists also where a keypoint is exact.
    value, vector = torch.linalg.eigh(covariance)
    root = vector * value.clamp(min=0).sqrt()[..., None, :]
    torsos = torch.where(scale > 0, 1 / torch.where(scale > 0, scale, 1), 0)
    draw = Draws(poses, generator)
    moved = poses[:, None].repeat(1, n, 1, 1)
    error = (root[:, None] @ draw.normal(len(poses), n, root.shape[1], 2, 1))[..., 0]
    moved[:, :, COCO13_IN_H36M17, :2] += error * torsos[:, None, None, None]
    moved[:, :, 1:, 2] += depth * draw.normal(len(poses), n, poses.shape[1] - 1)
    return Samples.equal(moved)
