import numpy as np
import pytest

pytest.importorskip("matplotlib")

from plots.examples import PICTURES, keypoints, pose

from vipe.errors import ShapeError
from vipe.lift import Hypotheses
from vipe.plots.bodies.generation_strip import generation_strip
from vipe.plots.bodies.hypotheses import hypotheses_over_keypoints, weighted_rows


def test_the_drawn_hypotheses_follow_the_weights():
    weight = np.array([0.5, 0.0, 0.25, 0.25])
    assert np.bincount(weighted_rows(np.repeat(weight / 100, 100)) // 100, minlength=4).tolist() == [20, 0, 10, 10]
    assert weighted_rows(np.full(3, 1 / 3)).tolist() == [0, 1, 2]


def test_keypoints_lie_over_all_hypotheses():
    axes = PICTURES["hypotheses"]().axes[0]
    faint, clear, dots = axes.collections
    assert len(faint.get_segments()) == 12 * 14  # bones of each of twelve bodies
    assert faint.get_alpha() < 0.5 and clear.get_alpha() == 1
    assert len(clear.get_segments()) == 13  # one wrist is not seen
    assert len(dots.get_offsets()) == 12


def test_hypotheses_of_others_are_refused():
    _, _, people = keypoints()
    two = Hypotheses(poses=np.zeros((2, 3, 17, 3), np.float32), log_weight=np.zeros((2, 3), np.float32))
    with pytest.raises(ShapeError, match="must be of the 1 people of the keypoints, got 2"):
        hypotheses_over_keypoints(people, two)


@pytest.mark.refusal
def test_a_strip_needs_a_title_for_each_step():
    with pytest.raises(ShapeError, match="a title for each step"):
        generation_strip(pose(), np.stack([[pose(0.1)] * 3]), ["one", "two"])


def test_a_strip_begins_each_row_with_the_pose_itself():
    strip = PICTURES["generation_strip"]()
    first, second = strip.axes[0], strip.axes[4]
    np.testing.assert_allclose(first.collections[0].get_segments(), second.collections[0].get_segments())
    assert [axes.get_title() for axes in strip.axes[:4]] == ["start", "alpha 0.2", "alpha 0.4", "alpha 0.6"]
