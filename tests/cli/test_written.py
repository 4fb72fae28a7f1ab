"""Files of results: what cannot be written is told before any work is done, and missing folders are made."""

import sys

import pytest

from vipe import PoseStore
from vipe.cli.app import main

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

# None of the stores and indexes is there: who does anything before looking at the file would say so.
PAGES = {
    "query": ("query", "nowhere", "nowhere.json", "--page"),
    "lift": ("lift", "nowhere.json", "--page"),
    "generate": ("generate", "--store", "nowhere", "--out", "new", "--mode", "samples", "--page"),
}
PICTURES = {
    "evaluate search": ("evaluate", "search", "nowhere", "--picture"),
    "evaluate calibration": ("evaluate", "calibration", "nowhere", "--picture"),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for ending in ("png", "html"):
        (tmp_path / f"folder.{ending}").mkdir()
    (tmp_path / "file").write_text("mine")
    return tmp_path


def one_line(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


@pytest.mark.parametrize("command", [*PAGES, *PICTURES])
def test_a_place_that_cannot_be_written_is_told_first(run, here, command):
    asked = {**PAGES, **PICTURES}[command]
    what, ending = ("page", "html") if command in PAGES else ("picture", "png")
    told = one_line(run, [*asked, f"folder.{ending}"])
    assert f"folder.{ending}: is a folder, expected a file for the {what}" in told
    assert f"file/a.{ending}: the {what} cannot be written" in one_line(run, [*asked, f"file/a.{ending}"])
    assert sorted(entry.name for entry in here.iterdir()) == ["file", "folder.html", "folder.png"]
    assert (here / "file").read_text() == "mine"


@pytest.mark.parametrize("command", [*PAGES, *PICTURES])
def test_a_place_that_can_be_written_is_left_as_it_is(run, here, command):
    asked = {**PAGES, **PICTURES}[command]
    ending = "html" if command in PAGES else "png"
    (here / f"old.{ending}").write_text("old")
    for place in (f"old.{ending}", f"new/new/a.{ending}"):
        assert "nowhere" in one_line(run, [*asked, place])
    there = sorted(["file", "folder.html", "folder.png", f"old.{ending}"])
    assert sorted(entry.name for entry in here.iterdir()) == there
    assert (here / f"old.{ending}").read_text() == "old"


@pytest.mark.parametrize("name", ["picture", "picture.html"])
@pytest.mark.parametrize("command", PICTURES)
def test_a_picture_of_no_known_format_is_told_first(run, here, command, name):
    assert "expected the name of a picture that ends in .png" in one_line(run, [*PICTURES[command], name])


@pytest.mark.parametrize(("command", "package"), [("query", "jinja2"), ("evaluate search", "matplotlib")])
def test_an_extra_that_is_missing_is_told_first(run, here, monkeypatch, command, package):
    for module in (package, "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, module, None)
    assert 'pip install "vipe-pose[report]"' in one_line(run, [*{**PAGES, **PICTURES}[command], "a.png"])


@pytest.fixture(scope="module")
def motion(tmp_path_factory):
    """A store of synthetic motion and an index of it."""
    folder = tmp_path_factory.mktemp("motion")
    main(["synth", "--out", str(folder / "store"), "--minutes", "0.3", "--fps", "4", "--seed", "1"])
    main(["index", "build", str(folder / "store"), "--out", str(folder / "index")])
    return folder


@pytest.mark.parametrize(
    ("words", "results"),
    [
        (("synth", "--minutes", "0.1", "--out", "a/b/store"), ["store"]),
        (("index", "build", "STORE", "--out", "a/b/index"), ["index"]),
        (("show", "STORE", "CLIP", "--page", "a/b/p.html", "--export", "a/b/m.bvh"), ["p.html", "m.bvh"]),
        (("query", "INDEX", "--pose", "CLIP:0", "--page", "a/b/p.html", "--table", "a/b/t.csv"), ["p.html", "t.csv"]),
        (("skeletons", "suggest", "a.bvh", "--out", "a/b/t.toml", "--picture", "a/b/p.png"), ["t.toml", "p.png"]),
    ],
    ids=lambda value: " ".join(value[:2]),
)
def test_folders_that_a_result_lies_in_are_made(run, here, motion, words, results):
    clip = PoseStore.open(motion / "store").clips()[0]["clip"]
    assert run("show", motion / "store", clip, "--export", "a.bvh")[0] == 0
    places = {"STORE": motion / "store", "INDEX": motion / "index"}
    code, _, err = run(*(places.get(word, word.replace("CLIP", clip)) for word in words))
    assert code == 0, err
    assert sorted(entry.name for entry in (here / "a" / "b").iterdir()) == sorted(results)
