"""Skeletons in the axes of a plot, in two dimensions and in three."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from plots.examples import keypoints, pose

from vipe.errors import ShapeError
from vipe.plots.bodies.skeleton_2d import draw_skeleton_2d, skeleton_2d
from vipe.plots.bodies.skeleton_3d import draw_skeleton_3d, skeleton_3d
from vipe.plots.writing import new_figure
from vipe.skeletons.working import COCO13, H36M17


def test_pixels_are_drawn_where_they_are_with_y_down():
    xy, mask, _ = keypoints()
    axes = skeleton_2d(xy[0], mask[0]).axes[0]
    ends = np.concatenate(axes.collections[0].get_segments())
    assert all((np.abs(xy[0] - end).max(axis=1) < 1e-4).any() for end in ends)
    assert axes.yaxis_inverted() and not axes.xaxis_inverted()
    assert axes.get_aspect() == 1


def test_an_unseen_keypoint_has_no_bone_and_no_dot():
    xy, mask, _ = keypoints()
    axes = skeleton_2d(xy[0], mask[0]).axes[0]
    unseen = xy[0, COCO13.index("right_wrist")]
    bones, dots = axes.collections
    drawn = np.concatenate([*bones.get_segments(), dots.get_offsets()])
    assert np.abs(drawn - unseen).max(axis=1).min() > 1
    assert len(dots.get_offsets()) == 12


def test_several_people_in_one_plot_are_all_shown():
    xy, mask, _ = keypoints()
    axes = new_figure(3.0, 3.0).subplots()
    for shift in (0, 400):
        draw_skeleton_2d(axes, xy[0] + shift, mask[0])
    left, right = axes.get_xlim()
    assert left < xy[0, mask[0], 0].min() and right > xy[0, mask[0], 0].max() + 400


def test_nobody_seen_leaves_the_plot_as_it_was():
    axes = new_figure(3.0, 3.0).subplots()
    draw_skeleton_2d(axes, np.zeros((13, 2)), np.zeros(13, dtype=bool))
    assert axes.get_xlim() == (0, 1)


def test_a_body_in_space_has_one_unit_along_all_axes():
    body = pose() * 3 + [5, -2, 1]
    axes = skeleton_3d(body).axes[0]
    spans = [np.ptp(limits) for limits in (axes.get_xlim(), axes.get_ylim(), axes.get_zlim())]
    assert np.ptp(spans) < 1e-6
    assert np.ptp(axes.get_box_aspect()) < 1e-9 if hasattr(axes, "get_box_aspect") else True
    for limits, values in zip((axes.get_xlim(), axes.get_ylim(), axes.get_zlim()), body.T, strict=True):
        assert limits[0] < values.min() and limits[1] > values.max()


@pytest.mark.parametrize("turn", [0.0, 1.0, 3.0])
def test_the_viewer_stands_before_the_person(turn):
    body = pose() @ np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    axes = skeleton_3d(body).axes[0]
    ahead = np.array([np.sin(turn), -np.cos(turn)])  # turned as the person, who faced -y
    viewer = np.array([np.cos(np.radians(axes.azim)), np.sin(np.radians(axes.azim))])
    assert ahead @ viewer == pytest.approx(np.cos(np.radians(30)), abs=1e-5)


@pytest.mark.refusal
def test_arrays_of_another_skeleton_are_refused():
    flat, solid = new_figure(3.0, 3.0).subplots(), new_figure(3.0, 3.0).add_subplot(projection="3d")
    with pytest.raises(ShapeError, match=r"keypoints of coco13 must be \(13, 2\)"):
        draw_skeleton_2d(flat, np.zeros((17, 2)))
    with pytest.raises(ShapeError, match=r"a pose of h36m17 must be \(17, 3\)"):
        draw_skeleton_3d(solid, np.zeros((13, 3)), skeleton=H36M17)
