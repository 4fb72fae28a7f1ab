"""Which figure of a lifter tells what its hypotheses find: calibration, best of 200, or another?

    python benchmarks/hypothesis_correlation.py hypotheses.json ... lifting.json ... --out benchmarks/results

Files are what `vipe evaluate hypotheses --json` printed, and what `vipe evaluate lifting --json` printed for the same
lifters on the same clips. Prints the rank correlation (Spearman) of Hit@1 with 200 hypotheses, 4 s left out, with each
figure: over all lifters and conditions, and the mean over conditions of that over lifters. Lifter `archive` of a
lifting file has another index than the searched one, so it is "archive of NAME" of a file of hypotheses; `archive`
there lifts with the gallery itself, and no lifting file measures that.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import results_tables
from scipy.stats import spearmanr

GALLERY, DISTANCE, COUNT = "4 s left out", "4 m", "200"
FIGURES = {  # by name: the figure, smaller is better
    "calibration (ECE, radial)": lambda one: one["calibration"]["ece"],
    "best of 200": lambda one: one["best"]["200"]["mean"],
    "best of 5": lambda one: one["best"]["5"]["mean"],
    "a random hypothesis": lambda one: one["best"]["1"]["mean"],
    "single pose": lambda one: one["single"]["predict"]["mean"],
    "energy score": lambda one: one["energy"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", help="at least one of either kind")
    parser.add_argument("--out", type=Path, required=True, help="folder for hypothesis_correlation.json")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    lifted: dict[str, Any] = {}
    for path in options.files:
        one = report(path)
        if "modes" in one["protocol"]:
            found |= one["results"]
        else:
            lifted |= {Path(name).name: own for name, own in one["results"].items()}
    hit, figures, condition = [], [], []
    for search, rates in found.items():
        name, _, count = search.rpartition(" x ")
        lifter = measured_as(name)
        for name, one in rates[DISTANCE].items() if count == COUNT and lifter in lifted else ():
            if name in lifted[lifter]:
                hit.append(one[GALLERY]["hit"]["0.1"]["1"])
                figures.append([figure(lifted[lifter][name]) for figure in FIGURES.values()])
                condition.append(name)
    if not hit:
        parser.error(f"no lifter with {COUNT} hypotheses is in a file of either kind")
    rates, known, where = np.array(hit), np.array(figures), np.array(condition)
    names = list(dict.fromkeys(condition))
    rows = []
    for number, name in enumerate(FIGURES):
        over_all = spearmanr(-known[:, number], rates).statistic
        inside = [spearmanr(-known[where == one, number], rates[where == one]).statistic for one in names]
        rows.append([name, len(rates), float(over_all), float(np.nanmean(inside))])
        print(*rows[-1])
    columns = {"figure of a lifter": None, "lifters x conditions": 0, "all": 2, "mean of conditions": 2}
    results_tables.write(
        options.out / "hypothesis_correlation.json",
        {
            "command": " ".join(
                ["python benchmarks/hypothesis_correlation.py", *(path.name for path in options.files)]
            ),
            "data": "rank correlation of the figure (better first) with Hit@1 of 200 hypotheses, CMU, 4 s left out",
            "seed": 0,
            "machine": "2 cores (x86_64), no GPU",
            "columns": columns,
            "rows": rows,
        },
    )


def measured_as(name: str) -> str | None:
    """What a lifting file calls a lifter; None for the gallery itself."""
    if name == "archive":
        return None
    return "archive" if name.startswith("archive of ") else name


def report(path: Path) -> dict[str, Any]:
    """What a command printed, or the file that keeps it."""
    whole: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return whole.get("report", whole)


if __name__ == "__main__":
    main()
