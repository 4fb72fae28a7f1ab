import numpy as np
from scipy.spatial.distance import cdist

from vipe.lift.ppca.prior.centres import greedy_centres


def cost(rows, weights, centres):
    return weights @ cdist(rows, rows[centres]).min(axis=1)


def test_each_centre_is_the_row_that_lowers_the_cost_most(rng):
    """Against trying every row."""
    rows, weights = rng.normal(size=(40, 3)), rng.uniform(0.1, 3, 40)
    expected = []
    for _ in range(5):
        expected.append(min(range(40), key=lambda row: cost(rows, weights, [*expected, row])))
    assert greedy_centres(rows, weights, 5).tolist() == expected


def test_separate_clusters_get_a_centre_each(rng):
    middles = np.array([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]])
    rows = np.repeat(middles, [50, 20, 10], axis=0) + rng.normal(size=(80, 2))
    centres = rows[greedy_centres(rows, np.ones(80), 3)]
    assert sorted(cdist(centres, middles).argmin(axis=1)) == [0, 1, 2]


def test_no_centre_is_added_near_another(rng):
    rows = np.concatenate([rng.normal(size=(200, 2)), rng.normal(size=(20, 2)) + 30])
    assert len(greedy_centres(rows, np.ones(220), 10)) == 10
    assert len(greedy_centres(rows, np.ones(220), 10, least_distance=5.0)) == 2


def test_a_row_counts_as_often_as_its_weight_says(rng):
    rows, counts = rng.normal(size=(30, 2)), rng.integers(1, 5, 30)
    weighted = rows[greedy_centres(rows, counts.astype(float), 4)]
    repeated = np.repeat(rows, counts, axis=0)
    np.testing.assert_array_equal(repeated[greedy_centres(repeated, np.ones(len(repeated)), 4)], weighted)


def test_rows_that_coincide_get_one_centre():
    assert greedy_centres(np.ones((5, 2)), np.ones(5), 3).tolist() == [0]
    assert len(greedy_centres(np.array([[0.0], [0.0], [1.0]]), np.ones(3), 3)) == 2
