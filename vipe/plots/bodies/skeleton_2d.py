"""Keypoints in a plot, in pixels (matplotlib)."""

__all__ = ["draw_skeleton_2d", "show_all_pixels", "skeleton_2d"]

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from vipe.arrays import Array
from vipe.errors import ShapeError
from vipe.plots.bodies.flat import draw_bones
from vipe.plots.figures import colours, figure_2d
from vipe.plots.writing import new_figure
from vipe.skeletons import Skeleton
from vipe.skeletons.working import COCO13

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARGIN = 0.1  # of the larger side, around the keypoints


def skeleton_2d(
    xy: Float[Array, "joints 2"], mask: Bool[Array, " joints"] | None = None, *, skeleton: Skeleton = COCO13
) -> "Figure":
    """A picture of keypoints, with their pixels along the sides. `save_picture` writes it.

    Args:
        xy: Pixels, x right, y down.
        mask: Which are seen; all if not given.
        skeleton: Of the keypoints.

    Raises:
        ShapeError: If shapes and skeleton do not fit.
        MissingExtra: If matplotlib is not installed.
    """
    drawn = new_figure(3.6, 4.2)
    axes = drawn.subplots()
    draw_skeleton_2d(axes, xy, mask, skeleton=skeleton)
    axes.set_xlabel("x, pixels", fontsize=8)
    axes.set_ylabel("y, pixels", fontsize=8)
    axes.tick_params(labelsize=7)
    return drawn


def draw_skeleton_2d(
    axes: "Axes",
    xy: Float[Array, "joints 2"],
    mask: Bool[Array, " joints"] | None = None,
    *,
    skeleton: Skeleton = COCO13,
    width: float = 2.0,
    alpha: float = 1.0,
    colour: str | None = None,
) -> None:
    """Draw keypoints into a plot, over a photo or what else is there: y down, a pixel as wide as high.

    The person's left is blue, the right orange. Bones with an unseen end are left out. The plot is set to show all that
    is in it; nobody seen changes nothing of it.

    Args:
        axes: Of matplotlib.
        xy: Pixels, x right, y down.
        mask: Which are seen; all if not given.
        skeleton: Of the keypoints.
        width: Of a bone, points.
        alpha: 1 is opaque.
        colour: Of all bones, instead of those of the sides.

    Raises:
        ShapeError: If shapes and skeleton do not fit.
    """
    seen = np.ones(len(xy), dtype=bool) if mask is None else mask
    if xy.shape != (len(skeleton), 2) or seen.shape != (len(skeleton),):
        raise ShapeError(
            f"keypoints of {skeleton.name} must be ({len(skeleton)}, 2), their mask ({len(skeleton)},), got {xy.shape} "
            f"and {seen.shape}"
        )
    draw_bones(axes, xy, figure_2d(xy, seen, skeleton).bones, width=width, alpha=alpha, colour=colour)
    if seen.any():
        axes.scatter(
            xy[seen, 0],
            xy[seen, 1],
            s=(1.6 * width) ** 2,
            color=colour or colours()["middle"],
            alpha=alpha,
            linewidths=0,
        )
        show_all_pixels(axes)


def show_all_pixels(axes: "Axes") -> None:
    """Set a plot to show everything in it, with some room: y down, a pixel as wide as high."""
    whole = axes.dataLim
    margin = _MARGIN * max(whole.width, whole.height, 1.0)
    axes.set_xlim(whole.x0 - margin, whole.x1 + margin)
    axes.set_ylim(whole.y1 + margin, whole.y0 - margin)
    axes.set_aspect("equal")
