import html
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("jinja2")

from vipe.cli.lift import _people_table
from vipe.geometry import axis_angle
from vipe.geometry.upright import upright_pose
from vipe.lift import Hypotheses
from vipe.lift.aggregation.few_poses import modes
from vipe.lift.aggregation.lifted import LiftedPeople, LiftedTrack
from vipe.plots.figures import figure_in_camera
from vipe.plots.pages.lifted import save_people_page, save_tracks_page
from vipe.simulate import View, simulate_keypoints
from vipe.skeletons.working import COCO13, H36M17


@pytest.fixture
def lifted(rng):
    """Two people who stand upright; of the second the left wrist is not seen, and may be anywhere."""
    body = np.stack([upright_pose()] * 2)
    people = simulate_keypoints(body, View(name="front", azimuth=-np.pi / 2, elevation=0.0), noise=0.0, generator=rng)
    mask = people.mask.copy()
    wrist = COCO13.index("left_wrist")
    mask[1, wrist] = False
    people = replace(people, mask=mask, image_id=("a", "<b>"))
    camera = (body @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=np.float32).T)[:, None]
    poses = camera + 0.01 * rng.normal(size=(2, 60, 17, 3))
    poses[1, :, H36M17.index("left_wrist")] += 0.2 * rng.normal(size=(60, 1)) * [1, 1, 0.5]
    poses[0, 40:, :, 2] += np.linspace(0, 1, 17)
    hypotheses = Hypotheses(poses=poses.astype(np.float32), log_weight=np.zeros((2, 60), dtype=np.float32))
    return LiftedPeople(people=people, hypotheses=hypotheses, prediction=camera[:, 0], modes=modes(hypotheses))


def figures(page):
    return json.loads(re.search(r'id="figures">(.*?)</script>', page, re.DOTALL).group(1))


def test_each_person_has_the_keypoints_the_hypotheses_and_the_modes(lifted, tmp_path):
    save_people_page(tmp_path / "p.html", lifted, left_out=[("c person 0", "3 joints seen")])
    page = (tmp_path / "p.html").read_text()
    assert [len(found) for found in lifted.modes] == [2, 1]
    assert page.count("<canvas data-figure") == 2 * 2 + 3
    assert page.count('title="share of the hypotheses') == 3
    assert ("67%" in page, "33%" in page) == (True, True)
    assert "12 of 13 keypoints seen; 40 of 60 hypotheses drawn" in page
    assert "Not lifted: 3 joints seen." in page
    assert "image &lt;b&gt;, person 0" in page
    assert not re.search(r"https?://|src=|<link", page)


@pytest.mark.parametrize("share", [0.12504, 0.12496, 0.125, 0.375004, 0.0049, 0.004])
def test_shares_are_those_of_the_terminal(lifted, tmp_path, share):
    """A table is made of JSON, which keeps four digits; rounded a second time 0.12504 was 12% there and 13% here."""
    first = replace(lifted.modes[0], share=np.array([1 - share, share]))
    lifted = replace(lifted, modes=(first, lifted.modes[1]))
    save_people_page(tmp_path / "p.html", lifted)
    shown = re.findall(r"</i></span>([^<]+)</div>", (tmp_path / "p.html").read_text())
    assert len(shown) == 3
    table = _people_table(lifted.to_json())
    assert str(next(iter(table.columns[2].cells))) == " ".join(html.unescape(one) for one in shown[:2])


def test_hypotheses_lie_over_the_keypoints_they_came_from(lifted, tmp_path):
    save_people_page(tmp_path / "p.html", lifted)
    over = figures((tmp_path / "p.html").read_text())[0]
    keypoints = np.array(over["points"])[:, :2]
    others = np.array(over["others"]["points"])[:, :2].reshape(-1, 13, 2)
    assert others.shape[0] == 40
    assert np.abs(others - keypoints).max() < 0.1
    assert keypoints[COCO13.index("nose"), 1] > keypoints[COCO13.index("left_ankle"), 1]  # y up
    assert len(over["others"]["bones"]) == 40 * 14
    assert not over["turns"]


def test_a_keypoint_that_was_not_seen_has_the_largest_ellipse_and_no_bone(lifted, tmp_path):
    save_people_page(tmp_path / "p.html", lifted)
    over = [figure for figure in figures((tmp_path / "p.html").read_text()) if "others" in figure][2]
    ellipses = np.array(over["ellipsoids"])
    wrist = COCO13.index("left_wrist")
    assert np.trace(ellipses[:, :2, 1:3], axis1=1, axis2=2).argmax() == wrist
    assert (ellipses[:, 2] == 0).all()
    drawn = np.array(over["others"]["points"])[:, :2].reshape(-1, 13, 2)[:, wrist]
    expected = np.cov(drawn.T)  # of 40 of 60 hypotheses
    np.testing.assert_allclose(ellipses[wrist, :2, 1:3], expected, atol=0.5 * np.trace(expected))
    assert np.sign(ellipses[wrist, 0, 2]) == np.sign(expected[0, 1])
    assert all(wrist not in bone[:2] for bone in over["bones"])
    assert any(wrist in bone[:2] for bone in over["others"]["bones"])


