import pytest

pytest.importorskip("matplotlib")

from plots.examples import lifting_report

from vipe.errors import ShapeError
from vipe.plots.curves.error_by_samples import error_by_samples


def test_calibration_stands_beside_the_best_of_many():
    report = lifting_report()
    left, right = error_by_samples(report).axes
    curves = {line.get_label(): line for line in left.lines if not line.get_label().startswith("_")}
    for score in report.scores:
        x, y = curves[score.lifter].get_data()
        assert list(x) == sorted(score.best)
        assert list(y) == [score.best[count]["mean"] for count in sorted(score.best)]
    labels = [text.get_text() for text in right.get_legend().get_texts()]
    assert labels == [f"{score.lifter}: ECE {score.calibration['ece']:.3f}" for score in report.scores]
    assert [line.get_color() for line in right.lines[:2]] == [curves[name].get_color() for name in ("default", "mdn")]


def test_the_single_pose_is_a_dotted_line():
    report = lifting_report()
    left, _ = error_by_samples(report).axes
    dotted = [line.get_ydata()[0] for line in left.lines if line.get_linestyle() == ":"]
    assert dotted == [score.single["predict"]["mean"] for score in report.scores]


def test_a_condition_that_was_not_measured_is_refused():
    with pytest.raises(ShapeError, match=r"nothing was measured under 'fog'; expected one of noise 0\.03"):
        error_by_samples(lifting_report(), "fog")
