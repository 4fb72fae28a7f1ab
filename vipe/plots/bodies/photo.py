"""A photo with the keypoints of its people over it (matplotlib)."""

__all__ = ["people_in_photo"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxtyping import UInt8

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.errors import ShapeError
from vipe.plots.bodies.flat import draw_bones
from vipe.plots.figures import figure_2d
from vipe.plots.writing import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDE = 7.5  # inches


def people_in_photo(pixels: UInt8[Array, "height width 3"], people: Keypoints, labels: Sequence[str] = ()) -> "Figure":
    """A picture of a photo with the keypoints of its people over it. `save_picture` writes it.

    Args:
        pixels: The photo.
        people: In its pixels; blue is a person's left, orange the right. Unseen joints are left out.
        labels: A few words above each person.

    Raises:
        MissingExtra: If matplotlib is not installed.
        ShapeError: If the photo is not (height, width, 3), or there are not as many labels as people.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ShapeError(f"a photo must be (height, width, 3), got shape {pixels.shape}")
    if labels and len(labels) != len(people):
        raise ShapeError(f"labels must be one for each of {len(people)} people, got {len(labels)}")
    height, width = pixels.shape[:2]
    figure = new_figure(_WIDE, _WIDE * height / width)
    axis = figure.subplots()
    axis.imshow(pixels, extent=(0, width, height, 0), interpolation="bilinear")
    for row in range(len(people)):
        xy, mask = people.xy[row], people.mask[row]
        bones = figure_2d(xy, mask, people.skeleton).bones
        draw_bones(axis, xy, bones, width=4.0, colour="white")
        draw_bones(axis, xy, bones, width=2.2)
        if labels and mask.any():
            top = xy[mask].min(axis=0)[1]
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2}
            place = (float(xy[mask, 0].mean()), max(float(top) - 0.06 * height, 0.06 * height))
            axis.text(*place, labels[row], ha="center", va="bottom", fontsize=9, bbox=box)
    axis.set(xlim=(0, width), ylim=(height, 0))
    axis.set_axis_off()
    return figure
