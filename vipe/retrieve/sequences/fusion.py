"""Fusing what several images of one person say of the moments they may show (numpy)."""

__all__ = ["OTHER_IMAGES", "Change", "Changes", "Fused", "Fusion", "SequenceEvidence", "fuse", "gather_evidence"]

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64
from scipy.special import expit, log_softmax

from vipe.arrays import Array, take_rows
from vipe.geometry.procrustes import CLOSE_THRESHOLD, HIT_THRESHOLD
from vipe.retrieve.ranking.evidence import FLATTENED, SAME_WIDTH
from vipe.retrieve.ranking.features import CandidateFeatures
from vipe.retrieve.ranking.marginal_likelihood import TILTS
from vipe.retrieve.ranking.model import CALIBRATION, Probabilities, RankingModel, ordered_log_odds
from vipe.retrieve.sequences.alignment import AlignedMoments, Sequence
from vipe.retrieve.shipped import ShippedNumbers

OTHER_IMAGES = "other images"
"""The contribution to a hit's log odds that comes from having several images."""

_LOOSE = len(TILTS) - 1  # an archive that shows the pose at one moment shows it less and less around that
_LEAST = 1e-3  # of an image's likelihood that all candidates share: the image may be a bad one
_NEARLY_NONE = 1e-4  # share below which what lies around a moment is nothing
_NONE = 1e-30
_UNLIKELY = 0.01  # odds


@dataclass(frozen=True, kw_only=True)
class Change:
    """How log odds change with the number of images; with one image they do not.

    log odds + log(images) * (offset + slope * log odds)
    """

    offset: float
    slope: float

    def __call__(self, log_odds: Float[Array, "*any"], images: float) -> Float[Array, "*any"]:
        """The log odds after it.

        >>> Change(offset=1.0, slope=0.0)(np.array([0.5]), images=1.0)
        array([0.5])
        """
        return np.asarray(log_odds + np.log(images) * (self.offset + self.slope * log_odds))


@dataclass(frozen=True, kw_only=True)
class Changes:
    """How much surer several images are than a single image's calibration makes of their log odds."""

    near: Change
    close: Change
    presence: Change


@dataclass(frozen=True, kw_only=True)
class Fusion(ShippedNumbers):
    """How the log odds of several images are joined; `fusion.json` holds the numbers that come with the library."""

    shipped = "sequences/fusion.json"
    broken = "does not say how images are fused"

    cameras: float  # power of the likelihood of every further camera
    frames: float  # power of the likelihood of a frame at another time
    of_views: Changes
    of_tracks: Changes
    made: str  # by which command, from which data


@dataclass(frozen=True, kw_only=True)
class SequenceEvidence:
    """What the images of one person say of S moments."""

    current: CandidateFeatures  # of the V cameras that saw the moment itself
    cameras: Float64[Array, " S"]  # log likelihood of what V - 1 of them saw, on average
    frames: Float64[Array, " S"]  # log likelihood of what was seen at other times, the less the further off
    images: float  # how many there are, frames at other times counting less


@dataclass(frozen=True, kw_only=True)
class Fused:
    """What all images say of S moments together."""

    ranking: Float32[Array, " S"]  # log odds that rank
    features: CandidateFeatures  # as of one person, for `coverage_order`
    log_odds: Probabilities  # as of one person
    contributions: dict[str, Float32[Array, "1 S"]]  # to the log odds of `near`: they sum to it


def gather_evidence(sequence: Sequence, moments: AlignedMoments) -> SequenceEvidence:
    """Work out what the images of a sequence say of aligned moments.

    The images nearest to the moment, by one camera or several, each get the features of a single image. Of several
    cameras the likelihoods of the fits count besides. Of frames at other times the likelihoods count that keypoints
    have if limb bones may be turned by 0.2 rad: an archive that shows a pose well shows less well what is around it.
    Where the archive has no row for a frame, that counts as much as the frame's other candidates on average.
    """
    current, people, search = sequence.current, moments.reading.people, sequence.search
    frames = np.zeros(len(moments.rows))
    if not current.all():
        others = ~current
        loose = search.likelihood(take_rows(moments.fits, others), people[others]).cost[_LOOSE]
        frames = sequence.weight[others].astype(np.float64) @ _log_share(loose, moments.held[others])
    own = moments.current.fits.cost
    return SequenceEvidence(
        current=search.features(moments.current, people[current]),
        cameras=(int(current.sum()) - 1) * _log_share(own, moments.held[current]).mean(axis=0),
        frames=frames,
        images=max(float(sequence.weight.sum(dtype=np.float64)), 1.0),
    )


