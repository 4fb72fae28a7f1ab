"""`vipe show`: what it writes, says and refuses."""

import json
from typing import get_args

import numpy as np
import pytest

import vipe
from vipe import PoseStore
from vipe.cli.app import main
from vipe.cli.archive.show import Names
from vipe.writers.rig import known_rigs


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("show") / "store"
    main(["synth", "--out", str(folder), "--minutes", "1", "--fps", "10", "--seed", "1"])
    return folder


@pytest.fixture(scope="module")
def clip(store):
    return PoseStore.open(store).clips()[0]["clip"]


def test_a_clip_is_shown_on_a_page_named_after_it(store, clip, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("show", store, clip)
    assert code == 0
    assert [path.name for path in tmp_path.iterdir()] == [f"{clip}.html"]
    assert f"page: {clip}.html" in out


def test_a_moment_is_exported_and_read_again(store, clip, run, tmp_path):
    names = [f"a.{ending}" for ending in ("bvh", "glb", "npz", "parquet", "json")]
    exports = [word for name in names for word in ("--export", tmp_path / name)]
    code, out, _ = run("show", store, clip, "--from", "0.5", "--to", "1.5", *exports, "--azimuth", "30", "--json")
    assert code == 0
    result = json.loads(out)
    assert (result["frames"], result["from"], result["to"]) == (11, 0.5, 1.5)
    assert (result["first_frame"], result["last_frame"], result["page"]) == (5, 15, None)
    assert [file["file"] for file in result["files"]] == [str(tmp_path / name) for name in names]
    assert all(file["error_mm"] < 0.1 for file in result["files"])
    (read,) = vipe.read(tmp_path / "a.bvh")
    expected = PoseStore.open(store).poses({"clip": clip, "frame": list(range(5, 16))})
    np.testing.assert_allclose(read.positions, expected, atol=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_names_of_other_programs(store, clip, run, tmp_path):
    code, out, _ = run("show", store, clip, "--export", tmp_path / "a.bvh", "--names", "unreal")
    assert code == 0
    assert f"file: {tmp_path / 'a.bvh'}" in out
    assert "JOINT upperarm_l" in (tmp_path / "a.bvh").read_text()


def test_every_rig_can_be_chosen():
    assert get_args(get_args(Names)[0]) == known_rigs()


def test_without_a_clip_the_most_different_poses(store, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("show", store, "--count", "5", "--json")
    assert code == 0
    result = json.loads(out)
    assert len(result["poses"]) == 5
    assert set(result["poses"][0]) == {"clip", "frame", "time", "distance"}
    assert result["page"] == "store.html"
    assert run("show", store, "--page", "sheet.png", "--count", "3")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sheet.png", "store.html"]


def test_a_motion_file_is_shown_like_a_clip(store, clip, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "files").mkdir()
    assert run("show", store, clip, "--export", "files/one.bvh")[0] == 0
    assert run("show", "files/one.bvh")[0] == 0
    assert run("show", "files", "one", "--to", "1", "--export", "one.glb")[0] == 0
    (tmp_path / "files" / "two.bvh").write_bytes((tmp_path / "files" / "one.bvh").read_bytes())
    code, _, err = run("show", "files")
    assert (code, "has 2 clips, such as 'one'; give the name of one" in err) == (2, True)
    code, _, err = run("show", "files", "three")
    assert (code, "has no clip 'three'; it has 2 clips, such as 'one', 'two'" in err) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files", "one.glb", "one.html"]


def test_a_name_with_odd_characters_is_a_page_in_this_folder(store, clip, run, tmp_path, monkeypatch):
    table = PoseStore.open(store).poses({"clip": clip})
    odd = "../<b>a b</b>/$(rm)\n"
    made = vipe.Clip(name=odd, skeleton=vipe.skeletons.load("h36m17"), positions=table, fps=10.0)
    PoseStore.create(tmp_path / "odd", [made])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    code, _, _ = run("show", tmp_path / "odd", odd)
    assert code == 0
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["b_a_b_b_rm.html"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "odd"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{store}", "nobody"], "has no clip 'nobody'"),
        (["{store}", "{clip}", "--from", "900"], "has no frame from 900 s"),
        (["{store}", "{clip}", "--from", "3", "--to", "2"], "--from 3 is after --to 2"),
        (["{store}", "{clip}", "--from", "nan"], "--from must be a finite number"),
        (["{store}", "{clip}", "--export", "new/a.fbx"], "ends in .fbx, expected a file in .bvh"),
        (["{store}", "{clip}", "--export", "new/a.npz", "--names", "mixamo"], "--names mixamo belongs to --export of"),
        (["{store}", "{clip}", "--names", "mixamo"], "--names mixamo belongs to --export of"),
        (["{store}", "{clip}", "--export", "new/a.bvh", "--azimuth", "3"], "--azimuth belongs to --export of COCO"),
        (["{store}", "{clip}", "--page", "new/a.png"], "expected the name of a page that ends in .html"),
        (["{store}", "{clip}", "--count", "3"], "--count belongs to a store's most different poses"),
        (["{store}", "--from", "3"], "--from belongs to a clip: give its name after the store"),
        (["{store}", "--export", "new/a.bvh"], "--export belongs to a clip"),
        (["{store}", "--names", "mixamo"], "--names belongs to a clip"),
        (["{store}", "--page", "new/a.txt"], "ends in .txt"),
        (["nowhere"], "nowhere"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(store, clip, run, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    code, said, err = run("show", *(word.format(store=store, clip=clip) for word in words))
    assert (code, said) == (2, "")
    assert message in err.strip()
    assert len(err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
