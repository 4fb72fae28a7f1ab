import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vipe.geometry import canonicalize_array
from vipe.simulate.motion import synthesize
from vipe.store import PoseStore

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
ABSENT = ("faiss", "msgspec", "jaxtyping", "cyclopts", "beartype", "matplotlib", "jinja2")
# As on a machine without these packages: importing them fails as it does there.
START = f"""
import runpy, sys
sys.path.insert(0, {str(BENCHMARKS)!r})
for name in {{absent}}:
    sys.modules[name] = None
sys.argv = ["gpu_suite.py", *sys.argv[1:]]
runpy.run_path({str(BENCHMARKS / "gpu_suite.py")!r}, run_name="__main__")
"""


def suite(*arguments, absent=()):
    command = [sys.executable, "-c", START.format(absent=absent), *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    clips = synthesize(minutes=3.0, fps=10.0, generator=np.random.default_rng(0))
    return PoseStore.create(folder / "store", clips)


@pytest.fixture(scope="module")
def data(archive):
    path = archive.path.parent / "poses.parquet"
    made = suite("--make", archive.path, "--data", path, "--synthetic", 0.5)
    assert made.returncode == 0, made.stderr
    return path


@pytest.fixture
def gpu_data(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu_data

    return gpu_data


def test_the_file_holds_poses_to_a_millimetre_with_the_pelvis_at_the_origin(archive, data, gpu_data):
    part = gpu_data.load_data(data)["train"]
    assert (part.poses[:, 0] == 0).all()
    stored = archive.poses({"clip": sorted(set(part.clips))})
    stored = stored - stored[:, :1]
    apart = np.array([np.abs(stored - pose).max(axis=(1, 2)).min() for pose in part.poses[:50]])
    assert apart.max() < 1e-3


def test_no_clip_is_in_two_splits(data, gpu_data):
    clips = [set(part.clips) for name, part in gpu_data.load_data(data).items() if name != "synthetic"]
    assert sum(map(len, clips)) == len(set().union(*clips))


def test_training_poses_differ_from_the_one_before(data, gpu_data):
    part = gpu_data.load_data(data)["train"]
    canonical = canonicalize_array(part.poses).poses
    moved = np.linalg.norm(np.diff(canonical, axis=0), axis=-1).mean(axis=1)[part.clips[1:] == part.clips[:-1]]
    assert moved.min() > gpu_data.APART - 2e-3


def test_the_file_is_no_larger_than_asked(archive, tmp_path, gpu_data):
    gpu_data.make_data(archive.path, tmp_path / "p", table=None, synthetic=0.5, megabytes=0.07, seed=0)
    assert (tmp_path / "p").stat().st_size <= 70_000
    parts = gpu_data.load_data(tmp_path / "p")
    assert {"train", "val", "test", "synthetic"} <= set(parts)
    assert len(parts["train"]) > 50


def test_a_table_of_splits_is_followed(archive, tmp_path, gpu_data):
    names = [clip["clip"] for clip in archive.clips()]
    table = tmp_path / "clips.csv"
    table.write_text("clip,split\n" + "".join(f"{name},{'cross' if i else 'train'}\n" for i, name in enumerate(names)))
    gpu_data.make_data(archive.path, tmp_path / "p", table=table, synthetic=0, megabytes=40, seed=0)
    parts = gpu_data.load_data(tmp_path / "p")
    assert set(parts) == {"train", "cross"}
    assert set(parts["train"].clips) == {names[0]}


@pytest.mark.slow
def test_the_suite_trains_measures_and_times_without_the_packages_it_does_not_name(data, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    stages = {"v-vipe": ("poses", "keypoints"), "pr-vipe": ("pairs",)}
    for name in ("v-vipe", "pr-vipe", "towers", "towers-synthetic"):  # short, however fast the machine is
        steps = dict.fromkeys(stages.get(name, ("towers",)), 20)
        plan = {"steps": steps, "validate_every": 10, "training_seconds": 0.0}
        (out / f"{name}.json").write_text(json.dumps(plan))
    call = ("--data", data, "--out", out, "--preset", "tiny", "--device", "cpu", "--minutes", 30)
    done = suite(*call, absent=ABSENT)
    assert done.returncode == 0, done.stderr
    assert "not done" not in done.stdout
    metrics = json.loads((out / "metrics.json").read_text())
    assert set(metrics["models"]) == {"v-vipe", "towers", "towers-synthetic", "pr-vipe"}
    for name, model in metrics["models"].items():
        assert (out / name / "weights.safetensors").is_file()
        views = model["views"]["test, mpi_inf_3dhp"]["ground truth"]["all"]
        assert 0 <= views["hit"]["1"] <= views["hit"]["10"] <= views["hit"]["20"] <= 1
        low, high = views["interval"]["1"]
        assert low <= views["hit"]["1"] <= high
    timed = {row["what"] for row in json.loads((out / "timings.json").read_text())["rows"]}
    assert {"canonicalize", "v-vipe: lift keypoints", "towers: encode keypoints"} <= timed

    weights = (out / "towers" / "weights.safetensors").read_bytes()
    again = suite(*call)
    assert again.returncode == 0
    assert "steps" not in again.stdout.split("|")[0]  # nothing was trained again
    assert (out / "towers" / "weights.safetensors").read_bytes() == weights

    other = suite(*call, "--seed", 1)
    assert other.returncode != 0
    assert "another preset, seed or data" in other.stderr


def test_an_interrupted_training_goes_on_and_ends_as_one_without_interrupt(data, tmp_path, gpu_data):
    import gpu_suite

    parts = gpu_data.load_data(data)
    plan = {"steps": {"towers": 30}, "validate_every": 10, "training_seconds": 0.0}
    weights = []
    for name, patience in (("whole", 1e9), ("cut", 0.0)):
        run = gpu_suite.Run(data=parts, out=tmp_path / name, preset="tiny", device=torch.device("cpu"), seed=0, end=0)
        gpu_suite._write(run.out / "towers.json", plan)
        if not patience:
            with pytest.raises(gpu_suite.OutOfTime):
                gpu_suite._trained(run, "towers", 1.0, 0.0)
            assert not (run.out / "towers" / "weights.safetensors").exists()
            plan_after = json.loads((run.out / "towers.json").read_text())
            assert plan_after["steps"] == plan["steps"]
        gpu_suite._trained(run, "towers", 1.0, 1e18)
        weights.append((run.out / "towers" / "weights.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_a_plan_has_as_many_steps_as_the_time_allows(data, tmp_path, gpu_data):
    import gpu_suite

    run = gpu_suite.Run(
        data=gpu_data.load_data(data), out=tmp_path, preset="tiny", device=torch.device("cpu"), seed=0, end=0
    )
    short, long = (gpu_suite._plan(run, "towers", seconds)["steps"]["towers"] for seconds in (0.01, 1e9))
    assert short == 20
    assert long == run.most("towers")["towers"]
    with pytest.raises(gpu_suite.OutOfTime):
        gpu_suite._plan(run, "towers", 0.0)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_something_else_is_refused_in_one_line(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"no")
    refused = suite("--data", tmp_path / "x.parquet", "--out", tmp_path / "out")
    assert refused.returncode != 0
    assert "not a file of poses" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_the_suite_runs_on_a_gpu(data, tmp_path):
    done = suite("--data", data, "--out", tmp_path / "out", "--preset", "tiny", "--device", "cuda", "--minutes", 0.5)
    assert done.returncode == 0, done.stderr
    assert not json.loads((tmp_path / "out" / "metrics.json").read_text())["device"].startswith("CPU")
