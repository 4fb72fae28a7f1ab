"""Frames that cannot be, drawn as recorded and as they should be (matplotlib)."""

__all__ = ["save_outliers"]

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array
from vipe.plots.bodies.flat import draw_bones, draw_figure
from vipe.plots.figures import colours, figure_in_camera
from vipe.plots.writing import new_figure, save_picture
from vipe.skeletons.working import H36M17

if TYPE_CHECKING:
    from vipe.lift.ppca.prior.outliers import Outlier

_DRAWN, _COLUMNS = 18, 6
_TURN, _LIFT = 0.6, 0.25  # radians: the person turned a little aside, seen from a little above
_LEFT, _RIGHT = (H36M17.index(f"{side}_hip") for side in ("left", "right"))


def save_outliers(path: Path, outliers: "Sequence[Outlier]", most: int = _DRAWN) -> None:
    """Draw the first of some outliers. Grey, behind each: the pose with the wrong joints where they should be.

    Args:
        path: PNG file to write; it is replaced if it exists.
        outliers: The worst first. An empty list draws nothing, and no file is written.
        most: How many to draw.

    Raises:
        MissingExtra: If matplotlib is not installed.
        VipeError: If the picture cannot be written; an existing file stays as it is.
    """
    drawn = outliers[:most]
    if not drawn:
        return
    columns = min(_COLUMNS, len(drawn))
    rows = math.ceil(len(drawn) / columns)
    page = new_figure(2.1 * columns, 2.6 * rows + 0.5)
    page.suptitle("Left is blue, right is orange; ringed: what is wrong; grey: where it should be", fontsize=9)
    axes = page.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, one in zip(axes, drawn, strict=False):
        _draw(axis, one)
    save_picture(path, page)


def _draw(axis: Any, one: "Outlier") -> None:
    recorded, expected = (_seen(pose, one.expected) for pose in (one.pose, one.expected))
    figure = figure_in_camera(recorded, others=expected[None])
    assert figure.others is not None
    draw_bones(
        axis, figure.others.points[:, :2], figure.others.bones, width=3.5, colour=colours()["missing"], alpha=0.6
    )
    draw_figure(axis, replace(figure, others=None))
    wrong = figure.points[list(one.joints), :2]
    axis.scatter(wrong[:, 0], wrong[:, 1], s=60, facecolors="none", edgecolors=colours()["miss"], zorder=3)
    clip = one.clip if len(one.clip) <= 30 else f"...{one.clip[-27:]}"
    axis.set_title(f"{clip}\nframe {one.frame}: {one.excess:.0f} nats\n{one.reason}", fontsize=7)


def _seen(pose: Float[Array, "17 3"], facing: Float[Array, "17 3"]) -> Float[Array, "17 3"]:
    """A pose in the space of a camera (x right, y down, z away) that another one of the same person nearly faces."""
    across = facing[_LEFT] - facing[_RIGHT]
    angle = math.atan2(-across[0], across[1])  # that of the direction which the person faces
    c, s = math.cos(_TURN - angle), math.sin(_TURN - angle)
    x, y, z = (pose - facing[0]).T
    ahead, left = c * x - s * y, s * x + c * y
    up, towards = z * math.cos(_LIFT) - ahead * math.sin(_LIFT), z * math.sin(_LIFT) + ahead * math.cos(_LIFT)
    return np.stack([left, -up, -towards], axis=1)
