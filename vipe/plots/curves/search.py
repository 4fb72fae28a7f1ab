"""The picture of a search report: Hit@k by condition with its intervals (matplotlib)."""

__all__ = ["search_picture"]

from typing import TYPE_CHECKING, Any

from vipe.evaluate.protocols.search_report import SearchReport, SearchScore
from vipe.evaluate.scoring import ANY
from vipe.plots.figures import colours
from vipe.plots.writing import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = {"affine": "left", "point": "right", "full": "third", "raw 2D": "middle"}
_OTHERS = ("left", "right", "third", "fourth", "missing")  # of searches without a colour of their own, such as lifters


def search_picture(report: SearchReport) -> "Figure":
    """A picture of a search report: a panel a gallery, a group of bars a condition, a bar a search.

    A bar is Hit@k at the report's first k and first threshold, with its 95% interval. The tick right of it is Hit@k
    at the second k; the dotted line is chance. Rows of panels are camera distances.

    Args:
        report: As `evaluate_search` gives it.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    page = new_figure(1.0, 1.0)  # its size depends on what is in it
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    threshold, ks = report.protocol["thresholds"][0], report.protocol["ks"]
    distances, conditions = report.protocol["distances"], report.protocol["conditions"]
    galleries = list(dict.fromkeys(score.gallery for score in report.scores))
    searches = list(dict.fromkeys(score.search for score in report.scores if score.condition != ANY))
    height = len(distances) * (0.16 * len(conditions) * (len(searches) + 1) + 0.9) + 1.0
    width = 4.1 * len(galleries) + 1.2
    page.set_size_inches(width, height)
    axes = page.subplots(len(distances), len(galleries), squeeze=False, sharex=True, sharey=True)
    for line, distance in zip(axes, distances, strict=True):
        for axis, gallery in zip(line, galleries, strict=True):
            shown = [score for score in report.scores if (score.distance, score.gallery) == (distance, gallery)]
            _draw(axis, shown, conditions, searches, threshold, ks)
            counted = next(score.queries[threshold] for score in shown)
            axis.set_title(
                f"{gallery}, {distance:g} m: {counted:,} {'query' if counted == 1 else 'queries'}", fontsize=9
            )
        line[0].invert_yaxis()  # once: the panels share it
    for axis in axes[-1]:
        axis.set_xlabel(f"queries with a hit below {threshold:g} torso lengths, %", fontsize=8)
    legend: list[Any] = [Patch(color=_colour(name, searches), label=f"{name}, first {ks[0]}") for name in searches]
    legend += [Line2D([], [], color="black", marker="|", ls="", ms=8, label=f"first {k}") for k in ks[1:2]]
    legend += [Line2D([], [], color="black", ls=":", lw=1, label=f"chance, first {ks[0]}")]
    page.legend(
        handles=legend, loc="outside lower center", ncols=min(len(legend), int(width / 1.6)), fontsize=8, frameon=False
    )
    photos = f"{report.queries:,} simulated photo" + ("" if report.queries == 1 else "s")
    poses = f"{report.gallery:,} pose" + ("" if report.gallery == 1 else "s")
    page.suptitle(f"{photos} against {poses}", fontsize=11)
    return page


def _draw(
    axis: Any,
    scores: list[SearchScore],
    conditions: list[str],
    searches: list[str],
    threshold: float,
    ks: tuple[int, ...],
) -> None:
    width = 1 / (len(searches) + 1)
    for score in scores:
        if threshold not in score.hit:
            continue
        hit = {k: 100 * rate for k, rate in score.hit[threshold].items()}
        if score.condition == ANY:
            axis.axvline(hit[ks[0]], color="black", linestyle=":", linewidth=1)
            continue
        at = conditions.index(score.condition) + (searches.index(score.search) - (len(searches) - 1) / 2) * width
        axis.barh(at, hit[ks[0]], height=0.9 * width, color=_colour(score.search, searches))
        axis.plot([100 * end for end in score.interval[threshold][ks[0]]], [at, at], color="black", linewidth=1)
        for k in ks[1:2]:
            axis.plot(hit[k], at, color="black", marker="|", markersize=0.9 * width * 20, linestyle="")
    axis.set_yticks(range(len(conditions)), conditions, fontsize=8)
    axis.set_xlim(0, 101)
    axis.tick_params(axis="x", labelsize=8)
    axis.grid(axis="x", linewidth=0.4, alpha=0.5)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _colour(search: str, searches: list[str]) -> str:
    if search in _COLOURS:
        return colours()[_COLOURS[search]]
    taken = {_COLOURS[one] for one in searches if one in _COLOURS}
    free = [name for name in _OTHERS if name not in taken]
    others = [one for one in searches if one not in _COLOURS]
    return colours()[free[others.index(search) % len(free)]]
