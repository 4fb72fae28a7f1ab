from dataclasses import replace

import pytest

pytest.importorskip("matplotlib")

from plots.examples import calibration_report

from vipe.plots.curves.reliability import reliability, reliability_by_gallery


def test_a_panel_for_each_kind_of_probability_has_its_error():
    report = calibration_report()
    titles = [axes.get_title() for axes in reliability(report).axes]
    assert [title.partition(":")[0] for title in titles] == [
        *("hit is within 0.1", "hit is within 0.1, first hit", "the pose is in the archive")
    ]
    bins = report.bins["presence"]
    ece = sum(abs(one["probability"] - one["rate"]) * one["share"] for one in bins)
    assert titles[2].endswith(f"ECE {ece:.3f}")


def test_a_row_for_each_gallery_is_drawn_from_its_own_bins():
    report = calibration_report()
    axes = reliability_by_gallery(report).axes
    assert len(axes) == 2 * 3
    assert [one.get_title().partition("\n")[0] for one in axes[::3]] == list(report.gallery_bins)
    for one, bins in zip(axes[3:], report.gallery_bins["1 s left out"].values(), strict=True):
        assert list(one.lines[1].get_ydata()) == [bar["rate"] for bar in bins]
        assert list(one.lines[1].get_xdata()) == [bar["probability"] for bar in bins]


@pytest.mark.parametrize("draw", [reliability, reliability_by_gallery])
@pytest.mark.parametrize("kinds", [1, 2, 4])
def test_every_word_lies_inside_the_picture(draw, kinds):
    """Axes are squares, whose titles went beyond the edge."""
    report = calibration_report()
    bins = report.bins["presence"]
    names = ("within 0.1, first hit", "within 0.1", "within 0.05", "presence")[:kinds]
    panels = dict.fromkeys(names, bins)
    page = draw(replace(report, bins=panels, gallery_bins=dict.fromkeys(("whole gallery", "clip left out"), panels)))
    page.canvas.draw()
    shown = [axes.get_tightbbox().extents for axes in page.axes]
    assert len(shown) == kinds * (1 if draw is reliability else 2)
    for left, low, right, high in shown:
        assert min(left, low) >= 3 and right <= page.bbox.width - 3 and high <= page.bbox.height - 3
