"""The generated reference: a page a command from its `--help`, a page a module from its docstrings."""

import inspect
import re
import shutil
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType

from sphinx.application import Sphinx
from sphinx.config import Config

__all__ = ["setup"]

PLACE = Path(__file__).parents[1] / "reference"
MODULES = [
    "vipe",
    "vipe.geometry",
    "vipe.embed",
    "vipe.lift",
    "vipe.evaluate.metrics",
    "vipe.evaluate.lifting_metrics",
    "vipe.evaluate.distribution_metrics",
    "vipe.evaluate.consistency_metrics",
    "vipe.evaluate",
    "vipe.plots",
]
"""Modules whose public names have a page; that of a package without such names shows those of its modules."""
LONG = 80
"""Characters of a constant beyond which its value is left out."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("config-inited", write_reference)
    app.connect("autodoc-process-docstring", read_as_markdown, priority=100)  # before napoleon
    return {"parallel_read_safe": True}


def write_reference(app: Sphinx, config: Config) -> None:  # noqa: ARG001
    """Make docs/reference/ anew."""
    shutil.rmtree(PLACE, ignore_errors=True)
    for folder, pages in (("commands", _commands()), ("python", _modules())):
        (PLACE / folder).mkdir(parents=True)
        for name, text in pages.items():
            (PLACE / folder / f"{name}.md").write_text(text, encoding="utf-8")


def read_as_markdown(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:  # noqa: ARG001
    """Read docstrings as they are written: single backticks are code, and other signs mean themselves."""
    if what == "data" and "\n".join(lines).strip() == inspect.getdoc(type(obj)):
        lines.clear()  # a constant without a docstring of its own
    if what in {"data", "property", "attribute"} and lines:
        before, colon, _ = lines[0].partition(":")  # napoleon takes what stands before one in the first line for a type
        if colon and " " in before:
            start = before.rindex(" ")
            lines[:1] = [lines[0][:start], lines[0][start + 1 :]]
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = re.split(r"(`+[^`]+`+)", line)
            parts[::2] = [re.sub(r"(?<!^)([*|_]|\\)(?!\s*$)", r"\\\1", part) for part in parts[::2]]
            parts[1::2] = [f"``{part.strip('`')}``" for part in parts[1::2]]
            lines[number] = "".join(parts)


def _commands() -> dict[str, str]:
    """A page for each command; those of a group share one."""
    from vipe.cli.app import app

    text = app.generate_docs(output_format="markdown", usage_name="vipe")
    text = re.sub(r"^(vipe.*?) -m \w+", r"\1", text, flags=re.MULTILINE)  # how the site is built is no part of it
    text = re.sub(r", --empty-[\w-]+", "", text)  # as in the help
    pages = re.split(r"^## vipe (\S+)$", text, flags=re.MULTILINE)[1:]
    return {name: _command(name, body) for name, body in zip(pages[::2], pages[1::2], strict=True)}


def _command(name: str, text: str) -> str:
    text = re.sub(r"^#(#+ vipe )", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"^\*\*(\w+)\*\*:$", r"\1:", text, flags=re.MULTILINE)
    return f"# vipe {name}\n\nFrom `vipe {name} --help`. Examples are in [Commands](../../cli.md).\n{text}"


def _modules() -> dict[str, str]:
    """A page for each module, in the order of the list."""
    pages: dict[str, str] = {}
    homes: dict[object, str] = {}
    for name in MODULES:
        module = import_module(name)
        inside = [module]
        if not hasattr(module, "__all__"):
            inside = [import_module(found.name) for found in walk_packages(module.__path__, f"{name}.")]
        parts = [_names(home, homes, titled=home is not module) for home in inside]
        pages[name] = "\n\n".join([f"# {name}", _first_line(module), *parts])
    return pages


def _first_line(module: ModuleType) -> str:
    return (inspect.getdoc(module) or "").partition("\n\n")[0]


def _names(module: ModuleType, homes: dict[object, str], *, titled: bool) -> str:
    """The public names of a module. Each thing is documented once, by the first name that is met."""
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    names = [name for name in getattr(module, "__all__", own) if not name.startswith("_")]
    if not names:
        return ""
    lines = [f"## {module.__name__}", "", _first_line(module), ""] if titled else []
    lines += ["```{eval-rst}", f".. currentmodule:: {module.__name__}", ""]
    for name in names:
        value, place = getattr(module, name), f"{module.__name__}.{name}"
        kind = "class" if inspect.isclass(value) else "function" if inspect.isroutine(value) else "data"
        if kind == "data":
            place = f"{_writer(module, name)}.{name}"
        key = place if kind == "data" else value
        if key in homes:
            lines += [f"``{name}`` is :py:obj:`{homes[key]}`.", ""]
            continue
        homes[key] = place
        lines += [f".. auto{kind}:: {place}"]
        lines += _members(value) if kind == "class" else []
        lines += ["   :no-value:"] * (kind == "data" and len(repr(value)) > LONG)
        lines += [""]
    return "\n".join([*lines, "```", ""])


def _members(value: type) -> list[str]:
    """What is shown of a class: its members, and those it has from bases of this library, which have no page."""
    others = [base.__name__ for base in value.__mro__ if not base.__module__.startswith("vipe")]
    return ["   :members:", f"   :inherited-members: {', '.join(others)}"]


def _writer(module: ModuleType, name: str) -> str:
    """The module that writes a constant, and so has its docstring."""
    line = re.compile(rf"^{name}\b[^=\n]*= ", re.MULTILINE)
    inside = [
        module,
        *(found for place, found in sorted(sys.modules.items()) if place.startswith(f"{module.__name__}.")),
    ]
    files = {found.__name__: found.__file__ for found in inside if name in vars(found) and found.__file__}
    writers = (place for place, file in files.items() if line.search(Path(file).read_text(encoding="utf-8")))
    return next(writers, module.__name__)
