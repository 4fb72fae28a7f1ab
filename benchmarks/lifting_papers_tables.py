"""The papers' tables of lifting_papers.py: which row and figure stands where, and what the paper has on Human3.6M."""

import json
import os
import platform
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import results_tables
from lifting_papers_data import Part
from lifting_papers_measure import AMBIGUOUS_NAME, NOISY, Figures
from lifting_papers_relations import relation_lines
from lifting_papers_rows import ROWS

PAPER = ("paper MPJPE", "paper P-MPJPE", "paper PCK", "paper CPS")
Line = tuple[str, str, str, tuple[float, ...]]  # label, row, figure, the paper's figures in the order of `PAPER`

_REGRESSION: Line = ("regression", "regression", "single", (62.9, 47.7))
_MDN: Line = ("mdn, means of 5 kernels", "mdn", "kernels", (52.7, 42.6))
_CVAE: Line = ("cvae, 200 samples", "cvae", "best 200", (46.8, 37.3))
_FLOW: Line = ("flow, 200 samples", "flow", "best 200", (44.3, 32.4))
_MANY, _ONE = (36.4, 28.8), (51.9, 40.4)  # of han2025's full model


def _missing(count: str, regression: float, mdn: float) -> tuple[Line, ...]:
    return (
        (f"{count} missing, regression", *_REGRESSION[1:3], (regression,)),
        (f"{count} missing, {_MDN[0]}", *_MDN[1:3], (mdn,)),
    )


def _variants(kept: str, changed: str, row: str, many: tuple[float, ...], one: tuple[float, ...]) -> tuple[Line, ...]:
    """Lines of a table of han2025: its full model and another one, each by 200 samples and by its mode."""
    return (
        (f"{kept}, 200 samples", "propose-full", "best 200", _MANY),
        (f"{changed}, 200 samples", row, "best 200", many),
        (f"{kept}, mode", "propose-full", "single", _ONE),
        (f"{changed}, mode", row, "single", one),
    )


TABLES: dict[str, tuple[str, tuple[Line, ...]]] = {  # photos and lines
    "li2019 1": (NOISY, (_REGRESSION, _MDN)),
    "li2019 3, one missing": ("1 missing", _missing("one", 69.1, 58.8)),
    "li2019 3, two missing": ("2 missing", _missing("two", 75.1, 64.6)),
    "li2019 5": (
        NOISY,
        (
            ("1 kernel", "mdn-1-kernel", "kernels", (62.9,)),
            ("3 kernels", "mdn-3-kernels", "kernels", (55.2,)),
            ("5 kernels", "mdn-full", "kernels", (52.7,)),
            ("8 kernels", "mdn-8-kernels", "kernels", (52.6,)),
        ),
    ),
    "li2019 6": (
        NOISY,
        (
            ("without prior", "mdn-no-prior", "kernels", (53.7,)),
            ("with prior", "mdn-full", "kernels", (52.7,)),
        ),
    ),
    "wehrbein2021 1": (
        NOISY,
        (_REGRESSION, _MDN, _CVAE, ("flow, z = 0", "flow", "single", (61.8, 43.8)), _FLOW),
    ),
    "wehrbein2021 2": (
        AMBIGUOUS_NAME,
        (
            (*_MDN[:3], (81.1, 66.0, 85.7, 119.9)),
            (*_CVAE[:3], (78.3, 61.1, 88.5, 136.4)),
            (*_FLOW[:3], (71.0, 54.2, 93.4, 171.0)),
        ),
    ),
    "wehrbein2021 4": (
        AMBIGUOUS_NAME,
        (
            ("no condition", "flow-no-condition", "best 200", (71.7, 57.2, 91.2, 137.6)),
            ("no L_HM", "flow-no-hm", "best 200", (72.4, 56.2, 92.2, 157.3)),
            ("no L_gen", "flow-no-gen", "best 200", (73.6, 58.2, 92.5, 165.5)),
            ("no L_MB", "flow-no-mb", "best 200", (76.0, 58.5, 91.6, 161.4)),
            ("L_MB, k = 1", "flow-best-least", "best 200", (71.8, 54.9, 92.6, 167.4)),
            ("L_MB, larger k", "flow-best-more", "best 200", (70.7, 54.9, 93.3, 168.3)),
            ("L_MB, largest k", "flow-best-many", "best 200", (71.0, 55.2, 93.1, 168.0)),
            ("full", "flow-full", "best 200", (71.0, 54.2, 93.4, 171.0)),
        ),
    ),
    "wehrbein2021 5": (
        NOISY,
        (
            _MDN,
            ("mdn, 5 samples", "mdn", "best 5", (74.9, 63.3)),
            ("mdn, 10 samples", "mdn", "best 10", (70.3, 59.7)),
            ("mdn, 200 samples", "mdn", "best 200", (59.6, 50.2)),
            ("flow, 5 clusters of 200", "flow", "k-means 5", (53.2, 38.4)),
            ("flow, 5 samples", "flow", "best 5", (59.2, 42.3)),
            ("flow, 10 samples", "flow", "best 10", (55.0, 39.6)),
            _FLOW,
        ),
    ),
    "han2025 1": (
        NOISY,
        (
            *(_REGRESSION, _MDN, _CVAE, _FLOW),
            ("propose, 10 samples", "propose", "best 10", (45.8, 35.7)),
            ("propose, 200 samples", "propose", "best 200", _MANY),
            ("propose, mode", "propose", "single", _ONE),
            ("propose, one sample", "propose", "best 1", ()),
        ),
    ),
    "han2025 4": (NOISY, _variants("PILGD", "N(0, I)", "propose-no-pilgd", (39.0, 30.8), (54.1, 41.6))),
    "han2025 5": (NOISY, _variants("PAGD", "N(0, I)", "propose-no-pagd", (37.6, 29.7), (51.8, 40.4))),
    "han2025 6": (NOISY, _variants("alternate", "end-to-end", "propose-end-to-end", (44.0, 35.0), (53.2, 41.2))),
    "han2025 7": (
        NOISY,
        (
            ("no L_m2m", "propose-no-m2m", "best 200", (37.6, 30.1)),
            ("no L_Bi", "propose-no-bi", "best 200", (36.8, 29.1)),
            ("no L_NLL", "propose-no-nll", "best 200", (41.1, 33.0)),
            ("full", "propose-full", "best 200", _MANY),
        ),
    ),
    "sharma2019": (
        NOISY,
        (
            ("best of 200", "cvae", "best 200", (46.8, 37.3)),
            ("ranked by true relations", "cvae", "true relations", ()),
            ("ranked by predicted relations", "cvae", "predicted relations", ()),
            ("first by predicted relations", "cvae", "first by predicted", ()),
            ("mean of samples", "cvae", "mean", ()),
            ("one sample", "cvae", "best 1", ()),
        ),
    ),
    "sharma2019, losses": (
        NOISY,
        tuple(
            (f"{name}, {shown}", row, figure, ())
            for shown, figure in (("200 samples", "best 200"), ("one sample", "best 1"))
            for name, row in (("hybrid", "cvae-full"), ("GSNN", "cvae-gsnn-only"), ("CVAE", "cvae-only"))
        ),
    ),
}

