"""`vipe generate`: what it writes, says and refuses."""

import json

import numpy as np
import pytest

import vipe
from vipe import PoseStore, canonicalize
from vipe.cli.app import main
from vipe.embed import Embedder
from vipe.embed.vvipe.network import VVIPE, VVIPEConfig


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generate") / "store"
    main(["synth", "--out", str(folder), "--minutes", "1", "--fps", "10", "--seed", "1"])
    return folder


@pytest.fixture(scope="module")
def clips(store):
    return [clip["clip"] for clip in PoseStore.open(store).clips()]


def test_variations_are_written_as_a_store_and_drawn(store, clips, run, tmp_path):
    options = ("--clip", clips[0], "--frame", 3, "--count", 3, "--alpha", "0.5", "0.2", "--page", tmp_path / "p.html")
    code, out, _ = run("generate", "--store", store, "--out", tmp_path / "new", *options, "--json")
    assert code == 0
    result = json.loads(out)
    assert [entry["alpha"] for entry in result["poses"]] == [0.2, 0.5] * 3
    assert all(entry["within_limits"] and entry["broken"] == [] for entry in result["poses"])
    assert {entry["nearest"]["clip"] for entry in result["poses"]} <= set(clips)
    checks = result["checks"]
    assert (checks["within_limits"], checks["steps"], checks["not_monotone"]) == (1.0, 3, 0)
    assert checks["bone_length_error"] < 1e-5
    assert checks["recorded_nearest"]["median"] > 0
    made = PoseStore.open(tmp_path / "new")
    assert [clip["clip"] for clip in made.clips()] == ["noise-1", "noise-2", "noise-3"]
    assert made.clips()[0]["source"] == f"{clips[0]} frame 3"
    source = PoseStore.open(store).poses({"clip": clips[0], "frame": 3})
    lengths = canonicalize(made.poses()).lengths
    np.testing.assert_allclose(lengths, np.broadcast_to(canonicalize(source).lengths, lengths.shape), rtol=1e-5)
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "alpha 0.2" in page
    assert clips[0] in page


def test_the_seed_decides(store, clips, run, tmp_path):
    made = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        options = ("--clip", clips[0], "--count", 2, "--seed", seed)
        assert run("generate", "--store", store, "--out", tmp_path / name, *options)[0] == 0
        made.append(PoseStore.open(tmp_path / name).poses())
    np.testing.assert_array_equal(made[0], made[1])
    assert np.abs(made[0] - made[2]).max() > 1e-3


def test_the_way_between_two_poses_with_held_limbs(store, clips, run, tmp_path):
    goal = ("--to-clip", clips[1], "--to-frame", 5, "--limbs", "arms", "head")
    options = ("--mode", "between", "--clip", clips[0], *goal, "--count", 4, "--page", tmp_path / "p.html")
    code, out, _ = run("generate", "--store", store, "--out", tmp_path / "way", *options)
    assert code == 0
    assert "torso lengths away (median)" in out
    made, source = PoseStore.open(tmp_path / "way").poses(), PoseStore.open(store).poses({"clip": clips[0], "frame": 0})
    assert len(made) == 4
    np.testing.assert_allclose(made[:, :8], np.broadcast_to(source[0, :8], (4, 8, 3)), atol=1e-5)
    assert "from and to" in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_samples_need_no_source(store, run, tmp_path):
    options = ("--mode", "samples", "--count", 5, "--no-within-limits", "--page", tmp_path / "p.html")
    code, out, _ = run("generate", "--store", store, "--out", tmp_path / "new", *options, "--json")
    assert code == 0
    result = json.loads(out)
    assert "distance" not in result["poses"][0]
    assert len(PoseStore.open(tmp_path / "new").clips()) == 5
    assert (tmp_path / "p.html").is_file()


def test_a_v_vipe_generates_from_its_own_prior(store, clips, run, tmp_path):
    Embedder(VVIPE.untrained(VVIPEConfig(width=16), seed=0), card="# A test").save(tmp_path / "model")
    options = ("--clip", clips[0], "--count", 2, "--no-within-limits", "--embedder", tmp_path / "model")
    assert run("generate", "--store", store, "--out", tmp_path / "new", *options)[0] == 0


def test_each_new_clip_is_written_as_a_motion_file(store, clips, run, tmp_path):
    options = ("--clip", clips[0], "--count", 2, "--export", tmp_path / "files" / "a_{clip}.bvh")
    code, out, _ = run("generate", "--store", store, "--out", tmp_path / "new", *options, "--json")
    assert code == 0
    files = [tmp_path / "files" / f"a_noise-{number}.bvh" for number in (1, 2)]
    assert json.loads(out)["files"] == [str(file) for file in files]
    for number, file in enumerate(files, start=1):
        (read,) = vipe.read(file)
        made = PoseStore.open(tmp_path / "new").poses({"clip": f"noise-{number}"})
        np.testing.assert_allclose(read.positions, made, atol=1e-3)
    way = ("--mode", "between", "--clip", clips[0], "--to-frame", 5, "--export", tmp_path / "way.glb")
    code, out, _ = run("generate", "--store", store, "--out", tmp_path / "way", *way, "--names", "mixamo")
    assert code == 0
    assert f"files: {tmp_path / 'way.glb'}" in out
    assert b"mixamorig:LeftForeArm" in (tmp_path / "way.glb").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give --clip and --frame"),
        (["--clip", "{clip}", "--export", "a.bvh"], "name it such as a_{clip}.bvh"),
        (["--clip", "{clip}", "--export", "a.fbx"], "ends in .fbx"),
        (["--clip", "{clip}", "--names", "mixamo"], "--names mixamo belongs to --export of"),
        (["--clip", "nobody"], "has no clip 'nobody'"),
        (["--clip", "{clip}", "--frame", "100000"], "has no row of frame 100000; the nearest is"),
        (["--clip", "{clip}", "--mode", "samples", "--alpha", "0.1"], "--alpha belongs to --mode noise"),
        (["--clip", "{clip}", "--mode", "between"], "give --to-frame"),
        (["--clip", "{clip}", "--to-frame", "3"], "belong to --mode between, and no other"),
        (["--clip", "{clip}", "--limbs", "tail"], "no limb 'tail'"),
        (["--clip", "{clip}", "--count", "0"], "count must be at least 1"),
        (["--clip", "{clip}", "--embedder", "nowhere"], "nowhere"),
        (["--clip", "{clip}", "--out", "{store}"], "exists already"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(store, clips, run, tmp_path, options, message):
    options = [option.format(clip=clips[0], store=store) for option in options]
    out = [] if "--out" in options else ["--out", tmp_path / "new"]
    code, said, err = run("generate", "--store", store, *out, *options)
    assert (code, said) == (2, "")
    assert message in err.strip().splitlines()[-1]
    assert not (tmp_path / "new").exists()
