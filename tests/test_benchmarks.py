import json
import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys):
    """Runs a benchmark in a folder that has no motion capture beside it, and gives what it printed."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.chdir(tmp_path)

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(BENCHMARKS / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_make_bench_runs_scripts_that_exist():
    (names,) = re.findall(r"^BENCHMARKS := (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert [name for name in names.split() if not (BENCHMARKS / f"{name}.py").is_file()] == []


@pytest.mark.parametrize("name", ["reference_body.py", "synthetic_vs_real.py"])
def test_a_benchmark_of_real_motion_says_in_one_line_that_it_is_left_out(bench, name):
    (line,) = bench(name).splitlines()
    assert "left out" in line


def test_the_growing_archive_is_made_of_synthetic_motion_where_there_is_no_other(bench, tmp_path):
    said, *rows = bench("gallery_size.py", "--sizes", 200, 400, "--queries", 3).splitlines()
    assert "synthetic motion is used" in said
    assert [json.loads(row)["poses"] for row in rows] == [200, 400, 200, 400]
    assert [folder.name for folder in (tmp_path / "out" / "grown").iterdir()] == ["synthetic"]


def test_every_query_is_in_the_smallest_gallery(bench, tmp_path):
    bench("gallery_size.py", "--sizes", 40, 400, "--queries", 30)
    import gallery_size

    from vipe.index import PoseIndex

    index = PoseIndex.open(tmp_path / "out" / "grown" / "synthetic" / "index-400-flat")
    everywhere, within = (gallery_size.asked_rows(index, 30, most) for most in (None, 40))
    assert everywhere.max() >= 40
    assert within.max() < 40
