r"""Rows of the papers' lifting tables that are close, over several seeds.

    for seed in 1 2; do
      python benchmarks/lifting_papers.py STORE --split clips.csv --seed $seed --only ROW ROW \\
        --out out/papers-seed-$seed --tables out/papers-seed-$seed/tables.json
    done
    python benchmarks/lifting_papers_seeds.py out/papers-seed-1/tables.json out/papers-seed-2/tables.json

The first seed is that of results/lifting_papers.json. A row is shown if every file has it. Writes
results/lifting_papers_seeds.json: mean and range of MPJPE over seeds, and the seeds apart.
"""

import argparse
import json
import os
import platform
import statistics
from pathlib import Path
from typing import Any

import results_tables

FIRST = Path(__file__).parent / "results" / "lifting_papers.json"
TABLES = ("li2019 5", "li2019 6", "wehrbein2021 4", "han2025 4", "han2025 5", "han2025 7")  # whose rows are close
Key = tuple[str, str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="what lifting_papers.py --tables wrote, a seed each")
    parser.add_argument("--out", type=Path, default=FIRST.with_name("lifting_papers_seeds.json"))
    options = parser.parse_args()
    found = [json.loads(file.read_text("utf-8")) for file in (FIRST, *options.files)]
    seeds = [one["seed"] for one in found]
    columns = {"table": None, "row": None, "data": None, "mean": 1, "range": 1, **{f"seed {seed}": 1 for seed in seeds}}
    errors = [_errors(one) for one in found]
    rows: list[list[Any]] = []
    for key in errors[0]:
        if all(key in one for one in errors):
            own = [one[key] for one in errors]
            rows.append([*key, statistics.fmean(own), [min(own), max(own)], *own])
    results_tables.write(
        options.out,
        {
            "command": "python benchmarks/lifting_papers_seeds.py "
            + " ".join(f"out/papers-seed-{seed}/tables.json" for seed in seeds[1:]),
            "data": found[0]["data"],
            "seed": " ".join(map(str, seeds)),
            "training": found[0]["training"],
            "machine": f"{os.cpu_count()} cores ({platform.machine()})",
            "columns": columns,
            "rows": rows,
        },
    )


def _errors(found: dict[str, Any]) -> dict[Key, float]:
    """MPJPE by table, row and part, of the tables whose rows are close."""
    names = list(found["columns"])
    place = names.index("MPJPE")
    lines = (line for line in found["rows"] if line[0] in TABLES and line[2] and line[place] is not None)
    return {(line[0], line[1], line[2]): line[place] for line in lines}


if __name__ == "__main__":
    main()
