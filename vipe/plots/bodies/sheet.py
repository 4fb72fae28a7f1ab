"""A sheet of figures: each row a query and its hits (matplotlib)."""

__all__ = ["save_sheet", "sheet"]

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vipe.plots.bodies.flat import draw_figure
from vipe.plots.figures import Card, colours
from vipe.plots.writing import new_figure, save_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_sheet(path: Path, title: str, rows: Sequence[tuple[str, Sequence[Card]]]) -> None:
    """Draw rows of cards and write them as a PNG.

    Args:
        path: PNG file to write; it is replaced if it exists.
        title: Heading of the sheet.
        rows: A label and the cards of each row; rows may differ in length.

    Raises:
        MissingExtra: If matplotlib is not installed.
        VipeError: If the picture cannot be written; an existing file stays as it is.
    """
    save_picture(path, sheet(title, rows))


def sheet(title: str, rows: Sequence[tuple[str, Sequence[Card]]]) -> "Figure":
    """A picture of rows of cards; see `save_sheet`.

    Args:
        title: Heading of the sheet.
        rows: A label and the cards of each row; rows may differ in length.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    columns = max(len(cards) for _, cards in rows)
    page = new_figure(1.75 * columns + 0.6, 2.1 * len(rows) + 0.7)
    page.suptitle(title, fontsize=11)
    grid = page.subplots(len(rows), columns, squeeze=False)
    for line, (label, cards) in zip(grid, rows, strict=True):
        for axes in line:
            axes.set_axis_off()
        line[0].text(-0.12, 0.5, label, transform=line[0].transAxes, rotation=90, va="center", ha="center", fontsize=8)
        for axes, card in zip(line, cards, strict=False):
            draw_figure(axes, card.figure)
            edge = "black" if card.hit is None else colours()["hit" if card.hit else "miss"]
            axes.set_title(card.title + (f"\n{card.note}" if card.note else ""), fontsize=7, color=edge)
    return page
