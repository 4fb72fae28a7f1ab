"""Pages and pictures that cannot be written are told before any work is done, whatever the command."""

import sys

import pytest

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
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("mine")
    return tmp_path


def one_line(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


@pytest.mark.parametrize("command", [*PAGES, *PICTURES])
def test_a_place_that_cannot_be_written_is_told_first(run, here, command):
    asked = {**PAGES, **PICTURES}[command]
    what = "page" if command in PAGES else "picture"
    assert f"folder.png: is a folder, expected a file for the {what}" in one_line(run, [*asked, "folder.png"])
    assert f"file/a.png: the {what} cannot be written" in one_line(run, [*asked, "file/a.png"])
    assert sorted(entry.name for entry in here.iterdir()) == ["file", "folder.png"]
    assert (here / "file").read_text() == "mine"


@pytest.mark.parametrize("command", [*PAGES, *PICTURES])
def test_a_place_that_can_be_written_is_left_as_it_is(run, here, command):
    asked = {**PAGES, **PICTURES}[command]
    (here / "old.png").write_text("old")
    for place in ("old.png", "new/new/a.png"):
        assert "nowhere" in one_line(run, [*asked, place])
    assert sorted(entry.name for entry in here.iterdir()) == ["file", "folder.png", "old.png"]
    assert (here / "old.png").read_text() == "old"


@pytest.mark.parametrize("name", ["picture", "picture.html"])
@pytest.mark.parametrize("command", PICTURES)
def test_a_picture_of_no_known_format_is_told_first(run, here, command, name):
    assert "expected the name of a picture that ends in .png" in one_line(run, [*PICTURES[command], name])


@pytest.mark.parametrize(("command", "package"), [("query", "jinja2"), ("evaluate search", "matplotlib")])
def test_an_extra_that_is_missing_is_told_first(run, here, monkeypatch, command, package):
    for module in (package, "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, module, None)
    assert 'pip install "vipe-pose[report]"' in one_line(run, [*{**PAGES, **PICTURES}[command], "a.png"])
