"""Reading the labels of people's keypoints, by searching for what they may mean (numpy)."""

__all__ = ["Reading", "doubtful", "judged", "read_labels"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from scipy.special import expit, logit

from vipe.arrays import Array, put_rows, take_rows
from vipe.detections import Keypoints
from vipe.retrieve.camera.perspective import Fits
from vipe.retrieve.candidates.candidates import Candidates, quick_candidates
from vipe.retrieve.labels.at_the_joints import shares_at_the_joints
from vipe.retrieve.labels.evidence import evidence_as_given, lost_joints, misfit, pixel_evidence, unconvincing
from vipe.retrieve.labels.labelling import (
    STRETCHES,
    Labelling,
    as_relabelled,
    can_be_searched,
    each_as,
    suspected,
)
from vipe.retrieve.labels.trust import ReadingTrust
from vipe.retrieve.ranking.evidence import FittedCandidates
from vipe.retrieve.ranking.features import CandidateFeatures
from vipe.retrieve.session import Search
from vipe.skeletons.joint_conventions import ARCHIVE, load_convention

_DOUBTED_FROM = 0.5
"""Least cost of the fits for each degree of freedom from which labels are doubted. Simulated photos whose pose the
archive holds: 0.37 in the middle at noise 0.03, and 1 in 5 above 0.5; of those with sides exchanged 97 in 100 above."""

_SCREENED = 40  # candidates of a reading; it is looked at closely if one fits about as well as all as they are labelled
_SLACK = 10.0
"""Of the cost: a reading under which a few candidates fit worse by less is looked at all the same, since its evidence
decides. Of 160 simulated photos of `val` clips and other builds, 20 were lost without it at 0.56 of their width, and 10
with a copied leg."""

_ROUGHLY = 5.0
"""Nats by which a reading may be less likely, by its few candidates, and still be looked at closely. All candidates
make it likelier by 0 to 0.1 where the archive holds the pose, and by up to 5 where it does not (`val`, other builds
too)."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The likeliest reading of each person's labels, and what a search makes of it."""

    fitted: FittedCandidates
    features: CandidateFeatures
    names: tuple[str, ...]  # of the reading, "" for keypoints as they are
    stretch: Float32[Array, " Q"]  # what x was multiplied by
    probability: Float32[Array, " Q"]  # of that reading, among those that were tried
    presence_otherwise: Float32[Array, " Q"]  # log odds that the archive holds the pose, if another reading is right
    rivals: tuple[str, ...]  # the likeliest reading beside the labels as given, "" if none was tried
    gain: Float64[Array, " Q"]  # by how many nats it is likelier than these; -inf if none was tried
    presence_as_given: Float32[Array, " Q"]  # log odds that the archive holds the pose, if the labels are right


def read_labels(search: Search, people: Keypoints, count: int, closely: int) -> Reading:
    """Search for people, and for whoever is not explained that way, with other readings of their labels too.

    Args:
        search: Where.
        people: On coco13; each can be searched for.
        count: Candidates of each.
        closely: How many of them are looked at closely.

    Returns:
        Of each person the reading of greatest evidence times prior probability, as probable as it is trusted
        (`ReadingTrust`). Most people fit as they are labelled, and nothing else is tried.
    """
    found = judged(search, people, count, closely)
    fitted, features = found.fitted, found.features
    presence = search.model_of(people).presence
    names, of_rivals = [""] * len(people), [""] * len(people)
    stretch, probability = np.ones((2, len(people)), dtype=np.float32)
    gain = np.full(len(people), -np.inf)
    as_given = presence(features.person)
    otherwise, trust = as_given.copy(), ReadingTrust.default()
    doubted = np.flatnonzero(doubtful(fitted.fits, people) & search.settings.relabel)
    rivals = _best_rivals(search, people[doubted], take_rows(fitted, doubted), features.evidence[doubted])
    rivalled = doubted[rivals.places]
    gain[rivalled] = rivals.gain
    for place, name in zip(rivalled.tolist(), rivals.names, strict=True):
        of_rivals[place] = name
    probability[rivalled] = expit(-trust.log_odds(rivals.names, rivals.gain, as_given[rivalled]))
    tried = np.flatnonzero(rivals.gain > -_ROUGHLY)
    if len(tried):
        places, readings = rivalled[tried], [rivals.readings[row] for row in tried]
        given, read = people[places], each_as(people[places], readings)
        other = judged(search, read, count, closely, found.share[places])
        evidence = pixel_evidence(other.features.evidence, read, given, readings)
        evidence = evidence - unconvincing(other.fitted.fits, read)
        gain[places] = evidence - evidence_as_given(features.evidence[places], given)
        trusted = trust.log_odds([one.name for one in readings], gain[places], as_given[places])
        taken = gain[places] > 0
        better = np.flatnonzero(taken)
        probability[places] = expit(np.where(taken, trusted, -trusted))
        otherwise[places] = np.where(taken, as_given[places], presence(other.features.person))
        found.put(places[better], other, better)
        for place in better.tolist():
            names[places[place]], stretch[places[place]] = readings[place].name, readings[place].stretch
    return Reading(
        fitted=fitted,
        features=features,
        names=tuple(names),
        stretch=stretch,
        probability=probability,
        presence_otherwise=otherwise,
        rivals=tuple(of_rivals),
        gain=gain,
        presence_as_given=as_given,
    )


class _Rivals(NamedTuple):
    """Other readings of some people's labels, one a person."""

    places: Int64[Array, " M"]  # of the people
    readings: list[Labelling]
    gain: Float64[Array, " M"]  # by how many nats each is likelier than the labels as given, roughly

    @property
    def names(self) -> list[str]:
        return [reading.name for reading in self.readings]


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
    return _Rivals(places, readings, rough - evidence_as_given(evidence[places], given))


class _Judged(NamedTuple):
    """What a search makes of people under one reading of their labels."""

    fitted: FittedCandidates
    features: CandidateFeatures
    share: Float64[Array, " Q"]  # how likely it was that the keypoints lie at the archive's joints, by the others

    def put(self, rows: Int64[Array, " M"], others: "_Judged", some: Int64[Array, " M"]) -> None:
        """Put some of the others in the place of some people."""
        put_rows(self.fitted, rows, take_rows(others.fitted, some))
        put_rows(self.features, rows, take_rows(others.features, some))


def judged(
    search: Search, people: Keypoints, count: int, closely: int, share: Float64[Array, " Q"] | None = None
) -> _Judged:
    """Candidates, cameras and features; of marks of a convention also as if they were the archive's.

    An archive may hold what a detector marks, and a file may hold projected poses. So people are searched for both
    ways, and of each person the likelier way stays (`shares_at_the_joints`).

    Args:
        search: Where.
        people: On coco13.
        count: Candidates of each.
        closely: How many of them are looked at closely.
        share: How likely it is of each person that the keypoints lie at the archive's joints; by default what the
            others of them say.
    """

    def one_way(candidates: Candidates, marked: Keypoints) -> tuple[FittedCandidates, CandidateFeatures]:
        fitted = search.fitted(candidates, marked, closely)
        return fitted, search.features(fitted, marked)

    candidates = search.candidates(people, count)
    found = one_way(candidates, people)
    if search.settings.joint_offsets is not None or load_convention(people.convention).is_exact:
        return _Judged(*found, np.ones(len(people)))
    exact = replace(people, convention=ARCHIVE)
    other = one_way(search.candidates(exact, count).with_more(candidates), exact)
    gain = other[1].evidence.astype(np.float64) - found[1].evidence
    if share is None:
        share = shares_at_the_joints(gain)
    result, better = _Judged(*found, share), np.flatnonzero(gain + logit(share) > 0)
    result.put(better, _Judged(*other, share), better)
    return result


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
