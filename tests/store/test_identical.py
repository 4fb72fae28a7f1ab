"""Identical clips: stored once of several sources, in one pass as in two, whatever they are called."""

from dataclasses import replace

import numpy as np
import pytest

import vipe.store.parts as module
from vipe.store import PoseStore


def test_clips_that_are_there_already_are_passed_over_whatever_they_are_called(store, make_clip, some_clips, contents):
    before = contents(store.path)
    same = store.append(some_clips())
    assert contents(same.path) == before
    assert same.passed_over == (
        ("walk", "a/walk.bvh", "walk"),
        ("run", "a/run.bvh", "run"),
        ("sit", "b/sit.bvh", "sit"),
    )
    renamed = replace(some_clips()[1], name="sprint", source="")
    more = store.append([renamed, make_clip("jump", 12)])
    assert [clip["clip"] for clip in more.clips()] == ["walk", "run", "sit", "jump"]
    assert more.passed_over == (("sprint", "", "run"),)
    assert PoseStore.open(store.path).passed_over == ()


@pytest.mark.parametrize("change", ["rate", "last bit", "last frame"])
def test_a_clip_that_differs_at_all_is_added(store, change, some_clips):
    clip = replace(some_clips()[0], name="other")
    if change == "rate":
        clip = replace(clip, fps=clip.fps + 0.1)
    elif change == "last frame":
        clip = replace(clip, positions=clip.positions[:-1])
    else:
        positions = clip.positions.copy()
        positions[-1, -1, -1] = np.nextafter(positions[-1, -1, -1], np.float32(2))
        clip = replace(clip, positions=positions)
    assert store.append([clip]).clips()[-1]["clip"] == "other"


def test_a_clip_that_an_earlier_source_brought_is_passed_over(tmp_path, some_clips):
    walk, run, sit = some_clips()
    stroll = replace(walk, name="stroll", source="c/stroll.bvh")
    store = PoseStore.create(tmp_path / "s", [walk, run], (clip for clip in [sit, stroll]), [stroll, sit])
    assert [clip["clip"] for clip in store.clips()] == ["walk", "run", "sit"]
    assert [clip.stored_as for clip in store.passed_over] == ["walk", "walk", "sit"]
    everything = PoseStore.create(tmp_path / "all", [walk], [stroll], keep_identical=True)
    assert [clip["clip"] for clip in everything.clips()] == ["walk", "stroll"]
    assert everything.passed_over == ()


def test_identical_clips_within_one_source_are_all_stored(store, make_clip):
    jump = make_clip("jump", 12)
    twins = [jump, replace(jump, name="leap")]
    longer = store.append(twins)
    assert [clip["clip"] for clip in longer.clips()[3:]] == ["jump", "leap"]
    again = longer.append([replace(jump, name="hop")])
    assert again.passed_over == (("hop", "", "jump"),)  # the first of the two


def test_sources_added_at_once_or_one_by_one_make_one_store(tmp_path, some_clips):
    walk, run, sit = some_clips()
    shorter = replace(walk, name="shorter", positions=walk.positions[:28])  # 10 of 30 frames/s drop the last two
    sources = [[shorter, run], [sit, walk], [replace(run, name="sprint")]]
    at_once = PoseStore.create(tmp_path / "at once", *sources, fps=10.0)
    one_by_one = PoseStore.create(tmp_path / "one by one", sources[0], fps=10.0)
    passed_over = []
    for source in sources[1:]:
        one_by_one = one_by_one.append(source)
        passed_over += one_by_one.passed_over
    assert at_once.table().equals(one_by_one.table())
    assert list(at_once.passed_over) == passed_over
    assert [(clip.clip, clip.stored_as) for clip in passed_over] == [("walk", "shorter"), ("sprint", "run")]


def test_clips_are_known_after_thinning_and_across_row_groups(tmp_path, monkeypatch, some_clips):
    monkeypatch.setattr(module, "GROUP_ROWS", 7)
    monkeypatch.setattr("vipe.store.store.GROUP_ROWS", 7)
    store = PoseStore.create(tmp_path / "s", some_clips(), fps=20.0)
    assert len(store.append(some_clips())) == len(store)


def test_identical_clips_are_kept_when_asked(store, some_clips):
    assert len(store.append(some_clips(), keep_identical=True)) == 2 * len(store)
