import numpy as np
import pytest

pytest.importorskip("matplotlib")

from vipe.errors import ShapeError
from vipe.plots.bodies.pose_rows import pose_rows
from vipe.skeletons.working import BONES


@pytest.fixture
def poses(standing):
    """Somebody who faces +x, and who has turned round."""
    return np.stack([standing, standing * [-1, -1, 1]])


def left_is_right_of_right(axes):
    """Whether the left shoulder is drawn at the viewer's right: then the person faces the viewer."""
    bones = axes.collections[0].get_segments()
    left, right = (bones[BONES.index(f"{side}_shoulder")][1, 0] for side in ("left", "right"))
    return bool(left > right)


def test_each_pose_faces_the_viewer(poses):
    assert [left_is_right_of_right(axes) for axes in pose_rows({"a": poses}).axes] == [True, True]


def test_all_poses_are_turned_as_the_first_is(poses):
    figure = pose_rows({"a": poses, "b": poses[::-1]}, turned="first")
    assert [left_is_right_of_right(axes) for axes in figure.axes] == [True, False, False, True]


def test_poses_can_stay_as_they_stand(poses):
    assert [left_is_right_of_right(axes) for axes in pose_rows({"a": poses}, turned="no").axes] == [False, True]


def test_heads_are_up(poses):
    bones = pose_rows({"a": poses}).axes[0].collections[0].get_segments()
    assert bones[BONES.index("head")][1, 1] > bones[BONES.index("left_ankle")][1, 1]


def test_titles_stand_above_the_first_row_or_above_their_own(poses):
    once = pose_rows({"a": poses, "b": poses[:1]}, titles=["one", "two"])
    assert [axes.get_title() for axes in once.axes] == ["one", "two", "", ""]
    own = pose_rows({"a": poses, "b": poses}, titles={"b": ["three"]})
    assert [axes.get_title() for axes in own.axes] == ["", "", "three", ""]


def test_rows_have_their_labels_and_may_be_empty(poses):
    figure = pose_rows({"none": poses[:0], "a": poses})
    assert [axes.texts[0].get_text() for axes in figure.axes[::2]] == ["none", "a"]
    assert not figure.axes[0].collections


@pytest.mark.refusal
def test_no_pose_and_other_shapes_are_refused(poses):
    with pytest.raises(ShapeError, match="got no pose"):
        pose_rows({"a": poses[:0]})
    with pytest.raises(ShapeError, match=r"\(17, 3\) of 'a'"):
        pose_rows({"a": poses[0]})
