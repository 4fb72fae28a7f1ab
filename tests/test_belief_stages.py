import json
import runpy
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.mark.slow
def test_the_comparison_of_stages_trains_both_ways_and_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def run(*seeds):
        sizes = {"clips": 4, "pictures": 20, "tested": 12, "before": 2, "steps": 2, "width": 4}
        options = [word for name, size in sizes.items() for word in (f"--{name}", str(size))]
        folders = ["--work", str(tmp_path), "--out", str(tmp_path), "--picture", str(tmp_path / "maps.png")]
        monkeypatch.setattr(sys, "argv", ["belief_stages.py", *options, *folders, "--seeds", *seeds])
        runpy.run_path(str(BENCHMARKS / "belief_stages.py"), run_name="__main__")
        return capsys.readouterr().out

    first = run("0")
    made = {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("*.pt")}
    assert len(made) == 3  # before, and both ways
    assert (tmp_path / "maps.png").is_file()
    again = run("0", "1")
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in made} == made
    assert set(first.splitlines()) <= set(again.splitlines())
    table = json.loads((tmp_path / "belief_stages.json").read_text())
    assert [row[:2] for row in table["rows"]][:4] == [
        ["without", "all"],
        ["without", "occluded"],
        ["without", "seen"],
        ["with", "all"],
    ]
    assert all(len(row) == 2 + 6 for row in table["rows"])
    seeds = json.loads((tmp_path / "belief_stages_seeds.json").read_text())
    assert [row[:3] for row in seeds["rows"]][:2] == [["with", "all", "0"], ["with", "all", "1"]]
    for row in seeds["rows"]:
        assert row[5] == pytest.approx(row[4] - row[3])
