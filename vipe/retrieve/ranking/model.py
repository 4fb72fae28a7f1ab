"""How likely a hit is: from features to log odds, from log odds to calibrated probabilities (numpy)."""

__all__ = [
    "CALIBRATION_FEATURES",
    "CONTRIBUTIONS",
    "Probabilities",
    "RankingModel",
    "ThresholdModel",
    "calibration_features",
    "ordered_log_odds",
]

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float32
from scipy.special import log_expit

from vipe.arrays import Array
from vipe.errors import ShapeError, VipeError
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.ranking.confident_lists import ConfidentLists
from vipe.retrieve.ranking.features import FEATURES, PERSON_FEATURES, CandidateFeatures
from vipe.retrieve.ranking.logistic import LogisticModel
from vipe.retrieve.shipped import ShippedNumbers
from vipe.skeletons.joint_conventions import load_convention

CALIBRATION = "calibration"
PERSON = "person"

CONTRIBUTIONS: tuple[str, ...] = (*dict.fromkeys(feature.group for feature in FEATURES), CALIBRATION)
"""Groups of features whose sums the log odds of a hit are made of, and what calibration adds."""

CALIBRATION_FEATURES = (
    "log odds below even",
    "log odds above even",
    "best log odds below even",
    "best log odds above even",
    "log of expected hits",
    "presence",
)
"""What a probability is calibrated by: a candidate's log odds and the best of its person's, each in two pieces, the log
of the sum of all their probabilities, and the log odds that the archive holds the pose."""


def calibration_features(ranking: Float32[Array, "Q S"], presence: Float32[Array, " Q"]) -> Float32[Array, "Q S C"]:
    """The values of `CALIBRATION_FEATURES`.

    Args:
        ranking: Log odds of candidates before calibration.
        presence: Log odds that the archive holds the pose.
    """
    best = ranking.max(axis=1, keepdims=True)
    expected = np.logaddexp.reduce(log_expit(ranking), axis=1, keepdims=True)
    pieces = (np.minimum(ranking, 0), np.maximum(ranking, 0), np.minimum(best, 0), np.maximum(best, 0))
    values = (*pieces, expected, presence[:, None])
    return np.stack([np.broadcast_to(value, ranking.shape) for value in values], axis=-1).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class ThresholdModel:
    """Whether a candidate lies within some distance of the true pose: log odds that rank, and their calibration."""

    ranking: LogisticModel  # over `FEATURES`
    calibration: LogisticModel  # over `CALIBRATION_FEATURES`

    def calibrated(self, ranking: Float32[Array, "Q S"], presence: Float32[Array, " Q"]) -> Float32[Array, "Q S"]:
        """Log odds of the probability, from the log odds that rank and those of presence."""
        return self.calibration(calibration_features(ranking, presence))


@dataclass(frozen=True, kw_only=True)
class Probabilities:
    """Log odds of S candidates of Q people; `near` and `close` never exceed what contains them."""

    near: Float32[Array, "Q S"]  # of lying within `HIT_THRESHOLD` of the true pose
    close: Float32[Array, "Q S"]  # within `CLOSE_THRESHOLD`
    presence: Float32[Array, " Q"]  # that any pose searched lies within `HIT_THRESHOLD`

    def if_true(
        self, probability: Float32[Array, " Q"], presence_otherwise: Float32[Array, " Q"] | None = None
    ) -> "Probabilities":
        """The same where what they rest on is true with some probability only, and no candidate is right otherwise.

        Args:
            probability: That it is true.
            presence_otherwise: Log odds of presence if it is not; the same as if it is, if not given.

        >>> half = Probabilities(near=np.zeros((1, 1)), close=np.zeros((1, 1)), presence=np.zeros(1))
        >>> half.if_true(np.array([0.5])).near.round(3).tolist()  # log of 1 in 4 over 3 in 4
        [[-1.099]]
        """
        # p s / (1 - p s) with log odds x of p: -log(e^-x (1 / s) + 1 / s - 1)
        lost = 1 / np.maximum(probability, np.float32(1e-6))[:, None]
        near, close = (
            -np.logaddexp(np.log(lost) - odds, np.log(np.maximum(lost - 1, np.float32(1e-30))))
            for odds in (self.near, self.close)
        )
        presence = self.presence
        if presence_otherwise is not None:
            true, false = (np.log(np.maximum(share, 1e-30)) for share in (probability, 1 - probability))
            there, away = (
                np.logaddexp(true + log_expit(sign * presence), false + log_expit(sign * presence_otherwise))
                for sign in (1, -1)
            )
            presence = np.maximum(there - away, near.max(axis=1, initial=-np.inf)).astype(np.float32)
        return Probabilities(near=near, close=close, presence=presence)


