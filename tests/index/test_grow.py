"""An index that grows and shrinks is, row for row, the index that would be built of the clips it holds."""

import os
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from vipe.clips import Clip
from vipe.embed import AffineSignature
from vipe.errors import ArgumentError, EncoderMismatch, StoreError, VipeError
from vipe.index import PoseIndex, grow
from vipe.retrieve.query import query
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.skeletons import load
from vipe.store import PoseStore

GOLDEN = Path(__file__).parent / "golden"


def clip_of(standing, name, frames, seed, **more):
    noise = np.random.default_rng(seed).normal(0, 0.1, size=(frames, 17, 3))
    positions = (standing + noise).astype(np.float32)
    return Clip(name=name, skeleton=load("h36m17"), positions=positions, fps=10.0, subject=f"s{seed}", **more)


@pytest.fixture(scope="module")
def clips(standing):
    return {name: clip_of(standing, name, 20 + 5 * seed, seed) for seed, name in enumerate("abcdefgh")}


@pytest.fixture(scope="module")
def store(clips, tmp_path_factory):
    """All of them."""
    return PoseStore.create(tmp_path_factory.mktemp("grow") / "store", clips.values())


@pytest.fixture
def part_of_80(monkeypatch):
    """Parts that stay as they are from 80 rows on, and none so small that it has another recipe."""
    monkeypatch.setattr(grow, "_MERGED", 80)
    monkeypatch.setattr(grow, "_SMALL", 0)


def changed(store, encoder, path, recipe="flat"):
    """Built of three clips, then four changes: what is left are frames 0 ... 9 of a, and d, e, f, h."""
    index = PoseIndex.build(store, encoder, path, recipe=recipe, where={"clip": ["a", "b", "c"]})
    index = index.add(store, where={"clip": ["d", "e"]})
    index = index.remove({"clip": "b"})
    index = index.add(store, where={"clip": list("fgh")})
    return index.remove(
        (pc.field("clip") == "g") | (pc.field("clip") == "c") | (pc.field("frame") > 9) & (pc.field("clip") == "a")
    )


def fresh(store, encoder, path, recipe="flat"):
    """Built of the same at once."""
    where = pc.field("clip").isin(list("defh")) | (pc.field("clip") == "a") & (pc.field("frame") < 10)
    return PoseIndex.build(store, encoder, path, recipe=recipe, where=where)


def assert_same_rows(one, other):
    assert len(one) == len(other)
    assert one.info()["clips"] == other.info()["clips"] == len(set(one.frames()["clip"]))
    for name, values in other.frames().items():
        np.testing.assert_array_equal(one.frames()[name], values)
    np.testing.assert_allclose(one.canonical, other.canonical, atol=1e-5)
    np.testing.assert_allclose(one.embeddings, other.embeddings, atol=1e-5)
    rows = np.array([[0, 9, len(one) - 1], [10, 11, 3]])
    np.testing.assert_array_equal(one.poses(rows), one.canonical[rows])
    np.testing.assert_array_equal(one.vectors(rows), one.embeddings[rows])
    np.testing.assert_array_equal(
        one.clip_codes[:, None] == one.clip_codes, other.clip_codes[:, None] == other.clip_codes
    )
    np.testing.assert_array_equal(one.times, other.times)


@pytest.mark.parametrize("recipe", ["flat", "fp16", "int8", "ivf"])
def test_after_any_change_every_answer_is_that_of_a_fresh_build(store, encoder, recipe, tmp_path, part_of_80, rng):
    index, twin = changed(store, encoder, tmp_path / "a", recipe), fresh(store, encoder, tmp_path / "b", "flat")
    assert len(index.info()) and index.info()["parts"] > 2
    for one in (index, PoseIndex.open(tmp_path / "a")):
        assert_same_rows(one, twin)
        z = np.asarray(twin.embeddings[::7]) + rng.normal(0, 0.02, size=(1, encoder.dim)).astype(np.float32)
        z = (z / 4).astype(np.float32)
        for k, where in (
            (1, None),
            (10, None),
            (500, None),
            (5, {"clip": ["d", "a"]}),
            (9, {"subject": "s7"}),
            (3, np.arange(5, 30)),
        ):
            near, expected = one.search(z, k, where=where), twin.search(z, k, where=where)
            np.testing.assert_allclose(near.distance, expected.distance, atol=1e-4 if recipe == "flat" else 3e-3)
            same = np.mean([np.isin(mine, its).mean() for mine, its in zip(near.rows, expected.rows, strict=True)])
            assert same > (0.9999 if recipe == "flat" else 0.97)


