"""`vipe ingest`: files, folders and archives, one or several; what it says, passes over and refuses."""

import json
import shutil
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

import vipe.store.store as module
from vipe import PoseStore, read
from vipe.skeletons import load
from vipe.store import read_sources


@pytest.fixture
def motion():
    """Text of a BVH file of two frames on a skeleton of the library, all angles as given."""
    skeleton = load("bandai")
    sites = {site.name for site in skeleton.sites}
    children = {
        i: [
            child
            for child, parent in enumerate(skeleton.parents)
            if parent == i and skeleton.joints[child] not in sites
        ]
        for i in range(len(skeleton))
    }

    def block(i, depth):
        pad = "  " * depth
        kind = "ROOT" if depth == 0 else "JOINT"
        channels = (
            "6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
            if depth == 0
            else "3 Zrotation Xrotation Yrotation"
        )
        lines = [
            f"{pad}{kind} {skeleton.joints[i]}",
            pad + "{",
            f"{pad}  OFFSET {i % 3} {i} {i % 5}",
            f"{pad}  CHANNELS {channels}",
        ]
        for child in children[i]:
            lines += block(child, depth + 1)
        if not children[i]:
            lines += [f"{pad}  End Site", pad + "  {", f"{pad}    OFFSET 0 1 0", pad + "  }"]
        return [*lines, pad + "}"]

    def text(angle=10):
        numbers = " ".join([str(angle)] * (3 * (len(skeleton) - len(sites)) + 3))
        head = ["HIERARCHY", *block(0, 0), "MOTION", "Frames: 2", "Frame Time: 0.0333333"]
        return "\n".join([*head, numbers, numbers, ""])

    return text


@pytest.fixture
def mocap(tmp_path, motion):
    """A folder of one file that is whole and one that is cut."""
    folder = tmp_path / "mocap"
    folder.mkdir()
    (folder / "walk.bvh").write_text(motion())
    (folder / "broken.bvh").write_text(motion()[:-50])
    return folder


@pytest.fixture
def two(tmp_path, motion):
    """Two folders: `walk` is in both and one motion, `turn` is in both and two, `jump` is in the second alone."""
    for folder, files in {"a": {"walk": 10, "turn": 20}, "b": {"walk": 10, "turn": 30, "jump": 40}}.items():
        (tmp_path / "two" / folder).mkdir(parents=True)
        for name, angle in files.items():
            (tmp_path / "two" / folder / f"{name}.bvh").write_text(motion(angle))
    return tmp_path / "two" / "a", tmp_path / "two" / "b"


