"""What labels of keypoints may mean: sides exchanged, a limb drawn twice, an image squeezed (numpy)."""

__all__ = [
    "MIRRORED",
    "SIDES",
    "STRETCHES",
    "WHOLE_BODY",
    "Labelling",
    "as_read",
    "as_relabelled",
    "can_be_searched",
    "each_as",
    "explained",
    "is_mirrored",
    "suspected",
]

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int64

from vipe.arrays import Array
from vipe.detections import Keypoints, normalize_keypoints
from vipe.retrieve.camera.perspective import Fits
from vipe.retrieve.candidates.affine import MIN_JOINTS
from vipe.skeletons.working import COCO13, COCO13_MIRRORED, without_side

_COINCIDE = 0.2  # RMS radii within which both inner and both outer joints of two limbs are one limb drawn twice
_TWICE = 12.0  # cost of a limb drawn twice

_OF_IMAGES = re.compile(r"^(.*?)( in \d+ of \d+ images)?$")  # a reading's name, and of which images
_JOINTS = COCO13.joints
_LIMBS = (("knee", "ankle"), ("elbow", "wrist"))


@dataclass(frozen=True, kw_only=True)
class Labelling:
    """One reading of a person's labels.

    The cost is minus twice the log of how many people in one are labelled so, against as they should be. Judged on
    simulated photos of `val` clips (`vipe evaluate search --condition hard`): with these costs 99 to 100 of 100
    exchanged bodies, legs and arms, copied legs and images at 0.56 of their width find their moment first, and labels
    that are right stay.
    """

    name: str
    order: tuple[int, ...] = tuple(range(13))  # which of the given keypoints each joint is
    unseen: tuple[int, ...] = ()  # joints that show nothing of the person
    drawn_on: tuple[int, ...] = ()  # the joints that these were drawn on, of a limb drawn twice; () if anywhere
    stretch: float = 1.0  # what x has to be multiplied by to undo a squeeze of the image; -1 if it is mirrored
    cost: float = 0.0


def _exchanged(*joints: str) -> tuple[int, ...]:
    return tuple(
        other if without_side(joint) in joints else place
        for place, (joint, other) in enumerate(zip(_JOINTS, COCO13_MIRRORED, strict=True))
    )


SIDES: tuple[Labelling, ...] = (
    Labelling(name="body", order=COCO13_MIRRORED, cost=4.0),
    Labelling(name="legs", order=_exchanged("hip", "knee", "ankle"), cost=14.0),
    Labelling(name="arms", order=_exchanged("shoulder", "elbow", "wrist"), cost=14.0),
)
"""Left and right exchanged: in the whole body, as by a detector that takes a back for a front, or in two limbs."""

STRETCHES: tuple[Labelling, ...] = tuple(
    Labelling(name=f"image {1 / stretch:.2f} as wide", stretch=stretch, cost=14.0)
    for stretch in (16 / 9, 4 / 3, 3 / 4, 9 / 16)
)
"""Images whose width was changed and height was not, from one usual shape to another."""


MIRRORED = Labelling(name="image mirrored", order=COCO13_MIRRORED, stretch=-1.0, cost=10.0)
"""A photo mirrored left to right, as many selfies are: a detector names the sides of the person whom it seems to show.

From afar it shows what a person shows with all sides exchanged, seen from behind, so that "body" finds the same poses;
perspective tells them apart. With this cost it has to be 3 nats likelier than "body". Of simulated mirrored photos of
`val` clips, noise 0.03, those are 98 of 100 from 1.2 m, 96 from 2 m and 84 from 4 m, and no photo with its sides
exchanged.
"""


WHOLE_BODY = (SIDES[0].name, MIRRORED.name)
"""Readings that take a person for their mirror image."""


def explained(name: str) -> str:
    """A sentence on a reading, by its name; of several images, one on each reading of some of them.

    >>> explained("legs")
    'Left and right of the legs are taken as swapped: that fits far better.'
    >>> explained("legs in 3 of 9 images")
    'In 3 of 9 images left and right of the legs are taken as swapped: that fits far better.'
    """
    return " ".join(_sentence(*_OF_IMAGES.findall(one)[0]) for one in name.split(", "))


def is_mirrored(name: str) -> bool:
    """Whether a reading, by its name, takes a person for their mirror image; of a sequence in half of its images.

    >>> is_mirrored("body"), is_mirrored("legs"), is_mirrored("body in 6 of 9 images, arms in 3 of 9 images")
    (True, False, True)
    """
    share = 0.0
    for one in name.split(", "):
        what, images = _OF_IMAGES.findall(one)[0]
        if what in WHOLE_BODY:
            some, of = re.findall(r"\d+", images) or (1, 1)
            share += int(some) / int(of)
    return share >= 0.5


