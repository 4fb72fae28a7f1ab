"""Every case of the small files beside the project does what is right; skipped where there are none."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


def test_without_the_cases_one_line_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import field

    monkeypatch.setattr(sys, "argv", ["field.py", "--shared", str(tmp_path)])
    field.main()
    assert "left out" in capsys.readouterr().out


@pytest.fixture
def field(monkeypatch):
    if not (SHARED / "field").is_dir():
        pytest.skip("no ../shared/field beside the repository: its cases are not part of it")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import field

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["field.py", "--shared", str(SHARED), *map(str, words)])
        with pytest.raises(SystemExit) as end:
            field.main()
        return end.value.code

    return run


@pytest.mark.mocap
def test_every_motion_file_that_people_have_does_what_is_right(field, capsys):
    assert field("a", "b", "p", "rigs") == 0, capsys.readouterr().out


@pytest.mark.mocap
@pytest.mark.slow
def test_every_keypoint_file_that_people_have_does_what_is_right(field, tmp_path, capsys):
    assert field("k", "--work", tmp_path / "work") == 0, capsys.readouterr().out
