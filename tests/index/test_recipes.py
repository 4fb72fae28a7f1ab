import faiss
import numpy as np
import pytest

from vipe.clips import Clip
from vipe.embed import AffineSignature, Embedder
from vipe.embed.vvipe.network import VVIPE, VVIPEConfig
from vipe.errors import IndexFormatError, VipeError
from vipe.index import PoseIndex
from vipe.index import recipes as recipes_module
from vipe.index.recipes import RECIPES, padded, recipe_name
from vipe.skeletons import load
from vipe.store import PoseStore

CODED = [name for name, recipe in RECIPES.items() if not recipe.exact]


@pytest.fixture(scope="module", params=["affine", "v-vipe"])
def encoder(request):
    return (
        AffineSignature()
        if request.param == "affine"
        else Embedder(VVIPE.untrained(VVIPEConfig(dim=8, width=32, blocks=1), seed=0))
    )


@pytest.fixture(scope="module")
def indexes(standing, encoder, tmp_path_factory):
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("recipes")
    positions = (standing + rng.normal(0, 0.1, size=(2000, 17, 3))).astype(np.float32)
    clip = Clip(name="a", skeleton=load("h36m17"), positions=positions, fps=10.0)
    store = PoseStore.create(folder / "store", [clip])
    return {name: PoseIndex.build(store, encoder, folder / name, recipe=name) for name in RECIPES}


@pytest.fixture
def z(indexes, rng):
    vectors = np.asarray(indexes["flat"].embeddings[:30])
    return (vectors + rng.normal(0, 0.02, size=vectors.shape)).astype(np.float32) / 4


@pytest.mark.parametrize("name", CODED)
@pytest.mark.parametrize("k", [1, 20, 200])
def test_coded_embeddings_find_what_all_of_them_find(indexes, z, name, k):
    rows, distance = indexes["flat"].nearest(z, k)
    found, near = indexes[name].nearest(z, k)
    same = [len(np.intersect1d(a, b)) / k for a, b in zip(rows, found, strict=True)]
    assert np.mean(same) > (0.3 if name == "ivf" else 0.98)  # these poses differ in all directions alike
    if name == "ivf":
        return
    assert (np.diff(near, axis=1) >= 0).all()
    np.testing.assert_allclose(near, distance, atol=1e-3 if name == "fp16" else 1e-2)
    # Distances are those of the embeddings, not of the codes.
    order = np.argsort(rows, axis=1)
    if np.array_equal(np.sort(found, axis=1), np.sort(rows, axis=1)):
        again = np.argsort(found, axis=1)
        exact, coded = (np.take_along_axis(*pair, axis=1) for pair in ((distance, order), (near, again)))
        np.testing.assert_allclose(coded, exact, atol=1e-5)


@pytest.mark.parametrize("name", CODED)
def test_a_filter_and_the_end_of_the_archive_are_kept_to(indexes, z, name):
    some = np.array([3, 5, 8, 1999])
    found, _ = indexes[name].nearest(z, 10, some)
    assert (np.sort(found, axis=1) == some).all()
    everything, _ = indexes[name].nearest(z[:2], 5000)
    assert (np.sort(everything, axis=1) == np.arange(2000)).all()


@pytest.mark.parametrize("name", CODED)
def test_a_coded_index_opens_again_and_is_smaller(indexes, z, name):
    index = PoseIndex.open(indexes[name].path)
    np.testing.assert_array_equal(index.nearest(z, 7)[0], indexes[name].nearest(z, 7)[0])
    assert index.info()["recipe"] == name
    sizes = {name: (index.path / "index.faiss").stat().st_size for name, index in indexes.items()}
    if index.manifest.encoder.dim == 78:
        assert sizes[name] < 0.6 * sizes["flat"]


def test_the_choice_follows_the_number_of_poses(indexes):
    assert recipe_name("auto", 1000) == "flat"
    assert recipe_name("auto", 1_000_000) == "fp16"
    assert recipe_name("int8", 10) == "int8"
    with pytest.raises(VipeError, match="no recipe 'pq'; known are auto, flat, fp16, int8, ivf"):
        recipe_name("pq", 10)


def test_padding_changes_neither_metric(rng):
    a, b = rng.normal(size=(2, 5, 78)).astype(np.float32)
    assert padded(a).shape == (5, 80)
    np.testing.assert_allclose(padded(a) @ padded(b).T, a @ b.T, atol=1e-5)


def test_archives_longer_than_a_block_are_taken_whole(rng, monkeypatch):
    monkeypatch.setattr(recipes_module, "_BLOCK", 64)
    vectors = rng.normal(size=(200, 12)).astype(np.float32)
    for recipe in RECIPES.values():
        index = recipe.index(vectors, "l2")
        assert (index.ntotal, index.d, index.metric_type) == (200, recipe.dim(12), faiss.METRIC_L2)


def test_a_recipe_of_another_version_is_refused(indexes, tmp_path, monkeypatch):
    known = {name: recipe for name, recipe in RECIPES.items() if name != "int8"}
    monkeypatch.setattr("vipe.index.index.RECIPES", known)
    with pytest.raises(IndexFormatError, match="recipe is 'int8', expected one of flat, fp16, ivf; build it again"):
        PoseIndex.open(indexes["int8"].path)
