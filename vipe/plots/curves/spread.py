"""How far hypotheses spread along the line of sight and across it, a panel a lifter (matplotlib)."""

__all__ = ["spread_by_direction"]

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array
from vipe.errors import ShapeError
from vipe.plots.figures import colours
from vipe.plots.writing import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 4


def spread_by_direction(spread: Mapping[str, Float[Array, "joints 3 3"]]) -> "Figure":
    """A picture with a dot for each joint: deviation in width and in depth, a panel a lifter. `save_picture` writes it.

    Width is the root mean square of the two directions of the image. Dots above the diagonal are of joints whose depth
    the image leaves open more than their place in it.

    Args:
        spread: By name: the covariance of each joint in camera space (`Hypotheses.spread`), square metres.

    Raises:
        MissingExtra: If matplotlib is not installed.
        ShapeError: If there is nothing to draw, or covariances are not (joints, 3, 3).
    """
    if not spread:
        raise ShapeError("spreads to draw must be of one name at least, got none")
    dots = {}
    for name, covariance in spread.items():
        if covariance.ndim != 3 or covariance.shape[1:] != (3, 3):
            raise ShapeError(f"spread of {name} must be (joints, 3, 3), got shape {covariance.shape}")
        variance = np.diagonal(covariance, axis1=1, axis2=2).clip(min=0)
        dots[name] = 100 * np.sqrt(np.stack([variance[:, :2].mean(axis=1), variance[:, 2]]))
    limit = 1.08 * max(1.0, *(float(own.max()) for own in dots.values()))
    rows, columns = math.ceil(len(dots) / _COLUMNS), min(len(dots), _COLUMNS)
    page = new_figure(1.85 * columns + 0.4, 2.05 * rows + 0.3)
    axes = page.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat[len(dots) :]:
        axis.set_axis_off()
    for axis, (name, (width, depth)) in zip(axes.flat, dots.items(), strict=False):
        axis.plot([0, limit], [0, limit], color="black", linewidth=0.8, linestyle=":")
        axis.scatter(width, depth, s=16, color=colours()["left"], alpha=0.8, linewidths=0)
        axis.set(xlim=(-0.03 * limit, limit), ylim=(-0.03 * limit, limit), aspect="equal")
        axis.set_title(f"{name}: {depth.mean():.0f} / {width.mean():.0f} cm", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(linewidth=0.4, alpha=0.5)
    page.supxlabel("in width, cm", fontsize=8)
    page.supylabel("in depth, cm", fontsize=8)
    return page
