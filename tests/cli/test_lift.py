"""`vipe lift`, as people type it: what it prints, writes and refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest

import vipe
from vipe.detections import write_coco_results
from vipe.lift.lifter import TrainedLifter
from vipe.lift.mdn import MDN, MDNConfig
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.skeletons.working import H36M17


@pytest.fixture(scope="module")
def folder(tmp_path_factory, bent):
    """A lifter that learned nothing, three people of whom the second shows three joints, and a video of two."""
    folder = tmp_path_factory.mktemp("lift")
    TrainedLifter(MDN.untrained(MDNConfig(width=16, blocks=1), seed=0)).save(folder / "lifter")
    camera = CameraRig.load("mpi_inf_3dhp").cameras[0]
    people = simulate_keypoints(bent(3, seed=0), camera, generator=np.random.default_rng(0))
    mask = people.mask.copy()
    mask[1, 3:] = False
    mask[2, 0] = False
    xy = np.where(mask[..., None], people.xy, 0)
    some = replace(vipe.Keypoints.of(xy, mask), image_id=(4, "dark", "walk"))
    write_coco_results(folder / "people.json", some)
    write_coco_results(folder / "one.json", some[:1])
    write_coco_results(folder / "photos.json", replace(vipe.Keypoints.of(xy[[0, 2]]), image_id=("785", "40083")))
    moving = np.repeat(bent(1, seed=2), 8, axis=0) + np.linspace(0, 0.2, 8)[:, None, None].astype(np.float32)
    video = simulate_keypoints(moving, camera, noise=0.0, generator=np.random.default_rng(0))
    shown = video.mask.copy()
    shown[3, 2:] = False
    write_coco_results(folder / "video.json", vipe.Keypoints.of(np.where(shown[..., None], video.xy, 0), shown))
    return folder


@pytest.fixture
def lift(folder, run):
    """Run `vipe lift` on one of the folder's files with few hypotheses: its JSON."""

    def call(name, *options):
        code, out, err = run("lift", folder / name, "--lifter", folder / "lifter", "--samples", 12, *options, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return call


def test_everybody_is_answered_in_order_or_named_with_the_reason(lift):
    answer = lift("people.json")
    assert [(one["image_id"], one["person"]) for one in answer["people"]] == [(4, 0), ("dark", 0), ("walk", 0)]
    first, second, third = answer["people"]
    assert second["skipped"].startswith("3 joints seen, at least 4 are needed")
    assert (second["modes"], "prediction" in second) == ([], False)
    assert (first["not_seen"], third["not_seen"]) == ([], ["nose"])
    assert first["joints"] == list(H36M17.joints)
    assert np.array(first["prediction"]).shape == (17, 3)
    assert sum(mode["share"] for mode in first["modes"]) == pytest.approx(1, abs=1e-3)
    assert set(first["spread_mm"]) == set(H36M17.joints)
    assert (answer["kind"], answer["samples"], answer["without_people"]) == ("mdn", 12, [])


def test_the_command_is_the_same_as_in_python(lift, folder):
    import torch

    from vipe.lift.aggregation.lifted import to_world

    people = vipe.read_keypoints(folder / "one.json")
    lifter = vipe.Lifter.from_pretrained(folder / "lifter")
    (answer,) = lift("one.json")["people"]
    np.testing.assert_allclose(answer["prediction"], to_world(lifter.predict(people)[0]), atol=1e-4)
    spread = lifter.sample(people, 12, torch.Generator().manual_seed(0)).spread()[0]
    expected = 1000 * np.sqrt(np.trace(spread, axis1=1, axis2=2))
    np.testing.assert_allclose(list(answer["spread_mm"].values()), expected, atol=0.1)


def test_the_seed_decides(lift):
    first, again, other = (lift("one.json", "--seed", seed)["people"][0] for seed in (3, 3, 4))
    assert first == again
    assert first["spread_mm"] != other["spread_mm"]
    assert first["prediction"] == other["prediction"]  # the single pose is not drawn


def test_a_height_scales_the_poses(lift):
    usual, tall = (lift("one.json", "--height", height)["people"][0] for height in (1.75, 1.925))
    np.testing.assert_allclose(tall["prediction"], 1.1 * np.array(usual["prediction"]), rtol=1e-3, atol=1e-3)


def test_the_table_has_a_line_for_each_person(folder, run):
    code, out, err = run("lift", folder / "people.json", "--lifter", folder / "lifter", "--samples", 12)
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines() if line.strip()]
    rows = [line[:3] for line in lines if line[1:2] == ["person"] and line[2].isdigit()]  # not what is remarked of one
    assert rows == [*(["4", "person", "0"], ["dark", "person", "0"], ["walk", "person", "0"])]
    assert "1 not seen" in out and "all seen" in out
    assert "3 joints seen, at least 4 are needed" in out
    assert out.splitlines()[-1].startswith("3 people in ")
    assert max(map(len, out.splitlines())) <= 160


