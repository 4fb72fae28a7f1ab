"""Conditions under which a search is measured: a detector's errors and hidden joints, by name (numpy)."""

__all__ = ["CONDITIONS", "Condition", "simulate_condition"]

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.errors import VipeError
from vipe.simulate import CameraRig, DetectorNoise, simulate_keypoints
from vipe.simulate.detector import GROUND_TRUTH, MISSING_2, MISSING_4, NOISE_003, NOISE_006, ONE_OFF
from vipe.skeletons import load

_BODY = load("coco13")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A detector's errors, and joints outside the image.

    Raises:
        VipeError: If a hidden joint is none of coco13.
    """

    name: str
    noise: DetectorNoise
    hidden: tuple[tuple[str, ...], ...] = ()  # sets of joints, of which one is drawn for each person

    def __post_init__(self) -> None:
        if unknown := sorted({joint for joints in self.hidden for joint in joints} - set(_BODY.joints)):
            raise VipeError(
                f"condition {self.name!r}: no joint {', '.join(unknown)}; coco13 has {', '.join(_BODY.joints)}"
            )


CONDITIONS: tuple[Condition, ...] = (
    Condition(name="ground truth", noise=GROUND_TRUTH),
    Condition(name="noise 0.03", noise=NOISE_003),
    Condition(name="noise 0.06", noise=NOISE_006),
    Condition(name="one joint off", noise=ONE_OFF),
    Condition(name="1 missing", noise=replace(NOISE_003, missing_count=1)),
    Condition(name="2 missing", noise=MISSING_2),
    Condition(name="4 missing", noise=MISSING_4),
    # Shoulders and hips belong to the trunk: they stay visible where an arm or the legs are outside the image.
    Condition(
        name="an arm out",
        noise=NOISE_003,
        hidden=(("left_elbow", "left_wrist"), ("right_elbow", "right_wrist")),
    ),
    Condition(
        name="legs out",
        noise=NOISE_003,
        hidden=(("left_knee", "right_knee", "left_ankle", "right_ankle"),),
    ),
)
"""The search protocol's conditions; noise is in RMS radii, and all but the first and third have 0.03 of it."""


def simulate_condition(
    poses: Float[Array, "N 17 3"],
    rig: CameraRig,
    condition: Condition,
    *,
    distance: float,
    generator: np.random.Generator,
) -> Keypoints:
    """Keypoints of people as recorded, each seen by a camera drawn from the rig, under a condition.

    Two conditions from one state of the generator have the same cameras and the same draws of noise.

    Args:
        poses: h36m17, metres, world space, own proportions.
        rig: The cameras.
        condition: What goes wrong.
        distance: From camera to person, metres. There is no focal length, since it only scales the image.
        generator: Every draw uses it.
    """
    people = simulate_keypoints(poses, rig, distance=distance, noise=condition.noise, generator=generator)
    if not condition.hidden:
        return people
    sets = np.array([[joint in joints for joint in _BODY.joints] for joints in condition.hidden])
    return replace(people, mask=people.mask & ~sets[generator.integers(len(sets), size=len(people))])