def _sentence(name: str, images: str) -> str:
    what, share = name.removesuffix(" unseen"), name.removeprefix("image ").removesuffix(" as wide")
    if name in (labelling.name for labelling in SIDES):
        told = f"left and right of the {name} are taken as swapped"
    elif name == MIRRORED.name:
        told = "the image is taken as mirrored left to right"
    elif what != name:
        told = f"the {what} is taken as unseen"
    else:
        told = f"the image is taken as {share} as wide as it should be"
    told = f"{images[1:]} {told}" if images else told
    return f"{told[0].upper()}{told[1:]}: that fits far better."


def suspected(people: Keypoints, fits: Fits) -> Iterator[tuple[Labelling, Int64[Array, " M"]]]:
    """Readings of the labels that are worth trying, each with the people it may hold for.

    Args:
        people: On coco13.
        fits: Of the same people, labelled as they are.
    """
    unknown = np.flatnonzero([crop is None for crop in people.crop])  # a known camera's images are as it made them
    for labelling in (*SIDES, MIRRORED, *STRETCHES):
        yield labelling, np.arange(len(people)) if labelling in SIDES else unknown
    unit, _, radius = normalize_keypoints(people)
    for joints in _LIMBS:
        left, right = ([_JOINTS.index(f"{side}_{joint}") for joint in joints] for side in ("left", "right"))
        both = people.mask[:, left + right].all(axis=1)
        apart = np.linalg.norm(unit[:, left] - unit[:, right], axis=2).max(axis=1)
        twice = np.flatnonzero(both & (apart < _COINCIDE))
        for side, unseen in (("left", left), ("right", right)):
            name = f"{side} {'leg' if 'knee' in joints else 'arm'} unseen"
            other = tuple(right if side == "left" else left)
            yield Labelling(name=name, unseen=tuple(unseen), drawn_on=other, cost=_TWICE), twice
    # The joint that is farthest from where the best candidate has it.
    best = fits.cost.argmin(axis=1)
    error = fits.error[np.arange(len(people)), best] / np.where(radius > 0, radius, 1)[:, None]
    worst = error.argmax(axis=1)
    for joint in range(13):
        yield (
            Labelling(name=f"{_JOINTS[joint].replace('_', ' ')} unseen", unseen=(joint,), cost=12.0),
            np.flatnonzero((worst == joint) & (error[:, joint] > _COINCIDE)),
        )


def as_relabelled(people: Keypoints, labelling: Labelling) -> Keypoints:
    """People with their labels read so."""
    order = list(labelling.order)
    mask = people.mask[:, order].copy()
    mask[:, list(labelling.unseen)] = False
    along = np.array([labelling.stretch, 1], dtype=np.float32)
    return replace(
        people,
        xy=people.xy[:, order] * along,
        mask=mask,
        confidence=people.confidence[:, order],
        covariance=None if people.covariance is None else people.covariance[:, order] * along * along[:, None],
        image_size=None if people.image_size is None else people.image_size * np.abs(along),
    )


def as_read(people: Keypoints, names: Sequence[str]) -> Keypoints:
    """Each person with the reading of that name, such as those of `Hits.relabelled`; "" leaves them as they are.

    Args:
        people: On coco13.
        names: One a person.
    """
    return each_as(people, [_named(name) for name in names]) if any(names) else people


def each_as(people: Keypoints, readings: Sequence[Labelling]) -> Keypoints:
    """Each person with a reading of their own."""
    return Keypoints.concat([as_relabelled(people[row], reading) for row, reading in enumerate(readings)])


def _named(name: str) -> Labelling:
    limb = name.removesuffix(" unseen").replace(" ", "_")
    if limb != name.replace(" ", "_"):
        side, _, part = limb.partition("_")
        outer = next((joints for joints in _LIMBS if part == ("leg" if "knee" in joints else "arm")), None)
        joints = [limb] if outer is None else [f"{side}_{joint}" for joint in outer]
        return Labelling(name=name, unseen=tuple(_JOINTS.index(joint) for joint in joints))
    return {one.name: one for one in (Labelling(name=""), *SIDES, MIRRORED, *STRETCHES)}[name]


def can_be_searched(people: Keypoints) -> Bool[Array, " Q"]:
    """Who shows enough joints."""
    return np.asarray(people.mask.sum(axis=1) >= MIN_JOINTS)
