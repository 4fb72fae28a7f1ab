from dataclasses import replace

import numpy as np
import pytest
import torch
from lift import worlds

from vipe.errors import ShapeError, VipeError
from vipe.lift.cvae import CVAE, CVAEConfig
from vipe.lift.hypotheses import Hypotheses
from vipe.lift.lifter import TrainedLifter
from vipe.lift.ordinal import (
    EQUAL,
    FARTHER,
    NEARER,
    UNKNOWN,
    RelationPredictor,
    depth_relations,
    oracle_relations,
    ordinal_scores,
    predict_relations,
    rank_by_ordinal,
)
from vipe.lift.regression import Regression, RegressionConfig
from vipe.networks.residual import initialize


@pytest.fixture
def truth(rng):
    return rng.normal(size=(4, 17, 3)).astype(np.float32)


@pytest.fixture
def hypotheses(truth, rng):
    """Ten guesses of each pose, some better than others; of equal weight, as samples are."""
    size = rng.uniform(0.1, 1, (4, 10, 1, 1))
    poses = (truth[:, None] + size * rng.normal(size=(4, 10, 17, 3))).astype(np.float32)
    density = rng.normal(size=(4, 10)).astype(np.float32)
    return Hypotheses(poses=poses, log_weight=np.full((4, 10), -np.log(10), np.float32), log_density=density)


def slow_scores(poses, relations, band):
    """F_k as it is written, with its two exceptions, pair by pair."""
    score = np.zeros(poses.shape[:2], int)
    for n, k, i, j in np.ndindex(*poses.shape[:2], 17, 17):
        apart = poses[n, k, i, 2] - poses[n, k, j, 2]
        found = 0 if abs(apart) <= band else int(np.sign(apart))
        if i == j or (relations[n, i, j] == -relations[n, j, i] and relations[n, i, j] == found):
            score[n, k] += 1
    return score


def test_relations_say_which_joint_is_nearer_the_camera(truth):
    relations = depth_relations(truth, dead_band=0.2)
    assert relations.dtype == np.int8
    near, far = truth[0, :, 2].argmin(), truth[0, :, 2].argmax()
    assert relations[0, near, far] == NEARER
    assert relations[0, far, near] == FARTHER
    np.testing.assert_array_equal(relations, -relations.swapaxes(1, 2))
    apart = np.abs(truth[:, :, None, 2] - truth[:, None, :, 2])
    np.testing.assert_array_equal(relations == EQUAL, apart <= 0.2)
    np.testing.assert_array_equal(oracle_relations(truth, 0.2), relations)


def test_scores_count_pairs_that_agree(hypotheses, rng):
    relations = rng.integers(-1, 2, (4, 17, 17)).astype(np.int8)  # most of them contradict their transpose
    few = Hypotheses(poses=hypotheses.poses[:, :2], log_weight=hypotheses.log_weight[:, :2])
    found = ordinal_scores(few, relations, dead_band=0.3)
    np.testing.assert_array_equal(found, slow_scores(few.poses, relations, 0.3))


def test_a_pose_agrees_with_its_own_relations_only(truth):
    same = Hypotheses(poses=truth[:, None], log_weight=np.zeros((4, 1), np.float32))
    relations = oracle_relations(truth)
    assert (ordinal_scores(same, relations) == 17 * 17).all()
    assert (ordinal_scores(same, -relations) == 17).all()  # the diagonal
    assert (ordinal_scores(same, np.full_like(relations, FARTHER)) == 17).all()  # all contradict their transpose


def test_half_of_the_relations_are_enough_and_unknown_ones_count_for_none(hypotheses, truth):
    relations = oracle_relations(truth)
    whole = ordinal_scores(hypotheses, relations)
    half = np.where(np.tri(17, k=-1, dtype=bool), relations, UNKNOWN).astype(np.int8)
    np.testing.assert_array_equal(ordinal_scores(hypotheses, half), whole)
    assert (ordinal_scores(hypotheses, np.full_like(relations, UNKNOWN)) == 17).all()
    alone = np.full_like(relations, UNKNOWN)
    alone[:, 3, 9] = relations[:, 3, 9]
    agree = depth_relations(hypotheses.poses)[:, :, 3, 9] == relations[:, None, 3, 9]
    np.testing.assert_array_equal(ordinal_scores(hypotheses, alone), 17 + 2 * agree)


def test_without_sharpness_it_is_the_mean_and_without_end_the_top_ranked(hypotheses, truth):
    relations = oracle_relations(truth)
    np.testing.assert_allclose(rank_by_ordinal(hypotheses, relations, 0.0).mean(), hypotheses.mean(), atol=1e-5)
    np.testing.assert_allclose(rank_by_ordinal(hypotheses, relations, 1e-6).mean(), hypotheses.mean(), atol=1e-2)
    top = hypotheses.poses[np.arange(4), ordinal_scores(hypotheses, relations).argmax(1)]
    for sharpness in (100.0, np.inf):
        ranked = rank_by_ordinal(hypotheses, relations, sharpness)
        np.testing.assert_allclose(ranked.mean(), top, atol=1e-5)
        np.testing.assert_array_equal(ranked.poses[:, 0], top)


