"""A picture of matplotlib as a piece of a page: sharp at any size, its letters in the colour of the page's."""

__all__ = ["inline_svg"]

import io
import re
from typing import TYPE_CHECKING

from vipe.errors import MissingExtra
from vipe.plots.paint import repaint
from vipe.plots.writing import take_dollars_as_they_are
from vipe.shareable import shareable

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

_LEAST, _MOST = 0.95, 1.3  # pixels of a page for a point: letters are read on a phone, where a wide picture is moved
_INK = "#010203"  # stands for the colour of the page's letters until the picture is a text


def inline_svg(drawn: "Figure", label: str) -> "Markup":
    """A figure as an `svg` element without addresses, metadata or ground.

    Letters are outlines, so they look the same on every machine.

    Args:
        drawn: A figure of matplotlib; it is changed.
        label: What it shows, for those who cannot see it.

    Raises:
        MissingExtra: If jinja2 is not installed.
    """
    try:
        from markupsafe import Markup, escape
    except ImportError as error:
        raise MissingExtra.of("pages need jinja2", "report") from error
    from matplotlib import rc_context
    from matplotlib.text import Text

    take_dollars_as_they_are(drawn)
    for letters in drawn.findobj(Text):
        letters.set_text(shareable(letters.get_text()))
    repaint(drawn, _INK, "none")
    file = io.StringIO()
    with rc_context({"svg.hashsalt": label, "svg.fonttype": "path"}):  # the same figure gives the same text
        drawn.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)  # names of letters, one by one
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    text = text.replace(_INK, "currentColor").replace("xlink:href", "href")
    wide = drawn.get_figwidth() * 72
    sizes = f"--least: {_LEAST * wide:.0f}px; --most: {_MOST * wide:.0f}px"
    head = rf'\1\2 role="img" aria-label="{escape(label)}" style="{sizes}">'
    text = re.sub(r'(<svg )[^>]*?(viewBox="[^"]*")[^>]*>', head, text, count=1)
    return Markup(re.sub(r">\s+<", "><", text))
