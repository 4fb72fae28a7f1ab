"""The commands one after the other, as a newcomer types them."""

import json

import numpy as np
import pytest

import vipe
from vipe.cli.app import main
from vipe.detections import write_coco_results
from vipe.embed.presets import PRESETS, Preset
from vipe.embed.vvipe.network import VVIPEConfig
from vipe.embed.vvipe.training import TrainingConfig
from vipe.simulate import CameraRig, simulate_keypoints

MICRO = Preset(
    network=VVIPEConfig(width=32),
    training=TrainingConfig(pose_steps=3, keypoint_steps=3, batch=16, record_every=3, validate_every=3),
)


def said(capsys, *arguments):
    """What a command that works prints as JSON."""
    main([*map(str, arguments), "--json"])
    out, _ = capsys.readouterr()
    return json.loads(out)


def refused(capsys, *arguments):
    """The one line of a command that does not."""
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    return err


@pytest.fixture(scope="module")
def way(tmp_path_factory):
    """A folder with a store, an index of it, and keypoints of ten of its poses, one of them with nothing seen."""
    folder = tmp_path_factory.mktemp("way")
    main(["synth", "--out", str(folder / "store"), "--minutes", "1", "--fps", "10", "--seed", "1"])
    main(["index", "build", str(folder / "store"), "--out", str(folder / "index")])
    poses = vipe.PoseStore.open(folder / "store").poses()[::60]
    rng = np.random.default_rng(0)
    people = simulate_keypoints(poses, CameraRig.load("h36m"), noise=0.0, generator=rng)
    mask = people.mask.copy()
    mask[1] = False
    seen = vipe.Keypoints.of(np.where(mask[..., None], people.xy, 0), mask)
    write_coco_results(folder / "people.json", seen)
    return folder


def test_the_same_seed_makes_the_same_store(way, capsys, tmp_path):
    for name, seed in (("again", 1), ("other", 2)):
        said(capsys, "synth", "--out", tmp_path / name, "--minutes", "1", "--fps", "10", "--seed", seed)
    poses, again, other = (
        vipe.PoseStore.open(path).poses() for path in (way / "store", tmp_path / "again", tmp_path / "other")
    )
    np.testing.assert_array_equal(poses, again)
    assert poses.shape != other.shape or not np.array_equal(poses, other)


def test_a_store_says_what_it_holds(way, capsys):
    info = said(capsys, "store", "info", way / "store")
    assert info["rows"] == len(vipe.PoseStore.open(way / "store"))
    main(["store", "info", str(way / "store")])
    assert "clips" in capsys.readouterr().out


def test_an_index_says_what_it_holds_and_that_it_is_whole(way, capsys):
    assert said(capsys, "index", "info", way / "index")["encoder"] == "affine"
    assert said(capsys, "index", "verify", way / "index")["ok"] is True
    for command in ("info", "verify"):
        main(["index", command, str(way / "index")])
        assert capsys.readouterr().out


def test_an_altered_index_is_not_whole(way, capsys, tmp_path):
    said(capsys, "index", "build", way / "store", "--out", tmp_path / "index")
    file = tmp_path / "index" / "parts" / "00001" / "frames.parquet"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert "frames.parquet" in refused(capsys, "index", "verify", tmp_path / "index")
    assert "frames.parquet" in refused(capsys, "query", tmp_path / "index", "--keypoints", way / "people.json")


def test_every_person_gets_the_moment_they_come_from_or_the_reason(way, capsys):
    answers = said(capsys, "query", way / "index", "--keypoints", way / "people.json", "--k", 3)["queries"]
    assert [len(answer["hits"]) for answer in answers] == [3, 0, *[3] * (len(answers) - 2)]
    assert "0 joints seen" in answers[1]["skipped"]
    table = vipe.PoseStore.open(way / "store").table(["clip", "frame"]).to_pylist()[::60]
    right = [
        (answer["hits"][0]["clip"], answer["hits"][0]["frame"]) == (row["clip"], row["frame"])
        for answer, row in zip(answers, table, strict=True)
        if answer["hits"]
    ]
    assert sum(right) >= 0.6 * len(right)
    assert set(answers[0]) == {"image_id", "person", "presence", "hits"}
    assert {"rank", "clip", "frame", "time", "distance", "probability"} <= set(answers[0]["hits"][0])


