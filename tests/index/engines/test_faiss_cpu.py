"""FAISS on the CPU: the lists it searches, the threads it takes, and how filters and codes play together."""

from pathlib import Path

import faiss
import msgspec
import numpy as np
import pytest

from vipe.errors import VipeError
from vipe.index.engines import faiss_cpu
from vipe.index.engines.faiss_cpu import FaissCPU
from vipe.index.recipe import load_recipe, shipped_recipes


@pytest.fixture
def vectors(rng):
    return rng.normal(size=(2000, 12)).astype(np.float32)


@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_a_filter_with_many_rows_is_searched_in_the_lists_of_an_unfiltered_search(vectors, metric, monkeypatch):
    monkeypatch.setattr(faiss_cpu, "_FEW", 10)
    engine = FaissCPU.build(load_recipe("ivf"), vectors, metric)
    z = vectors[:20] / 9
    even = np.arange(0, 2000, 2)
    found = engine.search(z, 5, even).rows
    among_all = [row[row % 2 == 0][:5] for row in engine.search(z, 100).rows]
    np.testing.assert_array_equal(found, among_all)
    assert not np.array_equal(found, engine.exactly(z, 5, even).rows)  # so that lists were searched, not every row


@pytest.mark.parametrize("few", [7, 6], ids=["few rows", "lists that hold too few of them"])
def test_allowed_rows_outside_the_searched_lists_are_found(vectors, few, monkeypatch):
    monkeypatch.setattr(faiss_cpu, "_FEW", few)
    engine = FaissCPU.build(load_recipe("ivf"), vectors, "l2")
    far = np.argsort(np.linalg.norm(vectors - vectors[0], axis=1))[-7:]  # in lists that a search would not look into
    np.testing.assert_array_equal(engine.search(vectors[:1], 7, np.sort(far)).rows[0], far)


@pytest.mark.parametrize(
    ("lists", "training", "wanted"), [(1, 100, 100), (10, 100, 400), (1, 150, 150), (90, 100, 2000)]
)
def test_lists_are_trained_on_poses_from_all_over_the_archive_and_on_enough(lists, training, wanted, vectors):
    recipe = msgspec.structs.replace(load_recipe("ivf"), training=training)
    rows = faiss_cpu._training_rows(recipe, faiss.index_factory(12, f"IVF{lists},Flat"), len(vectors))
    assert len(np.unique(rows)) == len(rows) == wanted
    assert (rows[0], rows[-1]) == (0, 1999)
    assert np.ptp(np.diff(rows)) <= 1  # evenly


@pytest.mark.parametrize(
    ("poses", "lists", "searched"), [(30, 1, 1), (400, 10, 8), (200_000, 1788, 107), (1_000_000, 4000, 240)]
)
def test_lists_grow_as_the_root_of_the_poses_and_a_share_of_them_is_searched(poses, lists, searched):
    recipe = load_recipe("ivf")
    assert recipe.factory_for(78, poses) == f"IVF{lists},SQfp16"
    assert faiss_cpu.lists_searched(recipe, lists) == searched


def test_one_query_takes_one_thread_and_several_take_all(vectors, monkeypatch):
    set_to = []
    monkeypatch.setattr(faiss, "omp_get_max_threads", lambda: 6)
    monkeypatch.setattr(faiss, "omp_set_num_threads", set_to.append)
    engine = FaissCPU.build(load_recipe("flat"), vectors, "l2")
    engine.search(vectors[:1], 3)
    engine.search(vectors[:2], 3)
    assert set_to[-4:] == [1, 6, 6, 6]  # each search, and what was there before


def test_codes_are_trained_on_embeddings_from_the_whole_archive(vectors, monkeypatch):
    vectors[1000:] *= 10
    few = msgspec.structs.replace(load_recipe("int8"), training=100)
    index = FaissCPU.build(few, vectors, "l2").index
    error = np.abs(index.reconstruct_n(0, 2000)[:, :12] - vectors)
    assert np.quantile(error[1000:], 0.9) < 0.2  # a code's step is 1/255 of the range, some 60 wide


