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
