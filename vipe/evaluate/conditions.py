"""Conditions under which a search is measured: a detector's errors and hidden joints, by name (numpy)."""

__all__ = ["ALL_CONDITIONS", "CONDITIONS", "HARD_CONDITIONS", "Condition", "simulate_condition"]

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.errors import VipeError
from vipe.simulate import CameraRig, DetectorNoise, simulate_keypoints
from vipe.simulate.detector import GROUND_TRUTH, MISSING_2, MISSING_4, NOISE_003, NOISE_006, ONE_OFF
from vipe.simulate.mistakes import (
    Mistake,
    copied_leg,
    exchanged,
    heavy_tails,
    limb_errors,
    mirrored,
    off_axis,
    squeezed,
)
from vipe.simulate.people import drawn_builds, mark_joints, rebuilt
from vipe.skeletons import load
from vipe.skeletons.joint_conventions import ARCHIVE, UNKNOWN

_BODY = load("coco13")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A detector's errors, joints outside the image, and people and cameras that are not the usual ones.

    Raises:
        VipeError: If a hidden joint is none of coco13.
    """

    name: str
    noise: DetectorNoise
    hidden: tuple[tuple[str, ...], ...] = ()  # sets of joints, of which one is drawn for each person
    mistake: Mistake | None = None  # what else goes wrong with the keypoints
    convention: str = ARCHIVE  # where joints are marked
    offset: Mapping[str, tuple[float, float, float]] = field(
        default_factory=dict
    )  # of marks nobody tells: `mark_joints`
    build: Mapping[str, float] = field(default_factory=dict)  # bone lengths of the people as shares of their own
    build_spread: float = 0.0  # of the log of bone lengths, drawn for each person beyond that: `drawn_builds`
    distance: tuple[float, float] | None = None  # metres: drawn between, whatever the protocol says
    told: str | None = None  # the convention that the search is told, if it is another

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


HARD_CONDITIONS: tuple[Condition, ...] = (
    Condition(name="body swapped", noise=NOISE_003, mistake=exchanged("body")),
    Condition(name="legs swapped", noise=NOISE_003, mistake=exchanged("legs")),
    Condition(name="arms swapped", noise=NOISE_003, mistake=exchanged("arms")),
    Condition(name="copied leg", noise=NOISE_003, mistake=copied_leg),
    Condition(name="image squeezed 0.56", noise=NOISE_003, mistake=squeezed(0.56)),
    Condition(name="image stretched 1.33", noise=NOISE_003, mistake=squeezed(1.33)),
    Condition(name="image mirrored", noise=NOISE_003, mistake=mirrored),
    Condition(name="hips 6 cm off", noise=NOISE_003, offset={"hip": (0.0, 0.12, 0.0)}, told=UNKNOWN),
    Condition(name="COCO marks", noise=NOISE_003, convention="coco"),
    Condition(name="BlazePose marks", noise=NOISE_003, convention="blazepose"),
    Condition(name="Human3.6M marks", noise=NOISE_003, convention="h36m"),
    Condition(name="unknown marks", noise=NOISE_003, convention="coco", told=UNKNOWN),
    Condition(name="limbs off together", noise=GROUND_TRUTH, mistake=limb_errors(0.06)),
    Condition(name="heavy tails", noise=GROUND_TRUTH, mistake=heavy_tails(0.02)),
    Condition(name="nose missing", noise=NOISE_003, hidden=(("nose",),)),
    Condition(name="hips missing", noise=NOISE_003, hidden=(("left_hip", "right_hip"),)),
    Condition(name="shoulders missing", noise=NOISE_003, hidden=(("left_shoulder", "right_shoulder"),)),
    Condition(name="1.5 to 8 m", noise=NOISE_003, distance=(1.5, 8.0)),
    Condition(name="distance 1.2 m", noise=NOISE_003, distance=(1.2, 1.2)),
    Condition(name="off axis", noise=NOISE_003, mistake=off_axis(30.0)),
    Condition(
        name="child", noise=NOISE_003, build={"knee": 0.85, "ankle": 0.85, "elbow": 0.88, "wrist": 0.88, "nose": 1.2}
    ),
    Condition(name="tall", noise=NOISE_003, build={"knee": 1.12, "ankle": 1.12, "elbow": 1.08, "wrist": 1.08}),
    Condition(name="heavy", noise=NOISE_003, build={"hip": 1.25, "shoulder": 1.15, "spine": 1.05}),
)
"""What a user meets beyond the protocol's conditions: wrong labels, other marks, other images, other people."""

ALL_CONDITIONS = (*CONDITIONS, *HARD_CONDITIONS)
"""Every condition that a search can be measured under."""


def simulate_condition(
    poses: Float[Array, "N 17 3"],
    rig: CameraRig,
    condition: Condition,
    *,
    distance: float,
    generator: np.random.Generator,
) -> Keypoints:
    """Keypoints of people as recorded, each seen by a camera drawn from the rig, under a condition.

    Two of the protocol's `CONDITIONS` from one state of the generator have the same cameras and draws of noise.

    Args:
        poses: h36m17, metres, world space, own proportions.
        rig: The cameras.
        condition: What goes wrong.
        distance: From camera to person, metres. There is no focal length, since it only scales the image.
        generator: Every draw uses it.
    """
    if condition.build:
        poses = rebuilt(poses, condition.build)
    poses = drawn_builds(poses, condition.build_spread, generator)
    poses = mark_joints(poses, condition.convention, generator, more=condition.offset)
    far: float | Array = distance
    if condition.distance is not None:
        far = generator.uniform(*condition.distance, size=len(poses))
    people = simulate_keypoints(poses, rig, distance=far, noise=condition.noise, generator=generator)
    people = replace(people, convention=condition.told or condition.convention)
    if condition.mistake is not None:
        people = condition.mistake(people, generator)
    if not condition.hidden:
        return people
    sets = np.array([[joint in joints for joint in _BODY.joints] for joints in condition.hidden])
    return replace(people, mask=people.mask & ~sets[generator.integers(len(sets), size=len(people))])