def test_files_and_page_are_written(lift, tmp_path):
    answer = lift("people.json", "--out", tmp_path / "out", "--page", tmp_path / "page.html")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["lifted.json", "lifted.npz", "person_000.bvh", "person_001.bvh"]
    assert json.loads((tmp_path / "out" / "lifted.json").read_text()) == answer
    assert np.load(tmp_path / "out" / "lifted.npz")["poses"].shape == (2, 12, 17, 3)
    (clip,) = vipe.read(tmp_path / "out" / "person_001.bvh")
    assert len(clip) == 1 + len(answer["people"][2]["modes"])
    page = (tmp_path / "page.html").read_text()
    assert "image walk, person 0" in page
    assert "Not lifted: 3 joints seen" in page


def test_a_result_never_replaces_the_keypoints(run, folder, tmp_path):
    people = tmp_path / "people.json"
    people.write_bytes(before := (folder / "people.json").read_bytes())
    code, out, err = run("lift", people, "--lifter", folder / "lifter", "--out", people)
    assert (code, out) == (2, "") and "is the file that is read; give the result another name" in err
    assert people.read_bytes() == before


@pytest.mark.parametrize("name", ["a.bvh", "a.npz", "a.json"])
def test_one_file_of_one_person(lift, tmp_path, name):
    lift("one.json", "--out", tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_video_becomes_one_motion(lift, folder, run, tmp_path):
    options = ("--track", "--fps", 25, "--out", tmp_path / "out", "--page", tmp_path / "page.html")
    answer = lift("video.json", *options)
    (track,) = answer["tracks"]
    assert track["frames"] == list(range(8))
    assert track["seen"] == [True] * 3 + [False] + [True] * 4
    assert [one["image_id"] for one in answer["people"]] == [3]
    assert answer["people"][0]["skipped"].startswith("2 joints seen")
    (clip,) = vipe.read(tmp_path / "out" / "track_000.bvh")
    assert (len(clip), clip.fps) == (8, 25.0)
    np.testing.assert_allclose(clip.positions, track["poses"], atol=2e-4)
    assert "Lifted tracks" in (tmp_path / "page.html").read_text()
    code, out, _ = run(
        *("lift", folder / "video.json", "--lifter", folder / "lifter", "--samples", 4, "--track", "--fps", 25)
    )
    assert code == 0
    assert "0 to 7" in out
    assert out.splitlines()[-1].startswith("1 track in ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lifter", "nowhere"], "no trained model 'nowhere': no such folder; by name there is default"),
        (["--track"], "--track and --fps go together"),
        (["--fps", "25"], "--track and --fps go together"),
        (["--track", "--fps", "0"], "fps above 0"),
        (["--samples", "0"], "--samples"),
        (["--height", "180"], "height must be 0.3 to 3 metres, got 180; is it in another unit?"),
        (["--out", "a.csv"], "ends in .csv, expected a folder"),
        (["--out", "a.bvh"], "BVH holds one person, got 2 people"),
        (["--out", "{folder}/lifter"], "exists already"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(folder, run, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    options = [option.format(folder=folder) for option in options]
    lifter = [] if "--lifter" in options else ["--lifter", folder / "lifter"]
    code, out, err = run("lift", folder / "people.json", *lifter, "--samples", 4, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_photos_are_no_video(folder, run):
    code, out, err = run("lift", folder / "photos.json", "--lifter", folder / "lifter", "--track", "--fps", 25)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "none of 2 in 2 images is seen in another of them" in err


def test_an_embedder_is_no_lifter(folder, embedder, run, tmp_path):
    embedder.save(tmp_path / "embedder")
    code, _, err = run("lift", folder / "one.json", "--lifter", tmp_path / "embedder")
    assert (code, "is a 'v-vipe'; lifters are" in err) == (2, True)


def test_people_in_photos_are_lifted(real_keypoints, folder, run, tmp_path):
    for name in ("coco_val2017_4_images.json", "im1010_openpose_keypoints.json"):
        code, out, _ = run(
            *("lift", real_keypoints / name, "--lifter", folder / "lifter", "--samples", 4, "--json"),
            *("--page", tmp_path / "page.html", "--out", tmp_path / name),
        )
        people = json.loads(out)["people"]
        assert (code, len(people)) == (0, 14 if "coco" in name else 1)
        assert sum("skipped" in one for one in people) == (2 if "coco" in name else 0)


def test_what_was_lifted_is_passed_over_in_a_folder_of_motion(lift, run, folder, tmp_path):
    lift("one.json", "--out", tmp_path / "mine" / "lifted")
    code, out, err = run("ingest", tmp_path / "mine", "--out", tmp_path / "store", "--json")
    assert code == 0, err
    assert json.loads(out)["clips"] == 1  # the person's .bvh file
    code, _, err = run("ingest", tmp_path / "mine" / "lifted" / "lifted.npz", "--out", tmp_path / "other")
    assert code == 2
    assert "people that `vipe lift` wrote" in err


def test_a_seed_that_no_generator_takes_is_refused(run, folder):
    code, out, err = run("lift", folder / "one.json", "--lifter", folder / "lifter", "--seed", 2**63)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "--seed" in err
