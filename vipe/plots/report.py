"""A page of figures as one HTML file that needs no network and no other file (jinja2)."""

__all__ = ["Section", "save_page"]

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from vipe.atomic_write import atomic_write
from vipe.errors import MissingExtra, VipeError
from vipe.evaluate import HIT_THRESHOLD
from vipe.plots.figures import Card, Figure, colours


@dataclass(frozen=True, kw_only=True)
class Section:
    """A query on the page: rows of cards under one title."""

    title: str
    rows: Sequence[tuple[str, Sequence[Card]]]
    note: str = ""


def save_page(
    path: Path, title: str, sections: Sequence[Section], *, intro: str = "", table: Sequence[Sequence[str]] = ()
) -> None:
    """Write sections of turning 3D figures and flat 2D ones as one HTML file.

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
    try:
        from jinja2 import Environment
        from markupsafe import Markup
    except ImportError as error:
        raise MissingExtra('pages need jinja2: pip install "vipe-pose[report]"') from error
    figures: list[dict[str, Any]] = []
    photos: dict[bytes, int] = {}
    folder = resources.files("vipe.plots")
    template = Environment(autoescape=True).from_string(folder.joinpath("page.html.j2").read_text(encoding="utf-8"))
    html = template.render(
        title=title,
        intro=intro,
        table=table,
        colours=colours(),
        hit_threshold=f"{HIT_THRESHOLD:g}",
        sections=[_section(section, figures, photos) for section in sections],
        # `<` cannot end the script element early, whatever a clip is called.
        figures=Markup(json.dumps(figures, separators=(",", ":")).replace("<", "\\u003c")),
        photos=[f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}" for jpeg in photos],
        viewer=Markup(folder.joinpath("viewer.js").read_text(encoding="utf-8")),
    )
    try:
        with atomic_write(path, replace=True) as file:
            file.write_text(html, encoding="utf-8")
    except OSError as error:
        raise VipeError(f"{path}: the page cannot be written: {error.strerror or error}") from error


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
    return {"title": section.title, "note": section.note, "rows": rows}


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
