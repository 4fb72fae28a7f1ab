"""Pages of the repository outside docs/, such as results and notebooks, and links to its files, in the site.

Pages link to each other by their places in the repository, so they work on a code host. For the site, pages outside
docs/ are copied to docs/repository/, and every other file that a page links to gets a page there that shows its text.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from sphinx.application import Sphinx
from sphinx.config import Config

__all__ = ["setup"]

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
COPIES = DOCS / "repository"
PAGES = ["CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/*.md", "benchmarks/results/*.md", "notebooks/executed/*.md"]
SHOWN = {".py": "python", ".toml": "toml", ".json": "json", "": "text"}
"""Endings of files that are shown, and their languages."""
LARGE = 100_000
"""Bytes of a file beyond which its page shows the beginning only."""

_ALONE = "---\norphan: true\n---\n\n"
_LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
_FENCE = re.compile(r"^(?:```|~~~).*?^(?:```|~~~)$", re.MULTILINE | re.DOTALL)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("config-inited", copy_pages)
    app.connect("source-read", lead_links)
    return {"parallel_read_safe": True}


def copy_pages(app: Sphinx, config: Config) -> None:  # noqa: ARG001
    """Make docs/repository/ anew: copies of pages, and a page of each file that any page links to."""
    shutil.rmtree(COPIES, ignore_errors=True)
    listed = [page for pattern in PAGES for page in sorted(ROOT.glob(pattern))]
    waiting = listed + [
        page for page in DOCS.rglob("*.md") if page.relative_to(DOCS).parts[0] not in {"_build", "reference"}
    ]
    done = set(waiting)
    for page in waiting:  # grows as pages are found that pages link to
        text = page.read_text(encoding="utf-8")
        if DOCS not in page.parents:
            _write(page, text if page in listed else _ALONE + text)
        for _, target in _links(text, page):
            if target in done or not target.exists() or _place(target) == target:
                continue
            done.add(target)
            if target.suffix == ".md":
                waiting.append(target)
            elif target.suffix == ".png":
                _copy(target)
            else:
                _write(target, _shown(target))


def lead_links(app: Sphinx, docname: str, source: list[str]) -> None:  # noqa: ARG001
    """Lead the links of a page to the pages of the site."""
    page = DOCS / f"{docname}.md"
    if not page.exists():
        return
    original = _original(page)

    def lead(link: str) -> str:
        target = _target(link, original)
        if target is None or (DOCS in original.parents and DOCS in target.parents and target.suffix in {".md", ".png"}):
            return link
        if not target.exists():
            return link  # MyST tells it
        anchor = "#" + link.partition("#")[2] if "#" in link else ""
        return os.path.relpath(_place(target), page.parent).replace(os.sep, "/") + anchor

    source[0] = _outside_fences(source[0], lambda text: _LINK.sub(lambda found: lead(found[1]), text))


def _original(page: Path) -> Path:
    """The file of the repository whose copy a page of the site is."""
    return ROOT / page.relative_to(COPIES) if COPIES in page.parents else page


def _place(target: Path) -> Path:
    """Where the site has a file of the repository."""
    if DOCS in target.parents and target.suffix in {".md", ".png"}:
        return target
    place = COPIES / target.relative_to(ROOT)
    return place if target.suffix in {".md", ".png"} else place.with_name(f"{place.name}.md")


def _links(text: str, page: Path) -> Iterator[tuple[str, Path]]:
    """Links of a page to files, and these files."""
    for link in _LINK.findall(_FENCE.sub("", text)):
        if (target := _target(link, page)) is not None:
            yield link, target


def _target(link: str, page: Path) -> Path | None:
    """The file that a link leads to, if it leads to a file of the repository at all."""
    path = link.partition("#")[0]
    if not path or re.match(r"\w+:", path):
        return None
    return Path(os.path.normpath(page.parent / PurePosixPath(path)))


def _shown(target: Path) -> str:
    """A page that shows a file, or lists a folder."""
    title = f"{_ALONE}# {target.relative_to(ROOT).as_posix()}\n\n"
    if target.is_dir():
        names = sorted(path.name + "/" * path.is_dir() for path in target.iterdir() if path.name[0] not in "._")
        return title + "\n".join(f"- `{name}`" for name in names) + "\n"
    text = target.read_text(encoding="utf-8")
    more = f"\nThe first {LARGE} of {len(text)} characters.\n" if len(text) > LARGE else ""
    language = SHOWN.get(target.suffix, "text")
    return f"{title}~~~~~{language}\n{text[:LARGE]}\n~~~~~\n{more}"


def _outside_fences(text: str, change: Callable[[str], str]) -> str:
    """A page with everything but its fenced blocks changed."""
    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [change(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, change(text[end:])])


def _write(target: Path, text: str) -> None:
    place = _place(target)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")


def _copy(target: Path) -> None:
    place = _place(target)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(target, place)
