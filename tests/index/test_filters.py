"""Filters: what a search with `where` finds is what comparing every allowed row finds, however many are allowed."""

import numpy as np
import pyarrow.compute as pc
import pytest

from vipe.clips import Clip
from vipe.embed import AffineSignature, Embedder
from vipe.embed.vvipe.network import VVIPE, VVIPEConfig
from vipe.index import PoseIndex, grow
from vipe.index.engines import faiss_cpu
from vipe.index.recipe import load_recipe, shipped_recipes
from vipe.skeletons import load
from vipe.store import PoseStore

K = 10


@pytest.fixture(scope="module", params=["affine", "v-vipe"])
def encoder(request):
    if request.param == "affine":
        return AffineSignature()
    return Embedder(VVIPE.untrained(VVIPEConfig(dim=8, width=32, blocks=1), seed=0))


@pytest.fixture(scope="module")
def store(bent, tmp_path_factory):
    """Ten clips of 200 poses, each between a few: frames that follow each other are alike, as in motion."""
    clips = []
    for seed in range(10):
        ends = bent(5, seed)
        t = np.linspace(0, 3.999, 200)
        share = (t % 1)[:, None, None]
        positions = (1 - share) * ends[t.astype(int)] + share * ends[t.astype(int) + 1]
        clips.append(Clip(name=f"c{seed}", skeleton=load("h36m17"), positions=positions.astype(np.float32), fps=10.0))
    return PoseStore.create(tmp_path_factory.mktemp("filters") / "store", clips)


@pytest.fixture(scope="module", params=shipped_recipes("faiss_cpu"))
def index(request, store, encoder, tmp_path_factory):
    """Two parts, of the first of which a clip is removed."""
    if getattr(load_recipe(request.param), "metric", "any") not in ("any", encoder.metric):
        pytest.skip(f"{request.param} is for embeddings of another metric")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grow, "_MERGED", 300)
        patch.setattr(grow, "_SMALL", 0)
        path = tmp_path_factory.mktemp("filters") / "index"
        names = [f"c{number}" for number in range(10)]
        built = PoseIndex.build(store, encoder, path, recipe=request.param, where={"clip": names[:7]})
        grown = built.add(store, where={"clip": names[7:]}).remove({"clip": "c2"})
    assert grown.info()["parts"] == 2
    return grown


def asked(index, rng):
    vectors = index.vectors(np.arange(0, 1800, 61))
    z = vectors + rng.normal(0, 0.05 * vectors.std(), size=vectors.shape)
    return (z / 4 if index.manifest.encoder.metric == "ip" else z).astype(np.float32)  # no product is beyond 1


def compared(index, z, allowed):
    """Slow twin: every allowed row, nearest first, with its distance; float64."""
    vectors, z = index.vectors(allowed).astype(np.float64), z.astype(np.float64)
    if index.manifest.encoder.metric == "ip":
        distance = np.sqrt(np.maximum(1 - z @ vectors.T, 0))
    else:
        distance = np.linalg.norm(vectors[None] - z[:, None], axis=2)
    order = np.argsort(distance, axis=1, kind="stable")[:, :K]
    return allowed[order], np.take_along_axis(distance, order, axis=1)


def check(index, z, where, allowed):
    """Search with a filter; the share of the truly nearest that are found."""
    found = index.search(z, K, where=where)
    expected, distance = compared(index, z, allowed)
    assert found.rows.shape == expected.shape == (len(z), min(K, len(allowed)))
    assert np.isin(found.rows, allowed).all()
    assert all(len(set(own.tolist())) == len(own) for own in found.rows)
    assert (np.diff(found.distance, axis=1) >= 0).all()
    assert (found.distance >= distance - 1e-3).all()  # no row is nearer than the nearest
    # A row as near as the last one is as good.
    right = found.distance <= distance[:, -1:] + 1e-4
    return float(right.mean())


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 30, 180, 900, 1620, 1799, 1800])
def test_any_number_of_allowed_rows_is_searched_as_if_there_were_no_others(index, rng, count):
    allowed = np.sort(rng.permutation(len(index))[:count])
    recall = check(index, asked(index, rng), allowed, allowed)
    assert recall == 1 if index.manifest.recipe == "flat" else recall > 0.9


@pytest.mark.parametrize(
    "where",
    [
        {"clip": "c5"},
        {"clip": ["c0", "c9"]},
        (pc.field("frame") > 20) & (pc.field("clip") != "c1"),
        pc.field("time") < 0.05,
    ],
)
def test_filters_by_column_are_kept_to_in_every_part(index, rng, where):
    allowed = index.rows(where)
    recall = check(index, asked(index, rng), where, allowed)
    assert recall == 1 if index.manifest.recipe == "flat" else recall > 0.9


def test_no_allowed_row_gives_no_row(index, rng):
    found = index.search(asked(index, rng), K, where={"clip": "c2"})  # removed
    assert found.rows.shape == (30, 0)


@pytest.mark.parametrize("count", [200, 900, 1799])
def test_a_filter_costs_no_recall_where_lists_are_searched_too(index, rng, count, monkeypatch):
    """Few allowed rows are compared one by one; here they are too many for that."""
    monkeypatch.setattr(faiss_cpu, "_FEW", 0, raising=False)
    z, every = asked(index, rng), np.arange(len(index))
    unfiltered = check(index, z, None, every)
    allowed = np.sort(rng.permutation(len(index))[:count])
    assert check(index, z, allowed, allowed) >= unfiltered - 0.1