def fuse(evidence: SequenceEvidence, model: RankingModel, fusion: Fusion) -> Fused:
    """Join what images say.

    Moments are ranked by the mean log odds of the moment's own images, plus the log likelihoods of the others. Whether
    a moment lies near the true pose is another question: several images can tell it from another that lies as near. So
    its probability is made of the mean log odds and of how much likelier the others make it that the true pose lies
    around it, log(sum near exp(ranked)) - log(sum near exp(mean log odds)), the exponentials as shares of the voters.

    An image whose likelihood is equal for all moments adds nothing. With one image the order is that of `query`.
    """
    changes = fusion.of_tracks if evidence.frames.any() else fusion.of_views
    known, distance = evidence.current, evidence.current.distance[0]
    values = known.values.mean(axis=0)
    presence = model.presence(known.person).mean(keepdims=True)
    # An image for which no moment is likely may be a bad one: then it must not tell moments apart, and others do.
    alone = np.logaddexp(model.near.ranking(values).astype(np.float64), np.log(_UNLIKELY))
    bad = _UNLIKELY / np.exp(alone.max())
    others = fusion.cameras * evidence.cameras + (fusion.frames + (1 - fusion.frames) * bad) * evidence.frames
    ranking = alone + others - others.max()

    def added(within: float) -> Float64[Array, " S"]:
        return _log_around(ranking, distance, within) - _log_around(alone, distance, within)

    more = added(HIT_THRESHOLD)
    near = (model.near.ranking(values) + more).astype(np.float32)[None]
    close = (model.close.ranking(values) + added(CLOSE_THRESHOLD)).astype(np.float32)[None]
    log_odds = ordered_log_odds(
        changes.near(model.near.calibrated(near, presence), evidence.images),
        changes.close(model.close.calibrated(close, presence), evidence.images),
        changes.presence(presence, evidence.images),
    )
    contributions = model.contributions(values[None], log_odds.near)
    contributions[CALIBRATION] = (contributions[CALIBRATION] - more).astype(np.float32)
    voters = slice(0, known.share.shape[1])
    share = np.log(np.maximum(known.share, _NONE)).mean(axis=0) + (ranking - alone)[voters] / FLATTENED
    return Fused(
        ranking=ranking.astype(np.float32),
        features=replace(
            known,
            values=values[None],
            person=known.person.mean(axis=0, keepdims=True),
            share=np.exp(log_softmax(share))[None].astype(np.float32),
            distance=known.distance[:1],
            evidence=known.evidence.sum(keepdims=True),
        ),
        log_odds=log_odds,
        contributions=contributions | {OTHER_IMAGES: more[None].astype(np.float32)},
    )


def _log_around(ranking: Float[Array, " S"], distance: Float32[Array, "S V"], within: float) -> Float64[Array, " S"]:
    """Log of the voters' share that lies within a distance, if each has the share of its log odds."""
    near = expit((within - distance) / SAME_WIDTH).astype(np.float64)
    share = np.exp(log_softmax(ranking[: distance.shape[1]].astype(np.float64)))
    return np.asarray(np.log(near @ share + _NEARLY_NONE))


def _log_share(cost: Float32[Array, "T S"], held: Bool[Array, "T S"]) -> Float64[Array, "T S"]:
    """Log of the share that each candidate has of an image's likelihood, and of a part that all share alike."""
    count = np.maximum(held.sum(axis=1, keepdims=True), 1)
    share = np.exp(log_softmax(np.where(held, -cost.astype(np.float64) / 2, -1e9), axis=1))
    return np.asarray(np.log((1 - _LEAST) * np.where(held, share, 1 / count) + _LEAST / count))
