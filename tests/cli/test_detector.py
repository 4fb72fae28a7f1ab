"""Photos and videos from the command line, with a detector that finds what is painted into them."""

import base64
import io
import json
import re

import numpy as np
import pytest
from detections.detectors.videos import write_video
from PIL import Image

import vipe
from vipe.cli.app import main
from vipe.detections import detectors
from vipe.lift.lifter import TrainedLifter
from vipe.lift.mdn import MDN, MDNConfig
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.skeletons import load

SIDE = 400  # pixels of the photos


class Painted:
    """Finds joints by their colours: person and joint are the red and the green of a pixel whose blue is 255."""

    skeleton = load("coco13")

    def __call__(self, image):
        rows, columns = np.nonzero((image[..., 2] == 255) & (image[..., 0] > 0) & (image[..., 0] < 9))
        person, joint = image[rows, columns, 0].astype(int) - 1, image[rows, columns, 1]
        found = np.full((person.max(initial=-1) + 1, 13, 3), np.nan, dtype=np.float32)
        found[person, joint] = np.stack([columns, rows, np.full(len(rows), 0.9)], axis=1)
        return found


class Moving:
    """Gives the people of a video's frames one after the other."""

    skeleton = load("coco13")

    def __init__(self, xy):
        self._xy = iter(xy)

    def __call__(self, image):
        return np.concatenate([next(self._xy), np.full((13, 1), 0.9)], axis=-1)[None]


