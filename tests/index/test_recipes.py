"""Recipes: what each kind of index finds, and recipe files of the library's and of one's own."""

import json
from pathlib import Path

import faiss
import numpy as np
import pytest

import vipe.index
from vipe.clips import Clip
from vipe.embed import AffineSignature, Embedder
from vipe.embed.vvipe.network import VVIPE, VVIPEConfig
from vipe.errors import IndexFormatError, VipeError
from vipe.index import PoseIndex
from vipe.index.engines import faiss_cpu
from vipe.index.engines.faiss_cpu import FaissCPU, _held
from vipe.index.recipe import Recipe, automatic, load_recipe, of_earlier_format, shipped_recipes
from vipe.skeletons import load
from vipe.store import PoseStore

SHIPPED = Path(vipe.index.__file__).with_name("recipes")
HERE = shipped_recipes("faiss_cpu")  # the others take a GPU: test_faiss_gpu.py
CODED = [name for name in HERE if not load_recipe(name).exact]


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
    return {name: PoseIndex.build(store, encoder, folder / name, recipe=name) for name in HERE}


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
    sizes = {name: (index.path / "parts/00001/index.faiss").stat().st_size for name, index in indexes.items()}
    if index.manifest.encoder.dim == 78 and name != "hnsw":  # a graph is larger than what it spares
        assert sizes[name] < 0.6 * sizes["flat"]


def test_auto_follows_the_number_of_poses():
    sizes = (1000, 100_000, 100_001, 300_000, 300_001, 1_000_000)
    assert [automatic(poses).name for poses in sizes] == ["flat", "flat", "fp16", "fp16", "ivf", "ivf"]


def test_padding_changes_neither_metric(rng):
    a, b = (_held(load_recipe("fp16"), some) for some in rng.normal(size=(2, 5, 78)).astype(np.float32))
    assert a.shape == (5, 80)
    np.testing.assert_array_equal(a[:, 78:], 0)
    np.testing.assert_allclose(a @ b.T, a[:, :78] @ b[:, :78].T, atol=1e-5)


def test_archives_longer_than_a_block_are_taken_whole(rng, monkeypatch):
    monkeypatch.setattr(faiss_cpu, "_BLOCK", 64)
    vectors = rng.normal(size=(200, 12)).astype(np.float32)
    for name in HERE:
        index = FaissCPU.build(load_recipe(name), vectors, "l2").index
        assert (index.ntotal, index.d, index.metric_type) == (
            200,
            12 if name in ("flat", "ivf-pq") else 16,
            faiss.METRIC_L2,
        )


@pytest.mark.parametrize("name", CODED)
def test_codes_are_compared_again_as_deep_as_the_recipe_says(rng, monkeypatch, name):
    vectors, recipe, asked = rng.normal(size=(2000, 12)).astype(np.float32), load_recipe(name), []
    engine = FaissCPU.build(recipe, vectors, "l2")
    squared = FaissCPU._squared
    monkeypatch.setattr(FaissCPU, "_squared", lambda self, z, rows: asked.append(rows.shape) or squared(self, z, rows))
    engine.search(vectors[:3], 10)
    assert asked == [(3, {"ivf-pq": 530, "int8": 94}.get(name, 27))]


def test_a_recipe_of_another_version_is_refused(indexes, monkeypatch):
    monkeypatch.setattr("vipe.index.folder.part.shipped_recipes", lambda: ("flat", "fp16", "ivf"))
    with pytest.raises(IndexFormatError, match="recipe is 'int8', expected one of flat, fp16, ivf; build it again"):
        PoseIndex.open(indexes["int8"].path)


# Recipes as files


OWN = 'engine = "faiss_cpu"\nfactory = "SQ8"\ndeeper = 2\nbeyond = 5\n'


@pytest.fixture
def own(tmp_path):
    """A recipe of the user's own."""
    file = tmp_path / "mine.toml"
    file.write_text(OWN)
    return file


