"""Reliability of probabilities: how often they were right, of all galleries together and of each (matplotlib)."""

__all__ = ["reliability", "reliability_by_gallery"]

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vipe.evaluate.protocols.calibration_report import CalibrationReport
from vipe.plots.figures import colours
from vipe.plots.writing import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TITLES = {"presence": "the pose is in the archive"}


def reliability(report: CalibrationReport) -> "Figure":
    """A picture of rates of success against probabilities: a panel for each kind of probability in the report.

    A calibrated search lies on the diagonal. The area of a dot is the share of hits in its bin.

    Args:
        report: As `evaluate_calibration` gives it.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    titles = [_TITLES.get(name, f"hit is {name}") for name in report.bins]
    return _panels([list(zip(titles, report.bins.values(), strict=True))])


def reliability_by_gallery(report: CalibrationReport) -> "Figure":
    """A picture like `reliability`, with a row of panels for each gallery: the easier it is, the surer hits should be.

    Args:
        report: As `evaluate_calibration` gives it.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    return _panels(
        [
            [(f"{gallery}\n{_TITLES.get(name, f'hit is {name}')}", some) for name, some in bins.items()]
            for gallery, bins in report.gallery_bins.items()
        ]
    )


def _panels(rows: Sequence[Sequence[tuple[str, list[dict[str, float]]]]]) -> "Figure":
    across = max(len(row) for row in rows)
    page = new_figure(3.1 * across, 3.5 * len(rows))
    page.set_layout_engine("compressed")  # of squares: the usual layout lets their titles go beyond the edge
    grid = page.subplots(len(rows), across, squeeze=False, sharex=True, sharey=True)
    for line, row in zip(grid, rows, strict=True):
        for axes, (title, bins) in zip(line, row, strict=True):
            _draw(axes, title, bins)
        line[0].set_ylabel("share that was right", fontsize=8)
    for axes in grid[-1]:
        axes.set_xlabel("probability", fontsize=8)
    return page


def _draw(axes: Any, title: str, bins: list[dict[str, float]]) -> None:
    sure, right, share = ([bar[part] for bar in bins] for part in ("probability", "rate", "share"))
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
    axes.plot(sure, right, color=colours()["middle"], linewidth=1)
    axes.scatter(sure, right, s=[12 + 500 * part for part in share], color=colours()["left"], alpha=0.7, clip_on=False)
    ece = sum(abs(a - b) * c for a, b, c in zip(sure, right, share, strict=True))
    axes.set_title(f"{title}: ECE {ece:.3f}", fontsize=9)
    axes.set_xlim(-0.04, 1.04)
    axes.set_ylim(-0.04, 1.04)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=8)
    axes.grid(linewidth=0.4, alpha=0.5)
