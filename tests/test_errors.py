"""Errors, as a user meets them: one line each, whatever was named."""

import pickle
import re
import tomllib
from pathlib import Path

import pytest

import vipe
from vipe.errors import MissingExtra, StoreError, VipeError, install_line

EVIL = "walk\x1b[2J\x07\u202e\x9b\ud800\r\nvipe: all is well\t\u2028!"


@pytest.mark.parametrize("kind", [VipeError, *VipeError.__subclasses__()])
def test_what_steers_a_terminal_is_text_in_every_error(kind):
    error = kind(f"{EVIL}: no clip")
    assert str(error) == r"walk\x1b[2J\x07\u202e\x9b\ud800 vipe: all is well\t !: no clip"
    assert str(error).isprintable()
    assert error.args == (f"{EVIL}: no clip",)


def test_ordinary_text_stays_as_it_is():
    assert str(StoreError(r"Größe/走: a\b, 10 °C")) == r"Größe/走: a\b, 10 °C"
    assert str(VipeError()) == ""
    assert str(MissingExtra("pip install vipe")) == "pip install vipe"
    assert str(pickle.loads(pickle.dumps(StoreError("walk\x07")))) == r"walk\x07"


def test_an_endless_name_is_cut_and_the_advice_stays():
    text = str(StoreError(f"x/{'9' * 100_000}: no clip; give another file"))
    assert text.startswith("x/999")
    assert text.endswith("9: no clip; give another file")
    assert len(text) < 1600


def test_an_extra_is_installed_by_one_of_two_lines_wherever_it_is_missing():
    error = MissingExtra.of("maps need umap-learn", "maps")
    assert isinstance(error, ImportError)
    assert str(error) == f"maps need umap-learn: {install_line('maps')}"
    both = r'pip install "vipe-pose\[maps\]" \(in the repository: pip install -e "\.\[maps\]"\)'
    assert re.fullmatch(both, install_line("maps"))


def test_every_extra_that_is_named_is_declared():
    """A line that names an extra which is not there would install nothing."""
    package = Path(vipe.__file__).parent
    texts = [file.read_text(encoding="utf-8") for file in package.rglob("*.py")]
    found = {
        name
        for text in texts
        for pattern in (r'MissingExtra\.of\(f?"[^"]*", "(\w+)"', r"""install_line\(["'](\w+)["']\)""")
        for name in re.findall(pattern, text)
    }
    declared = tomllib.loads((package.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (
        {"report", "maps", "formats", "detect", "cuda12", "cuda13"} <= found <= set(declared["optional-dependencies"])
    )
    apart = [text for text in texts if re.search(r"pip install \S*vipe-pose\[", text)]
    assert len(apart) == 1  # the one place that writes the line
