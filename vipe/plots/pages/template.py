"""The frame of every page: its template, the one stylesheet, its data and its script in one text (jinja2)."""

__all__ = ["render"]

import json
from importlib import resources
from typing import Any

from vipe.errors import MissingExtra
from vipe.plots.figures import colours
from vipe.plots.paint import DARK_GROUND, DARK_INK

_HERE = "vipe.plots.pages"


def render(template: str, script: str, data: Any, *, package: str = _HERE, **values: Any) -> str:
    """A page as a text.

    Args:
        template: File of the package. It finds `style` and `script`, and `data` as JSON.
        script: File of the package.
        data: For the script.
        package: Where the two are.
        **values: For the template; texts in them cannot become elements.

    Raises:
        MissingExtra: If jinja2 is not installed.
    """
    try:
        from jinja2 import Environment
        from markupsafe import Markup
    except ImportError as error:
        raise MissingExtra.of("pages need jinja2", "report") from error

    def text(name: str, package: str = package) -> str:
        return resources.files(package).joinpath(name).read_text(encoding="utf-8")

    pages = Environment(autoescape=True)
    shared = {"colours": colours(), "dark_ink": DARK_INK, "dark_ground": DARK_GROUND}
    return pages.from_string(text(template)).render(
        **shared,
        style=Markup(pages.from_string(text("style.css.j2", _HERE)).render(shared)),
        script=Markup(text(script)),
        # `<` cannot end the script element early, whatever a clip is called.
        data=Markup(json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")),
        **values,
    )
