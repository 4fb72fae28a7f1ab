import numpy as np
import pytest

pytest.importorskip("matplotlib")

from vipe.errors import ShapeError
from vipe.plots.bodies.compared_hypotheses import compared_hypotheses


@pytest.fixture
def poses(rng):
    return rng.normal(size=(50, 17, 3))


def drawn(axes, layer=0):
    return np.concatenate(axes.collections[layer].get_segments())


def points(poses, axes):
    return {tuple(point) for point in poses[..., axes].reshape(-1, 2).round(6).tolist()}


def test_the_upper_figure_is_what_the_camera_sees_and_the_lower_one_is_from_the_side(poses):
    figure = compared_hypotheses({"one": poses}, most=50)
    upper, lower = figure.axes
    assert points(drawn(upper), [0, 1]) == points(poses, [0, 1])
    assert points(drawn(lower), [0, 1]) == points(poses, [2, 1])  # depth to the right
    assert upper.get_ylim()[0] > upper.get_ylim()[1]  # y is down
    assert upper.get_xlim()[0] < upper.get_xlim()[1]


def test_the_truth_is_drawn_over_the_hypotheses_in_black(poses):
    upper, _ = compared_hypotheses({"one": poses}, truth=poses[7]).axes
    assert points(drawn(upper, 1), [0, 1]) == points(poses[7], [0, 1])
    assert upper.collections[1].get_colors().tolist() == [[0, 0, 0, 1]] * 16


def test_hypotheses_are_thinned_evenly(poses):
    upper, _ = compared_hypotheses({"one": poses}, most=3).axes
    assert points(drawn(upper), [0, 1]) == points(poses[[0, 24, 49]], [0, 1])


def test_more_than_five_lifters_go_into_a_second_band_and_all_have_one_scale(poses):
    names = [f"lifter {number}" for number in range(7)]
    figure = compared_hypotheses({name: poses[:3] * (1 + number) for number, name in enumerate(names)})
    assert len(figure.axes) == 4 * 4
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == names
    used = [axes for axes in figure.axes if axes.collections]
    assert len({round(np.ptp(axes.get_xlim()), 6) for axes in used}) == 1


def test_a_few_joints_far_off_do_not_make_all_others_small(poses):
    far = poses.copy()
    far[0, 3] = 1000
    upper, _ = compared_hypotheses({"one": far}, most=50).axes
    assert np.ptp(upper.get_xlim()) < 20


@pytest.mark.refusal
def test_nothing_and_other_shapes_are_refused(poses):
    with pytest.raises(ShapeError, match="got none"):
        compared_hypotheses({})
    with pytest.raises(ShapeError, match=r"hypotheses of one must be \(M, 17, 3\)"):
        compared_hypotheses({"one": poses[0]})
