"""`vipe query --vary`: what it writes, says and refuses."""

import json

import numpy as np
import pytest

import vipe
from vipe.cli.app import main
from vipe.detections import write_coco_results
from vipe.geometry import REFERENCE_TORSO
from vipe.simulate import CameraRig, simulate_keypoints


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An index, and three people of whom the second shows three joints."""
    folder = tmp_path_factory.mktemp("bent")
    main(["synth", "--out", str(folder / "store"), "--minutes", "0.3", "--fps", "10", "--seed", "1"])
    main(["index", "build", str(folder / "store"), "--out", str(folder / "index")])
    poses = vipe.PoseStore.open(folder / "store").poses()[[30, 60, 90]]
    seen = simulate_keypoints(poses, CameraRig.load("mpi_inf_3dhp"), noise=0.0, generator=np.random.default_rng(0))
    mask = seen.mask.copy()
    mask[1, 3:] = False
    write_coco_results(folder / "people.json", vipe.Keypoints.of(np.where(mask[..., None], seen.xy, 0), mask))
    write_coco_results(folder / "one.json", vipe.Keypoints.of(seen.xy[:1]))
    return folder


@pytest.fixture
def ask(run, folder):
    """Query with a file of keypoints that mark the archive's joints."""

    def asked(name, *options):
        return run("query", folder / "index", folder / name, "--k", 3, "--convention", "archive", *options)

    return asked


def test_each_bent_hit_is_a_file_of_its_likeliest_pose_and_draws(ask, folder, tmp_path):
    options = ("--vary", 4, "--vary-hits", 2, "--export", tmp_path / "bent" / "{clip}.npz")
    code, out, _ = ask("people.json", *options, "--json")
    assert code == 0
    result = json.loads(out)
    names = [f"person_{row:03d}_hit_{rank}" for row in (0, 2) for rank in (1, 2)]
    assert [one["file"] for one in result["bent"]] == [str(tmp_path / "bent" / f"{name}.npz") for name in names]
    assert [(one["image_id"], one["person"], one["rank"], one["poses"]) for one in result["bent"]] == [
        (0, 0, 1, 5), (0, 0, 2, 5), (2, 0, 1, 5), (2, 0, 2, 5),
    ]  # fmt: skip
    assert sorted(path.stem for path in (tmp_path / "bent").iterdir()) == names
    clips = {path.stem: next(vipe.read(path)) for path in (tmp_path / "bent").iterdir()}
    index = vipe.PoseIndex.open(folder / "index")
    for answer, row in ((result["queries"][0], 0), (result["queries"][2], 2)):
        best, clip = answer["hits"][0], clips[f"person_{row:03d}_hit_1"]
        assert result["bent"][row]["distance"] <= best["distance"] + 1e-3
        found, expected = vipe.canonicalize(clip.positions).poses[0], index.poses(np.array([best["row"]]))[0]
        assert np.linalg.norm(found - expected, axis=-1).max() < 0.15
        assert clip.positions[0, 10, 2] > clip.positions[0, 3, 2]  # the head is above the foot: z is up
        torso = vipe.canonicalize(clip.positions).scale
        np.testing.assert_allclose(torso, REFERENCE_TORSO, rtol=1e-4)


def test_one_person_is_one_file_that_the_seed_decides(ask, tmp_path):
    made = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        file = tmp_path / f"{name}.parquet"
        code, out, _ = ask("one.json", "--vary", 2, "--export", file, "--seed", seed)
        assert (code, f"bent: 1 file, {file}" in out) == (0, True)
        made.append(next(vipe.read(file)).positions)
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[0][0], made[2][0])
    assert np.abs(made[0][1:] - made[2][1:]).max() > 1e-4


def test_a_rig_has_the_names_that_were_asked_for(ask, tmp_path):
    assert ask("one.json", "--vary", 0, "--export", tmp_path / "one.bvh", "--names", "mixamo")[0] == 0
    text = (tmp_path / "one.bvh").read_text()
    assert "mixamorig:Hips" in text
    assert "Frames: 1\n" in text


def test_what_is_there_is_written_over_only_if_that_is_asked_for(ask, tmp_path):
    file = tmp_path / "one.npz"
    file.write_bytes(b"mine")
    code, out, err = ask("one.json", "--vary", 1, "--export", file)
    assert (code, out, file.read_bytes()) == (2, "", b"mine")
    assert err == f"vipe: VipeError: {file}: exists already; add --replace to write over it, or choose another path\n"
    assert ask("one.json", "--vary", 1, "--export", file, "--replace")[0] == 0
    assert len(next(vipe.read(file))) == 2


def test_without_vary_answers_are_as_they_were(ask):
    assert "bent" not in json.loads(ask("one.json", "--json")[1])
    assert "bent" not in ask("one.json")[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--export", "x.bvh"), "--export goes with --vary"),
        (("--seed", 3), "--seed goes with --vary"),
        (("--replace",), "--replace goes with --vary"),
        (("--vary", 2), "--vary needs --export"),
        (("--vary", 2, "--export", "x.bvh"), "x.bvh: a file holds one clip, and there are several"),
        (("--vary", 2, "--export", "x.fbx"), "x.fbx: ends in .fbx, expected a file in .bvh"),
        (("--vary", 2, "--export", "{clip}.npz", "--names", "unreal"), "--names unreal belongs to --export of .bvh"),
        (("--vary", 2, "--export", "{clip}.npz", "--mode", "affine"), "it needs mode full, got affine"),
        (("--vary", 2, "--export", "{clip}.npz", "--track", "--fps", 10), "--vary bends to single images"),
        (("--vary", 2, "--export", "{clip}.npz", "--views"), "--vary bends to single images"),
        (("--vary", -1, "--export", "{clip}.npz"), 'Invalid value "-1" for --vary'),
        (("--vary", 1, "--vary-hits", 0, "--export", "{clip}.npz"), 'Invalid value "0" for --vary-hits'),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(ask, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = ask("people.json", *options)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())