def test_people_find_the_recipes_at_the_top(request):
    indexes = request.config.rootpath / "indexes"
    assert indexes.is_symlink()
    assert (
        sorted(file.stem for file in indexes.glob("*.toml"))
        == list(shipped_recipes())
        == ["cagra", "flat", "fp16", "hnsw", "int8", "ivf", "ivf-pq"]
    )


def test_shipped_recipes_are_what_they_were():
    """Indexes on disk keep the name alone."""
    assert [
        (recipe.name, recipe.engine, recipe.factory, recipe.deeper, recipe.beyond)
        for recipe in map(load_recipe, shipped_recipes())
    ] == [
        ("cagra", "faiss_cagra", "CAGRA32", 1.0, 0),
        ("flat", "faiss_cpu", "Flat", 1.0, 0),
        ("fp16", "faiss_cpu", "SQfp16", 1.1, 16),
        ("hnsw", "faiss_cpu", "HNSW32,SQfp16", 1.1, 16),
        ("int8", "faiss_cpu", "SQ8", 3.0, 64),
        ("ivf", "faiss_cpu", "IVF{lists},SQfp16", 1.1, 16),
        ("ivf-pq", "faiss_cpu", "IVF{lists},PQ{dim}x4fsr", 3.0, 500),
    ]


@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["text", "path"])
def test_a_recipe_of_one_s_own_is_in_the_index(indexes, encoder, own, z, kind, tmp_path):
    store = PoseStore.open(indexes["flat"].path.parent / "store")
    index = PoseIndex.build(store, encoder, tmp_path / "index", recipe=kind(own))
    own.unlink()
    opened = PoseIndex.open(tmp_path / "index")
    assert (opened.info()["recipe"], opened.info()["format_version"]) == ("mine", 4)
    assert (opened.manifest.recipe.deeper, opened.manifest.recipe.beyond) == (2, 5)
    np.testing.assert_array_equal(opened.search(z, 7).rows, index.search(z, 7).rows)
    assert (tmp_path / "index/parts/00001/index.faiss").stat().st_size == (
        indexes["int8"].path / "parts/00001/index.faiss"
    ).stat().st_size


def test_a_recipe_that_comes_with_the_library_is_kept_by_its_name(indexes, encoder, tmp_path):
    assert {index.manifest.recipe for index in indexes.values()} == set(HERE)
    store = PoseStore.open(indexes["flat"].path.parent / "store")
    copy, changed = tmp_path / "int8.toml", tmp_path / "changed" / "int8.toml"
    changed.parent.mkdir()
    copy.write_text((SHIPPED / "int8.toml").read_text())
    changed.write_text(copy.read_text().replace("beyond = 64", "beyond = 65"))
    made = [PoseIndex.build(store, encoder, tmp_path / str(i), recipe=file) for i, file in enumerate((copy, changed))]
    assert [type(index.manifest.recipe) for index in made] == [str, Recipe]
    assert [type(index.manifest.parts[0].recipe) for index in made] == [str, Recipe]
    assert made[1].manifest.recipe.beyond == PoseIndex.open(tmp_path / "1").manifest.recipe.beyond == 65


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("depper = 3", r"unknown key 'depper'; expected engine, factory, metric, training, deeper, beyond, search"),
        ('name = "x"', r"unknown key 'name'; expected engine"),
        ('engine = "hnsw"', "engine is 'hnsw', expected \"faiss_cpu\""),
        ('factory = "zip"', "factory is 'zip', expected what FAISS makes an index of, such as"),
        ('factory = "IVF0,Flat"', "factory is 'IVF0,Flat', expected what"),
        ('factory = "HNSW1"', "factory is 'HNSW1', expected what"),
        ('factory = "PQ0"', "factory is 'PQ0', expected what"),
        ('factory = "IVF0x10,Flat"', "factory is 'IVF0x10,Flat', expected what"),
        ('factory = "{dim.__class__}"', "factory is '{dim.__class__}', expected what"),
        ("factory = 8", "factory is 8, expected what"),
        ('metric = "cos"', 'metric is \'cos\', expected "any", "l2" or "ip"'),
        ("training = 10", "training is 10, expected a whole number from 1000"),
        ('deeper = "3"', "deeper is '3', expected a number from 1 to 1000"),
        ("deeper = inf", "deeper is inf, expected a number from 1 to 1000"),
        ("deeper = 1e308", "deeper is 1e\\+308, expected a number from 1 to 1000"),
        ("deeper = 0.5", "deeper is 0.5, expected a number from 1 to 1000"),
        ("beyond = 1.5", "beyond is 1.5, expected a whole number from 0 to 1000000"),
        ("beyond = -1", "beyond is -1, expected a whole number from 0 to 1000000"),
        ("search.lists = 0", "lists is 0, expected a number above 0, up to 1"),
        ("search.lists = 1.5", "lists is 1.5, expected a number above 0, up to 1"),
        ("search.effort = 0", "effort is 0, expected a whole number from 1"),
        ("search.nprobe = 3", ".*nprobe"),
        ("search = 3", "search is 3, expected a table"),
        ("expected.affine.bytes = 3", ".*recall_10"),
        ('factory = "Flat"', "deeper and beyond are for codes"),
        ("deeper = ", "not a recipe in TOML"),
    ],
)
def test_a_recipe_that_is_wrong_is_refused_in_one_line(own, line, message):
    key = line.split(" ")[0]
    lines = [one for one in OWN.splitlines() if not one.startswith(key)]
    own.write_text("\n".join([*lines, line, ""]))
    with pytest.raises(VipeError, match=rf"mine\.toml: {message}") as error:
        load_recipe(own)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["engine", "factory"])
