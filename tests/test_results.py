import json
import re
import shlex
import shutil
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace

import pytest

from vipe.cli.app import main as vipe

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"
COMMAND = re.compile(r"`((?:python benchmarks/|vipe |make )[^`]+)`")
PAGES = [BENCHMARKS / "RESULTS.md", BENCHMARKS / "TRIALS.md", *sorted((BENCHMARKS / "results").glob("*.md"))]
FILES = sorted((BENCHMARKS / "results").glob("*.json"))
COMMANDS = sorted({" ".join(found.split()) for page in PAGES for found in COMMAND.findall(page.read_text("utf-8"))})


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import results_tables

    return results_tables


@pytest.fixture
def copied(tables, tmp_path, monkeypatch):
    """The pages and their JSON files in a folder where a test may change them."""
    shutil.copytree(BENCHMARKS / "results", tmp_path / "results")
    for name in ("RESULTS.md", "TRIALS.md"):
        shutil.copy(BENCHMARKS / name, tmp_path)
    monkeypatch.setattr(tables, "HERE", tmp_path)
    monkeypatch.setattr(tables, "RESULTS", tmp_path / "results")
    return tmp_path


def run(tables, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["results_tables.py", *arguments])
    tables.main()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_table_of_a_page_is_what_its_json_file_gives(tables, page):
    assert page.read_text("utf-8") == tables.rendered(page), "run python benchmarks/results_tables.py"


def test_a_changed_figure_fails_the_check_and_is_written_by_the_next_run(tables, copied, monkeypatch):
    run(tables, monkeypatch, "--check")
    file = copied / "results" / "calibration.json"
    source = json.loads(file.read_text("utf-8"))
    source["rows"][0][1] = 0.987
    file.write_text(json.dumps(source), "utf-8")
    with pytest.raises(SystemExit, match=r"RESULTS\.md, calibration\.md"):
        run(tables, monkeypatch, "--check")
    run(tables, monkeypatch)
    assert "| test | 0.987 |" in (copied / "RESULTS.md").read_text("utf-8")
    run(tables, monkeypatch, "--check")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_json_file_names_its_command_data_seed_and_machine_and_stands_on_a_page(file):
    source = json.loads(file.read_text("utf-8"))
    assert {"command", "data", "seed", "machine"} <= set(source)
    assert ("report" in source) != ("rows" in source)
    assert any(f"<!-- table {file.stem}" in page.read_text("utf-8") for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        file, _, heading = link.partition("#")
        target = page.parent / file
        assert target.exists(), link
        if heading:
            headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^a-z0-9 -]", "", name.lower()).replace(" ", "-") for name in headings], link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_line_of_a_page_is_wider_than_130_characters(page):
    assert [line for line in page.read_text("utf-8").splitlines() if len(line) > 130] == []


def test_an_interval_of_one_value_is_not_shown(tables):
    assert tables.cell([99.9, 100.0], 1) == "99.9 to 100.0"
    assert tables.cell([100.0, 100.0], 1) == "-"


def test_a_report_of_vipe_evaluate_becomes_a_table(tables):
    scored = {
        "queries": {"0.1": 8},
        "hit": {"0.1": {"1": 0.5, "10": 0.75, "20": 1.0}},
        "interval": {"0.1": {"1": [0.25, 0.625]}},
    }
    left = {"queries": {"0.1": 0}, "hit": {}}
    galleries = {"whole gallery": scored, "4 s left out": left}
    search = {"protocol": {"modes": ["full"]}, "results": {"full": {"4 m": {"noise 0.03": galleries}}}}
    columns, rows = tables.from_report(search)
    assert dict(zip(columns, rows[0], strict=True)) == {
        "mode": "full",
        "camera": "4 m",
        "keypoints": "noise 0.03",
        "gallery": "whole gallery",
        "queries": 8,
        "Hit@1": 50.0,
        "95%": [25.0, 62.5],
        "Hit@10": 75.0,
        "Hit@20": 100.0,
    }
    assert rows[1][3:] == ["4 s left out", 0, None, None, None, None]


