"""The features that the log odds of a hit are a sum of: a table of named entries (numpy)."""

__all__ = [
    "EVIDENT_TILT",
    "FEATURES",
    "PERSON_FEATURES",
    "SAME_WIDTH",
    "CandidateFeatures",
    "Feature",
    "compute_features",
]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.ranking.evidence import FLATTENED, SAME_WIDTH, Evidence, FittedCandidates

EVIDENT_TILT = 0.025
"""Radians that bones may turn by where labels are judged: there wrong ones cost most."""

_TILTS = (0.025, 0.05, 0.1, 0.2)
_FITTING_TILTS = (0.025, 0.05, 0.1)  # at 0.2 rad hardly anything is off
_LEAST = 0.01  # added to residuals before a logarithm


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One number that is known of a candidate, or of a person from all candidates."""

    name: str
    group: str  # under which its contribution to the log odds is shown
    of: Callable[[Evidence], Float32[Array, " Q *S"]]
    monotone: Literal[-1, 0] = 0
    """-1: a greater value never raises the log odds. Free signs rank alike on the clips that the model is learned on,
    but call far worse fits than theirs probable."""


def _per_candidate(of: Callable[[Evidence], Float32[Array, " Q"]]) -> Callable[[Evidence], Float32[Array, "Q S"]]:
    """A number of the person, repeated for each candidate."""
    return lambda evidence: np.broadcast_to(of(evidence)[:, None], evidence.fits.cost.shape)


def _gain(tilt: float) -> Callable[[Evidence], Float32[Array, " Q"]]:
    return lambda evidence: evidence.likelihood_gain(tilt)


def _log_share(tilt: float) -> Callable[[Evidence], Float32[Array, "Q S"]]:
    return lambda evidence: evidence.log_share(evidence.cost(tilt))


def _chi_squared(tilt: float) -> Callable[[Evidence], Float32[Array, "Q S"]]:
    return lambda evidence: evidence.chi_squared(tilt)


def _least(of: Callable[[Evidence], Float32[Array, "Q S"]]) -> Callable[[Evidence], Float32[Array, " Q"]]:
    return lambda evidence: of(evidence).min(axis=1)


def _fit_chi_squared(evidence: Evidence) -> Float32[Array, "Q S"]:
    return np.asarray(evidence.fits.cost / evidence.degrees_of_freedom)


def _log_affine_residual(evidence: Evidence) -> Float32[Array, "Q S"]:
    return np.asarray(np.log(evidence.candidates.affine_residual + _LEAST))


def _camera_prior(evidence: Evidence) -> Float32[Array, "Q S"]:
    prior = evidence.prior
    return np.asarray(np.square((evidence.fits.inverse_depth - prior.inverse_depth) / prior.inverse_depth_spread))


def _body_prior(evidence: Evidence) -> Float32[Array, "Q S"]:
    return np.asarray(np.square(evidence.fits.bones / evidence.prior.bone_spread).sum(axis=-1))


def _embedding_share(evidence: Evidence) -> Float32[Array, "Q S"]:
    near = -evidence.candidates.embedding.to_keypoints
    return evidence.log_share(-2 * near)


def _degrees_of_freedom(evidence: Evidence) -> Float32[Array, " Q"]:
    return evidence.degrees_of_freedom[:, 0]


FEATURES: tuple[Feature, ...] = (
    *(Feature(name=f"likelihood, tilt {tilt:g}", group="likelihood", of=_log_share(tilt)) for tilt in _TILTS),
    Feature(name="likelihood of the fit", group="likelihood", of=lambda e: e.log_share(e.fits.cost)),
    *(
        Feature(name=f"chi-squared, tilt {tilt:g}", group="residual", of=_chi_squared(tilt), monotone=-1)
        for tilt in _FITTING_TILTS
    ),
    Feature(name="chi-squared of the fit", group="residual", of=_fit_chi_squared, monotone=-1),
    Feature(name="residual", group="residual", of=lambda e: np.log(e.fits.residual + _LEAST), monotone=-1),
    Feature(name="affine residual", group="residual", of=_log_affine_residual, monotone=-1),
    Feature(name="camera", group="camera", of=_camera_prior, monotone=-1),
    Feature(name="body", group="body", of=_body_prior, monotone=-1),
    Feature(name="agreement within 0.1", group="agreement", of=lambda e: e.agreement(0.1, 0.05, 2.0)),
    Feature(name="agreement within 0.1, tilt 0.1", group="agreement", of=lambda e: e.agreement(0.1, 0.1, 1.0)),
    Feature(name="agreement within 0.1, flattened", group="agreement", of=lambda e: e.agreement(0.1, 0.05, FLATTENED)),
    Feature(name="agreement within 0.05", group="agreement", of=lambda e: e.agreement(0.05, 0.05, 2.0)),
    Feature(name="agreement of clips within 0.1", group="agreement", of=lambda e: e.agreement_of_clips(0.1)),
    Feature(name="agreement of clips within 0.05", group="agreement", of=lambda e: e.agreement_of_clips(0.05)),
    Feature(name="embedding", group="embedding", of=_embedding_share),
    Feature(name="pose prior", group="pose prior", of=lambda e: e.candidates.embedding.to_mean),
    Feature(name="degrees of freedom", group="person", of=_per_candidate(_degrees_of_freedom)),
    *(Feature(name=f"gain by tilt {tilt:g}", group="person", of=_per_candidate(_gain(tilt))) for tilt in _TILTS),
)
"""What is known of a candidate.

