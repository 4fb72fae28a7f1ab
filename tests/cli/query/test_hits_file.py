"""Hits as a file: nothing in it runs in a spreadsheet, and numbers stay numbers."""

import csv
import io
import json
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vipe.plots.embedding_map
from vipe.cli.query.hits_file import without_formulas, write_hits

NAMES = [
    "=1+1",
    "+1+cmd|x",
    "-2+3",
    "@SUM(A1)",
    "\tx",
    "\r=x",
    "-5",
    "+1.5e3",
    "-.5",
    "walk",
    "a=b",
    "",
    None,
    "'=x",
    "-",
]
DEFUSED = [
    "'=1+1", "'+1+cmd|x", "'-2+3", "'@SUM(A1)", "'\tx", "'\r=x", "-5", "+1.5e3", "-.5", "walk", "a=b", "", None, "'=x",
    "'-",
]  # fmt: skip


@pytest.fixture
def hits():
    numbers = [-float(number) for number in range(len(NAMES))]
    clip = pa.array(NAMES)
    return pa.table({"image_id": clip, "clip": clip.dictionary_encode(), "distance": numbers})


def test_texts_that_begin_like_a_formula_are_defused_in_csv_and_nothing_else_is(hits, tmp_path):
    write_hits(tmp_path / "hits.csv", hits)
    with (tmp_path / "hits.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for column in ("image_id", "clip"):
        assert [row[column] for row in rows] == [text or "" for text in DEFUSED]
    assert [float(row["distance"]) for row in rows] == hits["distance"].to_pylist()
    assert without_formulas(hits)["clip"].to_pylist() == DEFUSED


def test_parquet_has_texts_as_they_are(hits, tmp_path):
    write_hits(tmp_path / "hits.parquet", hits)
    assert pq.read_table(tmp_path / "hits.parquet")["clip"].to_pylist() == NAMES


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js to run the page's script")
def test_a_map_defuses_the_same_texts(tmp_path):
    script = Path(vipe.plots.embedding_map.__file__).with_name("moments.js").read_text(encoding="utf-8")
    names = [name for name in NAMES if name is not None]
    count = len(names)
    data = {
        "clips": {"name": names, "action": [0] * count, "subject": [0] * count},
        "actions": ["=a"],
        "subjects": ["-7"],
    }
    place = {"clip": list(range(count)), "frame": [-3] * count, "time": [-1.5] * count}
    code = f"""{script}
    const {{ table }} = momentsOf({json.dumps(data)}, {json.dumps(place)});
    process.stdout.write(table(Array({count}).fill(true)));"""
    (tmp_path / "run.js").write_text(code, encoding="utf-8")
    told = subprocess.run(["node", tmp_path / "run.js"], capture_output=True, check=True).stdout.decode("utf-8")
    rows = list(csv.DictReader(io.StringIO(told, newline="")))
    assert [row["clip"] for row in rows] == [text for text in DEFUSED if text is not None]
    assert {(row["frame"], row["time"], row["action"], row["subject"]) for row in rows} == {
        ("-3", "-1.5000", "'=a", "-7")
    }
