"""A pose in space, in a plot whose axes have one unit (matplotlib)."""

__all__ = ["draw_skeleton_3d", "skeleton_3d"]

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array
from vipe.errors import ShapeError
from vipe.plots.figures import figure_3d
from vipe.plots.writing import new_figure
from vipe.skeletons import Skeleton
from vipe.skeletons.working import H36M17

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARGIN = 1.05
_GRID = "#80808050"  # on a light ground and on a dark one
_ELEVATION, _BESIDE = 12.0, 30.0  # degrees: seen from a little above, and from beside the front


def skeleton_3d(pose: Float[Array, "joints 3"], *, skeleton: Skeleton = H36M17) -> "Figure":
    """A picture of a pose in its world: z up, one unit along all three axes. `save_picture` writes it.

    The viewer stands before the person, a little aside.

    Args:
        pose: World space, z up, any unit.
        skeleton: Of the pose.

    Raises:
        ShapeError: If pose and skeleton do not fit.
        MissingExtra: If matplotlib is not installed.
    """
    drawn = new_figure(4.2, 4.2)
    from matplotlib import rc_context
    from matplotlib.ticker import MaxNLocator

    with rc_context({"grid.color": _GRID}):
        axes: Any = drawn.add_subplot(projection="3d")
    draw_skeleton_3d(axes, pose, skeleton=skeleton)
    hips = {name: index for index, name in enumerate(skeleton.joints) if name in ("left_hip", "right_hip")}
    if len(hips) == 2:
        across = pose[hips["left_hip"]] - pose[hips["right_hip"]]
        ahead = np.degrees(np.arctan2(-across[0], across[1]))  # left is a quarter turn to the left of ahead
        axes.view_init(elev=_ELEVATION, azim=ahead + _BESIDE)
    for axis, name in zip((axes.xaxis, axes.yaxis, axes.zaxis), "xyz", strict=True):
        axis.set_label_text(name, fontsize=8)
        axis.set_major_locator(MaxNLocator(5))
    axes.tick_params(labelsize=6)
    return drawn


def draw_skeleton_3d(
    axes: Any,
    pose: Float[Array, "joints 3"],
    *,
    skeleton: Skeleton = H36M17,
    width: float = 2.0,
    alpha: float = 1.0,
    colour: str | None = None,
) -> None:
    """Draw a pose into a 3D plot; several in one plot share it, and the plot shows them all.

    The person's left is blue, the right orange. All three axes have one unit, so that no body is stretched.

    Args:
        axes: Of matplotlib, with `projection="3d"`.
        pose: World space, z up, any unit.
        skeleton: Of the pose.
        width: Of a bone, points.
        alpha: 1 is opaque.
        colour: Of all bones, instead of those of the sides.

    Raises:
        ShapeError: If pose and skeleton do not fit.
    """
    if pose.shape != (len(skeleton), 3):
        raise ShapeError(f"a pose of {skeleton.name} must be ({len(skeleton)}, 3), got {pose.shape}")
    for a, b, own in figure_3d(pose, skeleton=skeleton).bones:
        axes.plot(*pose[[a, b]].T, color=colour or own, linewidth=width, alpha=alpha, solid_capstyle="round")
    points = np.concatenate([np.stack(line.get_data_3d(), axis=1) for line in axes.lines])
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    half = _MARGIN * max(float((points.max(axis=0) - points.min(axis=0)).max()), 1e-6) / 2
    axes.set(**{f"{name}lim": (at - half, at + half) for name, at in zip("xyz", middle, strict=True)})
    axes.set_box_aspect((1, 1, 1), zoom=0.9)
