"""Keypoints that may be meant otherwise: sides exchanged, a limb drawn twice, an image squeezed (numpy)."""

__all__ = [
    "MIRRORED",
    "SIDES",
    "STRETCHES",
    "Labelling",
    "Reading",
    "as_read",
    "as_relabelled",
    "can_be_searched",
    "doubtful",
    "explained",
    "is_mirrored",
    "lost_joints",
    "misfit",
    "pixel_evidence",
    "read_labels",
    "suspected",
    "unconvincing",
]

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64
from scipy.special import expit

from vipe.arrays import Array, put_rows, take_rows
from vipe.detections import Keypoints, normalize_keypoints
from vipe.retrieve.camera.perspective import Fits
from vipe.retrieve.candidates.affine import MIN_JOINTS
from vipe.retrieve.candidates.candidates import Candidates, quick_candidates
from vipe.retrieve.ranking.evidence import FittedCandidates
from vipe.retrieve.ranking.features import CandidateFeatures
from vipe.retrieve.session import Search
from vipe.skeletons.joint_conventions import ARCHIVE, load_convention
from vipe.skeletons.working import COCO13, COCO13_MIRRORED, without_side

_DOUBTED_FROM = 0.5
"""Least cost of the fits for each degree of freedom from which labels are doubted. Simulated photos whose pose the
archive holds: 0.37 in the middle at noise 0.03, and 1 in 5 above 0.5; of those with sides exchanged 97 in 100 above."""

_CONVINCING, _UNCONVINCING = 0.9, 10.0
"""A reading under which the best fit is worse than the first has to be likelier by so many nats more. Where the archive
lacks the pose, wrong readings win by up to 15 nats, but most of these fit worse than 1; where it holds the pose, 19 of
20 right ones fit better than 0.8, of people of other builds too."""

_COINCIDE = 0.2  # RMS radii within which both inner and both outer joints of two limbs are one limb drawn twice
_SCREENED = 40  # candidates of a reading; it is looked at closely if one fits about as well as all as they are labelled
_SLACK = 10.0
"""Of the cost: a reading under which a few candidates fit worse by less is looked at all the same, since its evidence
decides. Of 160 simulated photos of `val` clips and other builds, 20 were lost without it at 0.56 of their width, and 10
with a copied leg."""

_ROUGHLY = 5.0
"""Nats by which a reading may be less likely, by its few candidates, and still be looked at closely. All candidates
make it likelier by 0 to 0.1 where the archive holds the pose, and by up to 5 where it does not (`val`, other builds
too)."""

_LOST = 8.0  # of a joint that a reading leaves out, in the units of costs: it is judged by its evidence afterwards
_TWICE = 12.0  # cost of a limb drawn twice
_DRAWN_ON = 0.06  # RMS radii: standard deviation of a joint that is drawn on another limb's
_ELSEWHERE = 1.5  # RMS radii: standard deviation about the body's centre of a joint that is marked anywhere

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
        if what in (MIRRORED.name, SIDES[0].name):
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


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The likeliest reading of each person's labels, and what a search makes of it."""

    fitted: FittedCandidates
    features: CandidateFeatures
    names: tuple[str, ...]  # of the reading, "" for keypoints as they are
    stretch: Float32[Array, " Q"]  # what x was multiplied by
    probability: Float32[Array, " Q"]  # of that reading, among those that were tried


def read_labels(search: Search, people: Keypoints, count: int, closely: int) -> Reading:
    """Search for people, and for whoever is not explained that way, with other readings of their labels too.

    Args:
        search: Where.
        people: On coco13; each can be searched for.
        count: Candidates of each.
        closely: How many of them are looked at closely.

    Returns:
        Of each person the reading of greatest evidence times prior probability. Most people fit as they are labelled,
        and nothing else is tried.
    """
    fitted, features = judged(search, people, count, closely)
    names = [""] * len(people)
    stretch, probability = np.ones((2, len(people)), dtype=np.float32)
    doubted = np.flatnonzero(doubtful(fitted.fits, people) & search.settings.relabel)
    rivals = _best_rivals(search, people[doubted], take_rows(fitted, doubted), features.evidence[doubted])
    probability[doubted[rivals.places]] = expit(-rivals.gain)
    tried = np.flatnonzero(rivals.gain > -_ROUGHLY)
    if len(tried):
        places, readings = doubted[rivals.places[tried]], [rivals.readings[row] for row in tried]
        given, read = people[places], _each_as(people[places], readings)
        other = judged(search, read, count, closely)
        evidence = pixel_evidence(other[1].evidence, read, given, readings) - unconvincing(other[0].fits, read)
        as_given = _evidence_as_given(features.evidence[places], given)
        better = np.flatnonzero(evidence > as_given)
        for whole, part in zip((fitted, features), other, strict=True):
            put_rows(whole, places[better], take_rows(part, better))
        probability[places] = expit(np.abs(evidence - as_given))
        for place in better.tolist():
            names[places[place]], stretch[places[place]] = readings[place].name, readings[place].stretch
    return Reading(fitted=fitted, features=features, names=tuple(names), stretch=stretch, probability=probability)


