"""`vipe skeletons suggest` and what `vipe ingest` says of rigs: notes, sizes, --guess, --unit, --up, --source-fps."""

import json

import pytest
from readers.rig_files import bvh, rig

from vipe import PoseStore
from vipe.skeletons import load


@pytest.fixture
def unknown(tmp_path):
    joints = rig(fingers=True)
    for number, joint in enumerate(joints):
        joint.name = f"Bone{number:03d}"
    path = tmp_path / "unknown.bvh"
    path.write_text(bvh(joints, unit="inch", up="z", frames=3))
    return path


@pytest.fixture
def known(tmp_path):
    path = tmp_path / "known.bvh"
    path.write_text(bvh(rig("mixamo"), unit="twice", frames=3))
    return path


def test_a_suggested_table_is_used_as_a_table(run, unknown, tmp_path):
    pytest.importorskip("matplotlib")
    table, picture = tmp_path / "mine.toml", tmp_path / "mine.png"
    code, out, err = run("skeletons", "suggest", unknown, "--out", table, "--picture", picture)
    assert code == 0, err
    assert "% sure; z is up, 0.0254 m a unit" in out
    assert "left knee" in out
    assert picture.stat().st_size > 5000
    skeleton = load(str(table))
    assert (skeleton.name, skeleton.unit, skeleton.up) == ("unknown", 0.0254, "z")
    assert run("ingest", unknown, "--out", tmp_path / "a", "--skeleton", table)[0] == 0
    assert run("ingest", unknown, "--out", tmp_path / "b", "--guess")[0] == 0
    a, b = (PoseStore.open(tmp_path / name).poses() for name in "ab")
    assert abs(a - b).max() < 1e-4


def test_a_suggestion_as_json(run, known):
    code, out, _ = run("skeletons", "suggest", known, "--json")
    result = json.loads(out)
    assert (code, result["sure"], result["up"]) == (0, 1.0, "y")
    assert result["roles"]["left_knee"] == "mixamorig:LeftLeg"
    assert result["said"] == "its names fit the family upleg"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.bvh"], "no .bvh file"),
        (["{}", "--out", "mine.txt"], "ends in .toml"),
    ],
)
def test_what_cannot_be_suggested_is_told(run, known, arguments, said):
    code, _, err = run("skeletons", "suggest", *(known if word == "{}" else word for word in arguments))
    assert (code, len(err.splitlines())) == (2, 1)
    assert said in err


def test_ingest_and_info_print_sizes_and_notes(run, known, tmp_path):
    _, out, _ = run("ingest", known, "--out", tmp_path / "store")
    assert "note: no usual unit makes this body a person (a thigh measures 86): scaled to an adult's size" in out
    assert "rig upleg: 1 clip, height 1." in out
    _, info, _ = run("store", "info", tmp_path / "store")
    assert {line for line in out.splitlines() if line.startswith(("rig", "note"))} <= set(info.splitlines())
    result = json.loads(run("store", "info", tmp_path / "store", "--json")[1])
    assert result["rigs"][0]["clips"] == 1
    assert result["notes"][0]["first"] == "known.bvh"


def test_appending_prints_the_notes_of_what_is_new(run, known, tmp_path):
    run("ingest", known, "--out", tmp_path / "store")
    (tmp_path / "other.bvh").write_text(bvh(rig("biped"), unit="twice", frames=2))
    result = json.loads(run("ingest", tmp_path / "other.bvh", "--out", tmp_path / "store", "--append", "--json")[1])
    assert [note["clips"] for note in result["notes"]] == [1]


def test_unit_axis_and_rate_can_be_stated(run, known, tmp_path):
    options = ["--unit", 0.01, "--up", "y", "--source-fps", 60]
    _, out, _ = run("ingest", known, "--out", tmp_path / "store", *options)
    assert "in centimetres, as stated, a thigh measures 0.86 m" in out
    assert PoseStore.open(tmp_path / "store").clips()[0]["fps"] == 60


@pytest.mark.parametrize("option", [["--unit", "0"], ["--unit", "nan"], ["--up", "w"], ["--source-fps", "-1"]])
def test_impossible_statements_are_refused(run, known, tmp_path, option):
    code, _, err = run("ingest", known, "--out", tmp_path / "store", *option)
    assert (code, len(err.splitlines())) == (2, 1)
