"""A map as a picture: points in the colours of ten key poses, which are drawn around it (matplotlib)."""

__all__ = ["draw_map", "save_map_picture"]

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from vipe.arrays import Array
from vipe.plots.embedding_map.labels import MapLabels
from vipe.plots.embedding_map.layout import EmbeddingMap
from vipe.plots.embedding_map.people import MappedPeople
from vipe.plots.figures import figure_3d
from vipe.plots.writing import new_figure, save_picture
from vipe.skeletons.working import H36M17

KEY_COLOURS = (
    "#4477aa", "#ee6677", "#2f9a41", "#d4b21f", "#5bbbe0", "#aa3377",
    "#f08a4b", "#3aa08a", "#a9b51c", "#7b6fd0", "#c25a9a", "#8c6d31",
)  # fmt: skip
"""Of groups of points, here and on the page (legend.js); told apart on light and dark grounds."""
_NEARLY_ALL = 0.99
_FAR = 1.3  # of the key poses from the middle


def save_map_picture(
    path: Path, layout: EmbeddingMap, labels: MapLabels, *, title: str = "", people: MappedPeople | None = None
) -> None:
    """Draw a map as Levy & Shrivastava 2024, fig. 8, draw theirs, and write it in the format of the name's ending.

    Each point has the colour of the key pose that it is nearest to; each key pose is drawn beside its end of a line.

    Args:
        path: The file; it is replaced if it exists.
        layout: The map.
        labels: Its poses.
        title: Heading.
        people: Of a query, drawn in as numbered marks.

    Raises:
        MissingExtra: If matplotlib is not installed.
        VipeError: If it cannot be written; an existing file stays as it is.
    """
    figure = new_figure(9.0, 8.2)
    if title:
        figure.suptitle(title, fontsize=11)
    draw_map(figure.subplots(), layout, labels, people=people)
    save_picture(path, figure)


def draw_map(axes: Any, layout: EmbeddingMap, labels: MapLabels, *, people: MappedPeople | None = None) -> None:
    """Draw a map with its key poses around it on axes of matplotlib.

    Args:
        axes: Where to; ticks are taken away.
        layout: The map.
        labels: Its poses.
        people: Of a query, drawn in as numbered marks.
    """
    xy = _in_disc(layout.xy, layout.xy)
    colours = np.array(KEY_COLOURS)[labels.keys.nearest % len(KEY_COLOURS)]
    order = np.random.default_rng(0).permutation(len(xy))  # so that no key's points lie over all others
    size = float(np.clip(30_000 / len(xy), 0.8, 12))
    axes.scatter(*xy[order].T, s=size, c=colours[order], linewidths=0, alpha=0.8, rasterized=True)
    for key, (place, point) in enumerate(zip(_around(xy[labels.keys.points]), labels.keys.points, strict=True)):
        colour = KEY_COLOURS[key % len(KEY_COLOURS)]
        flat = 0.3 * figure_3d(labels.poses[point]).points[:, :2] + _FAR * place
        axes.plot(*zip(xy[point], (_FAR - 0.2) * place, strict=True), color=colour, linewidth=1, zorder=3)
        axes.scatter(*xy[point], s=36, c=colour, edgecolors="white", linewidths=1.2, zorder=4)
        for a, b in H36M17.bones:
            axes.plot(*flat[[a, b]].T, color=colour, linewidth=2, solid_capstyle="round", zorder=3)
    for number, place in enumerate([] if people is None else _in_disc(people.xy, layout.xy), start=1):
        box = {"boxstyle": "round,pad=0.25", "facecolor": "black", "edgecolor": "white"}
        axes.text(*place, str(number), color="white", fontsize=8, ha="center", va="center", bbox=box, zorder=5)
    axes.set_aspect("equal")
    axes.set_xlim(-_FAR - 0.2, _FAR + 0.2)
    axes.set_ylim(-_FAR - 0.2, _FAR + 0.2)
    axes.set_axis_off()


def _in_disc(xy: Float32[Array, "n 2"], whole: Float32[Array, "N 2"]) -> Float32[Array, "n 2"]:
    """Places moved and scaled so that nearly all of a whole map fills the unit disc; the others come to its edge."""
    centre = np.quantile(whole, [0.01, 0.99], axis=0).mean(axis=0)
    radius = max(float(np.quantile(np.linalg.norm(whole - centre, axis=1), _NEARLY_ALL)), 1e-12)
    away = (xy - centre) / radius
    length = np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)
    return np.asarray(away * np.minimum(length, 1.08) / length, dtype=np.float32)


def _around(places: Float32[Array, "keys 2"]) -> Float32[Array, "keys 2"]:
    """A place on the unit circle for each, evenly spread, in the order of their directions: lines seldom cross."""
    angle = np.arctan2(places[:, 1], places[:, 0])
    order = np.argsort(angle, kind="stable")
    even = np.linspace(0, 2 * np.pi, len(places), endpoint=False)
    # The turn of all that brings the lines nearest to straight outward ones.
    turn = np.angle(np.exp(1j * (angle[order] - even)).mean())
    spread = np.empty(len(places))
    spread[order] = even + turn
    return np.stack([np.cos(spread), np.sin(spread)], axis=1).astype(np.float32)
