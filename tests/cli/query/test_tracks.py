"""Queries of several images, as people type them: who is left out is named, and what is no video is refused."""

import json
import re
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
    assert 1 / (1 + np.exp(-sum(best["contributions"].values()))) == pytest.approx(best["probability"], abs=1e-3)
    page = (tmp_path / "page.html").read_text()
    assert "The archive holds this pose with a probability of" in page
    assert page.count('class="bar"') >= 8
    assert "joints seen, at least 6 are needed" in page
    _, out, _ = run("query", folder / "index", "--keypoints", folder / name, *options, "--explain")
    lines = out.splitlines()
    assert next(line for line in lines if "probable" in line).split()[-6:] == [
        "image",
        "usual",
        "agree",
        "embed",
        "calib",
        "others",
    ]
    assert max(map(len, lines)) <= 120
    # The reason of one who is left out goes over several lines of its cell.
    assert re.search(r" joints seen, at least\s+6 are needed", " ".join(out.split()))


def test_table_json_and_page_say_how_many_images_a_query_has(run, folder, tmp_path):
    asked = ("query", folder / "index", folder / "video.json", "--page", tmp_path / "page.html")
    code, out, _ = run(*asked, "--track", "--fps", 10, "--every", 2)
    assert (code, "3 queries in" in out) == (0, True)
    head, *rows = (line.split() for line in out.splitlines() if "person" in line or "images" in line)
    assert (head[:2], [row[3] for row in rows]) == (["query", "images"], ["10", "1", "1"])
    queries = answered(run, folder, folder / "video.json", "--track", "--fps", 10, "--every", 2)
    assert [one["images"] for one in queries] == [10, 1, 1]
    single = answered(run, folder, folder / "photos.json")
    assert not any("images" in one for one in single)
    assert "images" not in run("query", folder / "index", folder / "photos.json")[1]
    page = (tmp_path / "page.html").read_text()
    assert "10 images (0 to 11), person 0" in page
    assert re.findall(r"<b>(image \d+ of \d+)</b><small>(\d+): 13 of 13 joints seen; hits are drawn over it", page) == [
        ("image 5 of 10", "5")
    ]
    assert page.count("<b>query</b>") == 2  # those left out are images of their own


def test_a_page_has_the_remarks(run, folder, tmp_path):
    """A small archive's probabilities are too high, whoever reads them."""
    for asked in (("video.json", "--track", "--fps", 10), ("photos.json",)):
        name, *options = asked
        code, out, _ = run("query", folder / "index", folder / name, *options, "--page", tmp_path / "page.html")
        (told,) = (line for line in out.splitlines() if line.startswith("the archive has "))
        page = (tmp_path / "page.html").read_text()
        assert (code, page.count(f"<li>{told}</li>"), page.count("<h2>Remarks</h2>")) == (0, 1, 1)


def test_a_page_shows_every_view_if_they_are_few(run, folder, tmp_path):
    for name, views in (("few", 4), ("many", 5)):
        people = vipe.read_keypoints(folder / "views.json")[np.resize([0, 1, 2], views)]
        write_coco_results(tmp_path / f"{name}.json", replace(people, image_id=tuple("abcde"[:views])))
        page = tmp_path / f"{name}.html"
        _, out, _ = run("query", folder / "index", tmp_path / f"{name}.json", "--views", "--page", page, "--k", 2)
        assert "1 query in" in out
    few, many = ((tmp_path / f"{name}.html").read_text() for name in ("few", "many"))
    assert re.findall(r"<b>(image \d of \d)</b><small>(\w)", few) == [
        (f"image {i + 1} of 4", "abcd"[i]) for i in range(4)
    ]
    assert few.count("hits are drawn over it") == 1
    assert "4 images (a, b, c, d), person 0" in few
    assert re.findall(r"<b>(image \d of \d)</b><small>(\w)", many) == [("image 1 of 5", "a")]


def test_every_part_of_the_odds_has_its_column():
    from vipe.cli.query.answer_text import _ADDED
    from vipe.retrieve.ranking.model import CONTRIBUTIONS
    from vipe.retrieve.sequences.fusion import OTHER_IMAGES

    assert sorted(part for parts in _ADDED.values() for part in parts) == sorted([*CONTRIBUTIONS, OTHER_IMAGES])


def test_photos_are_no_video(run, folder):
    code, out, err = run("query", folder / "index", "--keypoints", folder / "photos.json", "--track", "--fps", 10)
    assert (code, out) == (2, "")
    assert "none of 3 in 3 images is seen in another of them within 10 frames; photos are searched one by one" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("file", "options"), [("video.json", ("--track", "--fps", 10, "--every", 2)), ("views.json", ("--views",))]
)
def test_several_images_are_looked_for_mirrored_too(run, folder, tmp_path, file, options):
    plain = answered(run, folder, folder / file, *options)[0]
    both, *left_out = answered(run, folder, folder / file, *options, "--mirrored")
    best = both["hits"][0]
    assert (best["clip"], best["frame"], best["mirrored"]) == (
        *(plain["hits"][0][name] for name in ("clip", "frame")),
        False,
    )
    assert 0 <= both["presence_mirrored"] <= 1 and both["presence"] == pytest.approx(plain["presence"], abs=1e-3)
    assert all(one["hits"] == [] for one in left_out)
    page, table = tmp_path / "page.html", tmp_path / "hits.csv"
    words = ("query", folder / "index", folder / file, *options, "--mirrored", "--page", page, "--table", table)
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert "there / mirrored" in out
    assert "mirror image" in page.read_text(encoding="utf-8")
    assert ",mirrored" in table.read_text(encoding="utf-8").splitlines()[0].replace('"', "")
