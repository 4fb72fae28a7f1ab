"""Where candidates come from: affine cameras always, the embedding beside them where the index has a learned one."""

import gc
import weakref

import numpy as np

from vipe.index import PoseIndex
from vipe.retrieve.candidates.affine import affine_residuals, by_affine_camera
from vipe.retrieve.candidates.candidates import Candidates, by_embedding, candidates_for
from vipe.retrieve.candidates.prepared import PreparedIndex


def test_both_sources_bring_candidates_each_row_once(learned, people):
    found = candidates_for(learned, people, 8)
    exact, near = by_affine_camera(learned, people, 8), by_embedding(learned, people, 8)
    for person in range(len(people)):
        rows = found.rows[person][found.rows[person] >= 0]
        assert len(set(rows)) == len(rows)
        assert set(near.rows[person]) <= set(rows)
        assert len(set(exact.rows[person]) & set(rows)) >= 4  # half may be looked for without a doubtful joint
    assert (np.isinf(found.affine_residual) == (found.rows < 0)).all()
    valid = found.rows >= 0
    np.testing.assert_allclose(
        found.affine_residual[valid], affine_residuals(learned, people, found.rows)[valid], atol=2e-4
    )


def test_an_index_of_signatures_has_one_source(affine, people):
    found = candidates_for(affine, people[:1], 8)
    np.testing.assert_array_equal(found.rows, by_affine_camera(affine, people[:1], 8).rows)


def test_both_sources_keep_to_the_rows_allowed(learned, people):
    allowed = np.arange(30, 60)
    rows = candidates_for(learned, people, 8, allowed).rows
    assert set(rows[rows >= 0]) <= set(allowed)


def test_beyond_the_scanned_size_the_embedding_alone_brings_twice_as_many(learned, people, monkeypatch):
    monkeypatch.setattr("vipe.retrieve.candidates.affine.SCANNED", 50)
    np.testing.assert_array_equal(candidates_for(learned, people, 8).rows, by_embedding(learned, people, 16).rows)


def test_a_small_part_of_a_large_archive_is_scanned_exactly(affine, people, monkeypatch):
    few = np.arange(20, 60)
    expected = by_affine_camera(affine, people, 5, few)
    monkeypatch.setattr("vipe.retrieve.candidates.affine.SCANNED", 50)
    monkeypatch.setattr("vipe.retrieve.candidates.affine.completed_candidates", None)
    np.testing.assert_array_equal(by_affine_camera(affine, people, 5, few).rows, expected.rows)


def test_an_index_has_one_sample_however_often_it_is_opened_and_keeps_nothing_when_it_goes(affine, monkeypatch):
    monkeypatch.setattr("vipe.retrieve.candidates.prepared._SAMPLE", 30)
    opened = [PoseIndex.open(affine.path) for _ in range(2)]
    first, second = (index.cached(PreparedIndex).sample[0] for index in opened)
    np.testing.assert_array_equal(first.numpy(), second.numpy())
    kept = weakref.ref(opened[0].cached(PreparedIndex))
    opened.clear()
    gc.collect()
    assert kept() is None


def test_candidates_of_another_search_join_and_none_comes_twice():
    own = Candidates(np.array([[4, 2, -1], [1, 5, 7]]), np.array([[0.1, 0.2, np.inf], [0.3, 0.4, 0.5]], np.float32))
    more = Candidates(np.array([[2, 9, -1], [7, 1, 5]]), np.array([[0.6, 0.7, np.inf], [0.8, 0.9, 1.0]], np.float32))
    joined = own.with_more(more)
    np.testing.assert_array_equal(joined.rows, [[4, 2, -1, -1, 9, -1], [1, 5, 7, -1, -1, -1]])
    np.testing.assert_array_equal(np.isinf(joined.affine_residual), joined.rows < 0)
    assert joined.affine_residual[0, 4] == np.float32(0.7)
