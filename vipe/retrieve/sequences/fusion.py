"""What several images of one person say together of the moments they may show: odds, joined (numpy)."""

__all__ = ["OTHER_IMAGES", "Change", "Fused", "Fusion", "SequenceEvidence", "fuse", "said"]

from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64
from scipy.special import expit, log_softmax

from vipe.arrays import Array
from vipe.retrieve.camera.perspective import Fits
from vipe.retrieve.ranking.features import FLATTENED, SAME_WIDTH, CandidateFeatures, compute_features
from vipe.retrieve.ranking.marginal_likelihood import TILTS, marginal_likelihood
from vipe.retrieve.ranking.model import (
    CONTRIBUTIONS,
    HitModel,
    RankingModel,
    calibration_values,
    contributions_by_group,
)
from vipe.retrieve.sequences.alignment import Found, Sequence
from vipe.retrieve.shipped import ShippedNumbers

OTHER_IMAGES = "other images"
"""The part of a hit's log odds that is there because there are several images; the rest goes by `CONTRIBUTIONS`."""

_LOOSE = len(TILTS) - 1  # an archive that shows the pose at one moment shows it less and less around that
_LEAST = 1e-3  # of an image's likelihood that all candidates share: the image may be a bad one
_NEARLY_NONE = 1e-4  # share below which what lies around a moment is nothing
_NONE = 1e-30
_UNLIKELY = 0.01  # odds


@dataclass(frozen=True, kw_only=True)
class Change:
    """How a log odds changes with the number of images; with one it does not.

    log odds + log(images) * (offset + slope * log odds)
    """

    offset: float = 0.0
    slope: float = 0.0

    def __call__(self, log_odds: Float[Array, "*any"], images: float) -> Float[Array, "*any"]:
        """The log odds after it."""
        return np.asarray(log_odds + np.log(images) * (self.offset + self.slope * log_odds))


@dataclass(frozen=True, kw_only=True)
class Changes:
    """How much surer several images are than a single image's calibration makes of their odds."""

    near: Change = Change()
    close: Change = Change()
    present: Change = Change()


@dataclass(frozen=True, kw_only=True)
class Fusion(ShippedNumbers):
    """How odds are joined; `fusion.json` holds the numbers that come with the library."""

    shipped = "sequences/fusion.json"
    broken = "does not say how odds are joined"

    cameras: float = 1.0  # power of the likelihood of every further camera
    frames: float = 0.3  # power of the likelihood of a frame at another time
    of_views: Changes = Changes()
    of_tracks: Changes = Changes()
    made: str = ""  # by what, from what


@dataclass(frozen=True, kw_only=True)
class SequenceEvidence:
    """What the images of one person say of S moments."""

    now: CandidateFeatures  # of the V cameras that saw the moment itself
    cameras: Float64[Array, " S"]  # log likelihood of what V - 1 of them saw, on average
    frames: Float64[Array, " S"]  # log likelihood of what was seen at other times, the less the further off
    images: float  # how many there are, frames at other times counting less


@dataclass(frozen=True, kw_only=True)
class Fused:
    """What all images say of S moments together."""

    odds: Float32[Array, " S"]  # that rank
    described: CandidateFeatures  # as of one person, for `coverage_order`
    near: Float32[Array, " S"]  # probability to lie within 0.1 torso of the true pose
    close: Float32[Array, " S"]  # within 0.05
    presence: float  # probability that any pose searched lies within 0.1
    parts: dict[str, Float32[Array, " S"]]  # of the log odds of `near`: they sum to it


def said(sequence: Sequence, found: Found) -> SequenceEvidence:
    """Work out what the images of a sequence say of the moments that were found.

    Those nearest to the moment are its own, by one camera or several: each is described as a single image is. Of
    several the likelihoods of the fits count besides. Of frames at other times the likelihoods count that the keypoints
    have if limb bones point elsewhere by 0.2 rad: an archive that shows a pose well shows what is around it less well.
    Where the archive holds no row for a frame, that says as much as the frame's other candidates on average.
    """
    now, people = sequence.now, sequence.people
    frames = np.zeros(len(found.rows))
    if not now.all():
        loose = marginal_likelihood(_of(found.fits, ~now), people[~now], sequence.fit).cost[_LOOSE]
        frames = sequence.trust[~now].astype(np.float64) @ _log_share(loose, found.held[~now])
    return SequenceEvidence(
        now=compute_features(found.own, people[now], sequence.fit),
        cameras=(int(now.sum()) - 1) * _log_share(found.own.fits.cost, found.held[now]).mean(axis=0),
        frames=frames,
        images=max(float(sequence.trust.sum(dtype=np.float64)), 1.0),
    )


