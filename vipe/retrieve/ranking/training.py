"""Learning the ranking model from queries whose truth is known (numpy). `benchmarks/ranking.py` simulates them."""

__all__ = ["RankingExamples", "fit_ranking_model", "with_lists"]

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64
from scipy.special import expit

from vipe.arrays import Array, take_columns, take_rows
from vipe.geometry.procrustes import CLOSE_THRESHOLD, HIT_THRESHOLD
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.ranking.confident_lists import ConfidentLists
from vipe.retrieve.ranking.coverage import coverage_order
from vipe.retrieve.ranking.evidence import VOTERS
from vipe.retrieve.ranking.features import FEATURES, PERSON_FEATURES, CandidateFeatures
from vipe.retrieve.ranking.logistic import LogisticModel
from vipe.retrieve.ranking.model import (
    CALIBRATION_FEATURES,
    RankingModel,
    ThresholdModel,
    calibration_features,
)

_NAMES = [feature.name for feature in FEATURES]
_SIGNS = [feature.monotone for feature in FEATURES]
_FIRST = 8  # candidates of each query that are always examples; most of the others are clearly wrong
_SAMPLED = 8  # of the others, which count for all of them
_CALIBRATED = 15  # candidates of greatest log odds that calibration is learned from
_FIRST_HIT = 12.0  # how much the first of them counts: it matters most
_RISING = (1, 1, 0, 0, 0, 0)  # a calibrated probability may not fall as the log odds that rank rise


@dataclass(frozen=True, kw_only=True)
class RankingExamples:
    """Q queries with S fitted candidates each, of least cost first, and what is true of them."""

    features: CandidateFeatures
    distance: Float[Array, "Q S"]  # of each candidate from the true pose, torso lengths
    present: Bool[Array, " Q"]  # whether any pose searched lies within `HIT_THRESHOLD` of it
    weight: Float[Array, " Q"]  # how much a query counts for presence and calibration


def fit_ranking_model(
    examples: RankingExamples, *, camera_prior: CameraPrior, made: str, ranked_by: RankingModel | None = None
) -> RankingModel:
    """Fit one logistic model to presence, and for each threshold one that ranks and one that calibrates it.

    Args:
        examples: Of at least `VOTERS` candidates a query.
        camera_prior: Under which the cameras of the examples were fitted.
        made: By which command, from which data.
        ranked_by: A model whose order stays: then presence and calibration alone are learned.

    Raises:
        ShapeError: If nothing in the examples is right, or everything.
    """
    values, person = examples.features.values, examples.features.person
    presence = LogisticModel.fit(
        [feature.name for feature in PERSON_FEATURES],
        person,
        examples.present,
        examples.weight,
        [feature.monotone for feature in PERSON_FEATURES],
    )
    picked, counts = _picked(len(values))
    some = take_columns(values, picked).reshape(-1, len(FEATURES))
    distance = np.take_along_axis(examples.distance, picked, axis=1).ravel()

    def threshold_model(within: float, given: ThresholdModel | None) -> ThresholdModel:
        ranking = given.ranking if given else LogisticModel.fit(_NAMES, some, distance < within, counts, _SIGNS)
        calibration = _calibration(ranking(values), presence(person), examples.distance < within, examples.weight)
        return ThresholdModel(ranking=ranking, calibration=calibration)

    return RankingModel(
        near=threshold_model(HIT_THRESHOLD, ranked_by.near if ranked_by else None),
        close=threshold_model(CLOSE_THRESHOLD, ranked_by.close if ranked_by else None),
        presence=presence,
        camera_prior=camera_prior,
        made=made,
    )


def with_lists(model: RankingModel, examples: RankingExamples) -> RankingModel:
    """The model with lengths of lists, learned from those examples whose pose is present."""
    features = take_rows(examples.features, np.flatnonzero(examples.present))
    ranking, log_odds = model.probabilities(features)
    order = coverage_order(ranking, features, VOTERS)
    right = take_columns(examples.distance[examples.present], order) < HIT_THRESHOLD
    place = np.where(right.any(axis=1), right.argmax(axis=1), VOTERS)
    first = take_columns(expit(log_odds.near), order[:, :1])[:, 0]
    return replace(model, lists=ConfidentLists.learn(first, place))


def _picked(queries: int) -> tuple[Int64[Array, "Q picked"], Float[Array, " all"]]:
    """Which candidates of each query are examples, and how much each counts."""
    rest = np.tile(np.arange(VOTERS - _FIRST), (queries, 1))
    sampled = _FIRST + np.random.default_rng(0).permuted(rest, axis=1)[:, :_SAMPLED]
    picked = np.concatenate([np.tile(np.arange(_FIRST), (queries, 1)), sampled], axis=1)
    counts = [*[1.0] * _FIRST, *[(VOTERS - _FIRST) / _SAMPLED] * _SAMPLED]
    return picked, np.tile(counts, queries)


def _calibration(
    ranking: Float32[Array, "Q S"],
    presence: Float32[Array, " Q"],
    right: Bool[Array, "Q S"],
    weight: Float[Array, " Q"],
) -> LogisticModel:
    top = np.argsort(-ranking, axis=1)[:, :_CALIBRATED]
    known = take_columns(calibration_features(ranking, presence), top)
    of_place = np.array([_FIRST_HIT, *[1.0] * (_CALIBRATED - 1)])
    return LogisticModel.fit(
        CALIBRATION_FEATURES,
        known.reshape(-1, len(CALIBRATION_FEATURES)),
        np.take_along_axis(right, top, axis=1).ravel(),
        (weight[:, None] * of_place).ravel(),
        _RISING,
    )
