"""The most different poses of a store on one sheet: a page of turning figures, or a picture (numpy)."""

__all__ = ["check_contact_sheet", "save_contact_sheet"]

import textwrap
import warnings
from pathlib import Path

from vipe.geometry import canonicalize_array
from vipe.plots.bodies.sheet import save_sheet
from vipe.plots.figures import Card, figure_3d
from vipe.plots.pages.page import Section, save_page
from vipe.plots.writing import check_page, check_picture
from vipe.store.most_different import DifferentPoses

_PAGES = (".html", ".htm")
_COLUMNS = 6
_WIDE = 30  # characters of a title in a picture


def check_contact_sheet(path: Path) -> None:
    """Refuse a path that `save_contact_sheet` could not write, without leaving a trace.

    Raises:
        MissingExtra: If what writes pages or pictures is not installed.
        VipeError: If the ending is neither that of a page nor of a picture, or the file cannot be written.
    """
    if path.suffix.lower() in _PAGES:
        check_page(path)
    else:
        check_picture(path)


def save_contact_sheet(path: Path, title: str, found: DifferentPoses, *, rows: int) -> None:
    """Draw poses as canonical bodies that face the viewer, in the order in which they were chosen.

    Args:
        path: File that ends in .html, with bodies that turn, or a picture such as .png; it is replaced if it exists.
        title: Heading.
        found: The poses.
        rows: How many poses the store has.

    Raises:
        MissingExtra: If what writes pages or pictures is not installed.
        VipeError: If the file cannot be written.
    """
    poses = canonicalize_array(found.poses).poses
    picture = path.suffix.lower() not in _PAGES
    cards = [
        Card(
            figure=figure_3d(pose),
            title=_short(clip) if picture else clip,
            note=f"frame {frame}, {time:.2f} s",
        )
        for pose, clip, frame, time in zip(poses, found.clip, found.frame.tolist(), found.time.tolist(), strict=True)
    ]
    if picture:
        lines = [("", cards[start : start + _COLUMNS]) for start in range(0, len(cards), _COLUMNS)]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # the picture shows a box in its place
            save_sheet(path, title.replace("$", r"\$"), lines)
        return
    save_page(
        path,
        title,
        [Section(title=f"{len(cards)} poses of {rows:,}", rows=[("", cards)])],
        intro="Each pose is as far as it can be from all before it. Bodies are canonical: one size, facing the viewer, "
        "upright; drag to turn all. Blue is the person's left, orange the right.",
    )


def _short(clip: str) -> str:
    """A name over two lines at most; a dollar would begin a formula."""
    first, *rest = textwrap.wrap(clip, _WIDE) or [""]
    second = [textwrap.shorten(" ".join(rest), _WIDE, placeholder="...") or "..."] if rest else []
    return "\n".join([first, *second]).replace("$", r"\$")
