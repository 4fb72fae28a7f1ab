"""BlazePose's first network: from its numbers to boxes of people and the points that align them (numpy)."""

__all__ = ["INPUT", "MIN_SCORE", "Boxes", "decode"]

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Float64

from vipe.arrays import Array

INPUT = 224  # pixels, width and height of the network's input
MIN_SCORE = 0.5  # of a box, as published with the network
_ANCHORS = ((8, 2), (16, 2), (32, 6))  # stride in pixels, anchors a cell
_SAME = 0.3  # intersection over union above which two boxes are one person
_LARGEST = 80.0  # of a logit: exp stays finite


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """People as the first network finds them, best first, in shares of its square input."""

    score: Float64[Array, " n"]
    box: Float64[Array, "n 4"]  # centre, width and height; of head and trunk
    hip: Float64[Array, "n 2"]  # the middle of the hips
    rim: Float64[Array, "n 2"]  # on the circle about the hips that holds the whole body, above the head

    def __len__(self) -> int:
        return len(self.score)


def decode(numbers: Float[Array, "2254 12"], logits: Float[Array, " 2254"], min_score: float = MIN_SCORE) -> Boxes:
    """Boxes of the anchors that score enough, one a person.

    Numbers are offsets from the middle of an anchor's cell, in pixels of the input: of the box's centre, its size, and
    four points (hips, rim of the whole body's circle, shoulders, rim of the upper body's circle). Boxes that overlap
    are blended: the mean of all, weighed by score, stands for them.

    Args:
        numbers: The network's first output.
        logits: Its second one.
        min_score: From 0 to 1, that a box must reach.

    Returns:
        The boxes; none if no anchor scores enough.

    Reference:
        Blending in place of suppression: Bazarevsky et al. 2019, sec. 3.3. The points that align a person:
        Bazarevsky et al. 2020, sec. 2.2.
    """
    score = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -_LARGEST, _LARGEST)))
    chosen = np.flatnonzero(score >= min_score)
    chosen = chosen[np.argsort(-score[chosen], kind="stable")]
    values = numbers[chosen].astype(np.float64) / INPUT
    values[:, :2] += _centres()[chosen]
    values[:, 4:] += np.tile(_centres()[chosen], 4)
    best, blended = [], []
    left = np.arange(len(chosen))
    while len(left):
        alike = _overlap(values[left[0], :4], values[left, :4]) > _SAME
        alike[0] = True
        same = left[alike]
        weight = score[chosen[same]]
        blended.append(weight @ values[same] / weight.sum())
        best.append(weight[0])
        left = left[~alike]
    found = np.array(blended).reshape(-1, numbers.shape[1])
    return Boxes(score=np.array(best), box=found[:, :4], hip=found[:, 4:6], rim=found[:, 6:8])


@cache
def _centres() -> Float64[Array, "2254 2"]:
    """The middle of each anchor's cell, row by row, in shares of the input."""
    parts = []
    for stride, each in _ANCHORS:
        cells = INPUT // stride
        middle = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2)
        parts.append(np.repeat(grid, each, axis=0))
    return np.concatenate(parts)


def _overlap(one: Float64[Array, " 4"], others: Float64[Array, "n 4"]) -> Float64[Array, " n"]:
    """Intersection over union of a box with others."""
    low = np.maximum(one[:2] - one[2:] / 2, others[:, :2] - others[:, 2:] / 2)
    high = np.minimum(one[:2] + one[2:] / 2, others[:, :2] + others[:, 2:] / 2)
    shared = np.clip(high - low, 0, None).prod(axis=1)
    union = one[2:].prod() + others[:, 2:].prod(axis=1) - shared
    return np.asarray(shared / np.maximum(union, 1e-12))
