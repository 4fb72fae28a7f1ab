"""LogisticModel of several images: one image is itself, silence adds nothing, and what is said adds up."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from vipe.errors import ReadError
from vipe.retrieve.ranking.features import CandidateFeatures
from vipe.retrieve.ranking.model import RankingModel
from vipe.retrieve.sequences.fusion import OTHER_IMAGES, Change, Changes, Fusion, SequenceEvidence, fuse

SURER = Changes(near=Change(offset=0.3, slope=-0.2), close=Change(offset=-0.2), present=Change(offset=0.5, slope=0.1))
FUSION = Fusion(cameras=0.7, frames=0.4, of_views=SURER, of_tracks=SURER)


def near_the_middle(odds, rng, shape):
    """Parts as they occur, about the values that the model was learned on."""
    draws = np.array(odds.middle) + 0.5 * np.array(odds.scale) * rng.normal(size=(*shape, len(odds.parts)))
    return draws.astype(np.float32)


@pytest.fixture
def alone(rng):
    """One image and seven moments."""
    model = RankingModel.default()
    share = rng.random((1, 7)).astype(np.float32)
    known = CandidateFeatures(
        parts=near_the_middle(model.near.odds, rng, (1, 7)),
        person=near_the_middle(model.present, rng, (1,)),
        share=share / share.sum(),
        apart=rng.random((1, 7, 7)).astype(np.float32),
    )
    return SequenceEvidence(now=known, cameras=np.zeros(7), frames=np.zeros(7), images=1.0)


def test_one_image_is_as_sure_as_any(alone):
    model = RankingModel.default()
    fused = fuse(alone, model, FUSION)
    there = model.present(alone.now.person)
    odds, log_odds = model.near.log_odds(alone.now.parts, there)
    np.testing.assert_array_equal(np.argsort(fused.odds), np.argsort(odds[0]))
    np.testing.assert_allclose(fused.near, expit(log_odds[0]), rtol=1e-4)
    assert fused.presence == pytest.approx(float(expit(max(there[0], log_odds.max()))), rel=1e-5)
    np.testing.assert_allclose(fused.described.share, alone.now.share, rtol=1e-4)


def test_images_that_say_the_same_of_all_moments_add_nothing(alone):
    model = RankingModel.default()
    silent = replace(alone, cameras=np.full(7, -3.0), frames=np.full(7, -9.0))
    fused, expected = fuse(silent, model, FUSION), fuse(alone, model, FUSION)
    np.testing.assert_allclose(fused.odds, expected.odds, rtol=1e-5)
    np.testing.assert_allclose(fused.near, expected.near, rtol=1e-5)
    np.testing.assert_allclose(fused.parts[OTHER_IMAGES], 0, atol=1e-5)


def test_parts_sum_to_the_odds_and_probabilities_are_in_order(alone, rng):
    several = replace(alone, cameras=-5 * rng.random(7), frames=-20 * rng.random(7), images=3.7)
    fused = fuse(several, RankingModel.default(), FUSION)
    np.testing.assert_allclose(expit(sum(fused.parts.values())), fused.near, rtol=1e-3)
    assert (fused.close <= fused.near).all() and (fused.near <= np.float32(fused.presence) + 1e-6).all()
    assert fused.parts[OTHER_IMAGES].any()


def test_a_moment_as_near_as_the_first_is_as_probable(alone):
    apart = np.full((1, 7, 7), 0.5, dtype=np.float32)
    apart[0, :2, :2] = 0.01
    parts = np.repeat(alone.now.parts[:, :1], 7, axis=1)
    told = np.array([0.0, -8.0, -8.0, -8.0, -8.0, -8.0, -8.0])
    several = replace(alone, now=replace(alone.now, apart=apart, parts=parts), cameras=told, images=2.0)
    fused = fuse(several, RankingModel.default(), FUSION)
    assert fused.odds.argmax() == 0
    assert fused.near[1] == pytest.approx(fused.near[0], rel=1e-3)
    assert (fused.near[2:] < fused.near[0]).all()


def test_the_order_of_cameras_does_not_matter(alone, rng):
    thrice = {name: np.repeat(getattr(alone.now, name), 3, axis=0) for name in ("person", "share", "apart")}
    known = CandidateFeatures(parts=near_the_middle(RankingModel.default().near.odds, rng, (3, 7)), **thrice)
    order = [2, 0, 1]
    mixed = replace(known, **{name: getattr(known, name)[order] for name in ("parts", "person", "share", "apart")})
    a, b = (fuse(replace(alone, now=now, images=3.0), RankingModel.default(), FUSION) for now in (known, mixed))
    np.testing.assert_allclose(a.near, b.near, rtol=1e-4)


def test_numbers_are_kept_in_a_file(tmp_path):
    FUSION.save(tmp_path / "fusion.json")
    assert Fusion.load(tmp_path / "fusion.json") == FUSION
    (tmp_path / "fusion.json").write_text('{"cameras": "many"}')
    with pytest.raises(ReadError, match=r"fusion\.json: does not say how odds are joined"):
        Fusion.load(tmp_path / "fusion.json")
    assert Fusion.default().frames > 0
