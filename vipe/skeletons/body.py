"""What the bones of a body tell of its file: the unit, the up axis, where nose and crown are on the head (numpy)."""

__all__ = ["PERSON", "UNITS", "Measures", "body_axes", "find_unit", "find_up", "measure", "unit_name"]

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array
from vipe.skeletons.skeleton import Up

PERSON: Mapping[str, float] = {"thigh": 0.43, "shin": 0.415, "upper arm": 0.28, "forearm": 0.255, "trunk": 0.49}
"""Bones of an adult of 1.72 m, metres between joint centres: the middle of the usual ranges. The trunk is that of
h36m17, from pelvis to thorax."""

UNITS: Mapping[str, float] = {
    "metres": 1.0,
    "centimetres": 0.01,
    "inches": 0.0254,
    "CMU's units of 0.45 inches": 0.0254 / 0.45,
    "millimetres": 0.001,
    "decimetres": 0.1,
    "feet": 0.3048,
}
"""Metres of the units that files are written in."""

_SMALLEST, _LARGEST = 1 / 1.32, 1.22  # body against PERSON within which a usual unit is taken: 1.30 to 2.10 m
_UPRIGHT = 0.85  # cosine: a trunk nearer to an axis than 32 degrees speaks for it
_FLOOR = (-0.08, 0.15)  # of a leg: where the lowest joint is if the floor is at zero
_ABOVE = 0.08  # of a leg: the least height of the pelvis above it, of one who lies
# The joints at both ends of each of PERSON's bones, left and right; the trunk has no sides.
_BONES = (
    *(
        (f"{side}_{a}", f"{side}_{b}")
        for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
        for side in ("left", "right")
    ),
    ("pelvis", "thorax"),
)
AXES: tuple[Up, ...] = ("y", "z", "x", "-y", "-z", "-x")
_PRIOR = (0.1, 0.08, 0.0, -0.2, -0.2, -0.2)


@dataclass(frozen=True)
class Measures:
    """Bone lengths of a body, median over frames and mean of both sides, in the unit of the positions."""

    bones: Mapping[str, float]

    @property
    def size(self) -> float:
        """The body against `PERSON`: the weighted median, in which the leg counts twice, arm and trunk once each.

        So one part drawn too long or too short does not change the size of all.
        """
        b, p = self.bones, PERSON
        ratios = sorted(
            [
                ((b["thigh"] + b["shin"]) / (p["thigh"] + p["shin"]), 2),
                ((b["upper arm"] + b["forearm"]) / (p["upper arm"] + p["forearm"]), 1),
                (b["trunk"] / p["trunk"], 1),
            ]
        )
        spread = [ratio for ratio, weight in ratios for _ in range(weight)]
        return math.sqrt(max(spread[1] * spread[2], 0.0))


def measure(of: Mapping[str, Float[Array, "frames 3"]]) -> Measures:
    """Measure a body.

    Args:
        of: Positions of the hips, knees, ankles, shoulders, elbows and wrists of both sides, of pelvis and thorax.
    """
    starts, ends = (np.stack([of[joint] for joint in side]) for side in zip(*_BONES, strict=True))
    lengths = np.median(np.linalg.norm(starts - ends, axis=-1), axis=-1)
    values = [*((lengths[0:8:2] + lengths[1:8:2]) / 2).tolist(), float(lengths[8])]
    return Measures(dict(zip(PERSON, values, strict=True)))


def find_unit(size: float) -> tuple[float, str]:
    """Metres per unit of a file, from the size of its body.

    Args:
        size: `Measures.size` of positions in the file's unit.

    Returns:
        The usual unit that makes the body a person, with its name; where there is none, what makes it an adult, and "".

    >>> find_unit(98.0)
    (0.01, 'centimetres')
    >>> find_unit(200.0)
    (0.005, '')
    """
    fits = [(abs(math.log(size * unit)), name) for name, unit in UNITS.items() if _SMALLEST < size * unit < _LARGEST]
    if not fits:
        return float(f"{1 / size:.3g}"), ""  # three digits, so that clips of one rig get the same unit
    name = min(fits)[1]
    return UNITS[name], name


def unit_name(unit: float) -> str:
    """A unit in words.

    >>> unit_name(0.01), unit_name(0.0397)
    ('centimetres', 'units of 0.0397 m')
    """
    return next((name for name, one in UNITS.items() if math.isclose(one, unit)), f"units of {unit:.4g} m")


def find_up(
    rest: Float[Array, "3"] | None,
    up: Float[Array, "frames 3"],
    lowest: Float[Array, "frames 3"],
    highest: Float[Array, "frames 3"],
    pelvis: Float[Array, "frames 3"],
    leg: float,
) -> tuple[Up, float]:
    """The up axis of a file: where its rest pose stands, where its trunk points in most frames, where its floor is.

    Args:
        rest: Unit vector from the feet to the head of the rest pose; None if that is no standing body.
        up: Unit vector from pelvis to thorax, in the file's axes.
        lowest: Smallest coordinate of any joint, for each axis.
        highest: Largest coordinate, likewise.
        pelvis: Position of the pelvis.
        leg: Length of a leg, in the file's unit.

    Returns:
        The axis, and by how much it is likelier than the next: above 0.5 is sure.
    """
    scores = []
    for name, prior in zip(AXES, _PRIOR, strict=True):
        axis, sign = "xyz".index(name[-1]), -1.0 if name.startswith("-") else 1.0
        score = prior + 1.1 * float((sign * up[:, axis] > _UPRIGHT).mean())
        if rest is not None and sign * rest[axis] > _UPRIGHT:
            score += 1.0
        floor = lowest[:, axis] if sign > 0 else -highest[:, axis]
        above = sign * pelvis[:, axis] - floor
        score += 1.2 * float(((floor > _FLOOR[0] * leg) & (floor < _FLOOR[1] * leg) & (above > _ABOVE * leg)).mean())
        scores.append(score)
    order = np.argsort(scores)[::-1]
    return AXES[order[0]], float(scores[order[0]] - scores[order[1]])


def body_axes(of: Mapping[str, Float[Array, "frames 3"]]) -> tuple[Any, Any, Any]:
    """Unit vectors of a body's trunk in each frame: to its left, forward, and up.

    Args:
        of: Positions of both hips and shoulders, of pelvis and thorax.
    """
    up = _unit(of["thorax"] - of["pelvis"])
    across = of["left_hip"] - of["right_hip"] + of["left_shoulder"] - of["right_shoulder"]
    forward = _unit(np.cross(across, up))
    return np.cross(up, forward), forward, up


def _unit(vectors: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3"]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1))
