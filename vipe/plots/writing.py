"""Files of pages and pictures: checked before any work is done, and written whole or not at all (matplotlib)."""

__all__ = ["check_page", "check_picture", "new_figure", "save_html", "save_picture", "take_dollars_as_they_are"]

from pathlib import Path
from typing import TYPE_CHECKING

from vipe.errors import MissingExtra, VipeError
from vipe.files.output_file import check_output_file, output_file
from vipe.plots.paint import DARK_GROUND, DARK_INK, repaint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 110


def check_page(path: Path) -> None:
    """Refuse a path that `save_page` could not write, without leaving a trace; its folder need not exist.

    Raises:
        MissingExtra: If jinja2 is not installed.
        VipeError: If the name ends otherwise than a page's, there is a folder at `path`, or its folder cannot be made
            or written.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError as error:
        raise MissingExtra.of("pages need jinja2", "report") from error
    if path.suffix.lower() not in ("", ".html", ".htm"):
        raise VipeError(f"{path}: ends in {path.suffix}, expected the name of a page that ends in .html")
    check_output_file(path, "page")


def check_picture(path: Path) -> None:
    """Refuse a path that `save_picture` could not write, without leaving a trace; its folder need not exist.

    Raises:
        MissingExtra: If matplotlib is not installed.
        VipeError: If the name does not end in a picture format, there is a folder at `path`, or its folder cannot be
            made or written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
    except ImportError as error:
        raise MissingExtra.of("plots need matplotlib", "report") from error
    if path.suffix.removeprefix(".").lower() not in FigureCanvasAgg.get_supported_filetypes():
        raise VipeError(f"{path}: ends in {path.suffix or 'nothing'}, expected the name of a picture that ends in .png")
    check_output_file(path, "picture")


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of matplotlib that needs no display.

    Args:
        width: Inches.
        height: Inches.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra.of("plots need matplotlib", "report") from error
    figure: Figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_picture(path: Path, drawn: "Figure", *, dark: bool = False) -> None:
    """Write a figure in the format of the name's ending.

    Args:
        path: The file; it is replaced if it exists, and its folders are made.
        drawn: A figure of matplotlib.
        dark: Light letters and lines on a dark ground; the colours of sides and series stay.

    Raises:
        VipeError: If it cannot be written; an existing file stays as it is.
    """
    take_dollars_as_they_are(drawn)
    if dark:
        repaint(drawn, DARK_INK, DARK_GROUND)
    with output_file(path, "picture") as file:
        drawn.savefig(file, format=path.suffix.removeprefix(".") or "png")


def save_html(path: Path, html: str) -> None:
    """Write a page.

    Args:
        path: The file; it is replaced if it exists, and its folders are made.
        html: The page. What UTF-8 has no form for is written as an escape.

    Raises:
        VipeError: If it cannot be written; an existing file stays as it is.
    """
    with output_file(path, "page") as file:
        file.write_text(html, encoding="utf-8", errors="backslashreplace")


def take_dollars_as_they_are(drawn: "Figure") -> None:
    """Names from outside are no formulas: of two dollar signs in a name matplotlib would make one, or an error."""
    from matplotlib.text import Text

    formulas = {text for axes in drawn.axes for axis in (axes.xaxis, axes.yaxis) for text in axis.findobj(Text)}
    for text in drawn.findobj(Text):
        if text not in formulas and isinstance(text, Text):
            text.set_parse_math(False)
    for axes in drawn.axes:
        for axis in (axes.xaxis, axes.yaxis):
            axis.label.set_parse_math(False)
