import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from vipe.simulate.motion import synthesize
from vipe.store import PoseStore

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
        return capsys.readouterr()

    return run


def test_poses_of_a_split_are_those_of_its_clips_in_the_order_of_the_store(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import inputs

    clips = list(synthesize(clips=3, fps=2.0, generator=np.random.default_rng(0)))
    store = PoseStore.create(tmp_path / "store", clips)
    table = tmp_path / "clips.csv"
    parts = zip(clips, ("val", "train", "val"), strict=True)
    table.write_text("split,clip\n" + "".join(f"{part},{clip.name}\n" for clip, part in reversed(list(parts))))
    expected = np.concatenate([clips[0].positions, clips[2].positions])
    np.testing.assert_array_equal(inputs.poses_of(store.path, table, "val"), expected)


def test_make_bench_runs_scripts_that_exist():
    (names,) = re.findall(r"^BENCHMARKS := (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert [name for name in names.split() if not (BENCHMARKS / f"{name}.py").is_file()] == []


@pytest.mark.parametrize("name", ["reference_body.py", "synthetic_vs_real.py"])
def test_a_benchmark_of_real_motion_says_in_one_line_that_it_is_left_out(bench, name):
    (line,) = bench(name).out.splitlines()
    assert "left out" in line


def test_the_growing_archive_is_made_of_synthetic_motion_where_there_is_no_other(bench, tmp_path):
    printed = bench("gallery_size.py", "--sizes", 100, 200, "--queries", 2)
    assert "synthetic motion is used" in printed.err
    assert [json.loads(row)["poses"] for row in printed.out.splitlines()] == [100, 200, 100, 200]
    assert [folder.name for folder in (tmp_path / "out" / "grown").iterdir()] == ["synthetic"]


def test_every_query_is_in_the_smallest_gallery(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gallery_size

    _, index = gallery_size.grown_index(tmp_path / "work", tmp_path / "no motion capture", 400)
    everywhere, within = (gallery_size.asked_rows(index, 30, most) for most in (None, 40))
    assert everywhere.max() >= 40
    assert within.max() < 40


@pytest.mark.slow
def test_the_growth_of_an_index_is_measured_where_there_is_no_motion_capture(bench, monkeypatch):
    printed = bench("index_growth.py", "--sizes", 300, 600, "--json")
    found = json.loads(printed.out)
    assert [row["poses"] >= size for row, size in zip(found["growth"], (300, 600), strict=True)] == [True, True]
    assert [row["parts"] for row in found["parts"]][:2] == [1, 2]
    assert len(found["churn"]) == 4
    for row in found["churn"]:
        for k in (10, 200):
            assert row[f"churned, of {k}"] >= row[f"fresh, of {k}"] - 1
