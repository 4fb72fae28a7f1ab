"""Errors, as a user meets them: one line each, whatever was named."""

import pickle

import pytest

from vipe import errors
from vipe.errors import MissingExtra, StoreError, VipeError

EVIL = "walk\x1b[2J\x07\u202e\x9b\ud800\r\nvipe: all is well\t\u2028!"


@pytest.mark.parametrize("kind", [getattr(errors, name) for name in errors.__all__])
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