@pytest.mark.parametrize("mode", ["affine", "full", "hypotheses", "point"])
@pytest.mark.parametrize("seen", [13, 10], ids=["all joints", "three missing"])
def test_queries_see_no_removed_pose(store, learned, mode, seen, tmp_path, part_of_80):
    encoder = learned if mode in ("point", "full") else AffineSignature()
    index, twin = changed(store, encoder, tmp_path / "a"), fresh(store, encoder, tmp_path / "b")
    gone = store.poses({"clip": ["b", "g"]})[::15]  # whoever asks for them gets others
    people = simulate_keypoints(gone, CameraRig.load("mpi_inf_3dhp"), distance=4.0, generator=np.random.default_rng(1))
    people = replace(people, mask=np.arange(13) < np.full((len(people), 1), seen))
    hits, expected = (query(one, people, 8, mode=mode) for one in (index, twin))
    np.testing.assert_array_equal(hits.ids, expected.ids)
    np.testing.assert_array_equal(hits.clip, expected.clip)
    np.testing.assert_allclose(hits.distance, expected.distance, atol=2e-3)
    if mode in ("full", "hypotheses"):
        np.testing.assert_allclose(hits.probability, expected.probability, atol=2e-3)
        np.testing.assert_allclose(hits.presence, expected.presence, atol=2e-3)
    assert not set(hits.clip.ravel()) & {"b", "c", "g"}


def test_compacting_changes_no_row_and_gives_bytes_back(store, encoder, tmp_path, part_of_80):
    index = changed(store, encoder, tmp_path / "index")
    ids, z = index.frames()["id"], np.asarray(index.embeddings[::5]) / 4
    before, size = index.search(z, 6), index.info()
    small = index.compact()
    assert_same_rows(small, index)
    np.testing.assert_array_equal(small.frames()["id"], ids)
    np.testing.assert_array_equal(small.search(z, 6).rows, before.rows)
    info = small.info()
    assert (info["parts"], info["removed"], info["poses"], info["clips"]) == (1, 0, len(index), 5)
    assert info["bytes"] < size["bytes"] - size["removed"] * 204
    assert small.compact().info()["parts"] == 1
    assert (
        sorted(path.name for path in (tmp_path / "index" / "parts").iterdir())[-1] == small.manifest.parts[0].folder[6:]
    )


def test_the_parts_of_before_go_when_nobody_reads_them_any_more(store, encoder, tmp_path, part_of_80):
    index = changed(store, encoder, tmp_path / "index")
    small = index.compact()
    assert len(list((tmp_path / "index" / "parts").iterdir())) > 1  # `index` still reads them
    del index
    assert [f"parts/{path.name}" for path in (tmp_path / "index" / "parts").iterdir()] == [
        small.manifest.parts[0].folder
    ]
    assert not list((tmp_path / "index" / "removed").iterdir())


def test_an_index_that_was_built_anew_at_the_place_is_left_alone(store, learned, tmp_path):
    index = PoseIndex.build(store, learned, tmp_path / "index")
    index.compact(recipe="int8")  # so that the first part goes with `index`
    shutil.rmtree(tmp_path / "index")
    PoseIndex.build(store, learned, tmp_path / "index")
    del index
    PoseIndex.open(tmp_path / "index").verify()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_that_drops_an_index_takes_nothing_from_its_parent(store, learned, tmp_path):
    index = PoseIndex.build(store, learned, tmp_path / "index")
    index.compact(recipe="int8")
    if not (child := os.fork()):
        try:
            del index
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert len(index.labels) == len(index)
    del index
    assert len(list((tmp_path / "index" / "parts").iterdir())) == 1


def test_another_recipe_at_compacting(store, encoder, tmp_path):
    index = PoseIndex.build(store, encoder, tmp_path / "index", recipe="auto")
    z = np.asarray(index.embeddings[::5]) / 4
    coded = index.compact(recipe="int8")
    assert (coded.info()["recipe"], coded.manifest.automatic, coded.manifest.parts[0].recipe) == ("int8", False, "int8")
    np.testing.assert_allclose(coded.search(z, 3).distance, index.search(z, 3).distance, atol=1e-3)
    again = coded.compact()
    assert again.manifest == coded.manifest
    assert coded.compact(recipe="auto").info()["recipe"] == "flat"
    assert index.recoded("fp16").info()["recipe"] == "fp16"
    np.testing.assert_allclose(index.recoded("fp16").search(z, 3).distance, index.search(z, 3).distance, atol=1e-3)
    with pytest.raises(VipeError, match="no recipe 'zip'"):
        coded.compact(recipe="zip")


