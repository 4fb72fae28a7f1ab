"""The tables of RESULTS.md and of the pages in results/, written from the JSON files in results/.

    python benchmarks/results_tables.py           # write the tables into the pages
    python benchmarks/results_tables.py --check   # fail where a page and its JSON file differ
    python benchmarks/results_tables.py --record NAME --data WHAT -- vipe evaluate search STORE --json

A page marks the place of a table by a comment; the table goes between it and `<!-- end -->`. The comment names the file
and, if the page shows a part of it, columns and rows (by the text of a row's first cells):

    <!-- table search_cmu; columns: keypoints | full @1; rows: ground truth | noise 0.03 -->

or by a cell that all of them have: `only: 4 s left out`.

A JSON file has `command`, `data`, `seed`, `machine`, and `training` where something was trained. Its figures are either
`columns` (each with its number of decimals, none for text) and `rows`, or a `report`: what a command `vipe evaluate`
prints with `--json`. `--record` runs such a command and writes the file. With `--join` it adds what was searched, or
under which conditions, to what the file has of the same queries; `command` is then a list. An interval is a list of two
numbers. It is left out where both ends are equal: if every clip has the same figure, drawing clips again says nothing
about its error.
"""

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import textwrap
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PLACE = re.compile(r"(<!-- table ([^>]*?) ?-->\n).*?(<!-- end -->)", re.DOTALL)
WIDTH = 130
Table = tuple[dict[str, int | None], list[list[Any]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--record", help="name of the JSON file to write")
    parser.add_argument("--data", help="what the command was run on, for --record")
    parser.add_argument("--join", action="store_true", help="with --record: add to what the file has")
    parser.add_argument("command", nargs="*", help="for --record")
    options = parser.parse_args()
    if options.record:
        record(options.record, options.data, options.command, join=options.join)
    outdated = [page for page in pages() if page.read_text(encoding="utf-8") != rendered(page)]
    if options.check:
        if outdated:
            raise SystemExit(f"not as in results/*.json: {', '.join(page.name for page in outdated)}")
        return
    for page in outdated:
        page.write_text(rendered(page), encoding="utf-8")
        print(page)


def pages() -> list[Path]:
    return [HERE / "RESULTS.md", HERE / "TRIALS.md", *sorted(RESULTS.glob("*.md"))]


def rendered(page: Path) -> str:
    """A page with its tables as the JSON files have them."""
    return PLACE.sub(lambda place: f"{place[1]}\n{table(place[2])}\n{place[3]}", page.read_text(encoding="utf-8"))


def table(wanted: str) -> str:
    """A table in Markdown and, below it, what made it: `search_cmu; columns: keypoints | full @1`."""
    name, *choices = re.split(r"; (?=columns: |rows: |only: )", " ".join(wanted.split()))
    chosen = {key: text.split(" | ") for key, text in (choice.split(": ", 1) for choice in choices)}
    source = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    columns, rows = from_report(source["report"]) if "report" in source else (source["columns"], source["rows"])
    shown = chosen.get("columns", list(columns))
    if unknown := [column for column in shown if column not in columns]:
        raise SystemExit(f"{name}: no column {unknown[0]!r}: expected some of {' | '.join(columns)}")
    places = [list(columns).index(column) for column in shown]
    if "only" in chosen:
        rows = with_cells(rows, chosen["only"], name)
    if "rows" in chosen:
        rows = [one for start in chosen["rows"] for one in rows_of(rows, start)]
    cells = [[cell(row[i], columns[c]) for i, c in zip(places, shown, strict=True)] for row in rows]
    cells = [row for row in cells if set(row[1:]) != {"-"}]  # rows that have none of the columns
    rule = ["---" if columns[column] is None else "--:" for column in shown]
    lines = [f"| {' | '.join(row)} |" for row in [shown, *cells]]
    lines.insert(1, f"|{'|'.join(rule)}|")
    return "\n".join([*lines, "", provenance(source)])


def with_cells(rows: list[list[Any]], cells: list[str], name: str) -> list[list[Any]]:
    """The rows that have each of the cells."""
    found = [row for row in rows if all(cell in row for cell in cells)]
    if not found:
        raise SystemExit(f"{name}: no row has {' and '.join(map(repr, cells))}")
    return found


def rows_of(rows: list[list[Any]], start: str) -> list[list[Any]]:
    """The rows whose first cells read as given, or as given before a comma."""
    named = [(row, ", ".join(str(one) for one in row if isinstance(one, str))) for row in rows]
    found = [row for row, name in named if row[0] == start or name == start] or [
        row for row, name in named if name.startswith(f"{start}, ")
    ]
    if not found:
        raise SystemExit(f"no row {start!r}: expected one of {', '.join(name for _, name in named)}")
    return found


def cell(value: Any, decimals: int | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        low, high = (f"{end:.{decimals}f}" for end in value)
        return "-" if low == high else f"{low} to {high}"
    return str(value) if isinstance(value, str) else f"{value:,.{decimals or 0}f}"


def provenance(source: dict[str, Any]) -> str:
    """One paragraph: command, data, seed, training, machine."""
    command, seed = source["command"], source["seed"]
    several = [command] if isinstance(command, str) else command or []
    told = [", ".join(f"`{one}`" for one in several), source["data"], None if seed is None else f"seed {seed}"]
    told += [source.get("training"), source["machine"]]
    text = "; ".join(part for part in told if part) + "."
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False) + "\n"


def from_report(report: dict[str, Any]) -> Table:
    """The figures of what `vipe evaluate search`, `retrieval` or `calibration` prints, as a table."""
    if "presence_auroc" in report:
        return from_calibration(report)
    if "samples" in report["protocol"]:
        return from_lifting(report)
    hits: dict[str, int | None] = {"queries": 0, "Hit@1": 1, "95%": 1, "Hit@10": 1, "Hit@20": 1}
    rows = []
    if "modes" in report["protocol"]:
        for mode, cameras in report["results"].items():
            for camera, conditions in cameras.items():
                for keypoints, galleries in conditions.items():
                    rows += [[mode, camera, keypoints, gallery, *rates(one)] for gallery, one in galleries.items()]
        return dict.fromkeys(("mode", "camera", "keypoints", "gallery")) | hits, rows
    for matcher, conditions in report["results"].items():
        for keypoints, galleries in conditions.items():
            for gallery, pairs in galleries.items():
                rows += [[matcher, keypoints, gallery, pair, *rates(one)] for pair, one in pairs.items()]
    return dict.fromkeys(("matcher", "keypoints", "gallery", "pairs")) | hits, rows


def rates(score: dict[str, Any]) -> list[Any]:
    hit, interval = score["hit"].get("0.1"), score.get("interval", {}).get("0.1")
    if not hit:
        return [score["queries"]["0.1"], None, None, None, None]
    around = [100 * end for end in interval["1"]] if interval else None
    return [score["queries"]["0.1"], 100 * hit["1"], around, 100 * hit["10"], 100 * hit["20"]]


def from_calibration(report: dict[str, Any]) -> Table:
    """Rows of keypoints and galleries, each gallery's of all keypoints together, and the errors of all together."""
    figures = ("first", "right", "error", "interval", "by_chance", "presence", "present", "presence_error")
    rows = [
        [condition, *(row.get(key) for key in ("gallery", "queries", *figures))]
        for condition, row in [(row["condition"], row) for row in report["rows"]]
        + [("all together", row) for row in report["galleries"]]
    ]
    pooled = {"gallery": "all", "error": report["pooled"]["first"], "presence_error": report["pooled"]["presence"]}
    rows.append(["all together", *(pooled.get(key) for key in ("gallery", "queries", *figures))])
    columns = {"keypoints": None, "gallery": None, "queries": 0, "probability": 3, "right": 3, "ECE": 3, "95%": 3}
    return columns | {"by chance": 3, "presence": 3, "present": 3, "ECE of presence": 3}, rows


def from_lifting(report: dict[str, Any]) -> Table:
    """Errors in mm of each lifter under each condition, best of M beside calibration."""
    columns: dict[str, int | None] = {"keypoints": None, "lifter": None, "single": 1, "95%": 1, "sample": 1}
    rows = []
    for lifter, conditions in report["results"].items():
        for keypoints, score in conditions.items():
            single, counts = score["single"]["predict"], [count for count in score["best"] if count != "1"]
            columns |= {f"best of {count}": 1 for count in counts} | {"95% ": 1, "P-MPJPE, best": 1, "worst": 1}
            columns |= {
                "ECE": 3,
                "area": 3,
                "energy": 0,
                "depth": 0,
                "one skeleton": 1,
                "one skeleton, best": 1,
                "ms": 1,
            }
            best = [score["best"][count]["mean"] for count in counts]
            last, universal = score["best"][counts[-1]], score["universal"]
            row = [
                keypoints,
                lifter,
                single["mean"],
                [single["low"], single["high"]],
                score["best"]["1"]["mean"],
                *best,
            ]
            row += [[last["low"], last["high"]], score["best_aligned"][counts[-1]], score["worst"]]
            row += [score["calibration"]["ece"], score["calibration"]["area"], score["energy"], score["spread"]["z"]]
            rows.append([*row, universal["single"], universal[f"best of {counts[-1]}"], score["cost"]["ms_one"]])
    return columns, sorted(rows, key=lambda row: report["protocol"]["conditions"].index(row[0]))


def record(name: str, data: str | None, command: list[str], *, join: bool = False) -> None:
    """Run a command that prints a report as JSON, and keep what it printed."""
    if not data or "--json" not in command:
        raise SystemExit("--record needs --data and, after --, a command with --json")
    file = RESULTS / f"{name}.json"
    known = json.loads(file.read_text(encoding="utf-8")) if join else None
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    report = json.loads(printed)
    commands: str | list[str] = shlex.join(command)
    if known is not None:
        report = joined(known["report"], report)
        commands = [*([known["command"]] if isinstance(known["command"], str) else known["command"]), commands]
    machine = f"{os.cpu_count()} cores ({platform.machine()})"
    made = {"command": commands, "data": data, "seed": report["protocol"]["seed"], "machine": machine}
    write(file, made | {"report": report})


def joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Two reports of `vipe evaluate search` or `hypotheses` about the same queries as one; the newer figures count."""
    several = ("modes", "conditions")
    for name in (*one["protocol"].keys() - set(several), "queries", "gallery", "clips"):
        left, right = (report.get(name, report["protocol"].get(name)) for report in (one, other))
        if left != right:
            raise SystemExit(f"cannot join: {name} is {left} in the file, and {right} now")
    results: dict[str, Any] = {}
    for report in (one, other):
        for search, cameras in report["results"].items():
            for camera, conditions in cameras.items():
                results.setdefault(search, {}).setdefault(camera, {}).update(conditions)
    protocol = dict(one["protocol"])
    for name in several:
        protocol[name] = list(dict.fromkeys([*one["protocol"][name], *other["protocol"][name]]))
    seconds = round(one["seconds"] + other["seconds"], 3)
    return one | {"primary": None, "protocol": protocol, "seconds": seconds, "results": results}


def write(path: Path, source: dict[str, Any]) -> None:
    """One line for each entry and for each row, so that a change of one figure is a change of one line."""
    lines = []
    for key, value in source.items():
        if key == "rows":
            shown = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in value)
            lines.append(f' "rows": [\n  {shown}\n ]')
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
