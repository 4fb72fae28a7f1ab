"""Log odds of several images: one image is itself, silence adds nothing, and what is said adds up."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from vipe.errors import ReadError
from vipe.retrieve.ranking.features import CandidateFeatures
from vipe.retrieve.ranking.model import RankingModel
from vipe.retrieve.sequences.fusion import OTHER_IMAGES, Change, Changes, Fusion, SequenceEvidence, fuse

SURER = Changes(
    near=Change(offset=0.3, slope=-0.2), close=Change(offset=-0.2, slope=0.0), presence=Change(offset=0.5, slope=0.1)
)
FUSION = Fusion(cameras=0.7, frames=0.4, of_views=SURER, of_tracks=SURER, made="for tests")


def near_the_middle(odds, rng, shape):
    """Parts as they occur, about the values that the model was learned on."""
    draws = np.array(odds.mean) + 0.5 * np.array(odds.scale) * rng.normal(size=(*shape, len(odds.features)))
    return draws.astype(np.float32)


@pytest.fixture
def alone(rng):
    """One image and seven moments."""
    model = RankingModel.default()
    share = rng.random((1, 7)).astype(np.float32)
    known = CandidateFeatures(
        values=near_the_middle(model.near.ranking, rng, (1, 7)),
        person=near_the_middle(model.presence, rng, (1,)),
        share=share / share.sum(),
        distance=rng.random((1, 7, 7)).astype(np.float32),
        evidence=np.zeros(1, np.float32),
    )
    return SequenceEvidence(current=known, cameras=np.zeros(7), frames=np.zeros(7), images=1.0)


def test_one_image_is_as_sure_as_any(alone):
    model = RankingModel.default()
    fused = fuse(alone, model, FUSION)
    ranking, log_odds = model.probabilities(alone.current)
    np.testing.assert_array_equal(np.argsort(fused.ranking), np.argsort(ranking[0]))
    np.testing.assert_allclose(expit(fused.log_odds.near), expit(log_odds.near), rtol=1e-4)
    np.testing.assert_allclose(expit(fused.log_odds.close), expit(log_odds.close), rtol=1e-4)
    np.testing.assert_allclose(expit(fused.log_odds.presence), expit(log_odds.presence), rtol=1e-5)
    np.testing.assert_allclose(fused.features.share, alone.current.share, rtol=1e-4)


def test_images_that_say_the_same_of_all_moments_add_nothing(alone):
    model = RankingModel.default()
    silent = replace(alone, cameras=np.full(7, -3.0), frames=np.full(7, -9.0))
    fused, expected = fuse(silent, model, FUSION), fuse(alone, model, FUSION)
    np.testing.assert_allclose(fused.ranking, expected.ranking, rtol=1e-5)
    np.testing.assert_allclose(fused.log_odds.near, expected.log_odds.near, rtol=1e-5)
    np.testing.assert_allclose(fused.contributions[OTHER_IMAGES], 0, atol=1e-5)


def test_parts_sum_to_the_odds_and_probabilities_are_in_order(alone, rng):
    several = replace(alone, cameras=-5 * rng.random(7), frames=-20 * rng.random(7), images=3.7)
    fused = fuse(several, RankingModel.default(), FUSION)
    np.testing.assert_allclose(sum(fused.contributions.values()), fused.log_odds.near, rtol=1e-3, atol=1e-3)
    odds = fused.log_odds
    assert (odds.close <= odds.near).all() and (odds.near <= odds.presence[:, None]).all()
    assert fused.contributions[OTHER_IMAGES].any()


def test_a_moment_as_near_as_the_first_is_as_probable(alone):
    apart = np.full((1, 7, 7), 0.5, dtype=np.float32)
    apart[0, :2, :2] = 0.01
    parts = np.repeat(alone.current.values[:, :1], 7, axis=1)
    told = np.array([0.0, -8.0, -8.0, -8.0, -8.0, -8.0, -8.0])
    several = replace(alone, current=replace(alone.current, distance=apart, values=parts), cameras=told, images=2.0)
    fused = fuse(several, RankingModel.default(), FUSION)
    near = expit(fused.log_odds.near[0])
    assert fused.ranking.argmax() == 0
    assert near[1] == pytest.approx(near[0], rel=1e-3)
    assert (near[2:] < near[0]).all()


def test_the_order_of_cameras_does_not_matter(alone, rng):
    thrice = {
        name: np.repeat(getattr(alone.current, name), 3, axis=0) for name in ("person", "share", "distance", "evidence")
    }
    known = CandidateFeatures(values=near_the_middle(RankingModel.default().near.ranking, rng, (3, 7)), **thrice)
    order = [2, 0, 1]
    mixed = replace(
        known, **{name: getattr(known, name)[order] for name in ("values", "person", "share", "distance", "evidence")}
    )
    a, b = (fuse(replace(alone, current=now, images=3.0), RankingModel.default(), FUSION) for now in (known, mixed))
    np.testing.assert_allclose(a.log_odds.near, b.log_odds.near, rtol=1e-4)


def test_the_evidence_of_several_cameras_is_the_sum_of_theirs(alone):
    told = {
        name: np.repeat(getattr(alone.current, name), 3, axis=0) for name in ("values", "person", "share", "distance")
    }
    known = CandidateFeatures(**told, evidence=np.array([1.0, -5.0, 2.5], dtype=np.float32))
    fused = fuse(replace(alone, current=known, images=3.0), RankingModel.default(), FUSION)
    np.testing.assert_allclose(fused.features.evidence, [-1.5])


def test_numbers_are_kept_in_a_file(tmp_path):
    FUSION.save(tmp_path / "fusion.json")
    assert Fusion.load(tmp_path / "fusion.json") == FUSION
    (tmp_path / "fusion.json").write_text('{"cameras": "many"}')
    with pytest.raises(ReadError, match=r"fusion\.json: does not say how images are fused"):
        Fusion.load(tmp_path / "fusion.json")
    assert Fusion.default().frames > 0