def test_auto_goes_with_the_number_of_poses(store, learned, tmp_path, monkeypatch):
    monkeypatch.setattr("vipe.index.recipe._EXACT_UP_TO", 100)
    index = PoseIndex.build(store, learned, tmp_path / "index", where={"clip": ["a", "b"]})
    assert index.info()["recipe"] == "flat"
    index = index.add(store)
    assert index.info()["recipe"] == "fp16"
    assert index.compact().manifest.parts[0].recipe == "fp16"


def test_small_parts_are_merged_so_that_a_row_is_copied_few_times():
    monthly = np.random.default_rng(0).integers(1, 400, size=3000)
    left, copied = [], 0
    for rows in monthly.tolist():
        first = grow._first_to_merge(left, rows)
        copied += sum(left[first:])
        left = [*left[:first], sum(left[first:]) + rows]
        assert all(after <= before / 2 or after + before > grow._MERGED for before, after in pairwise(left))
    assert sum(left) == monthly.sum() > 4 * grow._MERGED
    assert max(left) <= grow._MERGED
    assert copied < 10 * monthly.sum()
    assert len(left) < 12 + 2 * monthly.sum() / grow._MERGED


def test_parts_are_merged_as_they_come(store, learned, tmp_path, monkeypatch):
    index = PoseIndex.build(store, learned, tmp_path / "index", where={"clip": ["a", "b"]})
    for name, parts in (("c", [75]), ("d", [75, 35]), ("e", [150]), ("f", [150, 45])):
        index = index.add(store, where={"clip": name})
        assert [part.rows for part in index.manifest.parts] == parts
    index = index.remove({"clip": "f", "frame": list(range(40))})
    index = index.add(store, where={"clip": "g"})  # removed rows do not count, and are not copied
    assert [(part.rows, part.removed) for part in index.manifest.parts] == [
        (150, index.manifest.parts[0].removed),
        (55, None),
    ]
    monkeypatch.setattr(grow, "_MERGED", 100)
    assert [part.rows for part in index.add(store, where={"clip": "h"}).manifest.parts] == [150, 55, 55]


def test_clips_that_are_there_are_passed_over_by_content(store, encoder, clips, tmp_path):
    index = PoseIndex.build(store, encoder, tmp_path / "index", where={"clip": ["a", "b", "c"]})
    longer = index.add(store, where={"clip": ["a", "b", "d"]})
    assert (longer.change.clips, longer.change.poses) == (1, len(clips["d"]))
    assert [(one.clip, one.stored_as) for one in longer.change.passed_over] == [("a", "a"), ("b", "b")]
    twin = PoseStore.create(
        tmp_path / "twin",
        [replace(clips["b"], name="x", source="there/x.bvh"), replace(clips["b"], name="y", fps=20.0)],
    )
    same = longer.add(twin)
    assert [tuple(one) for one in same.change.passed_over] == [("x", "there/x.bvh", "b")]
    assert same.change.clips == 1  # another rate is another motion
    nothing = same.add(store, where={"clip": ["a", "d"]})
    assert nothing.change.poses == nothing.change.clips == 0
    assert nothing.manifest == same.manifest


def test_another_clip_of_the_same_name_is_refused_and_nothing_changes(store, learned, clips, standing, tmp_path):
    index = PoseIndex.build(store, learned, tmp_path / "index")
    altered = clips["b"].positions.copy()
    altered[3, 5, 1] += 1e-3
    other = PoseStore.create(
        tmp_path / "other", [clip_of(standing, "new", 9, 9), replace(clips["b"], positions=altered)]
    )
    with pytest.raises(
        StoreError, match=r"index: has another clip named 'b'; remove that first \(`vipe index remove .* --clip b`\)"
    ):
        index.add(other)
    assert PoseIndex.open(tmp_path / "index").manifest == index.manifest
    replaced = index.remove({"clip": "b"}).add(other)
    assert (len(replaced), replaced.change.clips) == (len(index) + 9, 2)
    kept = replaced.frames()
    np.testing.assert_array_equal(
        np.sort(kept["id"][kept["clip"] == "b"]), index.frames()["id"][index.rows({"clip": "b"})]
    )


