"""Recall of searches against their speed and size, and which of them no other beats (matplotlib)."""

__all__ = ["SpeedRow", "pareto_rows", "recall_by_speed"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vipe.errors import ShapeError
from vipe.plots.figures import colours
from vipe.plots.writing import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True, kw_only=True)
class SpeedRow:
    """One search: an index recipe, or a setting of one."""

    name: str
    recall: float  # 0 to 1
    queries_per_second: float
    bytes: int  # of the index


def recall_by_speed(rows: Sequence[SpeedRow], *, recall: str = "recall@10") -> "Figure":
    """A picture of searches: the higher the better, the farther right the faster, the smaller the dot the less memory.

    A line joins those that no other one beats in recall and speed (`pareto_rows`); they are filled. `save_picture`
    writes it.

    Args:
        rows: What was measured, in any order.
        recall: What the recall is of.

    Raises:
        ShapeError: If there is no row, or one whose speed is not above 0.
        MissingExtra: If matplotlib is not installed.
    """
    if not rows or min(row.queries_per_second for row in rows) <= 0:
        raise ShapeError("recall against speed needs rows with a speed above 0")
    page = new_figure(6.4, 4.4)
    axes = page.subplots()
    best = pareto_rows(rows)
    axes.plot(
        [row.queries_per_second for row in best],
        [100 * row.recall for row in best],
        color=colours()["left"],
        linewidth=1.2,
        zorder=1,
    )
    largest = max(row.bytes for row in rows)
    for row in rows:
        front = row in best
        area = 30 + 300 * row.bytes / max(largest, 1)
        axes.scatter(
            row.queries_per_second,
            100 * row.recall,
            s=area,
            facecolors=colours()["left"] if front else "none",
            edgecolors=colours()["left" if front else "right"],
            alpha=0.8,
            linewidths=1.4,
            zorder=2,
        )
        axes.annotate(
            f"{row.name}, {_size(row.bytes)}",
            (row.queries_per_second, 100 * row.recall),
            xytext=(0, -4 - area**0.5 / 2),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=7,
        )
    axes.set_xscale("log")
    axes.margins(0.14)
    axes.set_xlabel("queries a second", fontsize=8)
    axes.set_ylabel(f"{recall}, %", fontsize=8)
    axes.tick_params(labelsize=8, which="both")
    axes.grid(linewidth=0.4, alpha=0.5)
    axes.set_title("filled: no other one is both faster and better; area: bytes", fontsize=8)
    return page


def pareto_rows(rows: Sequence[SpeedRow]) -> list[SpeedRow]:
    """Those that no other row beats in recall and speed, the slowest first.

    A row is beaten by one that is at least as good in both and better in one.
    """

    def beaten(row: SpeedRow) -> bool:
        return any(
            other.recall >= row.recall
            and other.queries_per_second >= row.queries_per_second
            and (other.recall, other.queries_per_second) != (row.recall, row.queries_per_second)
            for other in rows
        )

    return sorted((row for row in rows if not beaten(row)), key=lambda row: (row.queries_per_second, -row.recall))


def _size(count: int) -> str:
    size = float(count)
    for unit in _UNITS[:-1]:
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} {_UNITS[-1]}"
