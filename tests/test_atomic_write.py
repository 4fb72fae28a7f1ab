import os
import signal
import subprocess
import sys
import threading

import pytest

from vipe.atomic_write import atomic_write, check_writable, locked


def write(path, text="new"):
    path.write_text(text)


def folder(path, text="new"):
    path.mkdir()
    (path / "inside").write_text(text)


@pytest.mark.parametrize("make", [write, folder])
def test_it_is_there_at_the_end_and_not_before(tmp_path, make):
    with atomic_write(tmp_path / "a" / "b") as beside:
        make(beside)
        assert not (tmp_path / "a" / "b").exists()
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["b"]


@pytest.mark.parametrize("make", [write, folder])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ValueError])
def test_an_error_leaves_nothing_not_even_the_parents_it_made(tmp_path, make, error):
    with pytest.raises(error), atomic_write(tmp_path / "a" / "b") as beside:
        make(beside)
        raise error
    assert list(tmp_path.iterdir()) == []


def test_what_appears_meanwhile_is_not_harmed(tmp_path):
    with pytest.raises(FileExistsError, match="appeared while"), atomic_write(tmp_path / "a") as beside:
        write(beside)
        write(tmp_path / "a", "mine")
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("a", "mine")]


@pytest.mark.parametrize("make", [write, folder])
def test_what_was_there_is_replaced_if_told_so(tmp_path, make):
    make(tmp_path / "a", "old")
    with atomic_write(tmp_path / "a", replace=True) as beside:
        make(beside)
    file = tmp_path / "a" if make is write else tmp_path / "a" / "inside"
    assert file.read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("make", [write, folder])
def test_what_was_there_stays_when_the_new_one_fails(tmp_path, make):
    make(tmp_path / "a", "old")
    with pytest.raises(OSError, match="full"), atomic_write(tmp_path / "a", replace=True) as beside:
        make(beside)
        raise OSError("disk full")
    file = tmp_path / "a" if make is write else tmp_path / "a" / "inside"
    assert file.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_error_of_the_disk_names_the_file(tmp_path):
    with pytest.raises(OSError, match="full") as said, atomic_write(tmp_path / "a"):
        raise OSError(28, "full")
    assert said.value.filename == str(tmp_path / "a")


def test_an_old_folder_comes_back_if_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    folder(tmp_path / "a", "old")
    kind = type(tmp_path)
    rename = kind.replace

    def refuses(self, target):
        if self.name == "replaced" or target.name == "replaced":
            return rename(self, target)
        raise OSError("no")

    monkeypatch.setattr("vipe.atomic_write._rename", lambda *_: False)
    monkeypatch.setattr(kind, "replace", refuses)
    with pytest.raises(OSError, match="no"), atomic_write(tmp_path / "a", replace=True) as beside:
        folder(beside)
    assert (tmp_path / "a" / "inside").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("is_folder", [False, True], ids=["file", "folder"])
def test_checking_a_place_leaves_it_as_it_was(tmp_path, is_folder):
    folder(tmp_path / "a", "old")
    for place in (tmp_path / "new" / "deep", tmp_path / "a"):
        check_writable(place, folder=is_folder)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a" / "inside").read_text() == "old"


def test_a_place_that_cannot_be_written_to_is_refused_beforehand(tmp_path):
    write(tmp_path / "file")
    with pytest.raises(OSError, match="file"):
        check_writable(tmp_path / "file" / "below")


def test_what_is_neither_a_file_nor_a_folder_is_left_alone(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="neither a file nor a folder"):
        check_writable(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="neither"), atomic_write(tmp_path / "pipe", replace=True) as beside:
        write(beside)
    with pytest.raises(FileExistsError, match="neither"), atomic_write(tmp_path / "late", replace=True) as beside:
        write(beside)
        os.mkfifo(tmp_path / "late")
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.is_fifo()) == ["late", "pipe"]
    assert len(list(tmp_path.iterdir())) == 2