def test_clips_come_without_a_store_too_thinned_as_the_index_is(learned, standing, tmp_path):
    quick = [replace(clip_of(standing, name, 60, seed), fps=30.0) for seed, name in enumerate("abc")]
    store = PoseStore.create(tmp_path / "store", quick, fps=10.0)
    index = PoseIndex.build(store, learned, tmp_path / "index", where={"clip": ["a"]})
    grown = index.add(iter(quick))
    assert_same_rows(grown, PoseIndex.build(store, learned, tmp_path / "fresh"))
    assert (grown.change.clips, len(grown.change.passed_over)) == (2, 1)
    assert not list((tmp_path / "index").glob(".*"))
    with pytest.raises(StoreError, match=r"holds 10.0 frames/s, cannot add 15.0 frames/s"):
        index.add(quick, fps=15.0)


def test_another_rate_is_refused(store, learned, standing, tmp_path):
    index = PoseIndex.build(store, learned, tmp_path / "index")
    slow = PoseStore.create(tmp_path / "slow", [clip_of(standing, "i", 30, 30)], fps=5.0)
    with pytest.raises(StoreError, match=r"index: holds all frames, store .*slow 5.0 frames/s; ingest the sources at"):
        index.add(slow)


def test_poses_without_a_canonical_pose_are_left_out_of_what_is_added(store, learned, standing, tmp_path):
    index = PoseIndex.build(store, learned, tmp_path / "index")
    positions = np.tile(standing, (5, 1, 1))
    positions[[1, 3]] = 0.5
    odd = Clip(name="odd", skeleton=load("h36m17"), positions=positions, fps=10.0)
    odd_store = PoseStore.create(tmp_path / "odd", [odd])
    same = index.add(odd_store, where={"frame": [1, 3]})
    assert (same.change.poses, same.change.clips, same.change.left_out) == (0, 0, 2)
    assert same.manifest == index.manifest
    longer = index.add(odd_store)
    assert (longer.change.poses, longer.change.clips, longer.change.left_out) == (3, 1, 2)
    assert longer.info()["left_out"] == 2


def test_removing_what_is_not_there_or_everything_is_refused(store, learned, tmp_path):
    index = PoseIndex.build(store, learned, tmp_path / "index")
    for where, message in (
        (
            {"clip": ["a", "z", "y"]},
            r"has no clip 'z'; it has .* \(1 more of those given are not there\); nothing was removed",
        ),
        ({"clip": "z"}, "has no clip 'z'; it has .*; nothing was removed"),
        ({"subject": "nobody"}, "no pose matches; nothing was removed"),
        ({"subject": [f"s{seed}" for seed in range(8)]}, "would remove every pose; remove the folder instead"),
        ({"clib": "a"}, "no column 'clib'"),
        (np.array([len(index)]), "rows must lie in"),
    ):
        with pytest.raises(VipeError, match=message):
            index.remove(where)
    assert PoseIndex.open(tmp_path / "index").manifest == index.manifest


def test_row_numbers_mean_those_of_the_object_that_removes(store, learned, tmp_path):
    index = PoseIndex.build(store, learned, tmp_path / "index")
    ids = index.frames()["id"]
    index.remove({"clip": "a"})  # another process, say: `index` has its rows still
    left = index.remove(np.arange(20, 60))
    np.testing.assert_array_equal(left.frames()["id"], ids[60:])
    assert (left.change.poses, left.change.clips) == (40, 1)  # 25 of b, 15 of c


def test_a_part_of_which_nothing_is_left_is_gone(store, learned, tmp_path, part_of_80):
    index = PoseIndex.build(store, learned, tmp_path / "index", where={"clip": ["a", "b", "c"]}).add(store)
    assert index.info()["parts"] == 2
    index = index.remove({"clip": ["a", "b", "c"]})
    assert index.info()["parts"] == 1
    assert index.info()["removed"] == 0
    assert len(list((tmp_path / "index" / "parts").iterdir())) == 1


def test_a_clip_whose_frames_would_share_an_id_with_one_that_is_there_is_not_added(
    store, learned, tmp_path, monkeypatch
):
    firsts = {name: 1000 * number for number, name in enumerate("abcdefgh")}
    monkeypatch.setattr("vipe.index.folder.clip_table.first_id", firsts.__getitem__)
    index = PoseIndex.build(store, learned, tmp_path / "index", where={"clip": ["a", "b"]})
    firsts["c"] = firsts["a"] + 5
    with pytest.raises(StoreError, match="frames of clip 'a' and of clip 'c' would have one id"):
        index.add(store, where={"clip": "c"})
    assert len(index.add(store, where={"clip": "d"})) == len(index) + 35