COLUMNS: dict[str, int | None] = {
    "table": None,
    "row": None,
    "data": None,
    "MPJPE": 1,
    "95%": 1,
    "P-MPJPE": 1,
    "PCK": 1,
    "CPS": 1,
    "worst": 1,
    "P worst": 1,
    "ECE": 3,
    "energy": 0,
    "x": 0,
    "y": 0,
    "depth": 0,
    **dict.fromkeys(PAPER, 1),
    "PCKh": 1,
    "paper PCKh": 1,
    "people": 0,
    "other": 1,
    "z0 + noise": 1,
    "cvae": 1,
    "flow": 1,
    "steps": 0,
    "CPU s": 0,
    "single, half": 1,
    "single, all": 1,
    "best of 20, half": 1,
    "best of 20, all": 1,
    "energy, half": 0,
    "energy, all": 0,
    "reconstruction": 1,
    "lifting": 1,
    "NLL": 1,
    "whiteness": 2,
    "figures": None,
    "holds": None,
}


def write_tables(file: Path, found: Figures, parts: Mapping[str, Part], options: Namespace) -> None:
    """All tables in one JSON file of results_tables.py."""
    measured = [one for one in ("test", "cross") if one in parts]
    lines = [
        *(line for table in TABLES for line in table_lines(table, found, measured)),
        *action_lines(found, measured),
        *reprojection_lines(found, measured),
        *curve_lines(found),
        *training_lines(found, options),
        *inside_lines(found),
        *relation_lines(found),
    ]
    rows = [[line.get(column) for column in COLUMNS] for line in lines]
    split = " --split ../shared/mocap/clips.csv" if options.split else ""
    queries = {part: min(options.queries, len(parts[part].poses)) for part in measured}
    source = {
        "command": f"python benchmarks/lifting_papers.py STORE{split} --out out/papers",
        "data": ", ".join(f"{count} photos of {part}" for part, count in queries.items()),
        "seed": options.seed,
        "training": f"{len(parts['train'].poses):,} poses of {options.name or 'train'}, preset {options.preset}",
        "machine": f"{os.cpu_count()} cores ({platform.machine()})",
        "columns": COLUMNS,
        "rows": rows,
    }
    results_tables.write(file, source)


