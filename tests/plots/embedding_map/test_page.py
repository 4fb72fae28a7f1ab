import base64
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from vipe.detections import Keypoints
from vipe.errors import EncoderMismatch, VipeError
from vipe.plots.embedding_map.page import COLOURS, check_fits, save_map_page
from vipe.plots.embedding_map.people import place_people
from vipe.plots.figures import figure_3d
from vipe.simulate import View, simulate_keypoints

pytest.importorskip("jinja2")
KINDS = {"xy": "<u2", "poses": "i1", "clip": "<u4", "frame": "<i4", "time": "<f4", "key": "u1", "cluster": "u1"}


@pytest.fixture
def people(index, layout, embedder):
    """Two people of the map, and one of whom three joints are seen."""
    poses = index.poses(layout.rows[[3, 40]]).astype(np.float64)
    seen = simulate_keypoints(poses, View(name="side", azimuth=1.0, elevation=0.2), generator=np.random.default_rng(0))
    mask = np.concatenate([seen.mask, seen.mask[:1]])
    mask[2, 3:] = False
    xy = np.where(mask[..., None], np.concatenate([seen.xy, seen.xy[:1]]), 0)
    return place_people(layout, Keypoints.of(xy, mask), embedder)


def written(path, *arguments, **options):
    save_map_page(path, *arguments, **options)
    page = path.read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script id="map" type="application/json">(.*?)</script>', page, re.DOTALL)[1])
    return (
        page,
        data,
        {name: np.frombuffer(base64.b64decode(data["arrays"][name]), kind) for name, kind in KINDS.items()},
    )


def test_the_page_holds_every_pose_with_its_moment_and_place(index, layout, labels, tmp_path):
    _, data, arrays = written(tmp_path / "map.html", "Map", layout, labels)
    names, frames = index.frames(), arrays["frame"]
    assert [data["clips"]["name"][one] for one in arrays["clip"]] == names["clip"][layout.rows].tolist()
    assert [data["actions"][data["clips"]["action"][one]] for one in arrays["clip"]] == labels.action.tolist()
    np.testing.assert_array_equal(frames, names["frame"][layout.rows])
    np.testing.assert_allclose(arrays["time"], names["time"][layout.rows], rtol=1e-6)
    np.testing.assert_array_equal(arrays["key"], labels.keys.nearest)
    places = arrays["xy"].reshape(-1, 2) / 65535
    places[:, 1] *= -1  # the page's y goes down
    extent = np.ptp(layout.xy, axis=0).max()
    np.testing.assert_allclose(places - places.mean(0), (layout.xy - layout.xy.mean(0)) / extent, atol=2e-5)
    assert (places[:, 0].min() >= 0) & (places[:, 1].min() >= -1)


def test_bodies_are_drawn_as_on_other_pages(layout, labels, tmp_path):
    _, data, arrays = written(tmp_path / "map.html", "Map", layout, labels)
    poses = arrays["poses"].reshape(len(layout), data["joints"], 3).astype(np.float64)
    for row in (0, 7, len(layout) - 1):
        figure = figure_3d(labels.poses[row])
        drawn = poses[row] - (poses[row].max(0) + poses[row].min(0)) / 2
        ratio = np.ptp(figure.points, axis=0).max() / np.ptp(drawn, axis=0).max()
        np.testing.assert_allclose(drawn * ratio, figure.points, atol=0.02)
        assert [tuple(bone) for bone in data["bones"]] == list(figure.bones)


def test_the_page_needs_no_network_and_no_other_file(layout, labels, people, tmp_path):
    page, _, _ = written(tmp_path / "map.html", "Map", layout, labels, people=people, facts=[("poses", "3")])
    assert not re.search(r"https?:|src=|href=|@import|url\(|fetch\(|import\(", page)
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page


