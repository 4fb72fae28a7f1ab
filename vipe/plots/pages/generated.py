"""Generated poses beside what they were made of, on one page (numpy)."""

__all__ = ["Row", "save_generated_page"]

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array
from vipe.geometry import canonicalize_array
from vipe.plots.figures import Card, figure_3d
from vipe.plots.pages.page import Section, save_page


@dataclass(frozen=True, kw_only=True)
class Row:
    """Poses in one row of the page: along one direction, or between two poses."""

    label: str
    poses: Float[Array, "N 17 3"]  # metres, world space
    titles: Sequence[str]
    notes: Sequence[str]


def save_generated_page(
    page: Path,
    title: str,
    rows: Sequence[Row],
    *,
    given: Row | None = None,
    intro: str = "",
    table: Sequence[Sequence[str]] = (),
) -> None:
    """Draw generated poses as bodies that turn together.

    Args:
        page: HTML file to write.
        title: Heading.
        rows: Generated poses, top to bottom.
        given: The poses from which they were made. Generated poses are turned so that the first of these faces the
            viewer.
        intro: A few sentences below the heading.
        table: Rows of cells, the head first.
    """
    # One rotation for all generated poses, so that limbs that do not move look still; each given pose faces the viewer.
    fronts = None if given is None else canonicalize_array(given.poses).rotation
    front = np.eye(3, dtype=np.float32) if fronts is None else fronts[0]
    sections = [Section(title="generated", rows=[(row.label, _cards(row, front)) for row in rows])]
    if given is not None and fronts is not None:
        sections.insert(0, Section(title=given.label, rows=[("", _cards(given, fronts))]))
    save_page(page, title, sections, intro=intro, table=table)


def _cards(row: Row, turn: Float[Array, "*#cards 3 3"]) -> list[Card]:
    turns = np.broadcast_to(turn, (len(row.poses), 3, 3))
    parts = zip(row.poses, turns, row.titles, row.notes, strict=True)
    return [
        Card(figure=figure_3d((pose - pose[:1]) @ turned.T), title=title, note=note)
        for pose, turned, title, note in parts
    ]