def test_weights_are_those_of_the_soft_max_and_sorted(hypotheses, truth):
    relations = oracle_relations(truth)
    ranked = rank_by_ordinal(hypotheses, relations, 0.05)
    score = ordinal_scores(hypotheses, relations)
    weight = np.exp(0.05 * score) / np.exp(0.05 * score).sum(1, keepdims=True)
    order = np.argsort(-score, axis=1, kind="stable")
    np.testing.assert_allclose(ranked.weight, np.take_along_axis(weight, order, 1), rtol=1e-4)
    np.testing.assert_allclose(np.exp(ranked.log_weight).sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(ranked.poses, np.take_along_axis(hypotheses.poses, order[..., None, None], 1))
    np.testing.assert_array_equal(ranked.log_density, np.take_along_axis(hypotheses.log_density, order, 1))


def test_weights_that_hypotheses_have_count(hypotheses, truth):
    likely = hypotheses.log_weight.copy()
    likely[:, 7] += 50
    ranked = rank_by_ordinal(replace(hypotheses, log_weight=likely), oracle_relations(truth), 0.01)
    np.testing.assert_array_equal(ranked.poses[:, 0], hypotheses.poses[:, 7])


def test_true_relations_make_a_better_pose_than_the_mean(rng):
    truth = rng.normal(size=(100, 17, 3)).astype(np.float32)
    poses = (truth[:, None] + rng.uniform(0.1, 1, (100, 20, 1, 1)) * rng.normal(size=(100, 20, 17, 3))).astype("f4")
    guesses = Hypotheses(poses=poses, log_weight=np.full((100, 20), -np.log(20), np.float32))
    ranked = rank_by_ordinal(guesses, oracle_relations(truth), 0.1)
    error = [np.linalg.norm(pose - truth, axis=-1).mean() for pose in (guesses.mean(), ranked.mean())]
    assert error[1] < 0.8 * error[0]


def test_many_people_are_compared_in_blocks(hypotheses, truth, monkeypatch):
    relations = oracle_relations(truth)
    whole = ordinal_scores(hypotheses, relations)
    monkeypatch.setattr("vipe.lift.ordinal._MOST_POSES", 10)
    np.testing.assert_array_equal(ordinal_scores(hypotheses, relations), whole)
    assert rank_by_ordinal(hypotheses[:0], relations[:0]).poses.shape == (0, 10, 17, 3)


def test_relations_are_learned_from_keypoints():
    """In a world where two of the latents that decide depths show in the keypoints, and two do not."""
    predictor = RelationPredictor(width=32, blocks=1, dropout=0.0)
    initialize(predictor, torch.Generator().manual_seed(0))
    worlds.fit(predictor, worlds.linear_gaussian, 150, rate=1e-2, losses=lambda views, _: predictor.losses(views))
    views = worlds.linear_gaussian(500, torch.Generator().manual_seed(7))
    losses = predictor.losses(views)
    depth = (views.poses[:, :, None, 2] - views.poses[:, None, :, 2]).flatten(1)
    usual = torch.maximum((depth > 0).float().mean(0), (depth < 0).float().mean(0)).sum() / (17 * 16)
    mean, covariance = worlds.posterior(views.condition)
    of = torch.nn.functional.pad(torch.eye(48).view(16, 3, 48)[:, 2], (0, 0, 1, 0))
    pairs = (of[:, None] - of[None]).flatten(0, 1)
    score = (mean @ pairs.T) / torch.einsum("pa,ab,pb->p", pairs, covariance, pairs).clamp(min=1e-9).sqrt()
    best = torch.special.ndtr(score.abs())[:, pairs.any(1)].mean()
    assert usual + 0.6 * (best - usual) < losses["relations_right"] <= best + 0.02
    relations = predictor.likeliest(views.condition.features())
    assert relations.dtype == torch.int8
    assert not relations.diagonal(dim1=1, dim2=2).any()
    agree = (relations == torch.from_numpy(depth_relations(views.poses.numpy(), 1e-3 / 0.49))).float().mean((1, 2))
    assert agree.mean() * 17 * 17 == pytest.approx(float(losses["relations_right"]) * 17 * 16 + 17, abs=0.5)


def test_a_lifter_predicts_relations_or_refuses(people):
    small = {"width": 32, "blocks": 1}
    lifter = TrainedLifter(CVAE.untrained(CVAEConfig(latent=8, **small), seed=3))
    relations = predict_relations(lifter, people)
    assert relations.shape == (12, 17, 17)
    assert relations.dtype == np.int8
    assert set(np.unique(relations)) <= {NEARER, EQUAL, FARTHER}
    np.testing.assert_array_equal(predict_relations(lifter, people[3:5]), relations[3:5])
    assert predict_relations(lifter, people[:0]).shape == (0, 17, 17)
    rank_by_ordinal(lifter.sample(people, 5, torch.Generator().manual_seed(0)), relations)
    for without in (Regression.untrained(RegressionConfig(**small), 0), CVAE(CVAEConfig(latent=8, relation_share=0.0))):
        with pytest.raises(VipeError, match=f"{without.kind!r} cannot give relations of depth for 12 people"):
            predict_relations(TrainedLifter(without), people)


@pytest.mark.refusal
def test_what_are_no_relations_is_refused_in_one_line(hypotheses):
    with pytest.raises(ShapeError, match=r"relations must be \(4, 17, 17\), got shape \(17, 17\)"):
        rank_by_ordinal(hypotheses, np.zeros((17, 17), np.int8))
    strange = np.zeros((4, 17, 17), np.int8)
    strange[2, 3, 5] = -4
    with pytest.raises(VipeError, match="joints 3 and 5 of person 2 is -4; expected -1 nearer"):
        rank_by_ordinal(hypotheses, strange)
    with pytest.raises(VipeError, match="sharpness must be at least 0, got -1"):
        rank_by_ordinal(hypotheses, np.zeros((4, 17, 17), np.int8), -1.0)
