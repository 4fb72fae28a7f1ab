"""People and what a search found for them: hits over the keypoints, with probabilities (matplotlib)."""

__all__ = ["hits_over_keypoints"]

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.errors import ShapeError, VipeError
from vipe.plots.bodies.flat import draw_bones
from vipe.plots.figures import colours, figure_2d
from vipe.plots.writing import new_figure
from vipe.printable import in_percent
from vipe.retrieve.hits import Hits
from vipe.retrieve.labels.labelling import as_read
from vipe.skeletons.working import H36M17

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HALF = 0.62  # half the width of a place; figures are one unit wide or high
_LONGEST = 18  # letters of a clip's name that fit
_BAR = -0.74  # where the bar of a probability lies


def hits_over_keypoints(
    people: Keypoints,
    hits: Hits,
    *,
    most: int = 3,
    labels: Sequence[str] = (),
    right: Bool[Array, "Q K"] | None = None,
) -> "Figure":
    """A picture with a row for each person: their keypoints, then the first hits over them. `save_picture` writes it.

    A hit is drawn in colours, under the camera and with the body that were fitted to it, over the keypoints in grey.
    The length of the bar below it is its probability. Keypoints that were read otherwise than labelled are drawn as
    they were read, and how is written below them.

    Args:
        people: One for each row of the hits; of tracks and views `hits.people(keypoints)`.
        hits: Of a search that fits cameras.
        most: Hits drawn of each person.
        labels: A line above each person; by default the image and the person.
        right: Of each hit, whether it shows the pose, where that is known: bars are green or purple then.

    Raises:
        MissingExtra: If matplotlib is not installed.
        ShapeError: If there are not as many people, labels or judgements as queries, or there is nobody.
        VipeError: If the hits have no cameras.
    """
    if hits.fits is None or hits.probability is None or hits.presence is None:
        raise VipeError('hits are drawn under fitted cameras, and these have none; search in mode "full"')
    given = {"people": people, "labels": labels or people, "right": people if right is None else right}
    for name, values in given.items():
        if len(values) != len(hits) or not len(hits):
            raise ShapeError(f"{name} must be one for each of {len(hits)} queries, at least one, got {len(values)}")
    read = people if hits.relabelled is None else as_read(people, hits.relabelled)
    columns = 1 + max(1, min(most, hits.rows.shape[1]))
    page = new_figure(1.75 * columns, 2.2 * len(hits))
    axes = page.subplots(len(hits), columns, squeeze=False)
    image = hits.fits.project()
    for row, line in enumerate(axes):
        for axis in line:
            axis.set(aspect="equal", xlim=(-_HALF, _HALF), ylim=(-0.92, _HALF))
            axis.set_axis_off()
        xy, mask = read.xy[row], read.mask[row]
        figure = figure_2d(xy, mask, read.skeleton)
        draw_bones(line[0], figure.points[:, :2], figure.bones, width=2.0)
        label = labels[row] if labels else f"image {people.image_id[row]}, person {int(people.person[row])}"
        line[0].set_title(label, fontsize=8)
        line[0].text(0, _BAR, _below(hits, row), ha="center", va="center", fontsize=8)
        for place in np.flatnonzero(hits.found[row])[: columns - 1]:
            axis = line[1 + place]
            _overlay(axis, xy, mask, figure.bones, image[row, place])
            axis.set_title(f"{_short(str(hits.clip[row, place]))} {hits.time[row, place]:.1f} s", fontsize=8)
            good = None if right is None else bool(right[row, place])
            _bar(axis, float(hits.probability[row, place]), good)
    return page


def _short(clip: str) -> str:
    """The end of a long name, which tells clips apart more often than its beginning."""
    return clip if len(clip) <= _LONGEST else f"…{clip[1 - _LONGEST :]}"


def _below(hits: Hits, row: int) -> str:
    if hits.skipped[row] or hits.presence is None:
        return "not searched for"
    told = f"presence {in_percent(hits.presence[row])}"
    name = hits.relabelled[row] if hits.relabelled is not None else ""
    return f"{told}\nread: {name}" if name else told


def _overlay(
    axis: Any,
    xy: Float[Array, "13 2"],
    mask: Bool[Array, " 13"],
    bones: tuple[tuple[int, int, str], ...],
    image: Float[Array, "17 2"],
) -> None:
    every = np.concatenate([xy[mask], image])
    low, high = every.min(axis=0), every.max(axis=0)
    size = max(float((high - low).max()), 1e-6)

    def placed(points: Float[Array, "joints 2"]) -> Float[Array, "joints 2"]:
        return np.asarray((points - (low + high) / 2) / size * [1, -1])

    draw_bones(axis, placed(xy), bones, width=4.5, alpha=0.6, colour=colours()["missing"])
    body = figure_2d(image, np.ones(len(image), dtype=bool), H36M17)
    draw_bones(axis, placed(image), body.bones)


def _bar(axis: Any, probability: float, right: bool | None) -> None:
    colour = "left" if right is None else "hit" if right else "miss"
    axis.plot([-0.45, 0.2], [_BAR, _BAR], color=colours()["missing"], alpha=0.35, linewidth=6, solid_capstyle="butt")
    end = 0.65 * probability - 0.45
    axis.plot([-0.45, end], [_BAR, _BAR], color=colours()[colour], linewidth=6, solid_capstyle="butt")
    axis.text(0.25, _BAR, in_percent(probability), fontsize=8, va="center", ha="left")