- likelihood: log of its share of the voters' likelihood, bones turned by `tilt` radians (`marginal_likelihood`), or as
  the camera fit has it.
- residual: squared distances for each degree of freedom, and logs of distances from keypoints to reprojections.
- camera, body: squared distance of fitted inverse depth and bone lengths from the prior means, in standard deviations.
- agreement: log of the voters' share within a distance of the candidate; of clips, each clip counts by its best voter.
- embedding: log of its share of the voters by exp(-squared distance) in the shipped embedding.
- pose prior: squared distance there from the mean of all poses.
- person: equal for all candidates of a person; the gain compares the voters with and without turned bones.
"""

PERSON_FEATURES: tuple[Feature, ...] = (
    *(
        Feature(name=f"least chi-squared, tilt {tilt:g}", group="residual", of=_least(_chi_squared(tilt)), monotone=-1)
        for tilt in _FITTING_TILTS
    ),
    Feature(name="least chi-squared of the fit", group="residual", of=_least(_fit_chi_squared), monotone=-1),
    Feature(name="least affine residual", group="residual", of=_least(_log_affine_residual), monotone=-1),
    Feature(name="most agreement within 0.1", group="agreement", of=lambda e: e.agreement(0.1, 0.05, 2.0).max(axis=1)),
    Feature(name="degrees of freedom", group="person", of=_degrees_of_freedom),
    *(Feature(name=f"gain by tilt {tilt:g}", group="person", of=_gain(tilt)) for tilt in _TILTS),
)
"""What is known of a person from all candidates: whether the archive holds the pose at all."""


@dataclass(frozen=True, kw_only=True)
class CandidateFeatures:
    """What is known of S candidates of Q people."""

    values: Float32[Array, "Q S F"]  # by `FEATURES`
    person: Float32[Array, "Q P"]  # by `PERSON_FEATURES`
    share: Float32[Array, "Q V"]  # of each voter in the flattened likelihood
    distance: Float32[Array, "Q S V"]  # of candidates from voters, torso lengths
    evidence: Float32[Array, " Q"]  # log likelihood of the keypoints, summed over the voters, up to a constant


def compute_features(
    candidates: FittedCandidates, keypoints: Keypoints, prior: CameraPrior | None = None, *, device: str = "cpu"
) -> CandidateFeatures:
    """Compute every feature of fitted candidates.

    Args:
        candidates: Q people's.
        keypoints: The same people.
        prior: As given to `fit_cameras`.
        device: Where the likelihood and the distances of candidates from each other are computed, as torch names it.
            What follows are a few operations on small arrays, which stay with numpy.
    """
    evidence = Evidence(candidates, keypoints, prior or CameraPrior(), device)
    return CandidateFeatures(
        values=np.stack([feature.of(evidence) for feature in FEATURES], axis=-1).astype(np.float32),
        person=np.stack([feature.of(evidence) for feature in PERSON_FEATURES], axis=-1).astype(np.float32),
        share=evidence.share(evidence.cost(0.05), FLATTENED),
        distance=evidence.distance,
        evidence=evidence.log_likelihood(EVIDENT_TILT),
    )
