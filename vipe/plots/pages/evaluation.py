"""The report of a measurement on one page: how it was asked, its figures, and pictures of them (matplotlib, jinja2)."""

__all__ = ["save_evaluation_page"]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipe.plots.pages.inline import inline_svg
from vipe.plots.pages.page import Section, save_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_evaluation_page(
    page: Path,
    title: str,
    table: Sequence[Sequence[str]],
    *,
    notes: Sequence[str] = (),
    protocol: Mapping[str, Any],
    pictures: Sequence[tuple[str, "Figure"]] = (),
    command: str = "",
) -> None:
    """Write what was measured as one HTML page.

    Args:
        page: HTML file to write; it is replaced if it exists.
        title: Heading.
        table: The figures, head first.
        notes: Sentences below the table.
        protocol: Settings by name.
        pictures: What each shows, and it.
        command: That measures the same again.

    Raises:
        MissingExtra: If jinja2 or matplotlib is not installed.
        VipeError: If the page cannot be written; an existing file stays as it is.
    """
    facts = [(name.replace("_", " "), _told(value)) for name, value in protocol.items()]
    save_page(
        page,
        title,
        [
            *(Section(title=shows, pictures=[inline_svg(drawn, shows)]) for shows, drawn in pictures),
            Section(title="Figures", points=[_sentence(note) for note in notes], table=table),
            Section(title="How it was measured", code=command, facts=facts),
        ],
    )


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_told(one)}" for name, one in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_told, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return "not given" if value is None else str(value)


def _sentence(note: str) -> str:
    return f"{note[:1].upper()}{note[1:]}{'' if note.endswith('.') else '.'}"
