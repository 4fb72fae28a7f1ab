"""Other colours for the letters, lines and ground of a picture that is drawn already (matplotlib)."""

__all__ = ["DARK_GROUND", "DARK_INK", "repaint"]

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DARK_INK, DARK_GROUND = "#e6e9ee", "#171b21"
"""Of dark pictures and pages."""

_BLACK, _WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def repaint(drawn: "Figure", ink: str, ground: str) -> None:
    """Give what is black another colour, and what is white another ground; all other colours stay.

    Args:
        drawn: A figure of matplotlib; it is changed.
        ink: Of letters, axes and ticks.
        ground: Below all; "none" leaves it transparent.
    """
    from matplotlib.collections import Collection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.text import Text

    for axes in drawn.axes:
        axes.tick_params(which="both", color=ink, labelcolor=ink)  # also of ticks that are made when it is drawn
        for axis in _solid_axes(axes):
            axis.pane.set_facecolor(ground)
            axis.line.set_color(ink)
    for artist in drawn.findobj():
        if isinstance(artist, Text | Line2D):
            if _is(artist.get_color(), _BLACK):
                artist.set_color(ink)
        elif isinstance(artist, Collection):
            edges = artist.get_edgecolor()
            if len(edges) and all(_is(edge, _BLACK) for edge in edges):
                artist.set_edgecolor(ink)
            faces = artist.get_facecolor()
            if len(faces) and all(_is(face, _BLACK) for face in faces):
                artist.set_facecolor(ink)
        elif isinstance(artist, Patch):
            if _is(artist.get_edgecolor(), _BLACK):
                artist.set_edgecolor(ink)
            if _is(artist.get_facecolor(), _WHITE):
                artist.set_facecolor(ground)


def _solid_axes(axes: Any) -> list[Any]:
    return [getattr(axes, f"{name}axis") for name in "xyz"] if hasattr(axes, "zaxis") else []


def _is(colour: Any, wanted: tuple[float, float, float]) -> bool:
    from matplotlib.colors import to_rgba

    red, green, blue, alpha = to_rgba(colour)
    return alpha > 0 and (red, green, blue) == wanted