def fuse(said: SequenceEvidence, model: RankingModel, fusion: Fusion) -> Fused:
    """Join what images say.

    Moments are ranked by the mean odds of the moment's own images, plus the log likelihoods of the others. Whether a
    moment lies near the true pose is another question: several images can tell it from another that lies as near. So
    its probability is made of the mean odds and of how much likelier the others make it that the true pose lies around
    it, log(sum near exp(ranked)) - log(sum near exp(mean odds)), the exponentials as shares of the voters.

    An image that says the same of all moments adds nothing. With one image the order is that of `query`.
    """
    changes = fusion.of_tracks if said.frames.any() else fusion.of_views
    known, apart = said.now, said.now.apart[0]
    parts = known.parts.mean(axis=0)
    before = model.present(known.person).mean(keepdims=True)
    # An image for which no moment is likely may be a bad one: then it must not tell moments apart, and others do.
    alone = np.logaddexp(model.near.odds(parts).astype(np.float64), np.log(_UNLIKELY))
    bad = _UNLIKELY / np.exp(alone.max())
    others = fusion.cameras * said.cameras + (fusion.frames + (1 - fusion.frames) * bad) * said.frames
    odds = alone + others - others.max()

    def added(within: float) -> Float64[Array, " S"]:
        return _log_around(odds, apart, within) - _log_around(alone, apart, within)

    def judged(judgement: HitModel, change: Change, more: Float64[Array, " S"]) -> Float32[Array, " S"]:
        values = calibration_values((judgement.odds(parts) + more).astype(np.float32)[None], before)
        return change(judgement.calibrated(values)[0], said.images).astype(np.float32)

    more = added(0.1)
    log_odds = judged(model.near, changes.near, more)
    # Regressions may cross where they are unsure: what is within 0.05 is within 0.1, and then something is.
    there = max(float(changes.present(before, said.images)[0]), float(log_odds.max()))
    close = np.minimum(judged(model.close, changes.close, added(0.05)), log_odds)
    reasons = contributions_by_group(model.near.odds, parts, log_odds)
    reasons[CONTRIBUTIONS.index("calibration")] -= more
    voters = slice(0, known.share.shape[1])
    share = np.log(np.maximum(known.share, _NONE)).mean(axis=0) + (odds - alone)[voters] / FLATTENED
    return Fused(
        odds=odds.astype(np.float32),
        described=replace(
            known,
            parts=parts[None],
            person=known.person.mean(axis=0, keepdims=True),
            share=np.exp(log_softmax(share))[None].astype(np.float32),
            apart=known.apart[:1],
        ),
        near=expit(log_odds),
        close=expit(close),
        presence=float(expit(there)),
        parts=dict(zip(CONTRIBUTIONS, reasons, strict=True)) | {OTHER_IMAGES: more.astype(np.float32)},
    )


def _log_around(odds: Float[Array, " S"], apart: Float32[Array, "S V"], within: float) -> Float64[Array, " S"]:
    """Log of the voters' share that lies within a distance, if each has the share of its odds."""
    near = expit((within - apart) / SAME_WIDTH).astype(np.float64)
    return np.asarray(np.log(near @ np.exp(log_softmax(odds[: apart.shape[1]].astype(np.float64))) + _NEARLY_NONE))


def _of(fits: Fits, some: Bool[Array, " T"]) -> Fits:
    return Fits(**{field.name: getattr(fits, field.name)[some] for field in fields(Fits)})


def _log_share(cost: Float32[Array, "T S"], held: Bool[Array, "T S"]) -> Float64[Array, "T S"]:
    """Log of the share that each candidate has of an image's likelihood, and of a part that all share alike."""
    count = np.maximum(held.sum(axis=1, keepdims=True), 1)
    share = np.exp(log_softmax(np.where(held, -cost.astype(np.float64) / 2, -1e9), axis=1))
    return np.asarray(np.log((1 - _LEAST) * np.where(held, share, 1 / count) + _LEAST / count))
