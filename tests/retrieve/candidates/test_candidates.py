"""Where candidates come from: affine cameras always, the embedding beside them where the index has a learned one."""

import numpy as np

from vipe.retrieve.candidates.affine import affine_residuals, by_affine_camera
from vipe.retrieve.candidates.candidates import by_embedding, candidates_for


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
