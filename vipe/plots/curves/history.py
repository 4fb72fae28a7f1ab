"""The history of a training: losses and validation figures over its steps (matplotlib)."""

__all__ = ["save_history"]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vipe.plots.curves.series import series
from vipe.plots.writing import new_figure, save_picture

_LOSSES = (  # of V-VIPE, of Pr-VIPE, of the towers
    *("loss", "reconstruction", "kl", "triplet"),
    *("ratio", "pairwise", "prior"),
    *("search", "answer", "views", "decoded"),
)
_CHECKS = {
    "val_mpjpe": "validation MPJPE (torso lengths)",
    "val_hit1": "validation search Hit@1",
    "val_view_hit1": "validation Hit@1, one view to another",
    "val_mpjpe_noisy": "validation MPJPE (torso lengths), noisy views",
    "val_search_noisy": "validation search Hit@1, noisy views",
    "val_views_noisy": "validation Hit@1, one noisy view to another",
}
_LIFTER_CHECKS = {
    "val_mpjpe": "validation MPJPE of the single pose (mm)",
    "val_random": "of any hypothesis (mm)",
    "val_best": "of the best of 20 (mm)",
    "val_energy": "validation energy score (mm)",
}


def save_history(path: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Draw one column for each stage: its losses (logarithmic) above, its validation figures below.

    Of a lifter all losses are drawn, since they differ from kind to kind; on a linear scale if one is not above 0.

    Args:
        path: PNG file to write.
        history: Lines of a `history.jsonl`: stage, step, and the measurements at that step.

    Raises:
        MissingExtra: If matplotlib is not installed.
        VipeError: If the picture cannot be written; an existing file stays as it is.
    """
    stages = list(dict.fromkeys(line["stage"] for line in history))
    lifts = any("val_energy" in line for line in history)
    losses, checks = {name: name for name in _LOSSES}, _CHECKS
    if lifts:
        measured = [name for line in history for name in line if name not in ("stage", "step")]
        losses, checks = {name: name for name in measured if not name.startswith("val_")}, _LIFTER_CHECKS
    page = new_figure(5.2 * len(stages), 6.4)
    axes = page.subplots(2, len(stages), squeeze=False, sharex="col")
    for (above, below), stage in zip(axes.T, stages, strict=True):
        lines = [line for line in history if line["stage"] == stage]
        above.set_title(f"stage: {stage}")
        for axis, names in ((above, losses), (below, checks)):
            for (name, label), style in zip(names.items(), series(len(names)), strict=True):
                points = [(line["step"], line[name]) for line in lines if line.get(name) is not None]
                if points:
                    axis.plot(*zip(*points, strict=True), label=label, markevery=max(1, len(points) // 8), **style)
            axis.grid(alpha=0.3)
            if axis.lines:
                axis.legend(fontsize=8)
        shown = [line[name] for line in lines for name in losses if line.get(name) is not None]
        if not lifts or min(shown, default=0) > 0:
            above.set_yscale("log")
        below.set_xlabel("step")
        below.set_ylim(bottom=0)
    save_picture(path, page)