def test_what_appears_at_the_last_moment_is_not_replaced(tmp_path, monkeypatch):
    """Without the call of Linux too: a file by a hard link, a folder by claiming its place."""
    for native in (True, False):
        if not native:
            monkeypatch.setattr("vipe.atomic_write._rename", lambda *_: False)
        for make in (write, folder):
            for theirs in (write, folder):
                place = tmp_path / f"{native}-{make.__name__}-{theirs.__name__}"
                with pytest.raises(FileExistsError, match="appeared"), atomic_write(place) as beside:
                    make(beside)
                    theirs(place, "theirs")
                assert (place / "inside" if theirs is folder else place).read_text() == "theirs"
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")]


def test_without_an_exchange_of_folders_an_old_one_is_replaced_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("vipe.atomic_write._rename", lambda *_: False)
    for old in (write, folder):
        for new in (write, folder):
            place = tmp_path / f"{old.__name__}-{new.__name__}"
            old(place, "old")
            with atomic_write(place, replace=True) as beside:
                new(beside)
            assert (place / "inside" if new is folder else place).read_text() == "new"


KILLED = """
import os, signal, sys
from pathlib import Path
import vipe.atomic_write as module
if sys.argv[2] == "between":
    module._rename = lambda *_: False
    usual = Path.replace
    def replace(self, target):
        usual(self, target)
        os.kill(os.getpid(), signal.SIGKILL)
    Path.replace = replace
with module.atomic_write(Path(sys.argv[1]), replace=True) as beside:
    beside.mkdir()
    (beside / "inside").write_text("half")
    if sys.argv[2] == "writing":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["writing", "between"])
def test_what_a_killed_process_left_goes_with_the_next_write_and_nothing_is_lost(tmp_path, when):
    folder(tmp_path / "a", "old")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a"), when], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == (2 if when == "writing" else 1)
    check_writable(tmp_path / "a", folder=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a" / "inside").read_text() == "old"


def test_what_a_living_process_writes_is_not_cleared_away(tmp_path):
    with atomic_write(tmp_path / "a") as beside:
        write(beside)
        check_writable(tmp_path / "a")
        check_writable(tmp_path / "ab")
    assert (tmp_path / "a").read_text() == "new"


def test_names_like_those_of_hidden_folders_are_left_alone(tmp_path):
    write(tmp_path / ".a-01234567")
    folder(tmp_path / ".a-0123456")
    folder(tmp_path / ".b-01234567")
    check_writable(tmp_path / "a")
    assert len(list(tmp_path.iterdir())) == 3


def test_a_link_is_followed(tmp_path):
    folder(tmp_path / "store", "old")
    (tmp_path / "link").symlink_to("store")
    with atomic_write(tmp_path / "link", replace=True) as beside:
        folder(beside)
    assert (tmp_path / "store" / "inside").read_text() == "new"
    assert (tmp_path / "link").is_symlink()


def test_a_lock_is_held_by_one_at_a_time(tmp_path):
    order = []

    def second():
        with locked(tmp_path, lambda: order.append("waits")):
            order.append("second")

    with locked(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(timeout=0.3)
        order.append("first")
    thread.join()
    assert order == ["waits", "first", "second"]
    with locked(tmp_path, lambda: order.append("waits")):
        pass
    assert order.count("waits") == 1


def test_a_folder_that_took_the_place_of_the_one_waited_for_is_locked_in_its_stead(tmp_path):
    place = tmp_path / "model"
    place.mkdir()
    order = []
    waiting = threading.Event()

    def second():
        with locked(place, waiting.set):
            order.append("second")
            with pytest.raises(RuntimeError, match="held"), locked(place, refuse):
                order.append("twice")

    def refuse():
        raise RuntimeError("held")

    with locked(place):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        with atomic_write(place, replace=True) as beside:
            folder(beside)
    thread.join(10)
    assert order == ["second"]