def test_a_recipe_without_an_engine_or_a_factory_is_refused(own, key):
    own.write_text("\n".join(line for line in OWN.splitlines() if not line.startswith(key)))
    with pytest.raises(VipeError, match=rf"mine\.toml: has no {key}, expected {key} = "):
        load_recipe(own)


def test_a_recipe_that_is_not_there_is_named(tmp_path):
    with pytest.raises(VipeError, match=r"none\.toml: cannot read the recipe: No such file"):
        load_recipe(tmp_path / "none.toml")
    with pytest.raises(
        VipeError, match="no recipe 'zip'; known are auto, cagra, flat, fp16, hnsw, int8, ivf, ivf-pq, or the path"
    ):
        load_recipe("zip")


def test_auto_keeps_codes_in_half_of_the_memory():
    codes = 1_000_000 * (2 * 80 + 8)
    assert [automatic(1_000_000, 78, memory=2 * codes + more).name for more in (0, -1)] == ["ivf", "ivf-pq"]


@pytest.mark.parametrize(
    ("noted", "factory"),
    [
        ({"code": "float32"}, "Flat"),
        ({"code": "int8", "deeper": 3.0, "beyond": 64, "lists": False}, "SQ8"),
        ({"code": "fp16", "deeper": 1.1, "beyond": 16, "lists": True}, "IVF{lists},SQfp16"),
    ],
)
def test_a_recipe_of_an_earlier_format_is_the_same_today(noted, factory):
    today = of_earlier_format({"name": "mine", "engine": "faiss_cpu", **noted})
    rest = {key: value for key, value in noted.items() if key in ("deeper", "beyond")}
    assert today == {"name": "mine", "engine": "faiss_cpu", "factory": factory, **rest}
    assert of_earlier_format("ivf") == "ivf"
    assert of_earlier_format(today) == today


RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


@pytest.mark.parametrize("encoder_name", ["affine", "default"])
@pytest.mark.parametrize("name", HERE)
def test_what_a_recipe_is_expected_to_do_was_measured(name, encoder_name):
    rows = {row[0]: row for row in json.loads((RESULTS / f"recipes_{encoder_name}.json").read_text())["rows"]}
    expected = load_recipe(name).expected[encoder_name]
    assert expected.bytes == round(rows[name][8])
    shares = [min(1.0, rows[name][place] / rows["flat"][place]) for place in (1, 2)]
    assert [expected.recall_10, expected.recall_200] == pytest.approx(shares, abs=6e-4)