def ingested(run, *arguments):
    """What a command that works prints as JSON."""
    code, out, err = run("ingest", *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def refused(run, *arguments):
    """The one line of a command that does not, but for progress."""
    code, out, err = run("ingest", *arguments)
    assert (code, out) == (2, "")
    return err.splitlines()[-1]


def files(store):
    """Bytes of every file of a store."""
    return {path.name: path.read_bytes() for path in store.iterdir()}


def test_archives_are_read_added_and_told(run, tmp_path, mocap):
    made = ingested(run, mocap, "--out", tmp_path / "store", "--skip-bad", "--licence", "mine")
    assert (made["clips"], made["frames"], made["rows"], len(made["skipped"])) == (1, 2, 2, 1)
    assert "broken.bvh" in made["skipped"][0]
    assert PoseStore.open(tmp_path / "store").summary["licence"] == "mine"
    (mocap / "walk.bvh").rename(mocap / "run.bvh")
    again = (mocap, "--out", tmp_path / "store", "--skip-bad", "--append")
    added = ingested(run, *again)
    assert (added["clips"], added["rows"]) == (0, 0)
    assert added["identical"] == [{"clip": "run", "source": "run.bvh", "stored_as": "walk"}]
    _, out, _ = run("ingest", *again)
    assert "1 clip is in the store already and was passed over: run (as walk); --keep-identical adds it again" in out
    assert ingested(run, *again, "--keep-identical")["rows"] == 2
    assert "goes with --append or several paths" in refused(run, *again[:-1], "--keep-identical")
    assert "15 frames/s" in refused(run, *again, "--fps", 15)


def test_one_of_a_thing_is_told_in_the_singular(run, tmp_path, mocap):
    _, out, _ = run("ingest", mocap, "--out", tmp_path / "store", "--skip-bad")
    assert ": 1 clip, 2 frames, 2 rows kept, " in out
    assert ", 1 file skipped" in out
    _, out, _ = run("ingest", mocap / "walk.bvh", "--out", tmp_path / "other", "--fps", 15)
    assert ": 1 clip, 2 frames, 1 row kept, " in out
    assert ", 0 files skipped" in out


def test_ingest_of_nothing_but_bad_files_names_them(run, tmp_path):
    (tmp_path / "empty.bvh").write_bytes(b"")
    told = refused(run, tmp_path / "empty.bvh", "--out", tmp_path / "store", "--skip-bad")
    assert "nothing to store: the only file was skipped" in told
    assert "empty.bvh" in told
    assert not (tmp_path / "store").exists()


def test_one_bad_file_stops_the_run_before_anything_is_written(run, tmp_path, mocap):
    assert "broken.bvh" in refused(run, mocap, "--out", tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_several_paths_are_stored_in_order_and_what_is_in_two_once(run, tmp_path, two):
    made = ingested(run, *two, "--out", tmp_path / "store")
    clips = [(clip["clip"], clip["source"]) for clip in PoseStore.open(tmp_path / "store").clips()]
    assert clips == [
        ("turn", "a/turn.bvh"),
        ("walk", "a/walk.bvh"),
        ("jump", "b/jump.bvh"),
        ("b/turn", "b/turn.bvh"),
    ]
    assert (made["clips"], made["rows"]) == (4, 8)
    assert made["identical"] == [{"clip": "walk", "source": "b/walk.bvh", "stored_as": "walk"}]


def test_several_paths_make_the_store_of_one_after_the_other(run, tmp_path, two):
    (two[1] / "turn.bvh").unlink()  # two motions of one name are told apart only if given together
    ingested(run, *two, "--out", tmp_path / "at-once")
    ingested(run, two[0], "--out", tmp_path / "one-by-one")
    ingested(run, two[1], "--out", tmp_path / "one-by-one", "--append")
    at_once, one_by_one = (PoseStore.open(tmp_path / name) for name in ("at-once", "one-by-one"))
    np.testing.assert_array_equal(at_once.poses(), one_by_one.poses())
    assert [clip["clip"] for clip in at_once.clips()] == [clip["clip"] for clip in one_by_one.clips()]


def test_several_paths_may_stand_anywhere_and_bring_everything_if_told_so(run, tmp_path, two):
    made = ingested(run, two[0], "--out", tmp_path / "store", two[1], "--keep-identical")
    assert (made["clips"], made["identical"]) == (5, [])
    assert "b/walk" in [clip["clip"] for clip in PoseStore.open(tmp_path / "store").clips()]


def test_several_paths_are_added_to_a_store(run, tmp_path, two):
    ingested(run, two[0] / "walk.bvh", "--out", tmp_path / "store")
    added = ingested(run, *two, "--out", tmp_path / "store", "--append")
    assert added["clips"] == 3
    assert [one["stored_as"] for one in added["identical"]] == ["walk", "walk"]
    again = ingested(run, *two, two[0], "--out", tmp_path / "store", "--append")
    assert (again["clips"], again["rows"], len(again["identical"])) == (0, 0, 7)


def test_a_file_given_twice_is_stored_once(run, tmp_path, two):
    made = ingested(run, two[0] / "walk.bvh", two[0] / "walk.bvh", "--out", tmp_path / "store")
    assert (made["clips"], [one["stored_as"] for one in made["identical"]]) == (1, ["walk"])


def test_twins_within_one_path_are_both_stored(run, tmp_path, two):
    shutil.copy(two[1] / "jump.bvh", two[1] / "leap.bvh")
    assert ingested(run, *two, "--out", tmp_path / "store")["clips"] == 5


def test_a_path_that_is_not_there_is_told_before_anything_is_read(run, tmp_path, two, monkeypatch):
    monkeypatch.setattr("vipe.readers.read", None)
    code, out, err = run("ingest", *two, tmp_path / "nowhere", "--out", tmp_path / "store")
    assert (code, out) == (2, "")
    assert err == f"vipe: ReadError: {tmp_path / 'nowhere'}: no such file or folder\n"
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("fps", [None, 15.0], ids=["every frame", "thinned"])
def test_python_and_the_command_line_make_the_same_store_in_one_pass(run, tmp_path, two, fps):
    rate = () if fps is None else ("--fps", fps)
    printed = ingested(run, *two, "--out", tmp_path / "command line", *rate)
    python = PoseStore.create(tmp_path / "python", *read_sources(*two), fps=fps)
    assert files(tmp_path / "command line") == files(python.path)
    assert printed["rows"] == len(python)
    assert printed["identical"] == [clip._asdict() for clip in python.passed_over]
    assert [clip.stored_as for clip in python.passed_over] == ["walk"]


@pytest.mark.parametrize("fps", [None, 15.0], ids=["every frame", "thinned"])
def test_python_and_the_command_line_make_the_same_store_in_two_passes(run, tmp_path, two, fps):
    (two[1] / "turn.bvh").unlink()  # two motions of one name are told apart only if given together
    rate = () if fps is None else ("--fps", fps)
    ingested(run, two[0], "--out", tmp_path / "command line", *rate)
    added = ingested(run, two[1], "--out", tmp_path / "command line", "--append")
    python = PoseStore.create(tmp_path / "python", *read_sources(two[0]), fps=fps)
    longer = python.append(*read_sources(two[1]))
    assert files(tmp_path / "command line") == files(longer.path)
    assert added["rows"] == len(longer) - len(python)
    assert added["identical"] == [clip._asdict() for clip in longer.passed_over]
    assert [clip.stored_as for clip in longer.passed_over] == ["walk"]


def test_clips_that_differ_only_in_frames_that_are_dropped_are_one_clip(run, tmp_path, two, motion):
    """The rule is judged on what the store keeps: in one pass as in two."""
    lines = motion(10).splitlines()
    lines[-1] = lines[-1].replace("10", "11")
    (two[1] / "walk.bvh").write_text("\n".join([*lines, ""]))
    (two[1] / "turn.bvh").unlink()
    made = ingested(run, *two, "--out", tmp_path / "at-once", "--fps", 15)
    assert [one["clip"] for one in made["identical"]] == ["walk"]
    ingested(run, two[0], "--out", tmp_path / "one-by-one", "--fps", 15)
    added = ingested(run, two[1], "--out", tmp_path / "one-by-one", "--append")
    assert [one["clip"] for one in added["identical"]] == ["walk"]
    assert ingested(run, *two, "--out", tmp_path / "all-frames")["identical"] == []


def test_bodies_that_the_working_skeleton_cannot_be_made_of_are_named_or_skipped(run, tmp_path, two, motion):
    table = tmp_path / "stick.toml"
    table.write_text(
        'name = "stick"\nunit = 0.01\nup = "y"\njoints = [{ name = "Hip" }, { name = "Knee", parent = "Hip" }]\n'
    )
    (two[0] / "stick.bvh").write_text(
        "HIERARCHY\nROOT Hip\n{\n OFFSET 0 0 0\n CHANNELS 3 Zrotation Xrotation Yrotation\n JOINT Knee\n {\n"
        "  OFFSET 0 9 0\n  CHANNELS 3 Zrotation Xrotation Yrotation\n  End Site\n  {\n   OFFSET 0 1 0\n  }\n }\n}\n"
        "MOTION\nFrames: 1\nFrame Time: 0.033\n0 0 0 0 0 0\n"
    )
    line = refused(run, two[0], "--out", tmp_path / "store", "--skeleton", table)
    assert "stick.bvh" in line
    assert "stick has no conversion to h36m17" in line
    assert not (tmp_path / "store").exists()
    made = ingested(run, two[0], "--out", tmp_path / "store", "--skeleton", table, "--skip-bad")
    assert (made["clips"], len(made["skipped"])) == (2, 1)
    assert "stick has no conversion to h36m17" in made["skipped"][0]


def test_an_append_that_waits_for_another_one_counts_its_own_rows(two, run, tmp_path, monkeypatch):
    """While it waits the store grows by rows that are not its own."""
    (two[1] / "turn.bvh").unlink()  # as above: two motions of one name
    ingested(run, two[0], "--out", tmp_path / "store")
    before = PoseStore.open(tmp_path / "store")
    wait = module.locked

    @contextmanager
    def locked(folder, on_wait):
        on_wait()
        clip = next(iter(read(two[1])))
        later = replace(clip, name="theirs", positions=clip.positions + 1)
        with monkeypatch.context() as usual:
            usual.setattr(module, "locked", wait)
            PoseStore.open(folder).append([later])
        yield

    monkeypatch.setattr(module, "locked", locked)
    code, out, err = run("ingest", two[1], "--out", tmp_path / "store", "--append", "--json")
    assert code == 0
    assert f"waits for another append to {tmp_path / 'store'}" in err
    answer, store = json.loads(out), PoseStore.open(tmp_path / "store")
    theirs = sum(clip["rows"] for clip in store.clips() if clip["clip"] == "theirs")
    assert theirs > 0
    assert answer["rows"] == len(store) - len(before) - theirs > 0
