import numpy as np

from vipe.plots.embedding_map.nearest import nearest_in, neighbour_graph


def test_neighbours_are_those_of_all_distances(rng):
    gallery, queries = rng.normal(size=(300, 5)).astype(np.float32), rng.normal(size=(20, 5)).astype(np.float32)
    apart = np.linalg.norm(queries[:, None] - gallery, axis=-1)
    found = nearest_in(gallery, queries, 7)
    np.testing.assert_array_equal(found.rows, np.argsort(apart, axis=1)[:, :7])
    np.testing.assert_allclose(found.distance, np.sort(apart, axis=1)[:, :7], atol=1e-5)


def test_of_a_small_gallery_all_are_given(rng):
    assert nearest_in(rng.normal(size=(3, 2)), rng.normal(size=(2, 2)), 10).rows.shape == (2, 3)


def test_each_vector_is_its_own_first_neighbour_even_among_equal_ones(rng):
    vectors = np.repeat(rng.normal(size=(5, 3)), 6, axis=0).astype(np.float32)
    for k in (3, 10):
        graph = neighbour_graph(vectors, k)
        np.testing.assert_array_equal(graph.rows[:, 0], np.arange(30))
        assert (graph.distances[:, 0] == 0).all()
        assert all(len(set(row)) == k for row in graph.rows.tolist())
        assert (np.diff(graph.distances, axis=1) >= 0).all()


def test_the_first_few_are_those_of_a_smaller_graph(rng):
    vectors = rng.normal(size=(50, 3)).astype(np.float32)
    np.testing.assert_array_equal(neighbour_graph(vectors, 9).first(4).rows, neighbour_graph(vectors, 4).rows)


def test_progress_ends_with_all(rng):
    told = []
    neighbour_graph(rng.normal(size=(2100, 2)).astype(np.float32), 3, lambda done, total: told.append((done, total)))
    assert told == [(2048, 2100), (2100, 2100)]
