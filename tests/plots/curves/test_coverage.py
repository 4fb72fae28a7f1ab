import numpy as np
import pytest

pytest.importorskip("matplotlib")

from vipe.errors import ShapeError
from vipe.evaluate.lifting_calibration import CalibrationCurve
from vipe.plots.curves.coverage import coverage_curves

LEVELS = np.linspace(0, 1, 5)


def curve(coverage):
    return CalibrationCurve(LEVELS, np.asarray(coverage, dtype=float), np.asarray(coverage, dtype=float)[:, None])


def test_each_lifter_has_its_curve_and_error():
    half = LEVELS / 2
    figure = coverage_curves({"sure": curve(half), "right": curve(LEVELS)})
    assert [axes.get_title() for axes in figure.axes] == ["sure: ECE 0.25", "right: ECE 0.00"]
    np.testing.assert_array_equal(figure.axes[0].lines[1].get_ydata(), half)
    np.testing.assert_array_equal(figure.axes[0].lines[1].get_xdata(), LEVELS)
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[0, 0], [1, 1]]


def test_the_area_between_curve_and_diagonal_is_the_error():
    axes = coverage_curves({"sure": curve(LEVELS / 2)}).axes[0]
    x, y = axes.collections[0].get_paths()[0].vertices.T
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    assert area == pytest.approx(0.25)


def test_five_lifters_take_two_rows():
    figure = coverage_curves({str(number): curve(LEVELS) for number in range(5)})
    assert len(figure.axes) == 8
    assert sum(axes.axison for axes in figure.axes) == 5


@pytest.mark.refusal
def test_no_curve_is_refused():
    with pytest.raises(ShapeError, match="got none"):
        coverage_curves({})
