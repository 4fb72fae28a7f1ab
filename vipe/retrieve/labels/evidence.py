"""How likely keypoints are under a reading of their labels (numpy)."""

__all__ = ["evidence_as_given", "lost_joints", "misfit", "pixel_evidence", "unconvincing"]

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, Float64

from vipe.arrays import Array
from vipe.detections import Keypoints, normalize_keypoints
from vipe.retrieve.camera.perspective import Fits
from vipe.retrieve.labels.labelling import Labelling

_CONVINCING, _UNCONVINCING = 0.9, 10.0
"""A reading under which the best fit is worse than the first has to be likelier by so many nats more. Where the archive
lacks the pose, wrong readings win by up to 15 nats, but most of these fit worse than 1; where it holds the pose, 19 of
20 right ones fit better than 0.8, of people of other builds too."""

_LOST = 8.0  # of a joint that a reading leaves out, in the units of costs: it is judged by its evidence afterwards
_DRAWN_ON = 0.06  # RMS radii: standard deviation of a joint that is drawn on another limb's
_ELSEWHERE = 1.5  # RMS radii: standard deviation about the body's centre of a joint that is marked anywhere


def misfit(fits: Fits, people: Keypoints) -> Float32[Array, " Q"]:
    """Least cost of a fit for each degree of freedom."""
    freedom = np.maximum(2 * people.mask.sum(axis=1) - 6, 1)
    return np.asarray(fits.cost.min(axis=1) / freedom, dtype=np.float32)


def unconvincing(fits: Fits, people: Keypoints) -> Float64[Array, " Q"]:
    """By how many nats a reading has to be likelier for people whom it does not explain as well as is usual."""
    return np.asarray(_UNCONVINCING * (misfit(fits, people) > _CONVINCING))


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


def evidence_as_given(evidence: Float[Array, " Q"], people: Keypoints) -> Float64[Array, " Q"]:
    """`pixel_evidence` of labels that are taken as they are."""
    return pixel_evidence(evidence, people, people, [Labelling(name="")] * len(people))