def table_lines(table: str, found: Figures, parts: list[str]) -> Iterator[Figures]:
    """A line for each row of a table and each split; one that is not measured has no figures, and is not shown."""
    condition, rows = TABLES[table]
    for part in parts:
        for label, row, figure, paper in rows:
            of = found.get(f"{row}, {part}, {condition}")
            if of is None:
                yield {"table": table, "row": label}
                continue
            spread = dict(zip(("x", "y", "depth"), of["spread"], strict=True)) if row != "regression" else {}
            line = {"table": table, "row": label, "data": part, **_errors(of[figure])}
            line |= {"ECE": of["ece"], "energy": of["energy"]} | spread
            yield line | dict(zip(PAPER, paper, strict=False))


def _errors(scored: Mapping[str, Any]) -> Figures:
    names = {"MPJPE": "error", "95%": "interval", "P-MPJPE": "aligned", "PCK": "pck", "CPS": "cps"}
    names |= {"worst": "worst", "P worst": "worst aligned"}
    return {column: scored[name] for column, name in names.items()}


def action_lines(found: Figures, parts: list[str]) -> Iterator[Figures]:
    """Tables 1 and 6 of li2019 by action: regression against mdn, and mdn without its prior against with it."""
    for table, other, other_figure, row in (
        ("li2019 1, by action", "regression", "single", "mdn"),
        ("li2019 6, by action", "mdn-no-prior", "kernels", "mdn-full"),
    ):
        for part in parts:
            one, two = (found.get(f"{name}, {part}, {NOISY}") for name in (other, row))
            if one is None or two is None:
                yield {"table": table, "row": "not measured"}
                continue
            people, best, left = two["kernels"]["people"], two["kernels"]["actions"], one[other_figure]["actions"]
            for action in sorted(people, key=lambda name: -people[name]):
                shared = {"table": table, "row": action, "data": part, "people": people[action]}
                yield shared | {"other": left[action], "MPJPE": best[action]}


def reprojection_lines(found: Figures, parts: list[str]) -> Iterator[Figures]:
    """Table 7 of li2019: do the five means have one image?"""
    for part in parts:
        line = {"table": "li2019 7", "row": "mdn, means of 5 kernels"}
        if of := found.get(f"mdn, {part}, {NOISY}"):
            apart = dict(zip(("x", "y", "depth"), of["apart"], strict=True))
            line |= {"data": part, "PCKh": of["reprojection"], "paper PCKh": 98.1} | apart
        yield line


def curve_lines(found: Figures) -> Iterator[Figures]:
    """Figure 5 of wehrbein2021."""
    of = found.get("curve")
    if of is None:
        yield {"table": "wehrbein2021 figure 5", "row": "not measured"}
        return
    for i, count in enumerate(of["counts"]):
        shown = {"z0 + noise": of["noise"]["best"][i], "cvae": of["cvae"]["best"][i], "flow": of["flow"]["best"][i]}
        yield {"table": "wehrbein2021 figure 5", "row": f"best of {count:,}", "data": "test", **shown}
    shown = {"z0 + noise": of["noise"]["ece"], "cvae": of["cvae"]["ece"], "flow": of["flow"]["ece"]}
    percent = {name: 100 * value for name, value in shown.items()}
    yield {"table": "wehrbein2021 figure 5", "row": "ECE of 1,000, percent", "data": "test"} | percent


def training_lines(found: Figures, options: Namespace) -> Iterator[Figures]:
    """How far each row was trained, and errors of validation views at half of the steps and at the end."""
    seconds = json.loads((options.out / "seconds.json").read_text("utf-8"))
    for name in [one for one in ROWS if f"{one}, history" in found]:
        of = found[f"{name}, history"]
        line: Figures = {"table": "training", "row": name, "steps": of["steps"], "CPU s": seconds.get(name)}
        for title, figure in (("single", "val_mpjpe"), ("best of 20", "val_best"), ("energy", "val_energy")):
            line |= {f"{title}, half": of[figure][0], f"{title}, all": of[figure][1]}
        yield line


def inside_lines(found: Figures) -> Iterator[Figures]:
    """What the parts of ProPose do on held-out views."""
    names = {"reconstruction": "reconstruction", "lifting": "lifting", "NLL": "nll", "whiteness": "white"}
    for row in [one for one in ROWS if ROWS[one].kind == "propose"]:
        of = found.get(f"{row}, inside", {})
        yield {"table": "inside propose", "row": row} | {column: of.get(name) for column, name in names.items()}