def placed(xy):
    """People's joints somewhere in the photo."""
    low, high = xy.min(axis=1, keepdims=True), xy.max(axis=1, keepdims=True)
    return 20 + (xy - low) / (high - low).max() * (SIDE - 40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An index, two photos of poses in it and one of nobody, and a video of twelve frames."""
    folder = tmp_path_factory.mktemp("photos")
    main(["synth", "--out", str(folder / "store"), "--minutes", "0.3", "--fps", "10", "--seed", "1"])
    main(["index", "build", str(folder / "store"), "--out", str(folder / "index")])
    poses = vipe.PoseStore.open(folder / "store").poses()
    rig = CameraRig.load("mpi_inf_3dhp")
    seen = simulate_keypoints(poses[[20, 90]], rig.cameras[0], noise=0.0, generator=np.random.default_rng(0))
    for name, xy in zip(("one.png", "two.png"), placed(seen.xy), strict=True):
        pixels = np.full((SIDE, SIDE, 3), 90, dtype=np.uint8)
        column, row = xy.round().astype(int).T
        pixels[row, column] = np.stack([np.ones(13), np.arange(13), np.full(13, 255)], axis=1)
        Image.fromarray(pixels).save(folder / name)
    Image.new("RGB", (SIDE, SIDE)).save(folder / "nobody.png")
    write_video(folder / "clip.mp4", [np.full((64, 64, 3), 60, np.uint8)] * 12, fps=10)
    moving = simulate_keypoints(poses[30:42], rig.cameras[0], noise=0.0, generator=np.random.default_rng(0)).xy
    np.save(folder / "moving.npy", 2 + (moving - moving.min(axis=(0, 1))) / np.ptp(moving, axis=(0, 1)).max() * 60)
    return folder


@pytest.fixture(scope="module")
def lifter(tmp_path_factory):
    """A lifter that learned nothing."""
    folder = tmp_path_factory.mktemp("lifter") / "lifter"
    TrainedLifter(MDN.untrained(MDNConfig(width=16, blocks=1), seed=0)).save(folder)
    return folder


@pytest.fixture
def painted(monkeypatch):
    asked = []

    def load_detector(name, weights):
        asked.append((name, weights))
        return Painted()

    monkeypatch.setattr(detectors, "load_detector", load_detector)
    return asked


@pytest.fixture
def moving(monkeypatch, folder):
    monkeypatch.setattr(detectors, "load_detector", lambda name, weights: Moving(np.load(folder / "moving.npy")))


def photos_of(page):
    """The pieces of photos that a page holds, and how many figures lie over one."""
    text = page.read_text(encoding="utf-8")
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)[1])
    data = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', text)
    pieces = [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in data]
    return pieces, [figure["photo"] for figure in figures if "photo" in figure]


def test_people_in_photos_are_found_and_answered(run, folder, painted, tmp_path):
    names = ("one.png", "nobody.png", "two.png")
    photos = [folder / name for name in names]
    page = tmp_path / "page.html"
    code, out, err = run("query", folder / "index", "--image", *photos, "--k", 3, "--page", page, "--json")
    assert (code, painted) == (0, [("blazepose", None)]), err
    answer = json.loads(out)
    assert [one["image_id"] for one in answer["queries"]] == ["one.png", "two.png"]
    assert answer["without_people"] == ["nobody.png"]
    rows = [one["hits"][0]["row"] for one in answer["queries"]]
    assert np.abs(np.array(rows) - [20, 90]).max() <= 2
    pieces, under = photos_of(page)
    assert [piece.shape[2] for piece in pieces] == [3, 3]
    assert max(side for piece in pieces for side in piece.shape[:2]) <= 720
    assert np.median(pieces[0]) == pytest.approx(90, abs=3)
    assert [one["number"] for one in under] == [0] * 4 + [1] * 4  # a query and three hits each


def test_a_photo_lies_where_its_person_is_on_the_page(run, folder, painted, tmp_path):
    """The corners of the piece, in the figure's coordinates, follow from the joints, which lie in both."""
    run(
        "query",
        folder / "index",
        "--image",
        folder / "one.png",
        "--k",
        1,
        "--mode",
        "affine",
        "--page",
        tmp_path / "page.html",
        "--json",
    )
    _, under = photos_of(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    figure = json.loads(re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)[1])[0]
    joints = Painted()(np.asarray(Image.open(folder / "one.png")))[0, :, :2]
    left, top, right, bottom = under[0]["box"]
    points = np.array(figure["points"])[:, :2]
    # The whole photo is the piece here: it is less than twice as large as the person.
    np.testing.assert_allclose((points[:, 0] - left) / (right - left), joints[:, 0] / SIDE, atol=0.004)
    np.testing.assert_allclose((points[:, 1] - top) / (bottom - top), joints[:, 1] / SIDE, atol=0.004)


def test_the_people_of_a_video_are_followed_and_answered(run, folder, moving, tmp_path):
    page = tmp_path / "page.html"
    code, out, err = run(
        "query", folder / "index", "--video", folder / "clip.mp4", "--every", 2, "--page", page, "--json"
    )
    assert code == 0, err
    (answer,) = json.loads(out)["queries"]
    assert answer["image_id"] in range(12)
    assert abs(answer["hits"][0]["row"] - (30 + answer["image_id"])) <= 2
    pieces, under = photos_of(page)
    assert len(pieces) == 1
    assert len(under) == 1 + min(len(answer["hits"]), 8)
    assert "12 images (0 to 11)" in page.read_text(encoding="utf-8")


def test_a_video_is_lifted_as_tracks(run, folder, moving, lifter):
    code, out, err = run("lift", "--video", folder / "clip.mp4", "--lifter", lifter, "--fps", 5, "--json")
    assert code == 0, err
    (track,) = json.loads(out)["tracks"]
    assert (track["fps"], track["frames"]) == (5, [0, 1, 2, 3, 4, 5])


def test_photos_are_lifted_as_people(run, folder, painted, lifter):
    photos = [folder / "one.png", folder / "two.png"]
    code, out, err = run("lift", "--image", *photos, "--lifter", lifter, "--samples", 5, "--json")
    assert code == 0, err
    assert [one["image_id"] for one in json.loads(out)["people"]] == ["one.png", "two.png"]


def test_keypoints_are_written_and_read_again(run, folder, painted, tmp_path):
    out = tmp_path / "people.json"
    code, printed, err = run("detect", "--image", folder / "one.png", folder / "nobody.png", "--out", out, "--json")
    assert code == 0, err
    answer = json.loads(printed)
    assert (answer["people"], answer["images"], answer["without_people"]) == (1, 2, ["nobody.png"])
    found = vipe.read_keypoints(out)
    np.testing.assert_allclose(found.xy, Painted()(np.asarray(Image.open(folder / "one.png")))[..., :2])
    code, printed, _ = run("detect", "--image", folder / "one.png", "--out", out)
    assert "1 person in 1 image of 1" in printed


def test_a_video_gives_keypoints_of_its_frames(run, folder, moving, tmp_path):
    code, printed, err = run(
        "detect", "--video", folder / "clip.mp4", "--fps", 5, "--out", tmp_path / "a.json", "--json"
    )
    assert code == 0, err
    assert json.loads(printed)["frames_per_second"] == 5
    assert vipe.read_keypoints(tmp_path / "a.json").image_id == (0, 2, 4, 6, 8, 10)


@pytest.mark.parametrize("command", [("query", "index"), ("lift",)], ids=["query", "lift"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "give --keypoints FILE, --image FILE or --video FILE"),
        (("--image", "one.png", "--video", "clip.mp4"), "--image and --video were given: expected one of them"),
        (("--keypoints", "a.json", "--detector", "blazepose"), "a keypoint file needs no detector"),
        (("--image", "one.png", "--skeleton", "coco17"), "--skeleton and --image-size go with --keypoints"),
        (("--image", "one.png", "--fps", 5), "--fps"),
        (("--video", "none.mp4"), "there is no such file"),
        (("--image", "clip.mp4"), "clip.mp4: is a video, expected a photo; give it as --video"),
    ],
    ids=[
        "nothing",
        "two things",
        "a detector of a file",
        "joints of a photo",
        "a rate of a photo",
        "no file",
        "a video",
    ],
)
def test_what_does_not_go_together_is_told(run, folder, painted, lifter, monkeypatch, command, options, said):
    monkeypatch.chdir(folder)
    trained = ("--lifter", lifter) if command == ("lift",) else ()
    code, out, err = run(*command, *options, *trained)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--video", "clip.mp4", "--views"), "--views takes photos of one moment"),
        (("--video", "clip.mp4", "--mode", "affine"), "they need mode full, got affine"),
    ],
)
def test_a_video_is_searched_as_tracks_only(run, folder, painted, monkeypatch, options, said):
    monkeypatch.chdir(folder)
    code, out, err = run("query", "index", *options)
    assert (code, out) == (2, "")
    assert said in err


