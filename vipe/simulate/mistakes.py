"""Mistakes that detectors make beyond noise: exchanged sides, a limb drawn twice, errors that go together (numpy)."""

__all__ = [
    "Mistake",
    "copied_leg",
    "exchanged",
    "heavy_tails",
    "limb_errors",
    "mirrored",
    "off_axis",
    "squeezed",
]

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from vipe.arrays import Array
from vipe.detections import Keypoints, normalize_keypoints
from vipe.errors import VipeError
from vipe.simulate.detector import FOCAL
from vipe.skeletons.working import COCO13, COCO13_MIRRORED, without_side

Mistake = Callable[[Keypoints, np.random.Generator], Keypoints]
"""What makes wrong keypoints of right ones; every draw uses the generator."""

_PARTS = {
    "body": tuple(without_side(joint) for joint in COCO13.joints),
    "legs": ("hip", "knee", "ankle"),
    "arms": ("shoulder", "elbow", "wrist"),
}
_LEG = ("knee", "ankle")
_IN_FRONT = 0.1  # cosine of the widest angle from the axis that a lens sees
_COPY_NOISE = 0.02  # RMS radii by which the second drawing of a leg differs from the first


def exchanged(part: str) -> Mistake:
    """Left and right take each other's places in the whole body, in the legs, or in the arms.

    Raises:
        VipeError: If `part` is none of body, legs, arms.
    """
    if part not in _PARTS:
        raise VipeError(f"no part {part!r} of the body to exchange; there are {', '.join(_PARTS)}")
    order = [
        other if without_side(joint) in _PARTS[part] else own
        for own, (joint, other) in enumerate(zip(COCO13.joints, COCO13_MIRRORED, strict=True))
    ]

    def mistake(people: Keypoints, _: np.random.Generator) -> Keypoints:
        covariance = None if people.covariance is None else people.covariance[:, order]
        return replace(
            people,
            xy=people.xy[:, order],
            mask=people.mask[:, order],
            confidence=people.confidence[:, order],
            covariance=covariance,
        )

    return mistake


def copied_leg(people: Keypoints, generator: np.random.Generator) -> Keypoints:
    """Knee and ankle of one leg are drawn on those of the other, where both are seen; each person's leg is drawn."""
    _, _, radius = normalize_keypoints(people)
    left = generator.random(len(people)) < 0.5
    xy, mask = people.xy.copy(), people.mask.copy()
    for joint in _LEG:
        a, b = COCO13.index(f"left_{joint}"), COCO13.index(f"right_{joint}")
        noise = _COPY_NOISE * radius[:, None] * generator.normal(size=(len(people), 2))
        xy[:, a] = np.where(left[:, None], people.xy[:, b] + noise, people.xy[:, a])
        xy[:, b] = np.where(left[:, None], people.xy[:, b], people.xy[:, a] + noise)
        mask[:, a] &= ~left | people.mask[:, b]
        mask[:, b] &= left | people.mask[:, a]
    return replace(people, xy=xy, mask=mask)


def squeezed(ratio: float) -> Mistake:
    """The image is as wide as `ratio` times what it was, and as high."""

    def mistake(people: Keypoints, _: np.random.Generator) -> Keypoints:
        size = None if people.image_size is None else people.image_size * [ratio, 1]
        return replace(people, xy=people.xy * np.array([ratio, 1], dtype=np.float32), covariance=None, image_size=size)

    return mistake


def mirrored(people: Keypoints, generator: np.random.Generator) -> Keypoints:
    """The photo is mirrored left to right; a detector names the sides of the person whom it seems to show."""
    people = exchanged("body")(people, generator)
    wide = 0 if people.image_size is None else people.image_size[:, None, 0]
    xy = np.stack([wide - people.xy[..., 0], people.xy[..., 1]], axis=-1)
    return replace(people, xy=xy.astype(np.float32), covariance=None)


def off_axis(angle_deg: float) -> Mistake:
    """The camera is turned away from the person, in a direction drawn for each: the lens is wide enough to see them.

    For simulated views, whose camera looks at the person with the focal length `FOCAL`, in shares of the longer side.

    Raises:
        VipeError: If the people's image sizes are not known.
    """

    def mistake(people: Keypoints, generator: np.random.Generator) -> Keypoints:
        around = generator.uniform(0, 2 * np.pi, len(people))
        if people.image_size is None:
            raise VipeError("people off axis need their image sizes: simulate them by simulate_keypoints")
        focal = FOCAL * people.image_size.max(axis=1)[:, None, None]
        middle = people.image_size[:, None] / 2
        axis = np.stack([np.cos(around), np.sin(around), np.zeros(len(people))], axis=1)
        turn = Rotation.from_rotvec(np.radians(angle_deg) * axis).as_matrix()
        rays = np.concatenate([(people.xy - middle) / focal, np.ones((len(people), 13, 1))], axis=2)
        turned = rays @ turn.swapaxes(1, 2)
        in_front = turned[..., 2] > _IN_FRONT
        xy = middle + focal * turned[..., :2] / np.maximum(turned[..., 2:], _IN_FRONT)
        return replace(people, xy=xy.astype(np.float32), mask=people.mask & in_front, covariance=None)

    return mistake


def limb_errors(scale: float) -> Mistake:
    """The outer joints of each limb are off together: `scale` RMS radii for the limb, a third of it for each joint."""

    def mistake(people: Keypoints, generator: np.random.Generator) -> Keypoints:
        shared = generator.normal(size=(len(people), 4, 2))
        limbs = np.full(13, -1)
        for number, (side, joints) in enumerate(
            (side, joints) for side in ("left", "right") for joints in (("knee", "ankle"), ("elbow", "wrist"))
        ):
            for joint in joints:
                limbs[COCO13.index(f"{side}_{joint}")] = number
        error = np.where((limbs >= 0)[:, None], shared[:, limbs], 0) + generator.normal(size=(len(people), 13, 2)) / 3
        return _moved(people, scale * error)

    return mistake


def heavy_tails(scale: float) -> Mistake:
    """Every keypoint is off by a Student distribution of 2 degrees of freedom, `scale` RMS radii."""

    def mistake(people: Keypoints, generator: np.random.Generator) -> Keypoints:
        gauss = generator.normal(size=(len(people), 13, 2))
        return _moved(people, scale * gauss / np.sqrt(generator.chisquare(2, size=(len(people), 13, 1)) / 2))

    return mistake


def _moved(people: Keypoints, error: Array) -> Keypoints:
    """Keypoints moved by errors in RMS radii."""
    radius = normalize_keypoints(people)[2][:, None, None]
    return replace(people, xy=(people.xy + radius * error).astype(np.float32), covariance=None)
