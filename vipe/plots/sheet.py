"""A sheet of figures as one PNG: a row a query, the query first, its hits beside it (matplotlib)."""

__all__ = ["save_sheet"]

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vipe.errors import MissingExtra
from vipe.plots.figures import Card, colours
from vipe.plots.writing import save_picture


def save_sheet(path: Path, title: str, rows: Sequence[tuple[str, Sequence[Card]]]) -> None:
    """Draw rows of cards and write them as a PNG.

    Args:
        path: Where to write; replaced if it exists.
        title: Stands above the sheet.
        rows: A label and the cards of each row; rows may differ in length.

    Raises:
        MissingExtra: If matplotlib is not installed.
        VipeError: If the picture cannot be written; what was there stays.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Page
    except ImportError as error:
        raise MissingExtra('plots need matplotlib: pip install "vipe-pose[report]"') from error
    columns = max(len(cards) for _, cards in rows)
    page = Page(figsize=(1.75 * columns + 0.6, 2.1 * len(rows) + 0.7), dpi=110, layout="constrained")
    FigureCanvasAgg(page)
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
    axis.set_xlim(-0.62, 0.62)
    axis.set_ylim(-0.62, 0.62)
    edge = "black" if card.hit is None else colours()["hit" if card.hit else "miss"]
    axis.set_title(card.title + (f"\n{card.note}" if card.note else ""), fontsize=7, color=edge)