@pytest.mark.parametrize("name", shipped_recipes("faiss_cpu"))
@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_an_engine_that_was_saved_answers_the_same(vectors, name, metric, tmp_path):
    recipe = load_recipe(name)
    engine = FaissCPU.build(recipe, vectors, metric)
    engine.save(tmp_path / "engine")
    opened = FaissCPU.open(tmp_path / "engine", recipe, vectors, metric)
    for mine, its in zip(engine.search(vectors[:5] / 9, 8), opened.search(vectors[:5] / 9, 8), strict=True):
        np.testing.assert_array_equal(mine, its)


def test_distances_of_many_queries_far_from_the_origin_are_exact(vectors, monkeypatch):
    monkeypatch.setattr(faiss.cvar, "distance_compute_blas_threshold", 1)  # as if they were many enough for BLAS
    far = vectors + 100  # |a|² + |b|² - 2ab, as BLAS computes it, is off by about 0.01 here
    found = FaissCPU.build(load_recipe("flat"), far, "l2").search(far[:200], 1)
    np.testing.assert_array_equal(found.rows[:, 0], np.arange(200))
    assert (found.distance == 0).all()


@pytest.mark.parametrize("name", ["flat", "hnsw", "ivf"])
def test_rows_that_are_allowed_now_count_and_not_those_of_before(vectors, name, monkeypatch):
    monkeypatch.setattr(faiss_cpu, "_FEW", 10)
    engine, allowed = FaissCPU.build(load_recipe(name), vectors, "l2"), np.arange(500)
    for _ in range(2):
        found = engine.search(vectors[:3], 40, allowed).rows
        assert np.isin(found, allowed).all()
        allowed += 500  # the same array with other rows


def test_rows_that_never_change_are_selected_once(vectors, monkeypatch):
    engine, allowed, made = FaissCPU.build(load_recipe("fp16"), vectors, "l2"), np.arange(500), []
    allowed.flags.writeable = False
    selected = FaissCPU._selected
    monkeypatch.setattr(FaissCPU, "_selected", lambda self, rows: made.append(rows) or selected(self, rows))
    answers = [engine.search(vectors[:3], 40, allowed).rows for _ in range(3)]
    np.testing.assert_array_equal(answers[0], answers[2])
    assert len(made) == 1


def test_the_fewer_rows_are_allowed_the_farther_a_graph_is_walked(vectors):
    recipe = load_recipe("hnsw")
    engine = FaissCPU.build(recipe, vectors, "l2")
    assert engine._options(None, 10).efSearch == recipe.search.effort
    assert engine._options(np.arange(0, 2000, 4), 10).efSearch == 4 * recipe.search.effort
    assert engine._options(None, 5000).efSearch == 5000


@pytest.mark.parametrize("factory", ["PQ2", "PQ4x4fs"])
def test_codes_whose_search_knows_no_filter_are_compared_one_by_one(vectors, factory):
    recipe = msgspec.structs.replace(load_recipe("flat"), factory=factory)
    engine, some = FaissCPU.build(recipe, vectors, "l2"), np.arange(3, 2000, 5)
    found = engine.search(vectors[:9], 4, some)
    np.testing.assert_array_equal(found.rows, engine.exactly(vectors[:9], 4, some).rows)


def test_codes_that_cannot_be_learned_from_so_few_poses_are_refused_in_one_line(vectors):
    recipe = msgspec.structs.replace(load_recipe("flat"), factory="IVF3000,Flat")
    with pytest.raises(
        VipeError, match=r"cannot make 'IVF3000,Flat' of 2,000 poses: Number of training points"
    ) as told:
        FaissCPU.build(recipe, vectors, "l2")
    assert "\n" not in str(told.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
@pytest.mark.parametrize("poses", [10, 100_000], ids=["less than a buffer", "more"])
def test_a_disk_that_is_full_is_said_whenever_it_is_noticed(rng, poses):
    vectors = rng.normal(size=(poses, 8)).astype(np.float32)
    engine = FaissCPU.build(load_recipe("flat"), vectors, "l2")
    with pytest.raises(OSError, match="No space left on device"):
        engine.save(Path("/dev/full"))
