"""Numbers over time, or over anything that is in order, as lines (matplotlib)."""

__all__ = ["line_chart"]

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array
from vipe.errors import ShapeError
from vipe.plots.figures import colours
from vipe.plots.writing import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ORDER = ("left", "right", "third", "fourth", "middle")


def line_chart(
    title: str,
    x: Float[Array, " N"] | Sequence[float | int],
    lines: Mapping[str, Float[Array, " N"] | Sequence[float | int]],
    *,
    x_label: str,
    y_label: str,
    marks: Mapping[str, float | int] | None = None,
    dots: bool = False,
    share: bool = False,
) -> "Figure":
    """A picture of lines over one axis. `save_picture` writes it.

    Args:
        title: Heading.
        x: Where the numbers are.
        lines: Numbers by name; NaN leaves a gap.
        x_label: What x is.
        y_label: What the numbers are.
        marks: Places on x that get a dashed line, by name.
        dots: Whether each number has a dot.
        share: Whether numbers are shares, drawn from 0 to 1.

    Raises:
        MissingExtra: If matplotlib is not installed.
        ShapeError: If there is no line, or one has not as many numbers as x.
    """
    wrong = next((name for name, y in lines.items() if len(y) != len(x)), None)
    if not lines or wrong is not None:
        raise ShapeError(
            f"lines must have {len(x)} numbers each, got {f'{len(lines[wrong])} of {wrong}' if wrong else 'no line'}"
        )
    page = new_figure(7.0, 2.8)
    axis = page.subplots()
    for number, (name, y) in enumerate(lines.items()):
        colour = colours()[_ORDER[number % len(_ORDER)]]
        axis.plot(x, np.asarray(y), color=colour, linewidth=1.3, marker="o" if dots else "", markersize=4, label=name)
    for name, place in (marks or {}).items():
        axis.axvline(place, color=colours()["middle"], linewidth=1, linestyle="--")
        axis.annotate(
            name, (place, 0.97), xycoords=("data", "axes fraction"), xytext=(4, 0), textcoords="offset points",
            fontsize=8, va="top",
        )  # fmt: skip
    if share:
        axis.set_ylim(-0.03, 1.03)
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(x_label, fontsize=8)
    axis.set_ylabel(y_label, fontsize=8)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        axis.legend(fontsize=8, frameon=False)
    return page
