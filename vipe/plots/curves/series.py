"""Lines of one chart, told apart by colour and by marker (matplotlib)."""

__all__ = ["series"]

from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

from vipe.plots.figures import colours

_COLOURS = ("left", "right", "third", "fourth", "middle")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # another number than of colours: pairs repeat late


def series(count: int) -> Iterator[dict[str, Any]]:
    """Arguments of `plot` for each of `count` lines."""
    styles = zip(cycle(_COLOURS), cycle(_MARKERS), strict=False)
    for name, marker in islice(styles, count):
        yield {"color": colours()[name], "marker": marker, "markersize": 5, "linewidth": 1.6}
