"""What becomes of probabilities in small archives: nothing in large ones, learned in between, in their right order."""

import numpy as np
import pytest
from scipy.special import expit

from vipe.errors import ReadError
from vipe.retrieve.ranking.archive_size import ArchiveSize, SizeEffect
from vipe.retrieve.ranking.model import Probabilities

SIZE = ArchiveSize(
    near=SizeEffect(shift=0.5, spread=0.1), presence=SizeEffect(shift=2.0, spread=0.0), full=1000, made="here"
)


def some(rng):
    near = rng.normal(0, 4, (5, 7)).astype(np.float32)
    return Probabilities(near=near, close=near - np.float32(1), presence=near.max(axis=1) + np.float32(0.5))


@pytest.mark.parametrize("poses", [1000, 1001, 10**9])
def test_large_archives_change_nothing(rng, poses):
    odds = some(rng)
    same = SIZE.applied(odds, poses)
    for name in ("near", "close", "presence"):
        np.testing.assert_array_equal(getattr(same, name), getattr(odds, name))


def test_log_odds_are_spread_and_fall_with_the_logarithm(rng):
    odds = some(rng)
    smaller = np.log(10)
    applied = SIZE.applied(odds, 100)
    np.testing.assert_allclose(applied.near, (1 + 0.1 * smaller) * odds.near - 0.5 * smaller, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(applied.close, (1 + 0.1 * smaller) * odds.close - 0.5 * smaller, rtol=1e-5, atol=1e-5)
    assert applied.near.dtype == applied.close.dtype == applied.presence.dtype == np.float32


def test_presence_stays_above_the_likeliest_hit_and_nothing_is_infinite(rng):
    for poses in (0, 1, 13, 999):
        applied = SIZE.applied(some(rng), poses)
        assert (applied.presence >= applied.near.max(axis=1)).all()
        assert (applied.close <= applied.near).all()
        assert np.isfinite(applied.near).all()


def test_the_effect_that_the_examples_were_drawn_with_is_learned(rng):
    odds, smaller = rng.normal(0, 2, 40_000), rng.uniform(0, 4, 40_000)
    right = rng.random(40_000) < expit((1 + 0.2 * smaller) * odds - 0.3 * smaller)
    found = SizeEffect.learn(odds, right, smaller)
    np.testing.assert_allclose([found.shift, found.spread], [0.3, 0.2], atol=0.03)


def test_no_archive_is_surer_for_being_small(rng):
    odds, smaller = rng.normal(0, 2, 20_000), rng.uniform(0, 4, 20_000)
    right = rng.random(20_000) < expit(0.5 * odds + 0.3 * smaller)
    assert SizeEffect.learn(odds, right, smaller) == SizeEffect(shift=0.0, spread=0.0)


def test_numbers_are_read_as_they_were_written(tmp_path):
    SIZE.save(tmp_path / "size.json")
    assert ArchiveSize.load(tmp_path / "size.json") == SIZE
    (tmp_path / "size.json").write_text("{}")
    with pytest.raises(ReadError, match="small archives"):
        ArchiveSize.load(tmp_path / "size.json")
