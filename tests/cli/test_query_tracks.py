"""Queries of several images, as people type them: who is left out is named, and what is no video is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

import vipe
from vipe.cli.app import main
from vipe.detections import write_coco_results
from vipe.simulate import CameraRig, simulate_keypoints


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An index, a video of 12 frames of which the third shows three joints and the ninth none, and four views."""
    folder = tmp_path_factory.mktemp("tracks")
    main(["synth", "--out", str(folder / "store"), "--minutes", "0.3", "--fps", "10", "--seed", "1"])
    main(["index", "build", str(folder / "store"), "--out", str(folder / "index")])
    poses = vipe.PoseStore.open(folder / "store").poses()
    cameras = CameraRig.load("mpi_inf_3dhp").cameras[:4]
    rng = np.random.default_rng(0)
    video = simulate_keypoints(poses[:12], cameras[0], noise=0.0, generator=rng)
    mask = video.mask.copy()
    mask[2, 3:] = mask[8] = False
    write_coco_results(folder / "video.json", vipe.Keypoints.of(np.where(mask[..., None], video.xy, 0), mask))
    views = simulate_keypoints(poses[[30] * 4], cameras, noise=0.0, generator=rng)
    mask = np.ones_like(mask[:4])
    mask[3] = False
    write_coco_results(folder / "views.json", vipe.Keypoints.of(np.where(mask[..., None], views.xy, 0), mask))
    photos = replace(vipe.Keypoints.of(video.xy[:3]), image_id=("785", "40083", "196141"))
    write_coco_results(folder / "photos.json", photos)
    return folder


def answered(run, folder, *arguments):
    code, out, err = run("query", folder / "index", "--keypoints", *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)["queries"]


def test_frames_that_say_nothing_are_named(run, folder):
    track, *left_out = answered(run, folder, folder / "video.json", "--track", "--fps", 10, "--every", 2)
    assert len(track["hits"]) == 10 and "skipped" not in track
    assert [(str(one["image_id"]), one["hits"]) for one in left_out] == [("2", []), ("8", [])]
    assert left_out[0]["skipped"].startswith("3 joints seen, at least 6 are needed")
    assert left_out[1]["skipped"].startswith("0 joints seen, at least 6 are needed")
    code, out, _ = run("query", folder / "index", "--keypoints", folder / "video.json", "--track", "--fps", 10)
    assert code == 0
    assert "3 joints seen, at least 6 are needed" in out


def test_views_without_keypoints_are_named(run, folder):
    moment, left_out = answered(run, folder, folder / "views.json", "--views")
    assert (left_out["hits"], left_out["skipped"][:13]) == ([], "0 joints seen")
    best = moment["hits"][0]
    assert 0 < best["probability"] <= moment["presence"] + 1e-6 <= 1
    frames = vipe.PoseIndex.open(folder / "index").frames()
    assert (best["clip"], best["frame"]) == (frames["clip"][30], frames["frame"][30])


@pytest.mark.parametrize("asked", [("video.json", "--track", "--fps", 10), ("views.json", "--views")])
def test_hits_of_several_images_are_explained_and_drawn(run, folder, tmp_path, asked):
    name, *options = asked
    answer, *_ = answered(run, folder, folder / name, *options, "--explain", "--page", tmp_path / "page.html")
    best = answer["hits"][0]
    assert 1 / (1 + np.exp(-sum(best["parts"].values()))) == pytest.approx(best["probability"], abs=1e-3)
    page = (tmp_path / "page.html").read_text()
    assert "The archive holds this pose with a probability of" in page
    assert page.count('class="bar"') >= 8
    assert "joints seen, at least 6 are needed" in page
    _, out, _ = run("query", folder / "index", "--keypoints", folder / name, *options, "--explain")
    assert "other images" in out and "probable" in out


def test_photos_are_no_video(run, folder):
    code, out, err = run("query", folder / "index", "--keypoints", folder / "photos.json", "--track", "--fps", 10)
    assert (code, out) == (2, "")
    assert "none of 3 in 3 images is seen in another of them within 10 frames; photos are searched one by one" in err
    assert len(err.splitlines()) == 1
