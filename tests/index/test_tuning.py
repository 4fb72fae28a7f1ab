"""Tuning: the least of an index that is searched for a wanted recall is found, kept, and no more than that."""

import msgspec
import numpy as np
import pytest

from vipe.clips import Clip
from vipe.detections import Keypoints
from vipe.embed import AffineSignature
from vipe.errors import VipeError
from vipe.index import PoseIndex, grow, tuning
from vipe.index import build as build_module
from vipe.index import recipe as recipe_module
from vipe.index.neighbours import Neighbours
from vipe.index.parts import Parts
from vipe.index.recipe import Recipe, Search, load_recipe
from vipe.index.tuning import People, simulated_people, tune
from vipe.skeletons import load
from vipe.store import PoseStore

COUNT = 60


@pytest.fixture(autouse=True)
def few_people(monkeypatch):
    monkeypatch.setattr(tuning, "_COUNT", COUNT)


@pytest.fixture(scope="module")
def store(bent, tmp_path_factory):
    clips = [Clip(name=f"c{seed}", skeleton=load("h36m17"), positions=bent(300, seed), fps=10.0) for seed in range(8)]
    return PoseStore.create(tmp_path_factory.mktemp("tuning") / "store", clips)


@pytest.fixture(scope="module")
def built(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuning")
    return {
        name: PoseIndex.build(store, AffineSignature(), folder / name, recipe=name) for name in ("ivf", "hnsw", "fp16")
    }


def line_of_poses(lists, step=1):
    """Poses that stand in a row of 100; a search with a share of lists sees only the first that many."""
    rows = np.arange(100)
    poses = np.zeros((100, 17, 3), dtype=np.float32)
    poses[:, :, 0] = rows[:, None]

    def nearest(queries, k, among):
        order = np.argsort(np.abs(queries[:, :1] - rows[None, :among]), axis=1, kind="stable")[:, :k]
        return Neighbours(order, np.zeros(order.shape, dtype=np.float32))

    return (
        lambda search, queries, k: nearest(queries, k, max(k, round(100 * search.lists))),
        lambda queries, k: nearest(queries, k, 100),
        lambda some: poses[some],
    )


def people_at(*places):
    queries = np.array(places, dtype=np.float32)[:, None]
    return People(queries, np.broadcast_to(queries[:, :, None], (len(places), 17, 1)) * [1, 0, 0])


def test_the_first_setting_that_finds_enough_is_the_one():
    found = tune(load_recipe("ivf"), *line_of_poses(100)[:2], people_at(3, 40), line_of_poses(100)[2], recall=1.0, k=1)
    recalls = [trial.recall for trial in found.trials]
    assert (found.reached, found.recall, recalls[-1], recalls[-2]) == (True, 1.0, 1.0, 0.5)
    assert 0.405 <= found.recipe.search.lists < 0.405 * 2**0.5 * 1.01
    half = tune(load_recipe("ivf"), *line_of_poses(100)[:2], people_at(3, 40), line_of_poses(100)[2], recall=0.5, k=1)
    assert (half.recall, half.recipe.search.lists < 0.06) == (0.5, True)


def test_a_person_may_be_found_while_the_nearest_are_missed():
    find, exactly, poses = line_of_poses(100)
    found = tune(load_recipe("ivf"), find, exactly, people_at(40), poses, recall=1.0, k=21)  # 30 to 50 are the nearest
    seen = round(100 * found.recipe.search.lists)
    assert 40 < seen <= 50
    assert (found.recall, found.nearest) == (1.0, pytest.approx((seen - 30) / 21))  # of rows before `seen`


def test_people_whom_comparing_every_pose_misses_do_not_count():
    find, exactly, poses = line_of_poses(100)
    found = tune(load_recipe("ivf"), find, exactly, people_at(3, 40.5), poses, recall=1.0, k=1)
    assert (found.people, found.recall) == (1, 1.0)
    with pytest.raises(VipeError, match="comparing every pose finds nobody among 1"):
        tune(load_recipe("ivf"), find, exactly, people_at(40.5), poses, k=1)


def test_of_people_of_whom_nobody_knows_the_pose_the_nearest_count():
    find, exactly, poses = line_of_poses(100)
    asked = People(np.array([[50.2]], dtype=np.float32), None)
    found = tune(load_recipe("ivf"), find, exactly, asked, poses, recall=1.0, k=2)  # 50 and 51
    assert found.trials[-2].recall < 1.0
    assert 0.515 <= found.recipe.search.lists < 0.515 * 2**0.5 * 1.01


def test_a_recall_that_nothing_reaches_is_said():
    find, exactly, poses = line_of_poses(100)
    never = tune(load_recipe("ivf"), lambda s, q, k: find(Search(lists=0.1), q, k), exactly, people_at(40), poses, k=1)
    assert (never.reached, never.recall, never.recipe.search.lists) == (False, 0.0, 1.0)


@pytest.mark.parametrize("name", ["flat", "fp16", "int8"])
def test_what_compares_every_pose_has_nothing_to_tune(name):
    with pytest.raises(VipeError, match=f"recipe {name} compares every pose: there is nothing to tune"):
        tune(load_recipe(name), *line_of_poses(1)[:2], people_at(1), line_of_poses(1)[2])


@pytest.mark.parametrize(
    ("change", "message"),
    [({"recall": 0.0}, "recall must be"), ({"recall": 1.1}, "recall must be"), ({"k": 0}, "k must")],
)
def test_a_recall_or_a_number_out_of_range_is_refused(change, message):
    with pytest.raises(VipeError, match=message):
        tune(load_recipe("ivf"), *line_of_poses(1)[:2], people_at(1), line_of_poses(1)[2], **change)


def test_simulated_people_are_poses_of_the_index_seen_from_somewhere(built):
    index = built["fp16"]
    people = simulated_people(index.encoder, len(index), index.poses)
    assert len(people.queries) == COUNT
    np.testing.assert_array_equal(people.poses[[0, -1]], index.poses(np.array([0, len(index) - 1])))
    near = index.nearest(people.queries, 10)
    own = np.linspace(0, len(index) - 1, COUNT).astype(int)
    assert np.mean([row in rows for row, rows in zip(own, near.rows, strict=True)]) > 0.7
    again = simulated_people(index.encoder, len(index), index.poses)
    np.testing.assert_array_equal(people.queries, again.queries)


@pytest.mark.parametrize("name", ["ivf", "hnsw"])
def test_an_index_searches_from_now_on_as_it_was_tuned(built, name):
    index = built[name]
    before = {file: file.stat().st_mtime_ns for file in sorted(index.path.rglob("*")) if file.name != "manifest.json"}
    found = index.tune(0.9, k=5)
    assert found.reached
    tuned = PoseIndex.open(index.path)
    recipe = tuned.manifest.recipe
    assert isinstance(recipe, Recipe)
    assert (recipe.name, recipe.search) == (name, found.recipe.search)
    assert load_recipe(name).expected
    assert not recipe.expected  # nobody measured that
    assert tuned.manifest.parts[0].recipe == recipe
    key = "lists_searched" if name == "ivf" else "effort"
    assert tuned.info()[key] == pytest.approx(
        getattr(found.recipe.search, "lists" if name == "ivf" else "effort"), abs=1e-5
    )
    # Nothing but the manifest was written, and searches really follow it.
    assert before == {file: file.stat().st_mtime_ns for file in before}
    people = simulated_people(index.encoder, len(index), index.poses)
    all_of_it = msgspec.structs.replace(recipe, search=Search(lists=1.0, effort=16_384))
    parts = tuned._parts
    everything = parts.by_search(recipe)(all_of_it.search, people.queries, 50).rows
    assert np.mean(everything == parts.exactly(people.queries, 50).rows) > 0.99  # equal ones change places


def test_an_index_that_misses_the_recall_stays_as_it_is(built, monkeypatch):
    index = built["hnsw"]
    nobody = Neighbours(np.zeros((1, 1), dtype=np.int64), np.zeros((1, 1), dtype=np.float32))
    monkeypatch.setattr(Parts, "by_search", lambda self, recipe: lambda search, queries, k: nobody)
    manifest = (index.path / "manifest.json").read_bytes()
    found = index.tune(1.0, k=200)
    assert not found.reached
    assert (index.path / "manifest.json").read_bytes() == manifest


def test_own_keypoints_are_measured_with(built, rng):
    people = Keypoints.of(rng.normal(0, 100, size=(20, 13, 2)) + 500)
    found = built["ivf"].tune(1.0, k=10, people=people)
    assert (found.people, found.recall) == (20, 1.0)


def test_auto_is_tuned_when_it_is_built_and_stays_so_while_the_index_grows(store, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe_module, "_EXACT_UP_TO", 10)
    monkeypatch.setattr(recipe_module, "_COMPARED_UP_TO", 20)
    monkeypatch.setattr(grow, "_SMALL", 0)
    names = [f"c{number}" for number in range(8)]
    index = PoseIndex.build(store, AffineSignature(), tmp_path / "index", recall=0.5, where={"clip": names[:6]})
    recipe = index.manifest.recipe
    assert index.manifest.automatic
    assert index.tuned.reached and index.tuned.recipe == recipe
    assert "it finds all" in index.exactness("it finds all")
    assert recipe != "ivf"
    assert recipe.search.lists < 1
    with pytest.raises(VipeError, match="recall must be above 0 and at most 1, got 99"):
        PoseIndex.build(store, AffineSignature(), tmp_path / "other", recall=99.0)
    assert not (tmp_path / "other").exists()
    grown = index.add(store, where={"clip": names[6:7]})
    assert grown.manifest.recipe == recipe
    assert grown.manifest.parts[-1].recipe == recipe
    assert grown.compact().manifest.parts[0].recipe == recipe
    assert build_module.automatic(25).name == "ivf"


def test_an_archive_of_which_nobody_is_found_is_built_all_the_same(store, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe_module, "_EXACT_UP_TO", 10)
    monkeypatch.setattr(recipe_module, "_COMPARED_UP_TO", 20)
    monkeypatch.setattr(tuning, "_LIKE", -1.0)
    index = PoseIndex.build(store, AffineSignature(), tmp_path / "index", where={"clip": ["c0"]})
    assert index.manifest.recipe == "ivf"
    with pytest.raises(VipeError, match="comparing every pose finds nobody among 200"):
        index.tune()


def test_small_parts_that_are_compared_whole_stay_so(store, tmp_path):
    names = [f"c{number}" for number in range(8)]
    index = PoseIndex.build(store, AffineSignature(), tmp_path / "index", recipe="hnsw", where={"clip": names[:7]})
    grown = index.add(store, where={"clip": names[7:]})
    assert [part.recipe for part in grown.manifest.parts] == ["hnsw", "flat"]
    found = grown.tune(0.9, k=5)
    tuned = PoseIndex.open(grown.path)
    assert tuned.manifest.parts[0].recipe == found.recipe != load_recipe("hnsw")
    assert tuned.manifest.parts[1].recipe == "flat"


def test_a_pose_farther_than_a_tenth_of_a_torso_is_another_one():
    find, exactly, poses = line_of_poses(100)
    found = tune(load_recipe("ivf"), find, exactly, people_at(3, 40.09, 50.11), poses, recall=1.0, k=1)
    assert found.people == 2
