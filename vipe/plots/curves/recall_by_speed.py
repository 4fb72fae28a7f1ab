"""Recall of searches against their speed and size, and which of them no other beats (matplotlib)."""

__all__ = ["SpeedRow", "pareto_rows", "recall_by_speed"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vipe.errors import ShapeError
from vipe.plots.figures import colours
from vipe.plots.writing import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

# Where a name may stand, in steps of 12 points: the nearest places first.
_AROUND = (
    (0, -1),
    (0, 1),
    (1, 0),
    (-1, 0),
    (1, 1),
    (-1, 1),
    (1, -1),
    (-1, -1),
    (0, 2),
    (0, -2),
    (1, 2),
    (-1, 2),
    (1, -2),
    (-1, -2),
    (0, 3),
    (0, -3),
)
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
    axes.set_xscale("log")
    axes.margins(0.14)
    axes.set_xlabel("queries a second", fontsize=8)
    axes.set_ylabel(f"{recall}, %", fontsize=8)
    axes.tick_params(labelsize=8, which="both")
    axes.grid(linewidth=0.4, alpha=0.5)
    axes.set_title("filled: no other one is both faster and better; area: bytes", fontsize=8)
    _label(page, axes, rows)
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


def _label(page: "Figure", axes: "Axes", rows: Sequence[SpeedRow]) -> None:
    """Name each dot: below, above or beside it, where its name covers no other one and stays in the picture."""
    page.draw_without_rendering()
    places: list[Bbox] = []
    for row in sorted(rows, key=lambda row: -row.recall):
        tries: list[tuple[int, int, Annotation, Bbox]] = []
        for across, down in _AROUND:
            name = axes.annotate(
                f"{row.name}, {_size(row.bytes)}" if row.bytes else row.name,
                (row.queries_per_second, 100 * row.recall),
                xytext=(12 * across, 12 * down),
                textcoords="offset points",
                ha=("right", "center", "left")[int(np.sign(across)) + 1],
                va=("top", "center", "bottom")[int(np.sign(down)) + 1],
                fontsize=7,
            )
            box = name.get_window_extent()
            covered = sum(box.overlaps(other) for other in places)
            outside = box.x0 < axes.bbox.x0 or box.x1 > axes.bbox.x1
            tries.append((covered + outside, len(tries), name, box))
        *_, best, box = min(tries, key=lambda one: one[:2])
        places.append(box)
        for *_, name, _ in tries:
            if name is not best:
                name.remove()


def _size(count: int) -> str:
    size = float(count)
    for unit in _UNITS[:-1]:
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} {_UNITS[-1]}"
