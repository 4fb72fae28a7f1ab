"""What looks wrong with the people of a file: turned on their heads, lying all alike (numpy)."""

__all__ = ["suspicions"]

import numpy as np
from jaxtyping import Bool, Float

from vipe.arrays import Array
from vipe.detections.keypoints import Keypoints
from vipe.skeletons.working import COCO13

_MOSTLY = 0.8  # of the people whose trunk is seen
_FEWEST_LYING = 3  # people: one who lies is one who lies
_LEAST = 1.0  # of the side of a direction over its other axis: within 45 degrees

_UPPER = [COCO13.index(f"{side}_shoulder") for side in ("left", "right")]
_LOWER = [COCO13.index(f"{side}_hip") for side in ("left", "right")]
_FEET = [COCO13.index(f"{side}_ankle") for side in ("left", "right")]


def suspicions(people: Keypoints) -> list[str]:
    """Lines on what looks wrong: all bodies upside down (y up?), or all lying to one side (y before x?).

    Only a doubt: one person may stand on their hands. Bodies whose trunk is not seen are not counted.
    """
    down = _middle(people, _LOWER) - _middle(people, _UPPER)  # from shoulders to hips, y down
    legs = _middle(people, _FEET) - _middle(people, _LOWER)
    known = np.isfinite(down).all(axis=1) & (np.abs(down).sum(axis=1) > 0)
    count = int(known.sum())
    if count == 0:
        return []
    down, legs = down[known], np.nan_to_num(legs[known])
    lines = []
    turned = (-down[:, 1] > _LEAST * np.abs(down[:, 0])) & (legs[:, 1] <= 0)
    if turned.sum() >= _MOSTLY * count:
        lines.append(
            f"{_of(int(turned.sum()), count)} upside down: does y point up in this file? It must point down: write "
            "height - y"
        )
    for sign, side in ((1, "left"), (-1, "right")):
        lying = (sign * down[:, 0] > _LEAST * np.abs(down[:, 1])) & (sign * legs[:, 0] >= 0)
        if count >= _FEWEST_LYING and lying.sum() >= _MOSTLY * count:
            lines.append(
                f"{_of(int(lying.sum()), count)} lying with the head to the {side}: is y written before x in this "
                "file, or are the images turned by 90 degrees?"
            )
    return lines


def _middle(people: Keypoints, joints: list[int]) -> Float[Array, "N 2"]:
    """The mean of the seen ones of two joints; NaN if none is seen."""
    seen: Bool[Array, "N 2"] = people.mask[:, joints]
    count = seen.sum(axis=1, keepdims=True)
    total = (people.xy[:, joints] * seen[..., None]).sum(axis=1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _of(some: int, count: int) -> str:
    if some == count:
        return "the person is" if count == 1 else f"all {count:,} people are"
    return f"{some:,} of {count:,} people are"
