"""TOML is parsed as tomllib does, and what would cost it minutes is refused at once."""

import time
import tomllib

import pytest

from vipe.files.toml_table import parse_toml


@pytest.mark.parametrize(
    "text",
    [
        "a = 1\n[b.c]\nd = [0.1, 0.2]\n",
        "x = [\n [1.5, 2.5, " + "0.25, " * 99 + "1.0],\n]\n",
        'text = "' + "." * 99 + '"\n# ' + "a." * 99 + "\n",
        "a = { b.c = 1, d = 2.5 }",
    ],
)
def test_usual_tables_are_what_tomllib_makes_of_them(text):
    assert parse_toml(text.encode()) == tomllib.loads(text)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a." * 50_000 + b"a = 1", "line 1: a key of more than 32 parts"),
        (b"x = 1\n[" + b"a." * 50_000 + b"a]\n", "line 2: a key of more than 32 parts"),
        (b"x = { " + b"a." * 50_000 + b"a = 1 }", "line 1: a key of more than 32 parts"),
        (b"x = " + b"[" * 10_000 + b"]" * 10_000, "nested too deeply"),
        (b"\xff", "can't decode"),
        (b"a = ", "Invalid value"),
    ],
    ids=["key", "header", "inline", "arrays", "latin", "cut"],
)
def test_what_is_no_table_is_refused_at_once(data, message):
    start = time.process_time()
    with pytest.raises(ValueError, match=message):
        parse_toml(data)
    assert time.process_time() - start < 1
