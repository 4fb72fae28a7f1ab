"""A few numbers as bars, each with its figure (matplotlib)."""

__all__ = ["bar_chart"]

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vipe.errors import ShapeError
from vipe.plots.figures import colours
from vipe.plots.writing import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ORDER = ("left", "right", "third", "fourth", "middle")


def bar_chart(
    title: str,
    values: Mapping[str, float | int | Sequence[float | int]],
    *,
    series: Sequence[str] = (),
    unit: str = "",
    figure: str = "{:,.0f}",
) -> "Figure":
    """A picture with a bar for each number, top to bottom. `save_picture` writes it.

    Args:
        title: Heading.
        values: By label, a number or one of each series.
        series: Names of the series; with none every label has one number.
        unit: Below the axis.
        figure: How a number is written beside its bar, as `str.format` takes it.

    Raises:
        MissingExtra: If matplotlib is not installed.
        ShapeError: If there is no number, or a label has not one of each series.
    """
    rows = {label: [own] if isinstance(own, int | float) else [*own] for label, own in values.items()}
    count = max(len(series), 1)
    wrong = next((label for label, own in rows.items() if len(own) != count), None)
    if not rows or wrong is not None:
        raise ShapeError(
            f"bars must have {count} numbers each, got {f'{len(rows[wrong])} of {wrong}' if wrong else 'no bars'}"
        )
    high = 0.8 / count
    page = new_figure(6.5, 0.9 + 0.28 * len(rows) * max(1, 0.75 * count) + (0.3 if series else 0))
    axis = page.subplots()
    for number in range(count):
        place = [row + (number - (count - 1) / 2) * high for row in range(len(rows))]
        numbers = [own[number] for own in rows.values()]
        label = series[number] if series else None
        bars = axis.barh(place, numbers, 0.9 * high, color=colours()[_ORDER[number % len(_ORDER)]], label=label)
        axis.bar_label(bars, [figure.format(own) for own in numbers], padding=3, fontsize=8)
    axis.set_yticks(range(len(rows)), list(rows), fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.14)
    axis.tick_params(axis="x", labelsize=8)
    if all(float(own).is_integer() for numbers in rows.values() for own in numbers):
        from matplotlib.ticker import MaxNLocator

        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_title(title, fontsize=10)
    if unit:
        axis.set_xlabel(unit, fontsize=8)
    if series:
        page.legend(loc="outside lower center", ncols=count, fontsize=8, frameon=False)
    return page
