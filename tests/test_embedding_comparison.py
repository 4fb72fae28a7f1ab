import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from vipe.simulate.motion import synthesize
from vipe.store import PoseStore

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
ROWS = ("V-VIPE", "Pr-VIPE, paper", "V-VIPE, no-universal")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A store, and a table of its clips' splits."""
    folder = tmp_path_factory.mktemp("archive")
    clips = list(synthesize(clips=6, fps=4.0, generator=np.random.default_rng(1)))
    store = PoseStore.create(folder / "store", clips)
    rows = [f"{clip.name},{('train', 'val', 'test')[number % 3]}" for number, clip in enumerate(clips)]
    (folder / "clips.csv").write_text("\n".join(["clip,split", *rows]))
    return store.path, folder / "clips.csv"


@pytest.fixture
def compare(archive, tmp_path, monkeypatch, capsys):
    """Runs the comparison with two steps a stage, and gives what it printed."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    store, split = archive

    def run(*arguments):
        given = [store, "--split", split, "--out", tmp_path / "out", "--preset", "tiny", "--steps", 2, *arguments]
        monkeypatch.setattr(sys, "argv", ["embedding_comparison.py", *map(str, given)])
        runpy.run_path(str(BENCHMARKS / "embedding_comparison.py"), run_name="__main__")
        return capsys.readouterr()

    return run


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import embedding_comparison

    return embedding_comparison


def test_rows_are_trained_measured_and_summed_up_once(compare, tmp_path, monkeypatch):
    few = ("--poses", 8, "--queries", 4, "--seeds", 0, 1)
    first = compare("--only", *ROWS, *few, "--json")
    found = json.loads(first.out)
    assert found == json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [row[0] for row in found["rows"]] == ["V-VIPE", "Pr-VIPE, paper"]
    assert "does not have" in found["left_out"]["V-VIPE, no-universal"]
    assert "[4/4] Pr-VIPE, paper, seed 1: pairs 2/2" in first.err
    assert (found["seed"], found["results"]["V-VIPE"]["steps"]) == ("0 1", {"pose_steps": 2, "keypoint_steps": 2})
    assert found["results"]["Pr-VIPE, paper"]["training"]["averaging"] == 0.9999
    assert found["results"]["Pr-VIPE, paper"]["training"]["views"]["noise"] == [0.0, 0.0]
    for name in ("V-VIPE", "Pr-VIPE, paper"):
        for rig in ("mpi_inf_3dhp", "h36m"):
            at_1 = found["results"][name][rig]["noise 0.03"]["whole gallery"]["all"]["0.1"]["@1"]
            assert at_1["mean"] == pytest.approx(np.mean(at_1["seeds"]))
            assert (at_1["range"], len(at_1["seeds"])) == ([min(at_1["seeds"]), max(at_1["seeds"])], 2)
    assert "search" in found["results"]["V-VIPE"]
    assert "search" not in found["results"]["Pr-VIPE, paper"]  # it embeds no poses
    columns = list(found["columns"])
    row = dict(zip(columns, found["rows"][0], strict=True))
    exact = found["results"]["V-VIPE"]["h36m"]["ground truth"]["whole gallery"]["all"]["0.1"]["@1"]
    assert row["H36M exact @1"] == pytest.approx(100 * exact["mean"])
    assert row["H36M exact range"] == pytest.approx([100 * end for end in exact["range"]])

    models = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*.safetensors")}
    again = compare("--only", *ROWS[:2], *few)
    assert "| V-VIPE | " in again.out
    assert "5 million steps" in again.out
    assert again.err == ""  # nothing is trained or measured twice
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*.safetensors")} == models


def test_every_row_has_the_same_steps_on_the_same_views_and_differs_by_what_it_is_named_for(module, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["", "store", "--split", "clips.csv", "--out", "out"])
    options = module._options()
    configs = {name: module._settings(name, options)[1] for name in module.ROWS}
    whole = configs["V-VIPE"]
    for name, config in configs.items():
        steps = getattr(config, "keypoint_steps", None) or config.steps
        assert (steps, config.batch, config.learning_rate) == (7000, 256, 3e-3), name
    assert configs["Pr-VIPE"].views == whole.views
    changed = {
        name: {key for key, value in vars(config).items() if value != getattr(whole, key)}
        for name, config in configs.items()
        if not name.startswith("Pr-VIPE")
    }
    assert changed == {
        "V-VIPE": set(),
        "V-VIPE, paper triplet": {"triplet_negative"},
        "V-VIPE, no-augmentation": {"views", "universal_share"},
        "V-VIPE, no-universal": {"universal"},
    }


def test_a_folder_of_other_settings_and_a_missing_split_are_told_in_one_line(compare, archive):
    compare("--only", "Pr-VIPE", "--seeds", 0, "--poses", 8)
    with pytest.raises(SystemExit, match=r"pr-vipe-seed-0: was trained with training\.steps 2 \(now 3\)"):
        compare("--only", "Pr-VIPE", "--seeds", 0, "--poses", 8, "--steps", 3)
    with pytest.raises(SystemExit, match="has no clip of split 'cross'"):
        compare("--part", "cross")
