"""The picture of what hypotheses find: a table of Hit@1 in colours, and Hit@1 against the number of hypotheses.

    python benchmarks/hypotheses_picture.py [--results benchmarks/results]

Reads hypotheses_cmu.json and real_views_hypotheses.json of the folder, and writes hypotheses.png there. Searches are in
the order of their mean Hit@1 on CMU, 4 s around the query left out.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vipe.evaluate import CONDITIONS

GALLERY, DISTANCE, COUNT, CURVES = "4 s left out", "4 m", "200", "noise 0.03"
ALONE = ("affine", "full")  # modes, which no lifter takes part in


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    folder = parser.parse_args().results
    report = json.loads((folder / "hypotheses_cmu.json").read_text(encoding="utf-8"))["report"]
    found = {search: rates(report, search) for search in report["protocol"]["modes"]}
    draw(found, real(folder / "real_views_hypotheses.json"), folder / "hypotheses.png")


def rates(report: dict[str, Any], search: str) -> dict[str, float]:
    """Hit@1 in percent by condition."""
    measured = report["results"][search][DISTANCE]
    return {
        condition: 100 * measured[condition][GALLERY]["hit"]["0.1"]["1"]
        for condition in sorted(measured, key=[one.name for one in CONDITIONS].index)
    }


def real(path: Path) -> dict[str, dict[str, float]]:
    """Hit@1 in percent by detections and cameras, by search."""
    source = json.loads(path.read_text(encoding="utf-8"))
    shares: dict[str, dict[str, float]] = {}
    for row in source["rows"]:
        one = dict(zip(source["columns"], row, strict=True))
        shares.setdefault(one["mode"], {})[f"{one['detections']}, {one['cameras']}"] = one["Hit@1"]
    return shares


def draw(found: dict[str, dict[str, float]], photos: dict[str, dict[str, float]], path: Path) -> None:
    """Rows are searches; columns are conditions, then real detections."""
    many = [search for search in found if search in ALONE or search.endswith(f" x {COUNT}")]
    many.sort(key=lambda search: -float(np.mean(list(found[search].values()))))
    conditions = list(found["full"])  # of all that were measured
    taken = list(photos["full"])
    values = np.array(
        [
            [found[search].get(name, np.nan) for name in conditions]
            + [photos.get(search, {}).get(name, np.nan) for name in taken]
            for search in many
        ]
    )
    canvas = Figure(figsize=(12, 4.8), layout="constrained")
    FigureCanvasAgg(canvas)
    left, right = canvas.subplots(1, 2, width_ratios=(2.6, 1))
    left.imshow(np.ma.masked_invalid(values), cmap="YlGnBu", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            left.text(
                column,
                row,
                f"{value:.0f}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if value > 60 else "black",
            )
    left.axvline(len(conditions) - 0.5, color="white", lw=4)
    left.set_xticks(range(len(conditions) + len(taken)), [*conditions, *taken], rotation=35, ha="right", fontsize=8)
    left.set_yticks(range(len(many)), [shown(search) for search in many], fontsize=8)
    left.tick_params(length=0)
    left.set_title(f"Hit@1, percent: CMU, {GALLERY}; real photos, whole gallery", fontsize=9)
    curves(right, found, many)
    canvas.savefig(path, dpi=110)


def shown(search: str) -> str:
    """A mode is called one; a lifter goes without the number of its hypotheses."""
    return f"mode {search}" if search in ALONE else search.rpartition(" x ")[0]


def curves(axis: Any, found: dict[str, dict[str, float]], many: list[str]) -> None:
    """A line for each lifter, its name at its end; names that would lie on one another are moved apart."""
    lines: dict[str, dict[int, float]] = {}
    for search, own in found.items():
        name, _, count = search.rpartition(" x ")
        if name:
            lines.setdefault(name, {})[int(count)] = own[CURVES]
    lines = {name: dict(sorted(line.items())) for name, line in lines.items() if len(line) > 1}
    ends = sorted(lines, key=lambda name: list(lines[name].values())[-1])
    height = -np.inf
    for number, name in enumerate(ends):
        (drawn,) = axis.plot(*zip(*lines[name].items(), strict=True), "-o", ms=3, lw=1.2, color=f"C{number % 10}")
        height = max(height + 2.4, list(lines[name].values())[-1])
        axis.text(240, height, name, fontsize=7.5, va="center", color=drawn.get_color())
    for mode in (mode for mode in many if mode in ALONE):
        axis.axhline(found[mode][CURVES], color="grey", lw=0.9, ls="--")
        axis.text(1, found[mode][CURVES] + 0.8, f"mode {mode}", fontsize=7.5, color="grey")
    ticks = sorted({count for line in lines.values() for count in line})
    axis.set_xscale("log")
    axis.set_xlim(0.85, 2500)
    axis.set_xticks(ticks, [str(tick) for tick in ticks], fontsize=8)
    axis.minorticks_off()
    axis.tick_params(axis="y", labelsize=8)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("hypotheses of each person", fontsize=8)
    axis.set_title(f"Hit@1, {CURVES}", fontsize=9)
    axis.grid(alpha=0.3)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


if __name__ == "__main__":
    main()
