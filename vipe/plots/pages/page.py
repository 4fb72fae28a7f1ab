"""A page of figures as one HTML file that needs no network and no other file (jinja2)."""

__all__ = ["Section", "save_page"]

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipe.evaluate import HIT_THRESHOLD
from vipe.plots.figures import Card, Figure
from vipe.plots.pages.template import render
from vipe.plots.writing import save_html
from vipe.printable import in_percent
from vipe.shareable import shareable

if TYPE_CHECKING:
    from markupsafe import Markup


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page under one title: what it has of these, in this order."""

    title: str
    note: str = ""
    points: Sequence[str] = ()  # a list of sentences
    code: str = ""  # as it was typed
    facts: Sequence[tuple[str, str]] = ()
    pictures: Sequence["Markup"] = ()  # from `inline_svg`
    table: Sequence[Sequence[str]] = ()  # head first
    rows: Sequence[tuple[str, Sequence[Card]]] = ()  # a label and its cards


def save_page(
    path: Path, title: str, sections: Sequence[Section], *, intro: str = "", table: Sequence[Sequence[str]] = ()
) -> None:
    """Write sections of turning 3D figures, flat 2D ones, pictures and tables as one HTML file.

    It is light or dark as the reader's system is, and fits a phone and paper. It asks no other place for anything, and
    its policy of content forbids that it could.

    Args:
        path: HTML file to write; it is replaced if it exists.
        title: Heading of the page.
        sections: Top to bottom.
        intro: A few sentences below the heading.
        table: Rows of cells, the head first; an empty table is not drawn.

    Raises:
        MissingExtra: If jinja2 is not installed.
        VipeError: If the page cannot be written; an existing file stays as it is.
    """
    figures: list[dict[str, Any]] = []
    photos: dict[bytes, int] = {}
    drawn = [_section(section, figures, photos) for section in sections]
    title, intro, table, drawn = (_shareable(one) for one in (title, intro, table, drawn))
    html = render(
        "page.html.j2",
        "viewer.js",
        figures,
        title=title,
        intro=intro,
        table=table,
        hit_threshold=f"{HIT_THRESHOLD:g}",
        in_percent=in_percent,
        sections=drawn,
        photos=[f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}" for jpeg in photos],
    )
    save_html(path, html)


def _shareable(value: Any) -> Any:
    """The same, without places of this machine in its texts; markup is from here, and stays."""
    if type(value) is str:
        return shareable(value)
    if isinstance(value, dict):
        return {name: _shareable(one) for name, one in value.items()}
    return [_shareable(one) for one in value] if isinstance(value, list | tuple) else value


def _section(section: Section, figures: list[dict[str, Any]], photos: dict[bytes, int]) -> dict[str, Any]:
    rows = []
    for label, cards in section.rows:
        drawn = []
        for card in cards:
            views = [card.figure] if card.beside is None else [card.figure, card.beside]
            numbers = range(len(figures), len(figures) + len(views))
            drawn.append(
                {
                    "numbers": list(numbers),
                    "title": card.title,
                    "note": card.note,
                    "hit": card.hit,
                    "probability": card.probability,
                    "share": card.share,
                    "bars": card.bars,
                }
            )
            figures += [_plain(view, photos) for view in views]
        over_photos = any(card.figure.photo is not None for card in cards)
        rows.append({"label": label, "cards": drawn, "over_photos": over_photos})
    shown = {name: getattr(section, name) for name in ("title", "note", "points", "code", "facts", "pictures", "table")}
    return {**shown, "rows": rows}


def _plain(figure: Figure, photos: dict[bytes, int]) -> dict[str, Any]:
    """A figure for the page; a photo under it is a number among those of the page, each of which it holds once."""
    drawn: dict[str, Any] = {"points": figure.points.round(3).tolist(), "bones": figure.bones, "turns": figure.turns}
    if figure.others is not None:
        drawn["others"] = {"points": figure.others.points.round(3).tolist(), "bones": figure.others.bones}
    if figure.ellipsoids is not None:
        drawn["ellipsoids"] = figure.ellipsoids.round(5).tolist()
    if figure.photo is not None:
        number = photos.setdefault(figure.photo.jpeg, len(photos))
        drawn["photo"] = {"number": number, "box": figure.photo.box.round(4).tolist()}
    return drawn
