import numpy as np
import pytest

from vipe.plots.embedding_map.coverage import covering_rows


def reach(vectors, rows):
    """The farthest that a vector lies from its nearest chosen one."""
    return np.linalg.norm(vectors[:, None] - vectors[rows], axis=-1).min(axis=1).max()


@pytest.fixture
def crowd(rng):
    """A thousand vectors in a crowd, and fifty far out, each alone."""
    angle = np.linspace(0, 2 * np.pi, 50, endpoint=False)
    lonely = 20 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    return np.concatenate([0.1 * rng.normal(size=(1000, 3)), lonely])


def test_a_few_are_all_taken():
    np.testing.assert_array_equal(covering_rows(np.zeros((4, 2), np.float32), 4), np.arange(4))


@pytest.mark.parametrize("count", [60, 300])
def test_rare_vectors_stay_and_the_crowd_is_thinned(crowd, count):
    rows = covering_rows(crowd, count)
    assert len(rows) == count
    assert (np.diff(rows) > 0).all()
    assert set(range(1000, 1050)) <= set(rows.tolist())


def test_the_cover_is_far_better_than_a_random_one(crowd, rng):
    chance = min(reach(crowd, rng.choice(len(crowd), 100, replace=False)) for _ in range(5))
    assert reach(crowd, covering_rows(crowd, 100)) < chance / 10


def test_it_is_nearly_the_cover_of_farthest_points_among_all(crowd):
    """The slow twin: Gonzalez over all vectors at once. Cells cost a factor of two at most here."""
    chosen = [0]
    apart = np.linalg.norm(crowd - crowd[0], axis=1)
    while len(chosen) < 100:
        chosen.append(int(apart.argmax()))
        apart = np.minimum(apart, np.linalg.norm(crowd - crowd[chosen[-1]], axis=1))
    assert reach(crowd, covering_rows(crowd, 100)) < 2 * apart.max()


def test_repeated_vectors_go_first(rng):
    once = rng.normal(size=(300, 4)).astype(np.float32)
    rows = covering_rows(np.concatenate([once, once, once]), 300)
    assert sorted(rows % 300) == list(range(300))


def test_the_same_vectors_give_the_same_rows(crowd):
    np.testing.assert_array_equal(covering_rows(crowd, 77), covering_rows(crowd.copy(), 77))
