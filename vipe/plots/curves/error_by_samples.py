"""Error of lifters against their number of hypotheses, with their calibration beside it (matplotlib)."""

__all__ = ["error_by_samples"]

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vipe.errors import ShapeError
from vipe.evaluate.protocols.lifting_report import LiftingReport, LiftingScore
from vipe.plots.curves.series import series
from vipe.plots.writing import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def error_by_samples(report: LiftingReport, condition: str | None = None) -> "Figure":
    """A picture of a lifting report. `save_picture` writes it.

    Left: error of the best of M hypotheses, with its 95% interval; the dotted line is the single pose. It falls for any
    lifter whose hypotheses spread enough, so it is not shown alone. Right: how often the truth lies in the region that
    should hold it. Below the diagonal hypotheses spread too little.

    Args:
        report: As `evaluate_lifting` gives it.
        condition: Of the photos; the report's first if not given.

    Raises:
        ShapeError: If nothing was measured under the condition.
        MissingExtra: If matplotlib is not installed.
    """
    condition = report.protocol["conditions"][0] if condition is None else condition
    scores = [score for score in report.scores if score.condition == condition]
    if not scores:
        measured = ", ".join(report.protocol["conditions"])
        raise ShapeError(f"nothing was measured under {condition!r}; expected one of {measured}")
    page = new_figure(8.6, 3.9)
    page.suptitle(condition, fontsize=10)
    left, right = page.subplots(1, 2)
    for score, style in zip(scores, series(len(scores)), strict=True):
        _draw_errors(left, score, style)
        curve = score.calibration["curve"]
        label = f"{score.lifter}: ECE {score.calibration['ece']:.3f}"
        right.plot(curve["levels"], curve["coverage"], label=label, markevery=4, **style)
    left.set_xscale("log", base=2)
    counts = sorted({count for score in scores for count in score.best})
    left.set_xticks(counts, [str(count) for count in counts])
    left.set_xlabel("hypotheses", fontsize=8)
    left.set_ylabel("error of the best, mm", fontsize=8)
    left.set_ylim(bottom=0)
    right.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
    right.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    right.set_xlabel("share of the hypotheses in a region around them", fontsize=8)
    right.set_ylabel("how often the truth is in it", fontsize=8)
    for axes in (left, right):
        axes.tick_params(labelsize=8)
        axes.grid(linewidth=0.4, alpha=0.5)
        axes.legend(fontsize=7, frameon=False)
    return page


def _draw_errors(axes: Any, score: LiftingScore, style: dict[str, Any]) -> None:
    counts: Sequence[int] = sorted(score.best)
    figures = [score.best[count] for count in counts]
    axes.plot(counts, [one["mean"] for one in figures], label=score.lifter, **style)
    low, high = ([one[end] for one in figures] for end in ("low", "high"))
    axes.fill_between(counts, low, high, color=style["color"], alpha=0.15, linewidth=0)
    axes.axhline(score.single["predict"]["mean"], color=style["color"], linewidth=1, linestyle=":")