def test_names_of_clips_cannot_end_the_script(layout, labels, tmp_path):
    evil = replace(labels, clip=np.full(len(labels), "</script><script>alert(1)</script>", dtype=object))
    page, data, _ = written(tmp_path / "map.html", "<b>", layout, evil)
    assert "<script>alert" not in page
    assert "<h1>&lt;b&gt;</h1>" in page
    assert data["clips"]["name"] == ["</script><script>alert(1)</script>"]


@pytest.mark.parametrize("colour", COLOURS)
def test_the_first_colour_is_the_chosen_one(layout, labels, tmp_path, colour):
    page, _, _ = written(tmp_path / "map.html", "Map", layout, labels, colour=colour)
    assert re.findall(r'<option value="(\w+)" selected>', page) == [colour]
    assert re.findall(r'<option value="(\w+)"', page) == list(COLOURS)


def test_people_are_drawn_in_beside_the_nearest_pose(layout, labels, people, tmp_path):
    assert len(people) == 2
    assert people.skipped == ("image 2, person 0: 3 joints seen, at least 6 are needed",)
    page, data, arrays = written(tmp_path / "map.html", "Map", layout, labels, people=people)
    assert "People of the query" in page
    extent = np.ptp(layout.xy, axis=0).max()
    for row, one in enumerate(data["people"]):
        assert one["name"] == f"image {row}, person 0"
        nearest = int(people.nearest[row])
        assert one["nearest"] == nearest
        apart = np.array([one["x"], one["y"]]) - arrays["xy"].reshape(-1, 2)[nearest] / 65535
        expected = (people.xy[row] - layout.xy[nearest]) / extent * [1, -1]
        np.testing.assert_allclose(apart, expected, atol=5e-5)
        assert len(one["points"]) == 13


def test_people_come_to_where_their_embedding_is_near(layout, people, embedder):
    vectors = embedder.encode_keypoints(people.people)
    apart = np.linalg.norm(vectors[:, None] - layout.embeddings, axis=-1)
    np.testing.assert_array_equal(people.nearest, apart.argmin(axis=1))
    np.testing.assert_allclose(people.distance, apart.min(axis=1), rtol=1e-4)


def test_nobody_is_placed_where_nobody_can_be(layout, embedder):
    blind = Keypoints.of(np.zeros((1, 13, 2)), np.zeros((1, 13), dtype=bool))
    nobody = place_people(layout, blind, embedder)
    assert (len(nobody), nobody.xy.shape, len(nobody.skipped)) == (0, (0, 2), 1)


def test_people_of_another_embedding_are_refused(layout, people, embedder):
    with pytest.raises(EncoderMismatch, match="was made by embedding another"):
        place_people(replace(layout, encoder="another"), people.people, embedder)


def test_a_page_of_more_than_15_mb_is_refused_and_the_old_one_stays(layout, labels, tmp_path, monkeypatch):
    (tmp_path / "map.html").write_text("old")
    monkeypatch.setattr("vipe.plots.embedding_map.page._LARGEST", 20_000)
    with pytest.raises(VipeError, match=r"0\.\d MB, at most 15 are written; a limit of \d+ poses fits"):
        save_map_page(tmp_path / "map.html", "Map", layout, labels)
    assert (tmp_path / "map.html").read_text() == "old"


def test_more_poses_than_fit_are_refused_before_any_work(tmp_path):
    check_fits(tmp_path / "map.html", 150_000)
    with pytest.raises(VipeError, match=r"18\.8 MB, at most 15 are written; a limit of 151595 poses fits"):
        check_fits(tmp_path / "map.html", 200_000)
    assert list(tmp_path.iterdir()) == []


def test_a_hundred_thousand_poses_fit(layout, labels, tmp_path):
    """Each pose takes 94 characters and a part of the names of clips, so 100,000 of 3,000 clips take 10 MB."""
    page, data, _ = written(tmp_path / "map.html", "Map", layout, labels)
    assert sum(map(len, data["arrays"].values())) < 94 * len(layout)
    assert len(page) - len(json.dumps(data)) < 60_000
