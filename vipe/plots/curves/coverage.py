"""Whether hypotheses spread as the truth does: a curve of coverage for each lifter (matplotlib)."""

__all__ = ["coverage_curves"]

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from vipe.errors import ShapeError
from vipe.evaluate.lifting_calibration import CalibrationCurve
from vipe.plots.figures import colours
from vipe.plots.writing import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 4


def coverage_curves(curves: Mapping[str, CalibrationCurve]) -> "Figure":
    """A picture of how often the truth lies where hypotheses say, a panel a lifter. `save_picture` writes it.

    A calibrated lifter lies on the diagonal, an overconfident one below it: the coloured area is the error, and its
    mean height the ECE in the title.

    Args:
        curves: By name, such as those of `radial_calibration`.

    Raises:
        MissingExtra: If matplotlib is not installed.
        ShapeError: If there is no curve.
    """
    if not curves:
        raise ShapeError("coverage needs one curve at least, got none")
    rows, columns = math.ceil(len(curves) / _COLUMNS), min(len(curves), _COLUMNS)
    page = new_figure(1.85 * columns + 0.4, 2.05 * rows + 0.3)
    axes = page.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat[len(curves) :]:
        axis.set_axis_off()
    for axis, (name, curve) in zip(axes.flat, curves.items(), strict=False):
        axis.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
        axis.fill_between(
            curve.levels, curve.coverage, curve.levels, color=colours()["missing"], alpha=0.6, linewidth=0
        )
        axis.plot(curve.levels, curve.coverage, color=colours()["left"], linewidth=1.6)
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axis.set_title(f"{name}: ECE {curve.ece:.2f}", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(linewidth=0.4, alpha=0.5)
    page.supxlabel("probability of the region", fontsize=8)
    page.supylabel("how often the truth lies in it", fontsize=8)
    return page
