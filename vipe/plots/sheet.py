"""A sheet of figures as one PNG: each row a query and its hits (matplotlib)."""

__all__ = ["save_sheet"]

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vipe.plots.figures import Card, colours
from vipe.plots.writing import new_figure, save_picture

_HALF_WIDTH = 0.62  # of a drawing; figures are one unit wide, and some space is left around them


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
    columns = max(len(cards) for _, cards in rows)
    page = new_figure(1.75 * columns + 0.6, 2.1 * len(rows) + 0.7)
    page.suptitle(title, fontsize=11)
    axes = page.subplots(len(rows), columns, squeeze=False)
    for line, (label, cards) in zip(axes, rows, strict=True):
        for axis in line:
            axis.set_axis_off()
        line[0].text(-0.12, 0.5, label, transform=line[0].transAxes, rotation=90, va="center", ha="center", fontsize=8)
        for axis, card in zip(line, cards, strict=False):
            _draw(axis, card)
    save_picture(path, page)


def _draw(axis: Any, card: Card) -> None:
    flat = card.figure.points[:, :2]
    for a, b, colour in card.figure.bones:
        axis.plot(flat[[a, b], 0], flat[[a, b], 1], color=colour, linewidth=1.8, solid_capstyle="round")
    axis.set_aspect("equal")
    axis.set_xlim(-_HALF_WIDTH, _HALF_WIDTH)
    axis.set_ylim(-_HALF_WIDTH, _HALF_WIDTH)
    edge = "black" if card.hit is None else colours()["hit" if card.hit else "miss"]
    axis.set_title(card.title + (f"\n{card.note}" if card.note else ""), fontsize=7, color=edge)
