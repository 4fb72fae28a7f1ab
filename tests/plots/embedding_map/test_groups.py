from dataclasses import replace

import numpy as np
import pytest

from vipe.arrays import take_rows
from vipe.plots.embedding_map.groups import clusters, density

pytest.importorskip("sklearn")


def test_clusters_are_the_islands_of_the_embedding_the_largest_first(layout, rng):
    vectors = np.concatenate([rng.normal(size=(20, 8)), 100 + rng.normal(size=(30, 8))]).astype(np.float32)
    map_ = replace(layout, rows=np.arange(50), embeddings=vectors, xy=vectors[:, :2], reach=vectors[:, 0])
    np.testing.assert_array_equal(clusters(map_, 2, generator=rng), np.repeat([1, 0], [20, 30]))


def test_there_are_no_more_clusters_than_poses(layout, rng):
    few = take_rows(layout, slice(3))
    assert sorted(clusters(few, generator=rng)) == [0, 1, 2]


def test_density_is_the_rank_of_how_near_the_neighbours_are(layout):
    one = replace(take_rows(layout, slice(4)), reach=np.array([0.3, 0.1, 5.0, 0.2], np.float32))
    np.testing.assert_allclose(density(one), [1 / 3, 1, 0, 2 / 3], atol=1e-6)