def test_only_rows_with_a_cell_are_shown(tables):
    every, some = (tables.table(f"few_joints; columns: mode | gallery{only}") for only in ("", "; only: 4 s left out"))
    rows = [line for line in every.splitlines() if "| 4 s left out |" in line]
    assert [line for line in some.splitlines() if line.startswith("|")][2:] == rows != []
    whole = tables.table("few_joints; columns: gallery; only: full | all three").splitlines()
    assert whole.count("| 4 s left out |") == 1
    with pytest.raises(SystemExit, match="few_joints: no row has 'full' and 'nowhere'"):
        tables.table("few_joints; only: full | nowhere")


def test_unknown_columns_and_rows_are_refused_by_name(tables):
    with pytest.raises(SystemExit, match="no column 'Hit@3'"):
        tables.table("calibration; columns: part | Hit@3")
    with pytest.raises(SystemExit, match="no row 'train'"):
        tables.table("calibration; rows: train")


def test_record_keeps_what_a_command_printed(tables, copied, monkeypatch):
    report = json.dumps({"protocol": {"seed": 5}, "results": {}})
    call = ("--record", "made", "--data", "nothing", "--", "echo", report, "--json")
    monkeypatch.setattr(tables.subprocess, "run", lambda *_, **__: tables.subprocess.CompletedProcess([], 0, report))
    run(tables, monkeypatch, *call)
    source = json.loads((copied / "results" / "made.json").read_text("utf-8"))
    assert source["seed"] == 5
    assert source["report"] == json.loads(report)
    assert source["command"].startswith("echo ")


def test_what_was_measured_later_joins_what_a_file_has_of_the_same_queries(tables, copied, monkeypatch):
    def report(search, condition, rate, **changed):
        score = {"queries": {"0.1": 8}, "hit": {"0.1": {"1": rate, "10": rate, "20": rate}}}
        protocol = {"modes": [search], "conditions": [condition], "seed": 0} | changed
        results = {search: {"4 m": {condition: {"4 s left out": score}}}}
        return {"protocol": protocol, "queries": 8, "gallery": 9, "clips": 2, "seconds": 1.5, "results": results}

    def kept(printed, *options):
        monkeypatch.setattr(tables.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=json.dumps(printed)))
        command = ("vipe", "evaluate", "search", printed["protocol"]["modes"][0], "--json")
        run(tables, monkeypatch, "--record", "some", "--data", "toys", *options, "--", *command)
        return json.loads((copied / "results" / "some.json").read_text("utf-8"))

    assert kept(report("full", "noise 0.03", 0.5))["command"] == "vipe evaluate search full --json"
    kept(report("full", "legs out", 0.25), "--join")
    made = kept(report("affine", "legs out", 0.75), "--join")
    assert made["command"] == [f"vipe evaluate search {mode} --json" for mode in ("full", "full", "affine")]
    assert made["report"]["protocol"]["modes"] == ["full", "affine"]
    rows = tables.table("some; columns: mode | keypoints | Hit@1").splitlines()
    assert rows[2:5] == ["| full | noise 0.03 | 50.0 |", "| full | legs out | 25.0 |", "| affine | legs out | 75.0 |"]
    assert rows[6].startswith("`vipe evaluate search full --json`, `vipe evaluate search full --json`, `vipe")
    with pytest.raises(SystemExit, match="cannot join: seed is 0 in the file, and 1 now"):
        kept(report("point", "legs out", 0.75, seed=1), "--join")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_on_the_pages_exists_with_its_options(command, capsys):
    program, *rest = shlex.split(command)
    options = {word for word in rest if re.fullmatch(r"--[a-z][a-z-]*", word)}
    if program == "make":
        assert re.search(rf"^{rest[0]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    elif program == "python":
        script = (ROOT / rest[0]).read_text("utf-8") + (BENCHMARKS / "inputs.py").read_text("utf-8")
        assert {option for option in options if f'"{option}"' not in script} == set()
    else:
        vipe([*takewhile(re.compile("[a-z]+").fullmatch, rest), "--help"])
        assert options - set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out)) == set()
