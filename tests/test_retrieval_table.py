import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from vipe.simulate.motion import synthesize

TABLE = Path(__file__).parent.parent / "benchmarks" / "retrieval_table.py"
ROWS = ("raw 2D", "V-VIPE, tiny")


def recorded(path, *, seed, parts=()):
    """A file as `--help` describes it, of procedural motion; its clips belong to the parts in turn."""
    clips = list(synthesize(minutes=0.8, fps=4.0, generator=np.random.default_rng(seed)))
    names = [f"clip {number}" for number in range(len(clips))]
    lengths = [len(clip.positions) for clip in clips]
    arrays = {"poses": np.concatenate([clip.positions for clip in clips]), "clip": np.repeat(names, lengths)}
    if parts:
        arrays["split"] = np.repeat([parts[number % len(parts)] for number in range(len(clips))], lengths)
    np.savez(path, fps=4.0, **arrays)
    return len(clips)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("h36m")
    own, other = folder / "own.npz", folder / "other.npz"
    clips = recorded(own, seed=1, parts=("train", "val", "test")), recorded(other, seed=2)
    return own, other, clips


def table(monkeypatch, capsys, out, *arguments):
    monkeypatch.syspath_prepend(str(TABLE.parent))
    monkeypatch.setattr(sys, "argv", [TABLE.name, "--out", str(out), "--dataset", "h36m", *map(str, arguments)])
    runpy.run_path(str(TABLE), run_name="__main__")
    return capsys.readouterr().out


def test_who_has_human36m_gets_the_whole_table_from_two_files(files, tmp_path, monkeypatch, capsys):
    own, other, (_, others) = files
    given = ("--train", own, "--test", other, "--only", *ROWS)
    first = table(monkeypatch, capsys, tmp_path, *given, "--steps", 2, "--poses", 1000)
    assert first.count("in-domain, rig ") >= 2
    for rig, pairs in (("h36m", 12), ("mpi_inf_3dhp", 110)):
        (head,) = [
            line for line in first.splitlines() if line.startswith(f"cross-data, rig {rig}: ") and "seed" in line
        ]
        assert f"of {others} clips, {pairs} ordered camera pairs" in head
    for name in ROWS:
        assert len([line for line in first.splitlines() if line.startswith(f"| {name} | ")]) == 4
    assert "levy2024" in first  # the papers' figures stand beside
    tables = first[first.rindex("in-domain, rig h36m: ") :]
    again = table(monkeypatch, capsys, tmp_path, *given, "--print")
    assert again == tables  # nothing is trained or measured twice


def test_without_the_files_it_says_what_is_missing(tmp_path, monkeypatch, capsys):
    assert "--train and --test" in table(monkeypatch, capsys, tmp_path)
