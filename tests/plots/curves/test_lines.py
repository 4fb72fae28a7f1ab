import numpy as np
import pytest

pytest.importorskip("matplotlib")

from vipe.errors import ShapeError
from vipe.plots.curves.lines import line_chart


def test_lines_have_their_numbers_and_names():
    figure = line_chart("t", (0, 1, 2), {"a": [1, 2, 3], "b": np.array([3, 2, 1])}, x_label="x", y_label="y")
    axes = figure.axes[0]
    assert [line.get_ydata().tolist() for line in axes.lines] == [[1, 2, 3], [3, 2, 1]]
    assert len({line.get_color() for line in axes.lines}) == 2
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("t", "x", "y")


def test_one_line_needs_no_legend_and_shares_go_from_0_to_1():
    axes = line_chart("t", (0, 1), {"a": [0.4, 0.5]}, x_label="", y_label="", share=True).axes[0]
    assert axes.get_legend() is None
    assert axes.get_ylim() == pytest.approx((-0.03, 1.03))


def test_marks_stand_where_they_belong_with_their_names():
    axes = line_chart("t", (0, 9), {"a": [1, 1]}, x_label="", y_label="", marks={"here": 4}).axes[0]
    assert list(axes.lines[1].get_xdata()) == [4, 4]
    assert axes.texts[0].get_text() == "here"


@pytest.mark.refusal
def test_no_lines_and_other_lengths_are_refused():
    with pytest.raises(ShapeError, match="got no line"):
        line_chart("t", (0, 1), {}, x_label="", y_label="")
    with pytest.raises(ShapeError, match="2 numbers each, got 3 of a"):
        line_chart("t", (0, 1), {"a": [1, 2, 3]}, x_label="", y_label="")
