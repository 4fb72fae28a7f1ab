"""A map as one HTML page: points to move about in, bodies that turn, colours, search, lasso; no network (jinja2)."""

__all__ = ["COLOURS", "check_fits", "save_map_page"]

import base64
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float32, Int8, Shaped

from vipe.arrays import Array
from vipe.errors import VipeError
from vipe.plots.embedding_map.labels import MapLabels
from vipe.plots.embedding_map.layout import EmbeddingMap
from vipe.plots.embedding_map.people import MappedPeople
from vipe.plots.figures import figure_2d, figure_3d
from vipe.plots.pages.template import render
from vipe.plots.writing import save_html

Colour = Literal["action", "subject", "clip", "key", "cluster", "density"]
COLOURS: tuple[Colour, ...] = get_args(Colour)
_NAMED = {"key": "nearest key pose"}  # in the list of colours; the others are called as they are
_LARGEST = 15_000_000  # bytes of a page
_POSE = 94  # bytes that a pose takes, without names
_PARTS = ("skeleton.js", "points.js", "legend.js", "moments.js")
_PLACES = 65535  # steps of a coordinate
# A person of a canonical pose faces -x with the right at +y: x right, y up, z towards the viewer of a figure.
_FRONT = np.array([[0, -1, 0], [0, 0, 1], [-1, 0, 0]], dtype=np.float32)


def check_fits(path: Path, poses: int) -> None:
    """Refuse a page before any work if so many poses take more than 15 MB.

    Raises:
        VipeError: If they do.
    """
    if poses * _POSE > _LARGEST:
        raise _too_large(path, poses, poses * _POSE)


def save_map_page(
    path: Path,
    title: str,
    layout: EmbeddingMap,
    labels: MapLabels,
    *,
    colour: Colour = "action",
    people: MappedPeople | None = None,
    facts: list[tuple[str, str]] | None = None,
) -> None:
    """Write a page of a map.

    Poses are kept to a sixtieth of a torso length, places to a 65,000th of the map.

    Args:
        path: HTML file to write; it is replaced if it exists.
        title: Heading.
        layout: The map.
        labels: Its poses.
        colour: What points are coloured by at first.
        people: Of a query, drawn in as numbered markers.
        facts: Names and values below the heading.

    Raises:
        MissingExtra: If jinja2 is not installed.
        VipeError: If the page would have more than 15 MB, or cannot be written; an existing file stays as it is.
    """
    from markupsafe import Markup  # comes with jinja2, which `render` asks for

    folder = resources.files("vipe.plots.embedding_map")
    data = _data(layout, labels, people)
    html = render(
        "map.html.j2",
        "map.js",
        data,
        package="vipe.plots.embedding_map",
        title=title,
        facts=facts or [],
        parts=Markup("\n".join(folder.joinpath(part).read_text(encoding="utf-8") for part in _PARTS)),
        ways=[(one, _NAMED.get(one, one)) for one in COLOURS],
        way=colour,
        people=bool(data["people"]),
    )
    size = len(html.encode("utf-8", errors="backslashreplace"))
    if size > _LARGEST:
        raise _too_large(path, len(layout), size)
    save_html(path, html)


def _too_large(path: Path, poses: int, size: int) -> VipeError:
    fitting = int(0.95 * _LARGEST / size * poses)
    return VipeError(
        f"{path}: the page would have {size / 1e6:.1f} MB, at most 15 are written; a limit of {fitting} poses fits"
    )


def _data(layout: EmbeddingMap, labels: MapLabels, people: MappedPeople | None) -> dict[str, Any]:
    names, clip = np.unique(labels.clip.astype(str), return_inverse=True)
    first = np.unique(clip, return_index=True)[1]  # words are those of a clip
    actions, action = np.unique(labels.action[first].astype(str), return_inverse=True)
    subjects, subject = np.unique(labels.subject[first].astype(str), return_inverse=True)
    low, size = _frame(layout.xy)
    xy = np.round((layout.xy - low) / size * _PLACES)
    xy[:, 1] = _PLACES - xy[:, 1]  # the page's y goes down
    return {
        "joints": labels.poses.shape[1],
        "bones": figure_3d(labels.poses[0]).bones,
        "clips": {"name": names.tolist(), "action": action.tolist(), "subject": subject.tolist()},
        "actions": actions.tolist(),
        "subjects": subjects.tolist(),
        "keys": labels.keys.points.tolist(),
        "clusters": list(labels.cluster_names),
        "people": [] if people is None else _people(people, low, size),
        "arrays": {
            "xy": _text(np.clip(xy, 0, _PLACES), "<u2"),
            "poses": _text(_small(labels.poses), "i1"),
            "clip": _text(clip, "<u4"),
            "frame": _text(labels.frame, "<i4"),
            "time": _text(labels.time, "<f4"),
            "key": _text(labels.keys.nearest, "u1"),
            "cluster": _text(labels.cluster, "u1"),
            "density": _text(np.round(255 * labels.density), "u1"),
        },
    }


def _people(mapped: MappedPeople, low: Float32[Array, "2"], size: float) -> list[dict[str, Any]]:
    people, told = mapped.people, []
    for row, (image, person) in enumerate(zip(people.image_id, people.person.tolist(), strict=True)):
        figure = figure_2d(people.xy[row], people.mask[row], people.skeleton)
        x, y = ((mapped.xy[row] - low) / size).tolist()
        told.append(
            {
                "name": f"image {image}, person {person}",
                "x": round(x, 5),
                "y": round(1 - y, 5),
                "nearest": int(mapped.nearest[row]),
                "points": figure.points.round(3).tolist(),
                "bones": figure.bones,
            }
        )
    return told


def _frame(xy: Float32[Array, "N 2"]) -> tuple[Float32[Array, "2"], float]:
    """Lower left corner and side of the square around the map."""
    low, high = xy.min(axis=0), xy.max(axis=0)
    size = max(float((high - low).max()), 1e-12)
    return (low + high) / 2 - np.float32(size / 2), size


def _small(poses: Float32[Array, "N 17 3"]) -> Int8[Array, "N 17 3"]:
    turned = poses @ _FRONT.T
    return np.asarray(np.round(turned / max(float(np.abs(turned).max()), 1e-12) * 127), dtype=np.int8)


def _text(values: Shaped[Array, "*any"], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values).astype(kind).tobytes()).decode("ascii")
