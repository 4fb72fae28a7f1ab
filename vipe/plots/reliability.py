"""The reliability diagram of a calibration report, as one PNG (matplotlib)."""

__all__ = ["save_reliability"]

from pathlib import Path

from vipe.errors import MissingExtra
from vipe.evaluate.protocols.calibration_report import CalibrationReport
from vipe.plots.figures import colours
from vipe.plots.writing import save_picture


def save_reliability(path: Path, report: CalibrationReport) -> None:
    """Draw rates of success against probabilities: a panel for each kind of probability in the report.

    A calibrated search lies on the diagonal. The area of a dot is the share of hits in its bin.

    Args:
        path: Where to write; replaced if it exists.
        report: As `evaluate_calibration` gives it.

    Raises:
        MissingExtra: If matplotlib is not installed.
        VipeError: If the picture cannot be written; what was there stays.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra('plots need matplotlib: pip install "vipe-pose[report]"') from error
    page = Figure(figsize=(4.0 * len(report.bins), 4.3), dpi=130, layout="constrained")
    FigureCanvasAgg(page)
    axes = page.subplots(1, len(report.bins), squeeze=False, sharey=True)[0]
    titles = {"presence": "the pose is in the archive"}
    for axis, (name, bins) in zip(axes, report.bins.items(), strict=True):
        sure, right, share = ([bar[part] for bar in bins] for part in ("probability", "rate", "share"))
        axis.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
        axis.plot(sure, right, color=colours()["middle"], linewidth=1)
        axis.scatter(sure, right, s=[12 + 500 * part for part in share], color=colours()["left"], alpha=0.7)
        ece = sum(abs(a - b) * c for a, b, c in zip(sure, right, share, strict=True))
        axis.set_title(f"{titles.get(name, f'hit is {name}')}: ECE {ece:.3f}", fontsize=9)
        axis.set_xlabel("probability", fontsize=8)
        axis.set_xlim(-0.02, 1.02)
        axis.set_ylim(-0.02, 1.02)
        axis.set_aspect("equal")
        axis.grid(linewidth=0.4, alpha=0.5)
    axes[0].set_ylabel("share that was right", fontsize=8)
    save_picture(path, page)
