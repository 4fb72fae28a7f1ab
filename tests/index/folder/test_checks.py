"""A file is compared with its checksum before anything reads it, and once for as long as nobody writes to it."""

import json
import os
import shutil

import pytest

from vipe.errors import IndexFormatError
from vipe.index import PoseIndex, verify
from vipe.index.folder import checks

PART = "parts/00001"


@pytest.fixture
def settled(monkeypatch):
    """As if all files were older than the tick of the file system's clock, and large."""
    monkeypatch.setattr(checks, "_SETTLED", 0)
    monkeypatch.setattr(checks, "_WORTH", 0)


@pytest.fixture
def read(monkeypatch):
    """The names of the files that are read to compare them."""
    names, compare = [], checks._compare
    monkeypatch.setattr(checks, "_compare", lambda file, note: names.append(file.name) or compare(file, note))
    return names


def test_a_file_is_read_once_as_long_as_nobody_writes_to_it(folder, settled, read):
    for _ in range(3):
        PoseIndex.open(folder)
    assert sorted(read) == sorted(set(read))
    assert {"index.faiss", "embeddings.npy", "poses.npy", "config.json"} <= set(read)


def test_files_that_take_no_time_to_read_are_read_again(folder, read, monkeypatch):
    monkeypatch.setattr(checks, "_SETTLED", 0)
    for worth, times in ((1 << 20, 2), (0, 3)):
        monkeypatch.setattr(checks, "_WORTH", worth)
        for _ in range(2):
            PoseIndex.open(folder)
        assert read.count("index.faiss") == times


def test_files_that_were_written_just_now_are_read_again(folder, read, monkeypatch):
    monkeypatch.setattr(checks, "_WORTH", 0)
    for _ in range(2):
        PoseIndex.open(folder)
    assert read.count("index.faiss") == 2
    assert not (folder / "checked.json").exists()


@pytest.mark.parametrize("how", ["written", "exchanged", "copied over", "date put back"])
def test_whatever_was_written_since_is_read_again_and_refused(how, folder, settled, tmp_path):
    PoseIndex.open(folder)
    file = folder / PART / "index.faiss"
    before = file.stat()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    other = tmp_path / "other"
    other.write_bytes(data)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    if how == "exchanged":
        other.replace(file)
    elif how == "copied over":
        shutil.copy2(other, file)
    else:
        file.write_bytes(data)
        if how == "date put back":
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(IndexFormatError, match=r"index\.faiss: altered"):
        PoseIndex.open(folder)


def test_verify_reads_every_byte_whatever_is_remembered(folder, settled, read):
    PoseIndex.open(folder).verify()
    verify(folder)
    assert read.count("poses.npy") == 3


def test_a_memory_that_cannot_be_read_or_is_of_something_else_is_no_memory(folder, settled, read):
    PoseIndex.open(folder)
    memory = json.loads((folder / "checked.json").read_text())
    name = f"{PART}/index.faiss"
    memory[name]["sha256"] = "0" * 64
    for text in (json.dumps(memory), "[]", "{", "", '{"parts/00001/index.faiss": {"sha256": 1}}'):
        (folder / "checked.json").write_text(text)
        del read[:]
        PoseIndex.open(folder)
        assert "index.faiss" in read


def test_only_files_of_which_the_content_is_right_are_remembered(folder, settled, monkeypatch):
    refused = (_ for _ in ()).throw
    monkeypatch.setattr("vipe.index.folder.part.check_table", lambda *_, **__: refused(IndexFormatError("no")))
    with pytest.raises(IndexFormatError):
        PoseIndex.open(folder)
    assert not (folder / "checked.json").exists()


def test_a_folder_that_cannot_be_written_opens_all_the_same(folder, settled, monkeypatch):
    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(checks, "atomic_write", refuse)
    assert len(PoseIndex.open(folder)) == 90


def test_what_is_gone_is_forgotten(folder, store, settled):
    index = PoseIndex.open(folder)
    index = index.remove({"clip": "sit"}).compact()
    PoseIndex.open(folder)
    assert set(json.loads((folder / "checked.json").read_text())) == set(index.manifest.all_files())