def test_missing_weights_are_one_line_with_both_ways_out(run, folder, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for arguments in (("query", folder / "index"), ("detect", "--out", tmp_path / "a.json")):
        code, out, err = run(*arguments, "--image", folder / "one.png")
        assert (code, out) == (2, "")
        assert "vipe detector fetch blazepose" in err
        assert "--keypoints FILE" in err
        assert err.count("\n") == 1
    assert not (tmp_path / "a.json").exists()


def test_nothing_is_detected_for_a_file_that_cannot_be_written(run, folder, painted, tmp_path):
    (tmp_path / "file").touch()
    for out, said in ((tmp_path, "is a folder"), (tmp_path / "file" / "a.json", "File exists")):
        code, _, err = run("detect", "--image", folder / "one.png", "--out", out)
        assert code == 2
        assert said in err
    assert painted == []


def test_weights_are_fetched(run, monkeypatch, tmp_path):
    from vipe.detections.detectors.blazepose import files

    monkeypatch.setattr(files, "fetch", lambda folder: folder)
    code, out, _ = run("detector", "fetch", "blazepose", "--weights", tmp_path, "--json")
    assert code == 0
    assert json.loads(out) == {"detector": "blazepose", "weights": str(tmp_path)}
    assert run("detector", "fetch", "other")[0] == 2
