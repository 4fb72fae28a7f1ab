"""The sidebar of the site, made from the lists of pages in docs/index.md, which stays plain Markdown."""

import fnmatch
import posixpath
import re

from sphinx.application import Sphinx

__all__ = ["setup"]

BELOW = {
    "repository/notebooks/README": ["repository/notebooks/executed/*"],
    "repository/benchmarks/RESULTS": ["repository/benchmarks/results/*", "repository/benchmarks/TRIALS"],
    "cli": ["reference/commands/*"],
    "api": ["reference/python/*"],
}
"""Pages that have others below them; a pattern takes what there is."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", add_contents, priority=900)  # after links lead to pages of the site
    return {"parallel_read_safe": True}


def add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give a page the tables of contents that the sidebar shows."""
    if docname == app.config.root_doc:
        sections = re.split(r"^## (.+)$", source[0], flags=re.MULTILINE)[1:]
        for caption, text in zip(sections[::2], sections[1::2], strict=True):
            links = re.findall(r"^(?:\d+\.|-) \[([^\]]+)\]\(([^)]+)\.md\)", text, re.MULTILINE)
            source[0] += _contents(caption, [f"{title} <{posixpath.normpath(page)}>" for title, page in links])
    source[0] += _contents("", _there(app, BELOW.get(docname, [])))


def _there(app: Sphinx, patterns: list[str]) -> list[str]:
    """Patterns that match a page, from the top."""
    return [f"/{pattern}" for pattern in patterns if fnmatch.filter(app.env.found_docs, pattern)]


def _contents(caption: str, entries: list[str]) -> str:
    """A table of contents that is shown in the sidebar only."""
    if not entries:
        return ""
    options = [":hidden:", ":glob:", *[f":caption: {caption}"] * bool(caption)]
    return "\n".join(["\n```{toctree}", *options, "", *entries, "```\n"])
