"""`--camera`: what is known of the camera finds what is not found without; what is wrong is told in one line."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import vipe
from vipe.cli.app import main
from vipe.cli.options.known_camera import CameraOptions
from vipe.detections.cameras.known_cameras import in_perspective_crops, with_cameras
from vipe.detections.cameras.lens import Lens
from vipe.errors import VipeError
from vipe.geometry.cameras import look_at
from vipe.retrieve.bent_hits import bend_hits
from vipe.skeletons.working import COCO13_IN_H36M17

LENS = Lens(700.0, 700.0, 1200.0, 1000.0, coefficients=(-0.3, 0.1, 0.0, 0.0))
PLAIN = {"fx": 700, "fy": 700, "cx": 1200, "cy": 1000, "k1": -0.3, "k2": 0.1, "width": 2400, "height": 2000}
COUNT = 12


def photographed(poses, seed):
    """Images of poses from near, at the edge of a wide lens, with a detector's noise."""
    rng = np.random.default_rng(seed)
    points = poses[:, list(COCO13_IN_H36M17)].astype(np.float64)
    points -= points.mean(axis=1, keepdims=True)
    zero = torch.zeros(len(poses), dtype=torch.float64)
    around = torch.from_numpy(rng.uniform(-3, 3, len(poses)))
    turn, place = look_at(around, zero + 0.1, zero + 1.0, zero, torch.zeros(len(poses), 3, dtype=torch.float64))
    points = points @ turn.numpy().swapaxes(1, 2) + place.numpy()[:, None]
    angle = np.radians(35)
    aside = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    xy = LENS.project(points @ aside.T)
    radius = np.sqrt(np.square(xy - xy.mean(axis=1, keepdims=True)).sum(axis=2).mean(axis=1))
    return xy + 0.03 * radius[:, None, None] * rng.normal(size=xy.shape)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cameras")
    main(["synth", "--out", str(folder / "store"), "--minutes", "1", "--fps", "10", "--seed", "1"])
    main(["index", "build", str(folder / "store"), "--out", str(folder / "index")])
    rows = np.arange(COUNT) * 50 + 7
    xy = photographed(vipe.PoseStore.open(folder / "store").poses()[rows], 0)
    np.save(folder / "rows.npy", rows)
    numbers = np.concatenate([xy, np.full((COUNT, 13, 1), 0.9)], axis=-1)
    for name, ids in {"people": range(COUNT), "views": [f"cam_{i % 2}" for i in range(2)]}.items():
        rows = [{"image_id": one, "keypoints": numbers[i].ravel().tolist()} for i, one in enumerate(ids)]
        (folder / f"{name}.json").write_text(json.dumps(rows))
    (folder / "camera.json").write_text(json.dumps(PLAIN))
    (folder / "two.json").write_text(json.dumps({"cam_0": PLAIN, "cam_1": PLAIN}))
    return folder


def answers(run, folder, *options, keypoints="people"):
    code, out, err = run(
        "query", folder / "index", folder / f"{keypoints}.json", "--k", 1, "--json", "--convention", "archive", *options
    )
    return json.loads(out) if code == 0 else err.strip()


def right(folder, result):
    index, rows = vipe.PoseIndex.open(folder / "index"), np.load(folder / "rows.npy")
    found = [one["hits"][0]["row"] for one in result["queries"]]
    return np.linalg.norm(index.poses(np.array(found)) - index.poses(rows), axis=-1).mean(axis=1) < 0.1


def test_people_at_the_edge_of_a_wide_lens_are_found_with_the_camera_alone(run, folder):
    known = right(folder, answers(run, folder, "--camera", folder / "camera.json"))
    unknown = right(folder, answers(run, folder))
    assert known.sum() >= 9
    assert (known & ~unknown).sum() >= 4


def test_the_page_draws_hits_where_the_photo_shows_them(run, folder):
    people = vipe.Keypoints.of(vipe.read_keypoints(folder / "people.json").xy)
    cropped = in_perspective_crops(people, [LENS] * COUNT)
    index = vipe.PoseIndex.open(folder / "index")
    hits = vipe.query(index, cropped, 1)
    images = np.stack([crop.to_image(one) for crop, one in zip(cropped.crop, hits.fits.project()[:, 0], strict=True)])
    off = np.linalg.norm(images[:, list(COCO13_IN_H36M17)] - people.xy, axis=-1)
    assert np.median(off) < 40
    from vipe.plots.pages.answers import _drawn

    drawn = _drawn(index, cropped[:1], hits, 0)[0][0]
    np.testing.assert_allclose(drawn, images[0], atol=1e-6)
    answers(run, folder, "--camera", folder / "camera.json", "--page", folder / "page.html")
    assert (folder / "page.html").stat().st_size > 10_000


def test_bent_hits_land_on_the_keypoints_of_a_known_camera(folder):
    people = with_cameras(vipe.read_keypoints(folder / "people.json"), folder / "camera.json")
    people = replace(people, convention="archive")[:3]
    index = vipe.PoseIndex.open(folder / "index")
    bent = bend_hits(index, people, vipe.query(index, people, 1), 0, torch.Generator().manual_seed(0))
    off = np.linalg.norm(bent.project()[:, 0, 0][:, list(COCO13_IN_H36M17)] - people.xy, axis=-1)
    assert off.mean() < 50


def test_views_and_tracks_take_cameras(run, folder):
    result = answers(run, folder, "--views", "--camera", folder / "two.json", keypoints="views")
    assert len(result["queries"]) == 1
    result = answers(run, folder, "--track", "--fps", 10, "--camera", folder / "camera.json")
    assert result["queries"]


def test_lifting_takes_a_camera(run, folder):
    common = ("lift", folder / "people.json", "--samples", 5, "--json")
    code, out, _ = run(*common, "--camera", folder / "camera.json")
    assert code == 0
    plain = run(*common)[1]
    assert json.loads(out)["people"][0]["modes"] != json.loads(plain)["people"][0]["modes"]


def test_each_image_gets_the_camera_that_is_said(run, folder):
    pairs = [f"--camera-name={image}=cam_{image % 2}" for image in range(COUNT)]
    given = answers(run, folder, "--camera", folder / "two.json", *pairs)
    assert right(folder, given).sum() >= 9
    one = answers(run, folder, "--camera", folder / "two.json", "--camera-name", "cam_1")
    assert [a["hits"][0]["row"] for a in one["queries"]] == [a["hits"][0]["row"] for a in given["queries"]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--camera", "none.json"), "none.json: cannot be read"),
        (("--camera", "two.json"), "two.json has 2 cameras (cam_0, cam_1), and image '0' does not name one of them"),
        (("--camera", "two.json", "--camera-name", "cam_7"), "no camera 'cam_7'; there are cam_0, cam_1"),
        (("--camera-name", "cam_1"), "--camera-name goes with --camera"),
        (("--camera", "two.json", "--camera-name", "a", "--camera-name", "1=b"), "--camera-name is given once as NAME"),
        (("--camera", "camera.json", "--image-size", "2000x2400"), "was calibrated with images of 2400x2000"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(run, folder, options, said):
    options = [folder / one if one.endswith(".json") else one for one in options]
    line = answers(run, folder, *options)
    assert isinstance(line, str)
    assert said in line
    assert "\n" not in line


def test_an_image_has_one_camera():
    with pytest.raises(VipeError, match=r"--camera-name names two cameras of image '1'; give one$"):
        CameraOptions(camera=(Path("a.toml"),), camera_name=("1=left", "2=left", "1=right")).check()
    CameraOptions(camera=(Path("a.toml"),), camera_name=("1=left", "2=left")).check()
