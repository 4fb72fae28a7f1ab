import json
import re

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from vipe.plots.answers import Answer, RankedPose, save_answers
from vipe.plots.figures import Card, colours, figure_2d, figure_3d, figure_in_camera, seen_from
from vipe.plots.generated import Row, save_generated_page
from vipe.plots.history import save_history
from vipe.plots.report import Section, save_page
from vipe.plots.sheet import save_sheet
from vipe.skeletons import load

COCO = load("coco13")


@pytest.fixture
def canonical(standing):
    """`standing` faces +x with the left at +y; canonical faces -x with the right at +y: turned by half a circle."""
    return (standing - standing[0]) * [-1, -1, 1]


def test_an_unseen_joint_takes_its_bones_away(rng):
    mask = np.ones(13, dtype=bool)
    mask[COCO.index("left_wrist")] = False
    drawn = {bone[:2] for bone in figure_2d(rng.normal(size=(13, 2)), mask, COCO).bones}
    everything = {bone[:2] for bone in figure_2d(rng.normal(size=(13, 2)), np.ones(13, dtype=bool), COCO).bones}
    assert everything - drawn == {(COCO.index("left_elbow"), COCO.index("left_wrist"))}


def test_pixels_are_drawn_upright():
    xy = np.zeros((13, 2))
    xy[COCO.index("nose")] = [0, -100]  # above the rest in an image
    assert figure_2d(xy, np.ones(13, dtype=bool), COCO).points[COCO.index("nose"), 1] > 0


def test_nobody_seen_draws_nothing():
    figure = figure_2d(np.zeros((13, 2)), np.zeros(13, dtype=bool), COCO)
    assert figure.bones == ()
    assert np.isfinite(figure.points).all()


def test_a_person_is_seen_from_the_front_with_their_left_at_the_viewers_right(canonical):
    h36m = load("h36m17")
    flat = seen_from(figure_3d(canonical).points, turn=0.0, lift=0.0)
    assert flat[h36m.index("left_shoulder"), 0] > 0 > flat[h36m.index("right_shoulder"), 0]
    assert flat[h36m.index("head"), 1] > flat[h36m.index("left_ankle"), 1]
    nose = figure_3d(canonical).points[h36m.index("nose")]
    assert nose[2] > figure_3d(canonical).points[h36m.index("head"), 2]  # towards the viewer


def test_a_pose_is_drawn_as_the_camera_sees_it(canonical, rng):
    # Any rotation as a camera, any scale: x right and y down in pixels is x right and y up in the figure.
    camera = np.linalg.qr(rng.normal(size=(3, 3)))[0][:2]
    image = canonical @ camera.T * [1, -1]
    drawn = figure_3d(canonical, 170 * camera).points[:, :2]
    image, drawn = image - image.mean(axis=0), drawn - drawn.mean(axis=0)
    np.testing.assert_allclose(drawn / np.linalg.norm(drawn), image / np.linalg.norm(image), atol=1e-6)


def test_a_fitted_pose_is_first_drawn_as_its_camera_sees_it_and_turns(rng):
    pose = rng.normal(size=(17, 3))  # x right, y down, z away
    figure = figure_in_camera(pose)
    flat = seen_from(figure.points) * [1, -1]
    flat, image = flat - flat.mean(axis=0), pose[:, :2] - pose[:, :2].mean(axis=0)
    np.testing.assert_allclose(flat / np.linalg.norm(flat), image / np.linalg.norm(image), atol=1e-6)
    assert figure.turns
    nearest = pose[:, 2].argmin()
    assert figure.points[nearest, 2] == figure.points[:, 2].max()  # z is towards the viewer


def test_no_turn_takes_a_body_off_its_canvas(rng):
    for figure in (figure_in_camera(rng.normal(size=(17, 3)) * [0.1, 0.1, 3]), figure_3d(rng.normal(size=(17, 3)))):
        for turn in np.linspace(0, 2 * np.pi, 17):
            assert np.abs(seen_from(figure.points, turn)).max() < 0.5 / 0.84


def test_sides_have_their_colours(canonical):
    h36m = load("h36m17")
    side = {bone[:2]: bone[2] for bone in figure_3d(canonical).bones}
    assert side[h36m.index("left_hip"), h36m.index("left_knee")] == colours()["left"]
    assert side[h36m.index("thorax"), h36m.index("nose")] == colours()["middle"]


def test_a_page_holds_every_figure_and_nothing_from_elsewhere(tmp_path, canonical):
    card = Card(figure=figure_3d(canonical), title="</script><b>walk", note="0.01", hit=True)
    save_page(
        tmp_path / "page.html", "A & B", [Section(title="q", rows=[("affine", [card, card])])], table=[["a"], ["1"]]
    )
    html = (tmp_path / "page.html").read_text()
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', html, re.S).group(1))
    assert len(figures) == html.count("<canvas data-figure") == 2
    assert "A &amp; B" in html
    assert "<b>walk" not in html  # a clip's name is text
    assert not re.search(r"https?://|src=|<link", html)


