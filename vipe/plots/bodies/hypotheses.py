"""Hypotheses of a person over the keypoints that they came from (matplotlib)."""

__all__ = ["draw_hypotheses", "hypotheses_over_keypoints", "hypothesis_images", "weighted_rows"]

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.lift.aggregation.one_pose import weak_perspective
from vipe.lift.hypotheses import Hypotheses
from vipe.plots.bodies.flat import draw_bones
from vipe.plots.bodies.skeleton_2d import draw_skeleton_2d
from vipe.plots.figures import figure_2d, repeated
from vipe.plots.writing import new_figure
from vipe.skeletons.working import COCO13

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DRAWN = 40  # hypotheses of a person


def hypotheses_over_keypoints(people: Keypoints, hypotheses: Hypotheses, row: int = 0) -> "Figure":
    """A picture of one person's hypotheses, coloured and faint, over the keypoints, black. `save_picture` writes it.

    Args:
        people: On coco13.
        hypotheses: Of the same people.
        row: Who.

    Raises:
        ShapeError: If there are hypotheses of another number of people.
        MissingExtra: If matplotlib is not installed.
    """
    from vipe.errors import ShapeError

    if len(hypotheses) != len(people):
        raise ShapeError(f"hypotheses must be of the {len(people)} people of the keypoints, got {len(hypotheses)}")
    drawn = new_figure(3.6, 4.2)
    axes = drawn.subplots()
    draw_hypotheses(axes, people.xy[row], people.mask[row], hypotheses.poses[row], hypotheses.weight[row])
    axes.set_axis_off()
    return drawn


def draw_hypotheses(
    axes: "Axes",
    xy: Float[Array, "13 2"],
    mask: Bool[Array, " 13"],
    poses: Float[Array, "M 17 3"],
    weight: Float64[Array, " M"],
) -> None:
    """Draw hypotheses into a plot, each at the place and size that fit the keypoints best, and the keypoints over them.

    Args:
        axes: Of matplotlib.
        xy: Keypoints of coco13, pixels.
        mask: Which are seen.
        poses: Camera space, x right, y down; up to 40 are drawn, as many of each as its weight says.
        weight: Of each, 1 in all.
    """
    images = hypothesis_images(poses[weighted_rows(weight)], xy, mask)
    bones = figure_2d(xy, np.ones(len(xy), dtype=bool), COCO13).bones
    draw_bones(axes, images.reshape(-1, 2), repeated(bones, len(xy), len(images)), width=1.2, alpha=0.3)
    draw_skeleton_2d(axes, xy, mask, colour="black", width=1.6)


def hypothesis_images(
    poses: Float[Array, "some 17 3"], xy: Float[Array, "13 2"], mask: Bool[Array, " 13"]
) -> Float64[Array, "some 13 2"]:
    """Pixels of the joints of coco13 under the scale and shift that fit each hypothesis to the keypoints best."""
    keypoints, seen = torch.tensor(xy, dtype=torch.float64)[None], torch.tensor(mask)[None]
    return np.asarray(weak_perspective(torch.tensor(poses, dtype=torch.float64), keypoints, seen)[0].numpy())


def weighted_rows(weight: Float64[Array, " M"], most: int = _DRAWN) -> Int64[Array, " some"]:
    """Rows of hypotheses to draw: as many of each as its weight says, evenly over their cumulated weights."""
    count = min(most, len(weight))
    return np.searchsorted(np.cumsum(weight), (np.arange(count) + 0.5) / count).clip(max=len(weight) - 1)
