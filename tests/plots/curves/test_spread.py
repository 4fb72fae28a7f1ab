import numpy as np
import pytest

pytest.importorskip("matplotlib")

from vipe.errors import ShapeError
from vipe.plots.curves.spread import spread_by_direction


def test_a_dot_is_a_joint_in_centimetres_of_width_and_depth():
    covariance = np.zeros((2, 3, 3))
    covariance[0] = np.diag([0.01, 0.03, 0.16])  # 0.1414 m in width (root mean square), 0.4 m in depth
    covariance[0, 0, 2] = 0.5  # no matter
    axes = spread_by_direction({"one": covariance}).axes[0]
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [[100 * np.sqrt(0.02), 40], [0, 0]])
    assert axes.get_title() == "one: 20 / 7 cm"


def test_panels_share_one_scale_that_holds_every_dot():
    names = {f"lifter {number}": np.eye(3)[None] * number**2 / 100 for number in range(1, 6)}
    figure = spread_by_direction(names)
    shown = [axes for axes in figure.axes if axes.collections]
    assert len(shown) == 5
    assert {axes.get_xlim() for axes in shown} == {axes.get_ylim() for axes in shown} == {figure.axes[0].get_xlim()}
    assert figure.axes[0].get_xlim()[1] > 50


def test_hypotheses_that_are_one_pose_can_be_drawn():
    axes = spread_by_direction({"regression": np.zeros((17, 3, 3))}).axes[0]
    assert axes.get_title() == "regression: 0 / 0 cm"
    assert np.ptp(axes.get_xlim()) > 0


@pytest.mark.refusal
def test_nothing_and_other_shapes_are_refused():
    with pytest.raises(ShapeError, match="got none"):
        spread_by_direction({})
    with pytest.raises(ShapeError, match=r"spread of one must be \(joints, 3, 3\)"):
        spread_by_direction({"one": np.zeros((3, 3))})
