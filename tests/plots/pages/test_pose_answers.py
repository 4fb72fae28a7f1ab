"""The page of moments that show the pose of a moment: what is drawn, how it lies, what is told."""

import json
import re

import numpy as np
import pytest

pytest.importorskip("jinja2")

import vipe
from vipe.clips import Clip
from vipe.embed import AffineSignature
from vipe.index import PoseIndex
from vipe.plots.figures import colours, figure_3d
from vipe.plots.pages.answers import save_query_page
from vipe.plots.pages.pose_answers import save_pose_page
from vipe.retrieve import query_moments
from vipe.retrieve.mirrored import mirrored_poses
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.skeletons import load
from vipe.skeletons.working import COCO13_IN_H36M17, H36M17
from vipe.store import PoseStore


@pytest.fixture(scope="module")
def archive(bent, tmp_path_factory):
    """Ten poses, and their mirror images."""
    folder = tmp_path_factory.mktemp("page")
    poses = vipe.canonicalize(bent(10, 1, most=1.0)).poses
    clips = [
        Clip(name=name, skeleton=load("h36m17"), positions=held * 0.5, fps=10.0, action=f"{name} <walk>")
        for name, held in (("as", poses), ("mirrored", mirrored_poses(poses)))
    ]
    return PoseIndex.build(PoseStore.create(folder / "store", clips), AffineSignature(), folder / "index")


def figures(page):
    """The figures of a page, as its script has them."""
    found = re.search(r"(\[\{.*\}\])", page.read_text().replace("\n", " "))
    return json.JSONDecoder().raw_decode(found.group(1))[0]


def test_each_hit_is_drawn_as_the_query_lies_mirrored_where_it_was_found_so(archive, tmp_path):
    moments = [("as", 3), ("as", 5)]
    hits = query_moments(archive, moments, 4, mirrored=True, leave_out=0.0)
    assert hits.mirrored[:, 0].all()
    page = tmp_path / "page.html"
    save_pose_page(page, archive, moments, hits)
    drawn = figures(page)
    assert len(drawn) == 2 * 5
    for query, (_, frame) in enumerate(moments):
        asked, first = (np.array(one["points"]) for one in drawn[5 * query : 5 * query + 2])
        np.testing.assert_allclose(asked, figure_3d(archive.canonical[frame]).points, atol=1e-3)
        np.testing.assert_allclose(first, asked, atol=2e-3)  # it is the mirror image of the mirror image
    html = page.read_text()
    assert html.count("; its mirror image") == int(hits.mirrored.sum())
    assert "mirrored &lt;walk&gt;" in html and "<walk>" not in html
    assert "Grey joints" not in html and "hits are drawn" not in html


def test_joints_that_do_not_count_are_grey_and_take_no_part_in_the_turn(archive, tmp_path):
    hits = query_moments(archive, [("as", 3)], 6, joints=("upper",), leave_out=-1.0)
    save_pose_page(tmp_path / "page.html", archive, [("as", 3)], hits, joints=("upper",), most=2)
    drawn = figures(tmp_path / "page.html")
    assert len(drawn) == 3
    for one in drawn:
        grey = {H36M17.joints[b] for _, b, colour in one["bones"] if colour == colours()["missing"]}
        assert grey == {f"{side}_{joint}" for side in ("left", "right") for joint in ("hip", "knee", "ankle")} | {
            "spine"
        }
    np.testing.assert_allclose(drawn[1]["points"], drawn[0]["points"], atol=2e-3)  # itself
    html = (tmp_path / "page.html").read_text()
    assert "Grey joints did not count." in html and "The first 2 of 6 hits are drawn." in html


def test_a_moment_without_hits_says_so(archive, tmp_path):
    hits = query_moments(archive, [("as", 3)], within=1e-4)
    save_pose_page(tmp_path / "page.html", archive, [("as", 3)], hits)
    assert "No moment is near enough." in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("mode", ["affine", "full"])
def test_mirrored_hits_of_people_lie_over_the_keypoints_as_they_were_given(archive, tmp_path, rng, mode):
    """The archive's mirror images alone are searched, with what a camera sees of the poses themselves."""
    seen = simulate_keypoints(archive.canonical[:3] * 0.49, CameraRig.load("mpi_inf_3dhp"), noise=0.0, generator=rng)
    hits = vipe.query(archive, seen, 1, mode, mirrored=True, where={"clip": "mirrored"})
    assert hits.rows[:, 0].tolist() == [10, 11, 12] and hits.mirrored.all()
    save_query_page(tmp_path / "page.html", archive, seen, hits)
    drawn = figures(tmp_path / "page.html")
    assert len(drawn) == 3 * 3
    for over in drawn[1::3]:
        points = np.array(over["points"])[:, :2]
        off = np.linalg.norm(points[:13] - points[13:][list(COCO13_IN_H36M17)], axis=1)
        assert off.mean() < 0.03  # of the size of the figure
    html = (tmp_path / "page.html").read_text()
    assert html.count("; its mirror image") == 3
    assert "Where a hit shows the mirror image of a person, its own mirror image is drawn." in html
