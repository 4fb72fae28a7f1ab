"""BlazePose's second network: the turned square that it looks at, and its landmarks in the image (numpy)."""

__all__ = ["INPUT", "LANDMARKS", "Landmarks", "Square", "decode", "square"]

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64

from vipe.arrays import Array

INPUT = 256  # pixels, width and height of the network's input
LANDMARKS = 33  # of the body; six more align the next frame and are not used
_ROOM = 1.25  # of the circle that holds the body: the square about it
_CELLS = 64  # of a heatmap, each way
_WINDOW = 3  # cells each way in which a heatmap may move its landmark
_PEAK = 0.5  # that a heatmap must reach to move its landmark
_LARGEST = 80.0  # of a logit: exp stays finite


@dataclass(frozen=True, kw_only=True)
class Square:
    """A square of an image, turned so that the person in it stands upright."""

    to_image: Float64[Array, "2 3"]  # pixels of the image from pixels of the network's input
    side: float  # pixels of the image


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """One person's landmarks in the image."""

    points: Float32[Array, "33 3"]  # x and y in pixels, visibility from 0 to 1
    presence: float  # from 0 to 1: that the square shows a person at all


def square(hip: Float64[Array, " 2"], rim: Float64[Array, " 2"]) -> Square | None:
    """The square about a person whose hips and whose circle's rim above the head are known, in pixels of the image.

    None if the two points are the same: they then give no direction.

    Reference:
        Bazarevsky et al. 2020, sec. 2.2: the middle of the hips, the size of the circle about the whole person, and
        the turn of the line between shoulders and hips.
    """
    reach = float(np.linalg.norm(rim - hip))
    if not 0 < reach < np.inf:
        return None
    up = (rim - hip) / reach
    side = 2 * _ROOM * reach
    axes = side / INPUT * np.array([[-up[1], -up[0]], [up[0], -up[1]]])  # columns: right and down of the square
    return Square(to_image=np.column_stack([axes, hip - axes @ np.full(2, INPUT / 2)]), side=side)


def decode(
    numbers: Float[Array, " 195"], presence: float, heatmaps: Float[Array, "64 64 39"], where: Square
) -> Landmarks:
    """Landmarks in the image from the network's outputs.

    Five numbers a landmark: x, y and depth in pixels of the input, and logits of its visibility (which counts as its
    confidence) and its presence. Where a landmark's heatmap is sure, its mean about the landmark is taken instead.

    Args:
        numbers: The network's first output.
        presence: Its second one.
        heatmaps: Logits of where each landmark is.
        where: What the network saw.
    """
    rows = numbers.reshape(-1, 5)[:LANDMARKS].astype(np.float64)
    place = _refined(rows[:, :2], heatmaps[..., :LANDMARKS].astype(np.float64))
    in_image = place @ where.to_image[:, :2].T + where.to_image[:, 2]
    points = np.column_stack([in_image, _sigmoid(rows[:, 3])]).astype(np.float32)
    return Landmarks(points=points, presence=float(presence))


def _refined(place: Float64[Array, "33 2"], heatmaps: Float64[Array, "64 64 33"]) -> Float64[Array, "33 2"]:
    """Landmarks moved to the mean of their heatmap near them, where it is sure."""
    cell = INPUT / _CELLS
    moved = place.copy()
    for landmark, (column, row) in enumerate(np.floor(place / cell).astype(np.int64).tolist()):
        if not (0 <= column < _CELLS and 0 <= row < _CELLS):
            continue
        rows = np.arange(max(row - _WINDOW, 0), min(row + _WINDOW + 1, _CELLS))
        columns = np.arange(max(column - _WINDOW, 0), min(column + _WINDOW + 1, _CELLS))
        likely = _sigmoid(heatmaps[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, landmark])
        if likely.max() >= _PEAK:
            mean = np.array([likely.sum(axis=0) @ columns, likely.sum(axis=1) @ rows]) / likely.sum()
            moved[landmark] = mean * cell
    return moved


def _sigmoid(logits: Float64[Array, "*shape"]) -> Float64[Array, "*shape"]:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -_LARGEST, _LARGEST))))
