"""Generated poses beside what they were made of, on one page (numpy)."""

__all__ = ["Row", "save_generated_page"]

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from vipe.geometry import canonicalize_array
from vipe.plots.figures import Card, Figure, figure_3d
from vipe.plots.report import Section, save_page

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """Poses that belong together: one direction, or one way."""

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
        rows: What was generated, top to bottom.
        given: The poses they were made of. All are drawn facing as the first of these does.
        intro: A few sentences below the heading.
        table: Rows of cells, the head first.
    """
    # One rotation for all, so that what does not move looks still.
    turn = canonicalize_array(given.poses[:1]).rotation[0] if given else np.eye(3, dtype=np.float32)

    def cards(row: Row) -> list[Card]:
        drawn = [_figure(pose, turn) for pose in row.poses]
        texts = zip(row.titles, row.notes, strict=True)
        return [Card(figure=figure, title=name, note=note) for figure, (name, note) in zip(drawn, texts, strict=True)]

    sections = [] if given is None else [Section(title=given.label, rows=[("", cards(given))])]
    sections.append(Section(title="generated", rows=[(row.label, cards(row)) for row in rows]))
    save_page(page, title, sections, intro=intro, table=table)


def _figure(pose: Float[Array, "17 3"], turn: Float[Array, "3 3"]) -> Figure:
    return figure_3d((pose - pose[:1]) @ turn.T)