def test_spread_is_a_bar_for_each_joint_but_the_pelvis(lifted, tmp_path):
    save_people_page(tmp_path / "p.html", lifted)
    page = (tmp_path / "p.html").read_text()
    bars = re.findall(r'<div>([a-z ]+)</div><span style="width: (\d+)%"></span><div>(\d+)</div>', page)
    assert len(bars) == 2 * 16
    second = {name: (int(width), int(figure)) for name, width, figure in bars[16:]}
    assert second["left wrist"][0] == 100
    expected = 1000 * lifted.spread()[1, H36M17.index("left_wrist")]
    assert second["left wrist"][1] == pytest.approx(expected, abs=1)
    assert second["right wrist"][0] < 20


def test_an_ellipsoid_turns_and_shrinks_with_its_figure(rng):
    pose = rng.normal(size=(17, 3))
    others = pose + 0.1 * rng.normal(size=(5, 17, 3))
    covariance = np.cov(rng.normal(size=(3, 50)))
    ellipsoid = np.concatenate([pose[4][:, None], covariance], axis=1)[None]
    figure = figure_in_camera(pose, others=others, ellipsoids=ellipsoid)
    np.testing.assert_allclose(figure.ellipsoids[0, :, 0], figure.points[4], atol=1e-9)
    # One deviation along an axis of the covariance is a point of the surface, drawn where the figure would draw it.
    values, axes = np.linalg.eigh(covariance)
    tip = pose[4] + np.sqrt(values[2]) * axes[:, 2]
    size = np.linalg.norm(figure.points[1] - figure.points[0]) / np.linalg.norm(pose[1] - pose[0])
    drawn = figure.points[4] + size * (tip - pose[4]) * [1, -1, -1]
    away = drawn - figure.ellipsoids[0, :, 0]
    assert away @ np.linalg.inv(figure.ellipsoids[0, :, 1:]) @ away == pytest.approx(1)


def test_faint_bodies_share_the_frame_of_the_clear_one(rng):
    pose = rng.normal(size=(17, 3))
    figure = figure_in_camera(pose, others=np.stack([pose, pose + 1]))
    np.testing.assert_allclose(figure.others.points[:17], figure.points)
    assert [bone[:2] for bone in figure.others.bones[16:]] == [(a + 17, b + 17) for a, b, _ in figure.bones]
    every = np.concatenate([figure.points, figure.others.points])
    assert np.abs(every[:, :2]).max() <= 0.5 + 1e-9


def test_tracks_are_drawn_frame_by_frame(tmp_path):
    turn = axis_angle(torch.tensor([0.0, 1.0, 0.0]).expand(30, 3), torch.linspace(0, 1, 30)).numpy()
    poses = (upright_pose() @ np.swapaxes(turn, 1, 2)).astype(np.float32)
    seen = np.ones(30, dtype=bool)
    seen[29] = False
    spread = np.full(17, 0.05)
    track = LiftedTrack(number=3, fps=10.0, frame=np.arange(5, 35), seen=seen, poses=poses, spread=spread)
    save_tracks_page(tmp_path / "p.html", [track], left_out=[("a person 1", "too dark")])
    page = (tmp_path / "p.html").read_text()
    assert page.count("<canvas data-figure") == 12
    assert ("frame 5<" in page, "frame 34<" in page, "frame 35<" in page) == (True, True, False)
    assert page.count("not seen: between its neighbours") == 1
    assert "3.00 s, seen in 29 frames; joints spread by 50 mm." in page
    assert "Not lifted: too dark." in page


def test_pages_of_nobody_are_pages(tmp_path):
    nobody = Hypotheses(poses=np.zeros((0, 4, 17, 3), dtype=np.float32), log_weight=np.zeros((0, 4), dtype=np.float32))
    people = simulate_keypoints(
        np.stack([upright_pose()]), View(name="v", azimuth=0.0, elevation=0.0), generator=np.random.default_rng(0)
    )[:0]
    empty = LiftedPeople(people=people, hypotheses=nobody, prediction=np.zeros((0, 17, 3), np.float32), modes=())
    save_people_page(tmp_path / "a.html", empty)
    save_tracks_page(tmp_path / "b.html", [])
    assert "<canvas data-figure" not in (tmp_path / "a.html").read_text() + (tmp_path / "b.html").read_text()
