"""The measurement of searches on a GPU: whole on a real one, and its lines on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "gpu_index.py"
STAGES = ("camera check", "marginal likelihood", "lifter", "query, full", "query, point", "query, hypotheses", "scan")


def measured(*arguments, timeout):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(SCRIPT.parent.parent)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=timeout)


def rows_of(out):
    return json.loads((out / "gpu_index.json").read_text())["rows"]


@pytest.mark.slow
def test_every_line_of_it_runs_without_a_gpu(tmp_path):
    small = ("--poses", 2000, 2500, "--query-poses", 300, "--people", 3, "--motion", 0.5, "--seconds", 0)
    done = measured("--device", "cpu", *small, "--out", tmp_path, timeout=280)
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path)
    assert all(any(row["what"].startswith(stage) for row in rows) for stage in STAGES)
    assert {row["what"] for row in rows if row["poses"] == 2500} == {"scan, 12 joints", "flat, l2", "fp16, l2"}
    assert all(row["same, %"] == 100 for row in rows if "same, %" in row)
    assert [row["what"] for row in rows if "left out" in row] in ([], ["cagra, l2", "cagra, ip"])
    assert done.stdout.count("| flat, l2 | 2,000 |") == 1


def test_what_there_is_no_time_or_memory_for_is_left_out_and_said(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import gpu_index

    run = gpu_index.Run("cpu", None, 3, end=float("inf"), least=0.0)
    assert gpu_index._lack(run, (1e3, 1e3)) is None
    assert gpu_index._lack(run, (1e18, 0)).startswith("takes 1000000000.0 GB, ")
    assert gpu_index._lack(gpu_index.Run("cpu", None, 3, end=0.0, least=0.0), (0, 0)) == "no time is left"


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
def test_without_a_gpu_it_says_so_in_one_line():
    refused = measured(timeout=120)
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_gives_the_cpu_s_answers_at_a_million_poses_and_the_rates_at_a_hundred_million(tmp_path, capsys):
    done = measured("--device", "cuda", "--minutes", 7, "--out", tmp_path, timeout=560)
    with capsys.disabled():
        sys.stdout.write(done.stdout)
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path)
    assert all(any(row["what"].startswith(stage) for row in rows) for stage in STAGES)
    for row in rows:
        assert row.get("same, %", 100) >= 95, row
        assert row.get("found, %", 100) >= row.get("found by CPU, %", 0) - 2, row
