"""Searches find what comparing every row finds, and rows are those of the store in its order."""

import json

import faiss
import numpy as np
import pyarrow.compute as pc
import pytest

from vipe.embed import Embedder
from vipe.embed.vvipe.network import VVIPE, VVIPEConfig
from vipe.errors import ShapeError, VipeError
from vipe.geometry import canonicalize_array
from vipe.index import PoseIndex


def brute_force(index, z, k, rows=None):
    """Slow twin of a search: every distance, sorted."""
    rows = np.arange(len(index)) if rows is None else rows
    vectors = np.asarray(index.embeddings, dtype=np.float64)[rows]
    if index.manifest.encoder.metric == "ip":
        distance = np.sqrt(np.maximum(1 - z @ vectors.T, 0))
    else:
        distance = np.linalg.norm(z[:, None] - vectors, axis=-1)
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    return rows[order], np.take_along_axis(distance, order, axis=1)


def queries(index, rng, n=7):
    """Something near the first rows; inner products stay below 1, where distances end."""
    noise = rng.normal(0, 0.02, size=(n, index.manifest.encoder.dim)).astype(np.float32)
    return (np.asarray(index.embeddings[:n]) + noise) / 4


@pytest.mark.parametrize("n", [1, 7])
def test_search_equals_brute_force(index, rng, n):
    z = queries(index, rng, n)
    hits = index.search(z, 12)
    rows, distance = brute_force(index, z, 12)
    np.testing.assert_array_equal(hits.rows, rows)
    np.testing.assert_allclose(hits.distance, distance, atol=1e-5)
    assert (np.diff(hits.distance, axis=1) >= 0).all()


def test_the_nearest_to_a_learned_embedding_is_itself_at_distance_zero(store, learned, tmp_path):
    index = PoseIndex.build(store, learned, tmp_path / "index")
    hits = index.search(np.asarray(index.embeddings), 1)
    np.testing.assert_array_equal(hits.rows[:, 0], np.arange(len(index)))
    assert (hits.distance == 0).all()  # exact: BLAS would be off by 1e-5 in the square


def test_one_query_and_many_give_the_same(index, rng):
    z = queries(index, rng)
    together = index.search(z, 5)
    alone = [index.search(row, 5) for row in z]
    np.testing.assert_array_equal(together.rows, np.concatenate([hits.rows for hits in alone]))
    np.testing.assert_allclose(together.distance, np.concatenate([hits.distance for hits in alone]), atol=1e-6)


def test_faiss_is_left_with_the_settings_it_had(index):
    before = faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold
    index.search(np.asarray(index.embeddings[0]), 5)
    assert (faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold) == before


def test_an_index_knows_whose_embeddings_it_holds(index, encoder):
    same_kind = Embedder(VVIPE.untrained(VVIPEConfig(dim=8, width=32, blocks=1), seed=5))
    assert index.holds(encoder)
    assert not index.holds(same_kind)
    assert index.is_learned == (encoder.name == "v-vipe")


def test_empty_places_have_no_pose(index):
    with pytest.raises(ShapeError, match=r"rows must lie in 0 ... 89, got -1 ... 3"):
        index.poses(np.array([[3, -1]]))


def test_k_above_the_number_of_poses_gives_them_all(index):
    hits = index.search(np.asarray(index.embeddings[:2]), 1000)
    assert hits.rows.shape == (2, 90)
    np.testing.assert_array_equal(np.sort(hits.rows, axis=1), np.tile(np.arange(90), (2, 1)))


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ({"clip": "sit"}, np.arange(40, 70)),
        ({"action": ["walking"]}, np.r_[0:40, 70:90]),
        ({"action": "walking", "subject": ["s3", "s9"]}, np.arange(70, 90)),
        ({"clip": ("walk", "sit"), "frame": 7}, np.array([7, 47])),
        ((pc.field("clip") == "übung") & (pc.field("time") < 0.35), np.arange(70, 74)),
        (np.array([80, 3, 3]), np.array([3, 80])),
        ({}, np.arange(90)),
        ({"clip": "nobody"}, np.array([], dtype=np.int64)),
    ],
    ids=["value", "list", "two columns", "number", "expression", "rows", "nothing asked", "nothing left"],
)
def test_a_filtered_search_is_a_search_among_what_is_kept(index, rng, where, kept):
    z = queries(index, rng)
    np.testing.assert_array_equal(index.rows(where), kept)
    hits = index.search(z, 25, where=where)
    rows, distance = brute_force(index, z, 25, kept)
    np.testing.assert_array_equal(hits.rows, rows)
    np.testing.assert_allclose(hits.distance, distance, atol=1e-5)


@pytest.mark.refusal
def test_embeddings_of_another_length_or_not_finite_are_refused(index):
    dim = index.manifest.encoder.dim
    with pytest.raises(ShapeError, match=rf"z must be \(Q, {dim}\) for index .*, got shape \(2, 5\)"):
        index.search(np.zeros((2, 5), dtype=np.float32), 3)
    z = np.zeros((3, dim), dtype=np.float32)
    z[1, 2] = np.nan
    with pytest.raises(ShapeError, match="query 1 is not"):
        index.search(z, 3)
    with pytest.raises(VipeError, match="k must be at least 1, got 0"):
        index.search(np.zeros(dim, dtype=np.float32), 0)


def test_no_queries_give_no_hits(index):
    hits = index.search(np.empty((0, index.manifest.encoder.dim), dtype=np.float32), 3)
    assert len(hits.rows) == 0


def test_poses_are_the_canonical_ones_in_the_order_of_the_store(index, store):
    canonical = canonicalize_array(store.poses()).poses
    np.testing.assert_array_equal(index.canonical, canonical)
    rows = np.array([[3, 88], [0, 3]])
    np.testing.assert_array_equal(index.poses(rows), canonical[rows])
    frames = index.frames()
    assert frames["clip"][[0, 40, 70]].tolist() == ["walk", "sit", "übung"]
    assert frames["frame"][[39, 40, 89]].tolist() == [39, 0, 19]


def test_embeddings_are_the_encoder_s(index, store, encoder):
    np.testing.assert_allclose(index.embeddings, encoder.encode_poses(store.poses()), atol=1e-6)


def test_info_says_what_is_in_it(index, encoder):
    info = index.info()
    assert (info["poses"], info["clips"], info["left_out"], info["recipe"]) == (90, 3, 0, "flat")
    assert (info["encoder"], info["fingerprint"]) == (encoder.name, encoder.fingerprint)
    assert json.dumps(info)
    assert "90 poses" in repr(index)
