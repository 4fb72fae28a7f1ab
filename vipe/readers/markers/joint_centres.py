"""Joint centres inside the body from markers on its surface: hips, knees, ankles of the Plug-in Gait set (numpy)."""

__all__ = ["add_joint_centres", "chord", "hip_centres"]

from collections.abc import MutableMapping

import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array

# Marker to joint centre as a share of the bone above it: half of a knee 105 mm wide, a marker of 14 mm and a thigh of
# 420 mm; half of an ankle 70 mm wide and a shank of 400 mm. Wands and widths that a laboratory measures are not in the
# file.
_KNEE, _ANKLE = 0.14, 0.105
_MEDIAL_KNEE, _MEDIAL_ANKLE = ("KNM", "KNEM", "MKNE"), ("ANM", "MED", "MANK")


def add_joint_centres(of: MutableMapping[str, Float64[Array, "frames 3"]], unit: float | None) -> None:
    """Add LHJC, LKJC, LAJC and the right ones, wherever the markers they come from are there and they are not.

    Hips come from the four markers of the pelvis, knees and ankles from the marker of the other side of the joint, or
    else from the marker on the thigh or shank, which with hip (or knee) and the lateral marker spans the plane.

    Args:
        of: Positions by marker; gets the joint centres. Not finite where a marker is out of sight.
        unit: Metres per unit; None is taken for millimetres, as in most such files.
    """
    if {"LASI", "RASI"} <= set(of) and ({"LPSI", "RPSI"} <= set(of) or "SACR" in of) and "LHJC" not in of:
        back = of["SACR"] if "SACR" in of else (of["LPSI"] + of["RPSI"]) / 2
        of["LHJC"], of["RHJC"] = hip_centres(of["LASI"], of["RASI"], back, 0.001 if unit is None else unit)
    for side in "LR":
        steps = (("KJC", "HJC", "KNE", "THI", _KNEE, _MEDIAL_KNEE), ("AJC", "KJC", "ANK", "TIB", _ANKLE, _MEDIAL_ANKLE))
        for centre, above, lateral, wand, share, medial in steps:
            other = next((side + name for name in medial if side + name in of), None)
            if side + centre in of or side + lateral not in of:
                continue
            if other is not None:
                of[side + centre] = (of[side + lateral] + of[other]) / 2
            elif {side + above, side + wand} <= set(of):
                of[side + centre] = chord(of[side + above], of[side + lateral], of[side + wand], share)


def hip_centres(
    left: Float64[Array, "frames 3"], right: Float64[Array, "frames 3"], back: Float64[Array, "frames 3"], unit: float
) -> tuple[Float64[Array, "frames 3"], Float64[Array, "frames 3"]]:
    """Left and right hip joint centres from the markers of the pelvis (Harrington et al. 2007).

    In the pelvis' axes, from between the front markers, in millimetres: forward -0.24 depth - 9.9, up
    -0.30 width - 10.9, to the side 0.33 width + 7.3, of the pelvis' depth and width.

    Args:
        left: Left anterior superior iliac spine.
        right: Right anterior superior iliac spine.
        back: Between the posterior ones.
        unit: Metres per unit of the positions.
    """
    middle = (left + right) / 2
    width = np.linalg.norm(left - right, axis=-1, keepdims=True)
    side = (left - right) / np.maximum(width, 1e-9)
    forward = middle - back
    forward = forward - (forward * side).sum(-1, keepdims=True) * side
    depth = np.linalg.norm(forward, axis=-1, keepdims=True)
    forward = forward / np.maximum(depth, 1e-9)
    up = np.cross(forward, side)
    mm = 0.001 / unit
    inside = middle + forward * (-0.24 * depth - 9.9 * mm) + up * (-0.30 * width - 10.9 * mm)
    out = side * (0.33 * width + 7.3 * mm)
    return inside + out, inside - out


def chord(
    above: Float64[Array, "frames 3"],
    lateral: Float64[Array, "frames 3"],
    wand: Float64[Array, "frames 3"],
    share: float,
) -> Float64[Array, "frames 3"]:
    """A joint centre in the plane of three points, where the lateral marker is seen at a right angle to the bone.

    The centre C satisfies (above - C) . (lateral - C) = 0 and |lateral - C| = share * |above - lateral|, on the side of
    `lateral` that is away from `wand` (Davis et al. 1991).

    Args:
        above: The joint centre above.
        lateral: The marker on the outer side of the joint.
        wand: A marker on the outer side of the bone, away from the line between the two.
        share: Distance of marker and centre, of the distance of `above` and `lateral`.
    """
    along = lateral - above
    length = np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
    along = along / length
    aside = wand - above
    aside = aside - (aside * along).sum(-1, keepdims=True) * along
    aside = aside / np.maximum(np.linalg.norm(aside, axis=-1, keepdims=True), 1e-9)
    # By Thales: the distance from `above` is sqrt(1 - share^2) lengths, at an angle whose sine is `share`.
    return np.asarray(above + length * (along * (1 - share**2) - aside * share * np.sqrt(1 - share**2)))
