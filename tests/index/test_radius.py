"""Radius search: all rows within a distance and no other, for every recipe, over parts and removed rows."""

import numpy as np
import pytest

from vipe.clips import Clip
from vipe.embed import AffineSignature, Embedder
from vipe.embed.vvipe.network import VVIPE, VVIPEConfig
from vipe.errors import ArgumentError, ShapeError, VipeError
from vipe.index import PoseIndex, Within, grow, radius
from vipe.index.recipe import load_recipe, shipped_recipes
from vipe.skeletons import load
from vipe.store import PoseStore


@pytest.fixture(scope="module", params=["affine", "v-vipe"])
def store_and_encoder(request, bent, tmp_path_factory):
    encoder = (
        AffineSignature()
        if request.param == "affine"
        else Embedder(VVIPE.untrained(VVIPEConfig(dim=8, width=32, blocks=1), seed=0))
    )
    clips = [
        Clip(name=name, skeleton=load("h36m17"), positions=bent(90, seed), fps=10.0)
        for seed, name in enumerate("abcde")
    ]
    return PoseStore.create(tmp_path_factory.mktemp("radius") / "store", clips), encoder


@pytest.fixture(scope="module", params=shipped_recipes("faiss_cpu"))
def index(request, store_and_encoder, tmp_path_factory):
    """Three parts, rows of two of them removed."""
    store, encoder = store_and_encoder
    if getattr(load_recipe(request.param), "metric", "any") not in ("any", encoder.metric):
        pytest.skip(f"{request.param} is for embeddings of another metric")
    path = tmp_path_factory.mktemp("radius") / "index"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grow, "_MERGED", 80)
        patch.setattr(grow, "_SMALL", 0)
        whole = PoseIndex.build(store, encoder, path, recipe=request.param, where={"clip": ["a", "b"]})
        whole = whole.add(store, where={"clip": ["c"]}).add(store, where={"clip": ["d", "e"]})
        kept = whole.remove({"clip": "d"}).remove(np.arange(5, 25))
    assert kept.info()["parts"] == 3 and kept.info()["removed"] == 110
    return kept


def distances(index, z):
    """Slow twin, float64."""
    vectors, z = index.embeddings.astype(np.float64), z.astype(np.float64)
    if index.manifest.encoder.metric == "ip":
        return np.sqrt(np.maximum(1 - z @ vectors.T, 0))
    return np.linalg.norm(vectors[None] - z[:, None], axis=2)


def asked(index, rng):
    vectors = index.vectors(np.array([0, 100, 200]))
    z = vectors + rng.normal(0, 0.05 * vectors.std(), size=vectors.shape)
    return (z / 4 if index.manifest.encoder.metric == "ip" else z).astype(np.float32)  # no product is beyond 1


@pytest.mark.parametrize("share", [0, 0.003, 0.1, 0.6, 1])
def test_all_rows_within_the_radius_are_found_and_no_other(index, rng, share):
    z = asked(index, rng)
    expected = distances(index, z)
    far = np.sort(expected, axis=None)
    border = int(share * (far.size - 1))
    limit = far[0] / 2 if share == 0 else far[-1] + 1 if share == 1 else (far[border] + far[border + 1]) / 2
    found = index.within(z, float(limit))
    assert isinstance(found, Within) and len(found) == 3
    assert found.counts.sum() == len(found.rows) == {0: 0, 1: far.size}.get(share, border + 1)
    for query in range(3):
        (rows,), (distance,) = found.of(query)
        assert sorted(rows.tolist()) == np.flatnonzero(expected[query] <= limit).tolist()
        np.testing.assert_allclose(distance, expected[query, rows], atol=1e-6)
        assert (np.diff(distance) >= 0).all()


def test_a_filter_leaves_its_rows_and_the_order_of_blocks_does_not_matter(index, rng, monkeypatch):
    z = asked(index, rng)
    limit = float(np.median(distances(index, z)))
    whole = index.within(z, limit)
    some = index.within(z, limit, where={"clip": ["a", "e"]})
    allowed = index.rows({"clip": ["a", "e"]})
    for query in range(3):
        rows = whole.of(query).rows[0]
        assert some.of(query).rows[0].tolist() == rows[np.isin(rows, allowed)].tolist()
    for name in ("_ROWS", "_QUERIES", "_PAIRS"):
        monkeypatch.setattr(radius, name, 2)
    small = index.within(z, limit)
    np.testing.assert_array_equal(small.rows, whole.rows)
    np.testing.assert_array_equal(small.starts, whole.starts)


def test_distances_are_those_of_the_nearest_rows(index, rng):
    z = asked(index, rng)
    near = index.nearest(z, 5)
    found = index.within(z, float(near.distance.max()) + 1e-4)
    for query in range(3):
        by_row = dict(zip(*(part[0].tolist() for part in found.of(query)), strict=True))
        for row, distance in zip(near.rows[query].tolist(), near.distance[query].tolist(), strict=True):
            assert by_row[row] == pytest.approx(distance, abs=1e-3)


def test_one_embedding_is_one_query_and_none_is_none(index):
    one = index.vectors(np.array([7]))[0]
    near = index.within(one, 0.01)
    assert len(near) == 1 and 7 in near.rows
    assert len(index.within(one[None][:0], 1.0)) == 0
    assert index.within(one, 9.0, where=np.empty(0, dtype=np.int64)).counts.tolist() == [0]
    with pytest.raises(IndexError):
        near.of(1)


@pytest.mark.refusal
@pytest.mark.parametrize(
    ("radius", "error", "message"),
    [
        (-0.1, VipeError, "-0.1"),
        (np.nan, VipeError, "nan"),
        (np.inf, VipeError, "inf"),
        ("1", ArgumentError, "str '1'"),
    ],
)
def test_refuses_what_is_no_radius(index, radius, error, message):
    with pytest.raises(error, match=f"radius must be .*{message}"):
        index.within(index.vectors(np.array([0])), radius)


@pytest.mark.refusal
def test_refuses_embeddings_that_do_not_fit(index):
    with pytest.raises(ShapeError, match="z must be"):
        index.within(np.zeros((1, 3), dtype=np.float32), 1.0)
