"""A figure of a person in the plane of a plot (matplotlib)."""

__all__ = ["draw_bones", "draw_figure"]

from typing import TYPE_CHECKING

from jaxtyping import Float

from vipe.arrays import Array
from vipe.plots.figures import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HALF_WIDTH = 0.62  # of a drawing; figures are one unit wide, and some space is left around them


def draw_figure(axes: "Axes", figure: Figure, *, width: float = 1.8) -> None:
    """Draw a figure alone in a plot: no axes, one unit as long across as up.

    Args:
        axes: Of matplotlib.
        figure: Its x and y are drawn; `others` faintly below it.
        width: Of a bone, points.
    """
    if figure.others is not None:
        draw_bones(axes, figure.others.points[:, :2], figure.others.bones, width=width, alpha=0.25)
    draw_bones(axes, figure.points[:, :2], figure.bones, width=width)
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-_HALF_WIDTH, _HALF_WIDTH)
    axes.set_ylim(-_HALF_WIDTH, _HALF_WIDTH)


def draw_bones(
    axes: "Axes",
    points: Float[Array, "joints 2"],
    bones: tuple[tuple[int, int, str], ...],
    *,
    width: float = 1.8,
    alpha: float = 1.0,
    colour: str | None = None,
) -> None:
    """Draw bones, each in its colour, or all in one.

    Args:
        axes: Of matplotlib.
        points: In the coordinates of the plot.
        bones: From, to, colour; without any nothing changes.
        width: Points.
        alpha: 1 is opaque.
        colour: Of all, instead of their own.
    """
    from matplotlib.collections import LineCollection

    if not bones:
        return
    lines = [points[[a, b]] for a, b, _ in bones]
    drawn = LineCollection(
        lines, colors=[colour or own for *_, own in bones], linewidths=width, alpha=alpha, capstyle="round"
    )
    axes.add_collection(drawn)