@pytest.mark.skipif(hasattr(faiss, "GpuIndexCagra"), reason="this FAISS has cuVS")
def test_a_recipe_for_a_gpu_is_refused_before_a_pose_is_read(indexes, encoder, tmp_path):
    store, told = PoseStore.open(indexes["flat"].path.parent / "store"), []
    with pytest.raises(
        VipeError, match=r"^recipe cagra: .*without cuVS; .*vipe-pose\[cuda13\]\".*; or take recipe hnsw$"
    ):
        PoseIndex.build(store, encoder, tmp_path / "index", recipe="cagra", progress=lambda *at: told.append(at))
    assert not told
    assert not (tmp_path / "index").exists()
    with pytest.raises(VipeError, match="recipe cagra: "):
        indexes["flat"].compact(recipe="cagra")


def test_an_engine_and_its_factories_go_together(tmp_path):
    for engine, factory in (("faiss_cpu", "CAGRA32"), ("faiss_cagra", "Flat"), ("faiss_cagra", "CAGRA31")):
        file = tmp_path / "mine.toml"
        file.write_text(f'engine = "{engine}"\nfactory = "{factory}"\n')
        with pytest.raises(VipeError, match=r"mine\.toml: (engine|factory) is"):
            load_recipe(file)


@pytest.mark.parametrize(
    ("factory", "more", "said"),
    [
        ("Flat", "", "answers are exact: every embedding is compared"),
        ("IVF{lists},Flat", "[search]\nlists = 1.0", "answers are exact: every embedding is compared"),
        ("IVF{lists},Flat", "", "answers may be inexact: some of the lists are searched; recipe mine does not state"),
        ("HNSW32", "", "answers may be inexact: a graph is walked; recipe mine does not state"),
        (
            "SQ8",
            "",
            "codes are compared, of which no more than asked for are taken (no `deeper` in the recipe); recipe",
        ),
        ("SQ8", "deeper = 2", "codes are compared, of which more than asked for are taken and compared again by the"),
        ("HNSW32,SQ8", "beyond = 9", "a graph is walked, and codes are compared, of which more than asked for"),
        (
            "SQ8",
            "[expected.affine]\nbytes = 80\nrecall_10 = 0.981\nrecall_200 = 0.5",
            "recipe mine states that of the people whom comparing every pose finds, 98.1% are found among 10 and 50.0%",
        ),
    ],
)
def test_a_recipe_says_whether_its_answers_are_exact(tmp_path, factory, more, said):
    (tmp_path / "mine.toml").write_text(f'engine = "faiss_cpu"\nfactory = "{factory}"\n{more}\n')
    assert said in load_recipe(tmp_path / "mine.toml").exactness("affine")


@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_a_recipe_of_another_metric_is_refused_before_anything_is_built(store, encoder, indexes, metric, tmp_path):
    (tmp_path / "mine.toml").write_text(f'engine = "faiss_cpu"\nfactory = "SQ8"\nmetric = "{metric}"\n')
    seen = []

    def build():
        return PoseIndex.build(
            store, encoder, tmp_path / "index", recipe=tmp_path / "mine.toml", progress=lambda *done: seen.append(done)
        )

    if metric == encoder.metric:
        assert build().manifest.recipe.metric == metric
        return
    index = next(iter(indexes.values()))
    for change in (build, lambda: index.recoded(tmp_path / "mine.toml")):
        with pytest.raises(VipeError, match=rf"recipe mine is for embeddings of metric {metric}, encoder \S+ has "):
            change()
    before = sorted(index.path.rglob("*"))
    with pytest.raises(VipeError, match="recipe mine is for embeddings of metric"):
        index.compact(recipe=tmp_path / "mine.toml")
    assert sorted(index.path.rglob("*")) == before
    assert not seen and not (tmp_path / "index").exists() and not (tmp_path / ".index.unfinished").exists()
