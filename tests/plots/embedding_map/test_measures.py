import numpy as np
import pytest

from vipe.errors import ShapeError, VipeError
from vipe.plots.embedding_map.measures import knn_purity, trustworthiness

ALL = 10**9


def test_trustworthiness_of_all_points_is_that_of_scikit_learn(rng):
    manifold = pytest.importorskip("sklearn.manifold")
    vectors = rng.normal(size=(400, 6))
    xy = vectors[:, :2] + 0.3 * rng.normal(size=(400, 2))
    expected = manifold.trustworthiness(vectors, xy, n_neighbors=12)
    assert trustworthiness(vectors, xy, 12, sample=ALL, generator=rng) == pytest.approx(expected, abs=1e-9)
    assert trustworthiness(vectors, xy, 12, sample=200, generator=rng) == pytest.approx(expected, abs=0.02)


def test_a_perfect_map_is_trusted_and_a_random_one_is_not(rng):
    vectors = rng.normal(size=(500, 2))
    assert trustworthiness(vectors, 3 * vectors + 1, generator=rng) == 1
    assert trustworthiness(vectors, rng.normal(size=(500, 2)), generator=rng) == pytest.approx(0.5, abs=0.03)


def test_purity_of_two_islands_is_one_and_of_random_labels_their_share(rng):
    xy = np.concatenate([rng.normal(size=(100, 2)), rng.normal(size=(100, 2)) + 100])
    island = np.repeat(["left", "right"], 100)
    assert knn_purity(xy, island, generator=rng) == 1
    assert knn_purity(xy, rng.permutation(island), generator=rng) == pytest.approx(0.5, abs=0.05)


def test_purity_asks_each_point_about_its_nearest_alone():
    xy = np.array([[0.0], [1.0], [3.0], [3.5]])  # the nearest of the third is the fourth
    assert knn_purity(xy, np.array([1, 1, 2, 1]), 1, generator=np.random.default_rng(0)) == 0.5


def test_points_of_one_clip_can_be_left_out(rng):
    """Frames of a clip lie together, and two clips of one action have a clip of another action between them."""
    clip = np.repeat([0, 1, 2], 20)
    action = np.repeat(["walk", "walk", "sit"], 20)
    xy = np.repeat([[0.0, 0.0], [2.0, 0.0], [1.0, 0.0]], 20, axis=0) + 1e-3 * rng.normal(size=(60, 2))
    assert knn_purity(xy, action, 10, generator=rng) == 1
    assert knn_purity(xy, action, 10, apart=clip, generator=rng) == 0


def test_where_nothing_is_left_to_compare_there_is_no_purity(rng):
    assert np.isnan(knn_purity(rng.normal(size=(20, 2)), np.ones(20), 5, apart=np.ones(20), generator=rng))


def test_the_sample_depends_on_the_generator_alone(rng):
    vectors, xy = rng.normal(size=(300, 4)), rng.normal(size=(300, 2))
    both = [trustworthiness(vectors, xy, sample=50, generator=np.random.default_rng(3)) for _ in range(2)]
    assert both[0] == both[1]


@pytest.mark.refusal
def test_what_does_not_fit_is_refused(rng):
    xy = rng.normal(size=(20, 2))
    with pytest.raises(ShapeError, match="got 19 and 20"):
        trustworthiness(xy[1:], xy, generator=rng)
    with pytest.raises(VipeError, match=r"1 \.\.\. 9 for 20 points, got 10"):
        trustworthiness(xy, xy, 10, generator=rng)
    with pytest.raises(ShapeError, match="need 20 rows, as xy has, got 19"):
        knn_purity(xy, np.ones(19), generator=rng)
    with pytest.raises(VipeError, match=r"1 \.\.\. 19, got 20"):
        knn_purity(xy, np.ones(20), 20, generator=rng)
