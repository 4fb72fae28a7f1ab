import pytest

pytest.importorskip("matplotlib")

from vipe.errors import ShapeError
from vipe.plots.curves.bars import bar_chart


def test_every_number_has_a_bar_and_stands_beside_it_top_to_bottom():
    axes = bar_chart("Poses", {"walk": 1200, "sit": 30}, unit="poses").axes[0]
    assert [bar.get_width() for bar in axes.patches] == [1200, 30]
    assert [text.get_text() for text in axes.texts] == ["1,200", "30"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["walk", "sit"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert (axes.get_title(), axes.get_xlabel()) == ("Poses", "poses")


def test_series_stand_below_each_other_in_their_order():
    figure = bar_chart("Error", {"a": (1.25, 2), "b": (3, 4)}, series=("single", "best"), figure="{:.2f}")
    axes = figure.axes[0]
    height = {bar.get_width(): bar.get_y() for bar in axes.patches}
    assert height[1.25] < height[2] < height[3] < height[4]
    assert [text.get_text() for text in axes.texts] == ["1.25", "3.00", "2.00", "4.00"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["single", "best"]


def test_ticks_of_counts_are_whole():
    figure = bar_chart("Hits", {"a": 1, "b": 2})
    figure.canvas.draw()
    assert all(float(tick).is_integer() for tick in figure.axes[0].get_xticks())


@pytest.mark.refusal
def test_no_bars_and_missing_numbers_are_refused():
    with pytest.raises(ShapeError, match="got no bars"):
        bar_chart("", {})
    with pytest.raises(ShapeError, match="2 numbers each, got 1 of b"):
        bar_chart("", {"a": (1, 2), "b": 3}, series=("one", "two"))
