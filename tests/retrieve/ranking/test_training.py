"""What the ranking model learns from examples whose truth was drawn from known odds."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from vipe.errors import ShapeError
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.ranking.evidence import VOTERS
from vipe.retrieve.ranking.features import FEATURES, PERSON_FEATURES, CandidateFeatures
from vipe.retrieve.ranking.training import RankingExamples, fit_ranking_model

NAMES = [feature.name for feature in FEATURES]
NEAR, CLOSE = NAMES.index("agreement within 0.1"), NAMES.index("agreement within 0.05")
RESIDUAL = NAMES.index("residual")  # may only speak against a candidate
PRESENCE = [feature.name for feature in PERSON_FEATURES].index("most agreement within 0.1")
PRIOR = CameraPrior(noise=0.04)  # not the default


@pytest.fixture(scope="module")
def examples():
    """One feature decides what is within 0.1, one what of it is within 0.05, and one of the person presence."""
    rng = np.random.default_rng(4)
    values = rng.normal(size=(300, VOTERS, len(FEATURES))).astype(np.float32)
    person = rng.normal(size=(300, len(PERSON_FEATURES))).astype(np.float32)
    near = rng.random((300, VOTERS)) < expit(2 * values[..., NEAR] + 0.5 * values[..., RESIDUAL] - 2)
    close = near & (rng.random((300, VOTERS)) < expit(3 * values[..., CLOSE]))
    return RankingExamples(
        features=CandidateFeatures(
            values=values,
            person=person,
            share=np.full((300, VOTERS), 1 / VOTERS, dtype=np.float32),
            distance=np.full((300, VOTERS, VOTERS), 0.5, dtype=np.float32),
            evidence=np.zeros(300, np.float32),
        ),
        distance=np.where(close, 0.03, np.where(near, 0.07, 0.3)),
        present=rng.random(300) < expit(3 * person[:, PRESENCE] + 1),
        weight=np.ones(300),
    )


@pytest.fixture(scope="module")
def model(examples):
    return fit_ranking_model(examples, camera_prior=PRIOR, made="for tests")


def test_each_model_finds_the_feature_that_decides(model):
    strongest = [int(np.abs(one.coefficient).argmax()) for one in (model.near.ranking, model.presence)]
    assert strongest == [NEAR, PRESENCE]
    near, close = np.array(model.near.ranking.coefficient), np.array(model.close.ranking.coefficient)
    assert near[NEAR] == pytest.approx(2, abs=0.4)  # the features' spread is 1
    assert close[CLOSE] > 1 and abs(near[CLOSE]) < 0.2  # 0.05 is judged at 0.05, 0.1 at 0.1
    assert model.presence.coefficient[PRESENCE] == pytest.approx(3, abs=1.0)


def test_a_feature_that_may_only_speak_against_a_candidate_never_speaks_for_it(model):
    for feature, coefficient in zip(FEATURES, model.near.ranking.coefficient, strict=True):
        assert coefficient * feature.monotone >= 0, feature.name
    assert model.near.ranking.coefficient[RESIDUAL] == 0  # it would have been about 0.5


def test_a_given_order_stays_and_calibration_and_presence_are_learned_for_it(examples, model):
    gone = np.random.default_rng(7).random(examples.distance.shape) < 0.6
    turned = replace(examples, distance=np.where(gone, 0.3, examples.distance), present=~examples.present)
    other = fit_ranking_model(turned, camera_prior=PRIOR, made="", ranked_by=model)
    assert (other.near.ranking, other.close.ranking) == (model.near.ranking, model.close.ranking)
    ranking = model.near.ranking(examples.features.values)
    first = ranking.argmax(axis=1)[:, None]
    said = expit(other.near.calibrated(ranking, other.presence(examples.features.person)))
    right = np.take_along_axis(turned.distance, first, axis=1) < 0.1
    assert np.take_along_axis(said, first, axis=1).mean() == pytest.approx(right.mean(), abs=0.03)
    assert other.presence.coefficient[PRESENCE] == pytest.approx(-3, abs=1.0)


def test_sampled_candidates_count_for_those_left_out(examples, model):
    """Candidates before the first sampled ones are right more often, so their share alone would be too high."""
    early = np.where(np.arange(VOTERS) < 8, examples.distance, 0.3)
    rate = fit_ranking_model(replace(examples, distance=early), camera_prior=PRIOR, made="").near.ranking
    assert expit(rate(examples.features.values)).mean() == pytest.approx((early < 0.1).mean(), rel=0.15)


@pytest.mark.parametrize(("name", "within"), [("near", 0.1), ("close", 0.05)])
def test_the_first_candidate_is_as_probable_as_it_is_often_right(examples, model, name, within):
    one = getattr(model, name)
    ranking = one.ranking(examples.features.values)
    first = ranking.argmax(axis=1)[:, None]
    log_odds = one.calibrated(ranking, model.presence(examples.features.person))
    probability = np.take_along_axis(expit(log_odds), first, axis=1).mean()
    right = (np.take_along_axis(examples.distance, first, axis=1) < within).mean()
    assert probability == pytest.approx(right, abs=0.03)


def test_a_query_counts_by_its_weight(examples, model):
    weight = np.where(examples.present, 9.0, 1.0)
    surer = fit_ranking_model(replace(examples, weight=weight), camera_prior=PRIOR, made="").presence
    assert surer.intercept > model.presence.intercept + 1  # by log 9


def test_the_model_carries_its_camera_prior_and_its_origin(model):
    assert (model.camera_prior, model.made) == (PRIOR, "for tests")


def test_examples_of_which_none_is_right_are_refused(examples):
    with pytest.raises(ShapeError):
        fit_ranking_model(replace(examples, distance=np.full_like(examples.distance, 0.5)), camera_prior=PRIOR, made="")