class _Rivals(NamedTuple):
    """Other readings of some people's labels, one a person."""

    places: Int64[Array, " M"]  # of the people
    readings: list[Labelling]
    gain: Float64[Array, " M"]  # by how many nats each is likelier than the labels as given, roughly


def _best_rivals(
    search: Search, people: Keypoints, fitted: FittedCandidates, evidence: Float32[Array, " Q"]
) -> _Rivals:
    """The reading under which a few candidates fit best, of each person for whom one fits as well as all as given.

    All readings of all people are fitted in one go: a fit of a few candidates costs its calls, not its candidates.

    Args:
        search: Where.
        people: On coco13.
        fitted: Their candidates, labelled as they are.
        evidence: `CandidateFeatures.evidence` of the same.
    """
    tried: list[tuple[Labelling, Int64[Array, " _"], Keypoints]] = []
    for labelling, rows in suspected(people, fitted.fits):
        if not len(rows):
            continue
        read = as_relabelled(people[rows], labelling)
        if (kept := can_be_searched(read)).any():
            tried.append((labelling, rows[kept], read[kept]))
    if not tried:
        return _Rivals(np.empty(0, dtype=np.int64), [], np.empty(0))
    read, fits = _rough_fits(search, people, tried)
    best, least = np.full(len(people), -1), fitted.fits.cost.min(axis=1).astype(np.float64) + _SLACK
    readings, start = [Labelling(name="")] * len(people), 0
    for labelling, rows, _ in tried:
        own = np.arange(start, start + len(rows))
        cost = fits.cost[own].min(axis=1) + labelling.cost + lost_joints(people[rows], labelling)
        for place in np.flatnonzero(cost < least[rows]).tolist():
            readings[rows[place]], least[rows[place]], best[rows[place]] = labelling, cost[place], own[place]
        start += len(rows)
    places = np.flatnonzero(best >= 0)
    chosen, given, readings = best[places], people[places], [readings[place] for place in places]
    rough = pixel_evidence(search.evidence(take_rows(fits, chosen), read[chosen]), read[chosen], given, readings)
    return _Rivals(places, readings, rough - _evidence_as_given(evidence[places], given))


def _each_as(people: Keypoints, readings: Sequence[Labelling]) -> Keypoints:
    """Each person with a reading of their own."""
    return Keypoints.concat([as_relabelled(people[row], reading) for row, reading in enumerate(readings)])


def judged(search: Search, people: Keypoints, count: int, closely: int) -> tuple[FittedCandidates, CandidateFeatures]:
    """Candidates, cameras and features; of marks of a convention also as if they were the archive's.

    An archive may hold what a detector marks, and a file may hold projected poses. So people are searched for both
    ways, and of each person the way of greater evidence stays.
    """

    def one_way(candidates: Candidates, marked: Keypoints) -> tuple[FittedCandidates, CandidateFeatures]:
        fitted = search.fitted(candidates, marked, closely)
        return fitted, search.features(fitted, marked)

    candidates = search.candidates(people, count)
    found = one_way(candidates, people)
    if search.settings.joint_offsets is None and not load_convention(people.convention).is_exact:
        exact = replace(people, convention=ARCHIVE)
        other = one_way(search.candidates(exact, count).with_more(candidates), exact)
        better = np.flatnonzero(other[1].evidence > found[1].evidence)
        for whole, part in zip(found, other, strict=True):
            put_rows(whole, better, take_rows(part, better))
    return found


def _rough_fits(
    search: Search, people: Keypoints, tried: Sequence[tuple[Labelling, Int64[Array, " _"], Keypoints]]
) -> tuple[Keypoints, Fits]:
    """The people of all readings, one after the other, and cameras fitted to a few candidates of each.

    No affine camera can tell a squeeze, so its candidates are those of the person as given.
    """
    squeezed = np.concatenate([np.full(len(rows), labelling in STRETCHES) for labelling, rows, _ in tried])
    read, places = Keypoints.concat([one for *_, one in tried]), np.concatenate([rows for _, rows, _ in tried])
    asked, of_reading = np.unique(np.where(squeezed, places, len(people) + np.arange(len(read))), return_inverse=True)
    rows = quick_candidates(search.index, Keypoints.concat([people, read])[asked], _SCREENED, search.rows)
    return read, search.rough_cameras(rows[of_reading], read)


