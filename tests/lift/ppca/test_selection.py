import numpy as np
import pytest

from vipe.errors import VipeError
from vipe.lift.ppca import MixtureOfPPCA, choose_mixture


def two_planes(generator, count):
    """Two clusters in five dimensions, each wide in two of them."""
    rows = 0.1 * generator.normal(size=(count, 5)) + np.where(np.arange(count) % 2, 6.0, 0.0)[:, None]
    rows[:, :2] += 2 * generator.normal(size=(count, 2))
    return rows


def test_the_sizes_that_made_the_rows_are_chosen(rng):
    seen = []
    choice = choose_mixture(two_planes(rng, 150), two_planes(rng, 100), (1, 2, 3), (1, 2, 3), progress=seen.append)
    assert (choice.best.components, choice.best.dimensions) == (2, 2)
    assert choice.best.held_out == max(row.held_out for row in choice.table)
    assert [(row.components, row.dimensions) for row in choice.table] == [(k, j) for k in (1, 2, 3) for j in (1, 2, 3)]
    assert seen == list(choice.table)


def test_the_table_says_what_each_mixture_reaches(rng):
    train, held_out = two_planes(rng, 60), two_planes(rng, 30)
    settings = MixtureOfPPCA(min_distance=5.0, random_state=0)
    choice = choose_mixture(train, held_out, (1, 4), (2,), estimator=settings)
    assert settings.n_components == MixtureOfPPCA().n_components
    assert choice.table[1].found == 2
    assert choice.mixture.min_distance == 5.0
    np.testing.assert_allclose(choice.best.train, choice.mixture.score(train))
    np.testing.assert_allclose(choice.best.held_out, choice.mixture.score(held_out))
    assert choice.best.steps == choice.mixture.n_iter_


def test_an_empty_grid_is_refused():
    with pytest.raises(VipeError, match="at least one number"):
        choose_mixture(np.eye(4), np.eye(4), (), (1,))