def test_an_encoder_that_did_not_build_the_index_adds_nothing(store, learned, tmp_path):
    PoseIndex.build(store, learned, tmp_path / "index", where={"clip": "a"})
    with pytest.raises(EncoderMismatch, match="was built by encoder v-vipe"):
        grow.add(tmp_path / "index", store, AffineSignature())


@pytest.mark.refusal
def test_what_cannot_be_added_is_refused_with_what_to_do(store, learned, clips, tmp_path):
    index = PoseIndex.build(store, learned, tmp_path / "index", where={"clip": "a"})
    for source, where, message in (
        (str(store.path), None, r"got str; open it \(`vipe\.PoseStore\.open`\), read it"),
        (clips["b"], None, "got Clip; .* give a list of clips"),
        ([clips["b"]], {"clip": "b"}, "where chooses rows of a store"),
    ):
        with pytest.raises(ArgumentError, match=message):
            index.add(source, where=where)
    for source, where in ((store, {"clip": "z"}), ([], None)):
        with pytest.raises(StoreError, match=r"nothing to add|no clip to store|has no clip 'z'"):
            index.add(source, where=where)


# Indexes of formats that had one part


@pytest.fixture
def golden_store(tmp_path):
    """What the golden indexes were built of, and another clip."""
    old = PoseStore.open(Path(__file__).parents[1] / "store" / "golden" / "v1")
    return old, PoseStore.create(tmp_path / "more", [clip_of(old.poses()[0], "more", 5, 1)])


@pytest.mark.parametrize("name", ["affine-int8", "v-vipe-flat"])
def test_an_index_of_format_1_grows_and_shrinks_without_its_files_being_written(name, golden_store, tmp_path):
    old, more = golden_store
    folder = shutil.copytree(GOLDEN / "v1" / name, tmp_path / "index")
    index = PoseIndex.open(folder)
    files = {
        file: file.stat().st_mtime_ns
        for file in folder.iterdir()
        if file.name.split(".")[0] in ("index", "embeddings", "frames")
    }
    manifest = (folder / "manifest.json").read_bytes()
    same = index.add(old, where={"frame": list(range(0, 90, 6))})
    assert (same.change.poses, len(same.change.passed_over)) == (0, 3)
    assert (folder / "manifest.json").read_bytes() == manifest  # nothing was to be done
    with pytest.raises(StoreError, match="has another clip named"):
        index.add(old)
    longer = index.add(more)
    assert (longer.info()["format_version"], longer.info()["parts"]) == (4, 2)
    assert {file: file.stat().st_mtime_ns for file in files} == files
    first = index.frames()["clip"][0]
    assert_ids = np.concatenate(
        [index.frames()["id"], PoseIndex.build(more, index.encoder, tmp_path / "new").frames()["id"]]
    )
    np.testing.assert_array_equal(longer.frames()["id"], assert_ids)
    shorter = longer.remove({"clip": first})
    np.testing.assert_array_equal(shorter.frames()["id"], assert_ids[longer.frames()["clip"] != first])
    z = np.asarray(shorter.embeddings[:5]) / 4
    small = shorter.compact()
    np.testing.assert_array_equal(small.search(z, 4).rows, shorter.search(z, 4).rows)
    del index, same, longer, shorter
    assert not (folder / "embeddings.npy").exists()
    PoseIndex.open(folder).verify()


def test_clips_of_format_1_are_known_again_when_their_part_was_merged(golden_store, tmp_path):
    old, _ = golden_store
    index = PoseIndex.open(shutil.copytree(GOLDEN / "v1" / "v-vipe-flat", tmp_path / "index"))
    longer = index.add(PoseStore.create(tmp_path / "long", [clip_of(old.poses()[0], "long", 40, 1)]))
    assert longer.info()["parts"] == 1
    assert longer.manifest.parts[0].folder == "parts/00001"
    same = longer.add(old, where={"frame": list(range(0, 90, 6))})
    assert (same.change.poses, len(same.change.passed_over)) == (0, 3)
    with pytest.raises(StoreError, match="has another clip named"):
        longer.add(old)
