import dataclasses

import numpy as np
import pytest
from scipy.special import expit

from vipe.arrays import take_rows
from vipe.detections import Keypoints
from vipe.embed import Embedder
from vipe.errors import ReadError, ShapeError, VipeError
from vipe.retrieve import CameraPrior, fit_cameras
from vipe.retrieve.ranking.coverage import coverage_order
from vipe.retrieve.ranking.evidence import FittedCandidates, embedding_distances
from vipe.retrieve.ranking.features import FEATURES, PERSON_FEATURES, CandidateFeatures, compute_features
from vipe.retrieve.ranking.logistic import LogisticModel
from vipe.retrieve.ranking.marginal_likelihood import TILTS, marginal_likelihood
from vipe.retrieve.ranking.model import RankingModel, ordered_log_odds

NAMES = [feature.name for feature in FEATURES]


def described(share, apart, candidates=None):
    share, apart = np.atleast_2d(np.float32(share)), np.float32(apart)[None]
    return CandidateFeatures(
        values=np.zeros((1, apart.shape[1], len(FEATURES)), np.float32),
        person=np.zeros((1, len(PERSON_FEATURES)), np.float32),
        share=share,
        distance=apart,
        evidence=np.zeros(1, np.float32),
    )


@pytest.fixture
def shortlist(index, people, rng):
    noisy = Keypoints.of(people.xy + rng.normal(0, 8, size=people.xy.shape), people.mask)
    poses = index.poses(rng.permuted(np.tile(np.arange(120), (12, 1)), axis=1)[:, :20])
    fits = fit_cameras(poses, noisy)
    order = np.argsort(fits.cost, axis=1)

    def kept(values):
        return np.take_along_axis(values, order.reshape(order.shape + (1,) * (values.ndim - 2)), axis=1)

    kept_fits = fits.take(order)
    clip = np.tile(np.arange(20) // 3, (12, 1))
    return short(kept(poses), kept_fits, noisy, clip), noisy


def short(poses, fits, people, clip):
    return FittedCandidates(
        rows=np.zeros(clip.shape, np.int64),
        poses=poses,
        fits=fits,
        affine_residual=np.full(clip.shape, 0.1, np.float32),
        clip=clip,
        embedding=embedding_distances(None, np.zeros(clip.shape, np.int64), poses, people),
    )


def test_the_first_hit_has_the_greatest_odds_and_the_second_is_another_way_to_read_the_keypoints():
    # 0, 1 and 2 are one pose; 3 and 4 another, less likely; 5 is alone.
    apart = np.full((6, 6), 1.0)
    apart[:3, :3] = apart[3:5, 3:5] = 0.0
    apart[5, 5] = 0.0
    order = coverage_order(np.float32([[1, 3, 2, 0, -1, -2]]), described([0.2, 0.2, 0.2, 0.15, 0.15, 0.1], apart), 6)
    assert order[0, 0] == 1
    assert order[0, 1] == 3  # the second pose, at its better odds
    assert order[0, 2] == 5
    assert sorted(order[0]) == list(range(6))


def test_where_all_is_one_pose_the_odds_decide():
    order = coverage_order(np.float32([[0.3, 0.1, 0.2]]), described([0.4, 0.3, 0.3], np.zeros((3, 3))), 3)
    np.testing.assert_array_equal(order, [[0, 2, 1]])


def test_parts_are_finite_and_shares_of_the_likelihood_sum_to_one(shortlist):
    features = compute_features(*shortlist)
    assert np.isfinite(features.values).all()
    assert np.isfinite(features.person).all()
    np.testing.assert_allclose(features.share.sum(axis=1), 1, rtol=1e-5)
    for name in (name for name in NAMES if name.startswith("likelihood")):
        np.testing.assert_allclose(np.exp(features.values[..., NAMES.index(name)]).sum(axis=1), 1, rtol=1e-4)


def test_candidates_that_are_one_pose_agree_wholly(index, people):
    poses = np.repeat(index.poses(np.arange(12))[:, None], 4, axis=1)
    fits = fit_cameras(poses, people)
    parts = compute_features(short(poses, fits, people, np.tile(np.arange(4), (12, 1))), people).values
    for name in ("agreement within 0.1", "agreement of clips within 0.1"):
        np.testing.assert_allclose(parts[..., NAMES.index(name)], np.log(expit(0.1 / 0.015)), atol=2e-3)
    np.testing.assert_allclose(parts[..., NAMES.index("embedding")], np.log(1 / 4), atol=1e-3)


def test_neighbours_in_time_are_one_witness(shortlist):
    known, people = shortlist
    name = NAMES.index("agreement of clips within 0.1")
    one = compute_features(dataclasses.replace(known, clip=np.zeros_like(known.clip)), people)
    # A slow twin: of each clip the vote that says most.
    voters = slice(0, 60)
    log = -describe_cost(known, people)[:, voters] / 8
    share = np.exp(log) / np.exp(log).sum(axis=1, keepdims=True)
    some = compute_features(known, people)
    votes = expit((0.1 - some.distance) / 0.015) * share[:, None]
    for person in range(12):
        for candidate in range(20):
            most = {}
            for clip, vote in zip(known.clip[person, voters], votes[person, candidate], strict=True):
                most[clip] = max(most.get(clip, 0), vote)
            assert some.values[person, candidate, name] == pytest.approx(np.log(sum(most.values()) + 1e-4), abs=1e-3)
            whole = np.log(max(votes[person, candidate]) + 1e-4)
            assert one.values[person, candidate, name] == pytest.approx(whole, abs=1e-3)


def describe_cost(known, people, tilt=0.05):
    return marginal_likelihood(known.fits, people).cost[TILTS.index(tilt)]


def test_the_embedding_says_how_far_a_candidate_is_from_the_keypoints_and_from_the_mean(shortlist):
    known, people = shortlist
    embedder = Embedder.from_pretrained("default")
    asked = embedder.encode_keypoints(people[2:3])[0]
    z = embedder.encode_poses(known.poses[2, 7:8])[0]
    assert known.embedding.to_keypoints[2, 7] == pytest.approx(np.square(z - asked).sum(), rel=1e-3)
    assert known.embedding.to_mean[2, 7] == pytest.approx(np.square(z).sum(), rel=1e-3)


def test_parts_do_not_change_with_who_else_is_asked_about(shortlist):
    known, people = shortlist
    whole = compute_features(known, people)
    fits = take_rows(known.fits, slice(3, 4))
    alone = short(known.poses[3:4], fits, people[3:4], known.clip[3:4])
    np.testing.assert_allclose(compute_features(alone, people[3:4]).values[0], whole.values[3], rtol=1e-3, atol=1e-2)


def test_a_fitted_model_is_the_one_that_drew_the_examples(rng):
    values = rng.normal([2, -1], [3, 0.1], size=(40_000, 2)).astype(np.float32)
    truth = 0.8 * (values[:, 0] - 2) / 3 - 1.5 * (values[:, 1] + 1) / 0.1 - 0.5
    model = LogisticModel.fit(("a", "b"), values, rng.random(40_000) < expit(truth))
    np.testing.assert_allclose(model.coefficient, [0.8, -1.5], atol=0.06)
    assert model.intercept == pytest.approx(-0.5, abs=0.05)
    assert np.abs(expit(model(values)) - expit(truth)).max() < 0.03


def test_a_monotone_feature_never_gets_the_other_sign(rng):
    values = rng.normal(size=(2000, 2)).astype(np.float32)
    right = rng.random(2000) < expit(values[:, 0] - values[:, 1])
    model = LogisticModel.fit(("a", "b"), values, right, monotone=(-1, 1))
    assert model.coefficient == (0.0, 0.0)


def test_nothing_can_be_learned_where_nothing_is_right():
    with pytest.raises(ShapeError, match="10 examples of which 0 are right"):
        LogisticModel.fit(("a",), np.zeros((10, 1), np.float32), np.zeros(10, bool))


def test_contributions_sum_to_the_log_odds_and_none_is_always_zero(shortlist):
    features = compute_features(*shortlist)
    model = RankingModel.default()
    ranking, log_odds = model.probabilities(features)
    contributions = model.contributions(features.values, log_odds.near)
    total = sum(contributions.values())
    np.testing.assert_allclose(total, log_odds.near, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(total - contributions["calibration"], ranking, rtol=1e-3, atol=1e-3)
    assert all(values.any() for values in contributions.values())
    assert "residual" not in contributions  # every coefficient of that group is 0


def test_a_group_of_contributions_is_the_sum_of_its_own_features(shortlist):
    features = compute_features(*shortlist)
    model = RankingModel.default()
    linear = model.near.ranking
    contributions = model.contributions(features.values, np.zeros(features.values.shape[:2], np.float32))
    for group in ("camera", "body", "embedding", "pose prior"):
        place = NAMES.index(group)
        own = linear.coefficient[place] * (features.values[..., place] - linear.mean[place]) / linear.scale[place]
        np.testing.assert_allclose(contributions[group], own, rtol=1e-4, atol=1e-5)


def test_each_feature_measures_what_its_name_says(shortlist):
    """Slow twins of those that are one formula: swapping two entries of the table fails here."""
    known, people = shortlist
    features = compute_features(known, people)
    freedom = np.maximum(2 * people.mask.sum(axis=1) - 6, 1)[:, None]
    expected = {
        "camera": ((known.fits.inverse_depth - 0.12) / 0.05) ** 2,
        "body": ((known.fits.bones / 0.08) ** 2).sum(axis=-1),
        "residual": np.log(known.fits.residual + 0.01),
        "affine residual": np.log(known.affine_residual + 0.01),
        "chi-squared of the fit": known.fits.cost / freedom,
        "degrees of freedom": np.broadcast_to(freedom, known.fits.cost.shape),
        "pose prior": known.embedding.to_mean,
        "likelihood of the fit": log_share(known.fits.cost / 2),
        "embedding": log_share(known.embedding.to_keypoints),
        **{f"likelihood, tilt {tilt:g}": log_share(describe_cost(known, people, tilt) / 2) for tilt in TILTS[1:]},
    }
    for name, values in expected.items():
        np.testing.assert_allclose(features.values[..., NAMES.index(name)], values, rtol=2e-3, atol=2e-3, err_msg=name)


def log_share(energy):
    share = np.exp(-(energy - energy.min(axis=1, keepdims=True)).astype(np.float64))
    return np.log(np.maximum(share / share.sum(axis=1, keepdims=True), 1e-300))


def test_probabilities_are_in_order_and_presence_gives_way():
    near, close = np.float32([[2.0, -1.0]]), np.float32([[3.0, -2.0]])
    ordered = ordered_log_odds(near, close, np.float32([0.5]))
    np.testing.assert_array_equal(ordered.near, near)
    np.testing.assert_array_equal(ordered.close, [[2.0, -2.0]])
    np.testing.assert_array_equal(ordered.presence, [2.0])
    kept = ordered_log_odds(near, close, np.float32([2.5]))
    np.testing.assert_array_equal(kept.presence, [2.5])


def test_a_saved_model_is_the_same_and_a_broken_one_is_refused(tmp_path):
    model = RankingModel.default()
    model.save(tmp_path / "ranking.json")
    assert RankingModel.load(tmp_path / "ranking.json") == model
    text = (tmp_path / "ranking.json").read_text()
    (tmp_path / "other.json").write_text(text.replace('"camera"', '"colour"'))
    with pytest.raises(ReadError, match="other features than this version has: 'camera'"):
        RankingModel.load(tmp_path / "other.json")
    (tmp_path / "cut.json").write_text(text[:100])
    with pytest.raises(ReadError, match=r"cut\.json: no ranking model"):
        RankingModel.load(tmp_path / "cut.json")


def test_the_model_of_the_library_was_learned_under_the_prior_of_the_library():
    model = RankingModel.default()
    assert model.camera_prior == CameraPrior()
    assert model.check_prior(None) is model.camera_prior
    effort = CameraPrior(refine=None, further_steps=9)
    assert model.check_prior(effort) is effort
    with pytest.raises(VipeError, match=r"noise is 0\.2, not 0\.033, misfit is 0\.2, not 0\.05; the probab"):
        model.check_prior(CameraPrior(noise=0.2, misfit=0.2))


def test_a_damaged_library_says_so_in_one_line(tmp_path, monkeypatch):
    from vipe.retrieve import shipped as kept

    (tmp_path / "ranking.json").write_text("{}")
    monkeypatch.setattr(kept.resources, "files", lambda _: tmp_path)
    for shipped in (RankingModel.default, RankingModel.load_shipped):
        shipped.__func__.cache_clear()
    try:
        with pytest.raises(ReadError, match=r"ranking\.json: no ranking model"):
            RankingModel.default()
    finally:
        for shipped in (RankingModel.default, RankingModel.load_shipped):
            shipped.__func__.cache_clear()


def test_after_the_first_hundred_the_odds_decide(rng):
    apart = rng.uniform(0, 0.3, size=(150, 60))
    odds = rng.normal(size=(1, 150)).astype(np.float32)
    known = described(np.full(60, 1 / 60), apart)
    order = coverage_order(odds, known, 150)[0]
    assert sorted(order) == list(range(150))
    np.testing.assert_array_equal(order[:90], coverage_order(odds, known, 90)[0])
    assert (np.diff(odds[0, order[100:]]) <= 0).all()