def doubtful(fits: Fits, people: Keypoints) -> Bool[Array, " Q"]:
    """Whose keypoints no candidate explains as well as is usual, so that their labels are worth doubting."""
    return np.asarray(misfit(fits, people) > _DOUBTED_FROM)


def unconvincing(fits: Fits, people: Keypoints) -> Float64[Array, " Q"]:
    """By how many nats a reading has to be likelier for people whom it does not explain as well as is usual."""
    return np.asarray(_UNCONVINCING * (misfit(fits, people) > _CONVINCING))


def misfit(fits: Fits, people: Keypoints) -> Float32[Array, " Q"]:
    """Least cost of a fit for each degree of freedom."""
    freedom = np.maximum(2 * people.mask.sum(axis=1) - 6, 1)
    return np.asarray(fits.cost.min(axis=1) / freedom, dtype=np.float32)


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
    return _each_as(people, [_named(name) for name in names]) if any(names) else people


def _named(name: str) -> Labelling:
    limb = name.removesuffix(" unseen").replace(" ", "_")
    if limb != name.replace(" ", "_"):
        side, _, part = limb.partition("_")
        outer = next((joints for joints in _LIMBS if part == ("leg" if "knee" in joints else "arm")), None)
        joints = [limb] if outer is None else [f"{side}_{joint}" for joint in outer]
        return Labelling(name=name, unseen=tuple(_JOINTS.index(joint) for joint in joints))
    return {one.name: one for one in (Labelling(name=""), *SIDES, MIRRORED, *STRETCHES)}[name]


def _evidence_as_given(evidence: Float[Array, " Q"], people: Keypoints) -> Float64[Array, " Q"]:
    return pixel_evidence(evidence, people, people, [Labelling(name="")] * len(people))


def lost_joints(given: Keypoints, reading: Labelling) -> Float64[Array, " Q"]:
    """What the joints that a reading leaves out cost where it is screened."""
    if reading.drawn_on:
        return 2 * _distance_of_lost(given, reading)
    return np.asarray(_LOST * given.mask[:, list(reading.unseen)].sum(axis=1))


def _distance_of_lost(given: Keypoints, reading: Labelling) -> Float64[Array, " Q"]:
    """Half the squares of how far lost joints are from where they are expected, in standard deviations."""
    unit, lost = normalize_keypoints(given)[0].astype(np.float64), list(reading.unseen)
    off = (
        (unit[:, lost] - unit[:, list(reading.drawn_on)]) / _DRAWN_ON
        if reading.drawn_on
        else unit[:, lost] / _ELSEWHERE
    )
    return np.asarray((np.square(off).sum(axis=2) * given.mask[:, lost]).sum(axis=1) / 2)


def can_be_searched(people: Keypoints) -> Bool[Array, " Q"]:
    """Who shows enough joints."""
    return np.asarray(people.mask.sum(axis=1) >= MIN_JOINTS)


def pixel_evidence(
    evidence: Float[Array, " Q"], people: Keypoints, given: Keypoints, readings: Sequence[Labelling]
) -> Float64[Array, " Q"]:
    """How likely the pixels are under each person's reading of the labels, nats up to a constant of the person.

    The likelihood of the voters (`CandidateFeatures.evidence`) is a density of coordinates in RMS radii of the seen
    joints, with the image's shift integrated out; here it is one of pixels, so that readings with other joints compare.
    A joint that shows nothing of the person lies about the body's centre by 1.5 RMS radii, one of a limb drawn twice
    about the same joint of the other by 0.06.

    Args:
        evidence: `CandidateFeatures.evidence` of the people as they are read.
        people: The same.
        given: The same people as they were given.
        readings: How each is read.
    """
    count, radius = people.mask.sum(axis=1), normalize_keypoints(people)[2].astype(np.float64)
    cost, stretch = (np.array([getattr(one, name) for one in readings]) for name in ("cost", "stretch"))
    pixels = evidence - 2 * (count - 1) * np.log(radius) + (count - 1) * np.log(np.abs(stretch)) - cost / 2
    size = normalize_keypoints(given)[2].astype(np.float64)
    for person, one in enumerate(readings):
        if one.unseen:
            wide = (_DRAWN_ON if one.drawn_on else _ELSEWHERE) * size[person]
            lost = given.mask[person, list(one.unseen)].sum()
            pixels[person] -= _distance_of_lost(given[person], one)[0] + 2 * lost * np.log(wide)
    return np.asarray(pixels)