def test_what_is_given_in_place_of_an_index_is_told(way, capsys):
    message = refused(capsys, "query", way / "store", way / "people.json")
    assert f"it is a store of poses; make an index of it (`vipe index build {way / 'store'} --out INDEX`)" in message
    message = refused(capsys, "query", way / "nope", way / "people.json")
    assert (
        "nope: no index: nothing is there; expected a folder that `vipe index build STORE --out INDEX` made" in message
    )
    assert "beside it there are index" in message
    assert "is an index, not the store" in refused(capsys, "store", "info", way / "index")
    (way / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    assert "run a 2D pose detector" in refused(capsys, "query", way / "index", way / "photo.jpg")


def test_images_keep_their_ids_and_those_that_show_nobody_are_told(way, capsys, tmp_path):
    people = vipe.read_keypoints(way / "people.json")
    marked = [{"image_id": image, "keypoints": np.ones(51).tolist()} for image in (7, 8)]
    images = [{"id": image, "width": 640, "height": 480} for image in range(1, 9)]
    (tmp_path / "marked.json").write_text(json.dumps({"annotations": marked, "images": images}))
    asked = ("query", way / "index", tmp_path / "marked.json", "--mode", "affine")
    result = said(capsys, *asked)
    assert [answer["image_id"] for answer in result["queries"]] == [7, 8]
    assert result["without_people"] == [1, 2, 3, 4, 5, 6]
    main([*map(str, asked)])
    assert "nobody in 6 images: 1, 2, 3, 4, 5 and 1 more" in capsys.readouterr().out
    assert people.image_id == tuple(range(len(people)))  # as `Keypoints.of` numbered them
    assert said(capsys, "query", way / "index", way / "people.json", "--mode", "affine")["without_people"] == []


def test_a_query_is_drawn_and_told(way, capsys, tmp_path):
    pytest.importorskip("jinja2")
    main(["query", str(way / "index"), "--keypoints", str(way / "people.json"), "--page", str(tmp_path / "page.html")])
    out = capsys.readouterr().out
    assert "page.html" in out
    assert "joints seen, at least 4 are needed" in out
    assert (tmp_path / "page.html").read_text().count("<canvas") > 20


def test_a_trained_embedder_makes_an_index_that_answers_in_both_modes(way, capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny", MICRO)
    trained = said(capsys, "train", "embedding", way / "store", "--out", tmp_path / "model", "--val", way / "store")
    built = said(capsys, "index", "build", way / "store", "--out", tmp_path / "index", "--encoder", tmp_path / "model")
    assert built["fingerprint"] == trained["fingerprint"]
    assert set(trained["validation"]) == {"val_reconstruction", "val_mpjpe", "val_hit1", "val_view_hit1"}
    assert (tmp_path / "model" / "history.png").read_bytes().startswith(b"\x89PNG")
    for mode in ("affine", "point"):
        asked = ("query", tmp_path / "index", "--keypoints", way / "people.json", "--mode", mode)
        assert said(capsys, *asked)["queries"][0]["hits"]
    message = refused(capsys, "query", way / "index", "--keypoints", way / "people.json", "--mode", "point")
    assert "no learned embedding" in message


def test_hits_are_explained_and_kept_apart(way, capsys):
    asked = ("query", way / "index", "--keypoints", way / "people.json", "--k", 4)
    first = said(capsys, *asked, "--explain", "--max-per-clip", 1)["queries"][0]
    assert 0 < first["presence"] < 1
    assert len({hit["clip"] for hit in first["hits"]}) == len(first["hits"])
    best = first["hits"][0]
    odds = sum(best["contributions"].values())
    assert 1 / (1 + np.exp(-odds)) == pytest.approx(best["probability"], abs=1e-3)
    main([*map(str, asked), "--explain"])
    told = capsys.readouterr().out.splitlines()
    head = next(line for line in told if "query" in line)
    assert head.split()[-5:] == ["image", "usual", "agree", "embed", "calib"]
    assert max(map(len, told)) <= 120
    shown = next(line for line in told if line.split()[5:6] == [best["clip"]]).split()[-5:]
    assert sum(map(float, shown)) == pytest.approx(odds, abs=0.4)
    assert "needs mode full" in refused(capsys, *asked, "--mode", "affine", "--explain")


@pytest.fixture(scope="module")
def video(way):
    """COCO results of a person over 12 frames, image id the frame."""
    poses = vipe.PoseStore.open(way / "store").poses()[:12]
    view = CameraRig.load("h36m").cameras[0]
    people = simulate_keypoints(poses, view, noise=0.0, generator=np.random.default_rng(0))
    write_coco_results(way / "video.json", vipe.Keypoints.of(people.xy))
    return way / "video.json"


def test_a_track_is_answered_as_one(way, video, capsys):
    asked = ("query", way / "index", "--keypoints", video, "--k", 3, "--track")
    answers = said(capsys, *asked, "--fps", 10, "--every", 1.2)["queries"]
    assert len(answers) == 1
    clip = vipe.PoseStore.open(way / "store").clips()[0]["clip"]
    assert answers[0]["hits"][0]["clip"] == clip
    assert "needs a finite --fps" in refused(capsys, *asked)
    assert "goes with --track" in refused(capsys, *asked[:-1], "--fps", 10)
    assert "one of them" in refused(capsys, *asked, "--fps", 10, "--views")
    assert "need mode full" in refused(capsys, *asked, "--fps", 10, "--mode", "affine")


def test_several_cameras_of_one_moment_are_answered_as_one(way, capsys, tmp_path):
    pose = vipe.PoseStore.open(way / "store").poses()[30]
    cameras = CameraRig.load("mpi_inf_3dhp").cameras[:3]
    seen = [simulate_keypoints(pose[None], one, noise=0.0, generator=np.random.default_rng(0)).xy for one in cameras]
    people = vipe.Keypoints.of(np.concatenate(seen))
    write_coco_results(tmp_path / "views.json", people)
    answers = said(capsys, "query", way / "index", "--keypoints", tmp_path / "views.json", "--views")["queries"]
    assert [len(answer["hits"]) for answer in answers] == [10]
    expected = vipe.PoseIndex.open(way / "index").frames()
    best = answers[0]["hits"][0]
    assert (best["clip"], best["frame"]) == (expected["clip"][30], expected["frame"][30])
