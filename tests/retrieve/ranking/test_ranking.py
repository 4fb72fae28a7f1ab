import dataclasses

import numpy as np
import pytest
from scipy.special import expit

from vipe.detections import Keypoints
from vipe.embed import Embedder
from vipe.errors import ReadError, ShapeError
from vipe.retrieve import fit_cameras
from vipe.retrieve.ranking.features import (
    PARTS,
    PERSON_PARTS,
    CandidateFeatures,
    EmbeddingFeatures,
    FittedCandidates,
    compute_features,
    coverage_order,
)
from vipe.retrieve.ranking.marginal_likelihood import TILTS, marginal_likelihood
from vipe.retrieve.ranking.model import CONTRIBUTIONS, LogisticModel, RankingModel, contributions_by_group


def described(share, apart, candidates=None):
    share, apart = np.atleast_2d(np.float32(share)), np.float32(apart)[None]
    return CandidateFeatures(
        parts=np.zeros((1, apart.shape[1], len(PARTS)), np.float32),
        person=np.zeros((1, len(PERSON_PARTS)), np.float32),
        share=share,
        apart=apart,
    )


@pytest.fixture
def shortlist(index, people, rng):
    noisy = Keypoints.of(people.xy + rng.normal(0, 8, size=people.xy.shape), people.mask)
    poses = index.poses(rng.permuted(np.tile(np.arange(120), (12, 1)), axis=1)[:, :20])
    fits = fit_cameras(poses, noisy)
    order = np.argsort(fits.cost, axis=1)

    def kept(values):
        return np.take_along_axis(values, order.reshape(order.shape + (1,) * (values.ndim - 2)), axis=1)

    kept_fits = type(fits)(**{f.name: kept(getattr(fits, f.name)) for f in dataclasses.fields(fits)})
    clip = np.tile(np.arange(20) // 3, (12, 1))
    return short(kept(poses), kept_fits, noisy, clip), noisy


def short(poses, fits, people, clip):
    return FittedCandidates(
        poses=poses,
        fits=fits,
        affine_residual=np.full(clip.shape, 0.1, np.float32),
        clip=clip,
        embedded=EmbeddingFeatures.of(poses, people),
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
    parts = compute_features(*shortlist)
    assert np.isfinite(parts.parts).all()
    assert np.isfinite(parts.person).all()
    np.testing.assert_allclose(parts.share.sum(axis=1), 1, rtol=1e-5)
    for name in (name for name in PARTS if name.startswith("likelihood")):
        np.testing.assert_allclose(np.exp(parts.parts[..., PARTS.index(name)]).sum(axis=1), 1, rtol=1e-4)


def test_candidates_that_are_one_pose_agree_wholly(index, people):
    poses = np.repeat(index.poses(np.arange(12))[:, None], 4, axis=1)
    fits = fit_cameras(poses, people)
    parts = compute_features(short(poses, fits, people, np.tile(np.arange(4), (12, 1))), people).parts
    for name in ("agreement within 0.1", "agreement within 0.1, each clip once"):
        np.testing.assert_allclose(parts[..., PARTS.index(name)], np.log(expit(0.1 / 0.015)), atol=2e-3)
    np.testing.assert_allclose(parts[..., PARTS.index("embedding")], np.log(1 / 4), atol=1e-3)


def test_neighbours_in_time_are_one_witness(shortlist):
    known, people = shortlist
    name = PARTS.index("agreement within 0.1, each clip once")
    one = compute_features(dataclasses.replace(known, clip=np.zeros_like(known.clip)), people)
    # A slow twin: of each clip the vote that says most.
    voters = slice(0, 60)
    log = -describe_cost(known, people)[:, voters] / 8
    share = np.exp(log) / np.exp(log).sum(axis=1, keepdims=True)
    some = compute_features(known, people)
    votes = expit((0.1 - some.apart) / 0.015) * share[:, None]
    for person in range(12):
        for candidate in range(20):
            most = {}
            for clip, vote in zip(known.clip[person, voters], votes[person, candidate], strict=True):
                most[clip] = max(most.get(clip, 0), vote)
            assert some.parts[person, candidate, name] == pytest.approx(np.log(sum(most.values()) + 1e-4), abs=1e-3)
            whole = np.log(max(votes[person, candidate]) + 1e-4)
            assert one.parts[person, candidate, name] == pytest.approx(whole, abs=1e-3)


def describe_cost(known, people):
    return marginal_likelihood(known.fits, people).cost[TILTS.index(0.05)]


def test_the_embedding_says_how_far_a_candidate_is_from_the_keypoints_and_from_the_mean(shortlist):
    known, people = shortlist
    embedder = Embedder.from_pretrained("default")
    asked = embedder.encode_keypoints(people[2:3])[0]
    z = embedder.encode_poses(known.poses[2, 7:8])[0]
    assert known.embedded.distance[2, 7] == pytest.approx(np.square(z - asked).sum(), rel=1e-3)
    assert known.embedded.size[2, 7] == pytest.approx(np.square(z).sum(), rel=1e-3)


def test_parts_do_not_change_with_who_else_is_asked_about(shortlist):
    known, people = shortlist
    whole = compute_features(known, people)
    fits = type(known.fits)(**{f.name: getattr(known.fits, f.name)[3:4] for f in dataclasses.fields(known.fits)})
    alone = short(known.poses[3:4], fits, people[3:4], known.clip[3:4])
    np.testing.assert_allclose(compute_features(alone, people[3:4]).parts[0], whole.parts[3], rtol=1e-3, atol=1e-2)


def test_learned_odds_are_those_that_drew_the_examples(rng):
    values = rng.normal([2, -1], [3, 0.1], size=(40_000, 2)).astype(np.float32)
    truth = 0.8 * (values[:, 0] - 2) / 3 - 1.5 * (values[:, 1] + 1) / 0.1 - 0.5
    odds = LogisticModel.learned(("a", "b"), values, rng.random(40_000) < expit(truth))
    np.testing.assert_allclose(odds.coefficient, [0.8, -1.5], atol=0.06)
    assert odds.constant == pytest.approx(-0.5, abs=0.05)
    assert np.abs(expit(odds(values)) - expit(truth)).max() < 0.03


def test_odds_cannot_be_learned_where_nothing_is_right():
    with pytest.raises(ShapeError, match="10 examples of which 0 are right"):
        LogisticModel.learned(("a",), np.zeros((10, 1), np.float32), np.zeros(10, bool))


def test_what_the_odds_are_made_of_sums_to_them(shortlist):
    known = compute_features(*shortlist)
    model = RankingModel.default()
    odds, log_odds = model.near.log_odds(known.parts, model.present(known.person))
    reasons = contributions_by_group(model.near.odds, known.parts, log_odds)
    assert reasons.shape == (len(CONTRIBUTIONS), *odds.shape)
    np.testing.assert_allclose(reasons.sum(axis=0), log_odds, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(reasons[:-1].sum(axis=0), odds, rtol=1e-3, atol=1e-3)


def test_a_saved_model_is_the_same_and_a_broken_one_is_refused(tmp_path):
    model = RankingModel.default()
    model.save(tmp_path / "ranking.json")
    assert RankingModel.load(tmp_path / "ranking.json") == model
    text = (tmp_path / "ranking.json").read_text()
    (tmp_path / "other.json").write_text(text.replace('"camera"', '"colour"'))
    with pytest.raises(ReadError, match="other parts than this version has: 'camera'"):
        RankingModel.load(tmp_path / "other.json")
    (tmp_path / "cut.json").write_text(text[:100])
    with pytest.raises(ReadError, match=r"cut\.json: no ranking model"):
        RankingModel.load(tmp_path / "cut.json")


def test_a_damaged_library_says_so_in_one_line(tmp_path, monkeypatch):
    from vipe.retrieve import shipped as kept

    (tmp_path / "ranking.json").write_text("{}")
    monkeypatch.setattr(kept.resources, "files", lambda _: tmp_path)
    RankingModel.default.__func__.cache_clear()
    try:
        with pytest.raises(ReadError, match=r"ranking\.json: no ranking model"):
            RankingModel.default()
    finally:
        RankingModel.default.__func__.cache_clear()


def test_after_the_first_hundred_the_odds_decide(rng):
    apart = rng.uniform(0, 0.3, size=(150, 60))
    odds = rng.normal(size=(1, 150)).astype(np.float32)
    known = described(np.full(60, 1 / 60), apart)
    order = coverage_order(odds, known, 150)[0]
    assert sorted(order) == list(range(150))
    np.testing.assert_array_equal(order[:90], coverage_order(odds, known, 90)[0])
    assert (np.diff(odds[0, order[100:]]) <= 0).all()