def test_a_hit_is_drawn_in_two_ways_with_its_probability(tmp_path, canonical):
    figure = figure_3d(canonical)
    cards = [
        Card(figure=figure, title="query"),
        Card(figure=figure, beside=figure, title="1.", probability=0.834),
        Card(figure=figure, beside=figure, title="2.", probability=0.001),
    ]
    save_page(tmp_path / "page.html", "t", [Section(title="q", rows=[("", cards)])])
    html = (tmp_path / "page.html").read_text()
    assert html.count("<canvas data-figure") == 5
    assert html.count('class="bar"') == 2
    assert "width: 83%" in html
    assert "&lt;1%" in html


def test_who_looks_from_above_sees_what_is_near_lower():
    near, far = seen_from(np.array([[0, 0, 1.0], [0, 0, -1.0]]), lift=0.5)
    assert near[1] < 0 < far[1]


def test_generated_poses_are_turned_so_that_the_given_one_faces_the_viewer(tmp_path, standing):
    h36m = load("h36m17")
    turned = standing @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], dtype=np.float32)  # a quarter turn about z
    poses = Row(label="", poses=turned[None], titles=["a"], notes=[""])
    save_generated_page(tmp_path / "page.html", "t", [poses], given=poses)
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', (tmp_path / "page.html").read_text(), re.S).group(1))
    for figure in figures:
        points = np.array(figure["points"])
        assert points[h36m.index("left_shoulder"), 0] > 0.05 > -0.05 > points[h36m.index("right_shoulder"), 0]
        assert points[h36m.index("nose"), 2] > points[h36m.index("head"), 2]  # towards the viewer


@pytest.fixture
def drawn(monkeypatch):
    """The figures of matplotlib that are handed over to be written."""
    figures = []
    for module in ("sheet", "history"):
        monkeypatch.setattr(f"vipe.plots.{module}.save_picture", lambda path, figure: figures.append(figure))
    return figures


def test_hits_and_misses_have_their_colours_on_a_sheet(tmp_path, canonical, drawn):
    cards = [Card(figure=figure_3d(canonical), title="t", hit=hit) for hit in (True, False, None)]
    save_sheet(tmp_path / "sheet.png", "t", [("row", cards), ("short", cards[:1])])
    shown = [axis.title.get_color() for axis in drawn[0].axes[:3]]
    assert shown == [colours()["hit"], colours()["miss"], "black"]


def test_a_history_shows_losses_above_and_validation_below_stage_by_stage(tmp_path, drawn):
    lines = [
        {"stage": "poses", "step": 1, "loss": 2.0, "kl": 0.5},
        {"stage": "poses", "step": 2, "loss": 1.0, "kl": 0.4, "val_mpjpe": 0.2},
        {"stage": "keypoints", "step": 1, "loss": 3.0, "val_hit1": 0.7},
    ]
    save_history(tmp_path / "history.png", lines)
    poses, keypoints, poses_checks, keypoints_checks = drawn[0].axes
    assert [line.get_label() for line in poses.lines] == ["loss", "kl"]
    assert poses.lines[0].get_xydata().tolist() == [[1, 2], [2, 1]]
    assert [line.get_label() for line in poses_checks.lines] == ["validation MPJPE (torso lengths)"]
    assert [line.get_label() for line in keypoints_checks.lines] == ["validation search Hit@1"]
    assert (poses.get_title(), keypoints.get_title()) == ("stage: poses", "stage: keypoints")
    assert (poses.get_yscale(), poses_checks.get_yscale()) == ("log", "linear")


def test_a_lifters_history_shows_all_its_losses_on_a_scale_that_fits_them(tmp_path, drawn):
    lines = [
        {"stage": "pose", "step": 1, "loss": 2.0, "bent": 0.5},
        {"stage": "pose", "step": 2, "loss": 1.0, "bent": 0.4, "val_mpjpe": 90.0, "val_energy": 300.0},
        {"stage": "flow", "step": 1, "loss": -3.0, "val_mpjpe": 80.0, "val_energy": 200.0},
    ]
    save_history(tmp_path / "history.png", lines)
    pose, flow, pose_checks, _ = drawn[0].axes
    assert [line.get_label() for line in pose.lines] == ["loss", "bent"]
    assert (pose.get_yscale(), flow.get_yscale()) == ("log", "linear")
    assert [line.get_label() for line in pose_checks.lines] == [
        *("validation MPJPE of the single pose (mm)", "validation energy score (mm)")
    ]


def test_answers_are_drawn_on_a_page_and_a_sheet(tmp_path, canonical, rng):
    def one(name, distance):
        return RankedPose(name=name, pose=canonical, camera=np.array([[1.0, 0, 0], [0, 0, -1]]), distance=distance)

    answer = Answer(
        title="walk at 1.0 s",
        xy=rng.normal(size=(13, 2)),
        mask=np.ones(13, dtype=bool),
        truth=canonical,
        truth_camera=np.array([[0.0, 1, 0], [0, 0, -1]]),
        found={"affine": [one("walk 1.1 s", 0.02), one("run 0.2 s", 0.3)], "raw 2D": []},
    )
    save_answers(tmp_path / "a.html", tmp_path / "a.png", "demo", [answer, answer])
    html = (tmp_path / "a.html").read_text()
    assert html.count("same pose") == html.count("another pose") == 2
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