def ordered_log_odds(
    near: Float[Array, "Q S"], close: Float[Array, "Q S"], presence: Float[Array, " Q"]
) -> Probabilities:
    """Put the answers of three regressions in the order that probabilities must have.

    A hit within 0.05 is within 0.1, and then the archive holds the pose: P(0.05) <= P(0.1) <= presence. Where the
    regressions cross, presence is raised to the likeliest candidate, and closeness lowered to nearness. Of three rules
    this one has the least calibration error on validation clips, for single images and several cameras
    (benchmarks/TRIALS.md).

    >>> ordered = ordered_log_odds(np.array([[2.0]]), np.array([[3.0]]), np.array([1.0]))
    >>> ordered.close.item(), ordered.near.item(), ordered.presence.item()
    (2.0, 2.0, 2.0)
    """
    presence = np.maximum(presence, near.max(axis=1, initial=-np.inf))
    return Probabilities(
        near=near.astype(np.float32),
        close=np.minimum(close, near).astype(np.float32),
        presence=presence.astype(np.float32),
    )


@dataclass(frozen=True, kw_only=True)
class RankingModel(ShippedNumbers):
    """How candidates are ranked, and how sure that is.

    Two come with the library: `ranking.json` for keypoints at the archive's joints, and `ranking_marks.json`, learned
    with those of every other convention too.

    Raises:
        ShapeError: If it was learned on other features than this version computes.
    """

    shipped = "ranking/learned/ranking.json"
    shipped_of_marks: ClassVar[str] = "ranking/learned/ranking_marks.json"
    broken = "no ranking model"

    near: ThresholdModel
    close: ThresholdModel
    presence: LogisticModel  # over `PERSON_FEATURES`
    camera_prior: CameraPrior  # under which cameras were fitted to the examples
    made: str  # by which command, from which data
    lists: ConfidentLists | None = None  # how long a list is that holds a right hit with some confidence

    def __post_init__(self) -> None:
        expected = (
            (self.near.ranking, [feature.name for feature in FEATURES]),
            (self.close.ranking, [feature.name for feature in FEATURES]),
            (self.presence, [feature.name for feature in PERSON_FEATURES]),
            (self.near.calibration, CALIBRATION_FEATURES),
            (self.close.calibration, CALIBRATION_FEATURES),
        )
        for model, names in expected:
            if model.features != tuple(names):
                different = sorted(set(model.features) ^ set(names)) or ["their order"]
                raise ShapeError(f"ranking: learned on other features than this version has: {different[0]!r}")

    @classmethod
    def of(cls, convention: str) -> "RankingModel":
        """The model that comes with the library for keypoints of a convention."""
        exact = load_convention(convention).is_exact
        model: RankingModel = cls.default() if exact else cls.load_shipped(cls.shipped_of_marks)
        return model

    def check_prior(self, prior: CameraPrior | None) -> CameraPrior:
        """The prior to fit cameras with: the model's own, or one that believes the same and spends another effort.

        Raises:
            VipeError: If it believes something else: the probabilities would not hold.
        """
        if prior is None:
            return self.camera_prior
        if different := self.camera_prior.differences(prior):
            raise VipeError(
                f"camera_prior: {different}; the probabilities of the ranking model hold for the prior that it was "
                "learned under; leave camera_prior out, or give a model learned under yours (docs/how_it_works.md)"
            )
        return prior

    def probabilities(self, features: CandidateFeatures) -> tuple[Float32[Array, "Q S"], Probabilities]:
        """The log odds that rank candidates, and those of their probabilities."""
        presence = self.presence(features.person)
        ranking = self.near.ranking(features.values)
        return ranking, ordered_log_odds(
            self.near.calibrated(ranking, presence),
            self.close.calibrated(self.close.ranking(features.values), presence),
            presence,
        )

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Those of `CONTRIBUTIONS` that this model uses: a group whose coefficients are all 0 adds nothing."""
        used = {
            feature.group
            for feature, coefficient in zip(FEATURES, self.near.ranking.coefficient, strict=True)
            if coefficient
        }
        return tuple(group for group in CONTRIBUTIONS if group in used | {PERSON, CALIBRATION})

    def contributions(
        self, values: Float32[Array, "*any F"], log_odds: Float32[Array, "*any"]
    ) -> dict[str, Float32[Array, "*any"]]:
        """What the log odds of a hit's probability are made of, by `groups`; they sum to it.

        Args:
            values: Features of candidates.
            log_odds: Of their probabilities; what is left beside the features is the calibration's contribution. The
                intercept counts to the person.
        """
        added = self.near.ranking.contributions(values)
        whole = {group: np.zeros(added.shape[:-1], dtype=np.float32) for group in self.groups}
        for number, feature in enumerate(FEATURES):
            if feature.group in whole:
                whole[feature.group] += added[..., number]
        whole[PERSON] += self.near.ranking.intercept
        whole[CALIBRATION] = (log_odds - sum(whole.values())).astype(np.float32)
        return whole
