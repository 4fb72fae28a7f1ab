import pytest

pytest.importorskip("matplotlib")

from plots.examples import speed_rows

from vipe.errors import ShapeError
from vipe.plots.curves.recall_by_speed import SpeedRow, pareto_rows, recall_by_speed
from vipe.plots.figures import colours


def row(name, recall, speed):
    return SpeedRow(name=name, recall=recall, queries_per_second=speed, bytes=1_000)


def test_what_another_row_beats_is_not_on_the_front():
    rows = [row("slow and bad", 0.5, 10.0), row("fast", 0.7, 90.0), row("good", 0.9, 20.0), row("as good", 0.9, 15.0)]
    assert [one.name for one in pareto_rows(rows)] == ["good", "fast"]


def test_equal_rows_do_not_beat_each_other():
    assert len(pareto_rows([row("a", 0.5, 10.0), row("b", 0.5, 10.0)])) == 2


def test_every_row_has_a_dot_with_its_name_and_size_and_the_front_is_filled():
    axes = recall_by_speed(speed_rows()).axes[0]
    assert [text.get_text() for text in axes.texts] == ["flat, 310 MB", "fp16, 156 MB", "ivf, 160 MB", "int8, 78 MB"]
    filled = [len(dot.get_facecolor()) > 0 for dot in axes.collections]
    assert filled == [True, True, True, False]
    areas = [dot.get_sizes()[0] for dot in axes.collections]
    assert areas[0] > areas[2] > areas[1] > areas[3]
    assert axes.lines[0].get_color() == colours()["left"]


@pytest.mark.parametrize("rows", [[], [row("stuck", 0.5, 0.0)]], ids=["no row", "no speed"])
def test_rows_that_cannot_be_drawn_are_refused(rows):
    with pytest.raises(ShapeError, match="rows with a speed above 0"):
        recall_by_speed(rows)
