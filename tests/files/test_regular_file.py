"""A file is read whole; what is no file, or too long, is refused at once."""

import os
import socket
import tracemalloc
from pathlib import Path

import pytest

from vipe.files.regular_file import read_regular


def test_a_file_and_a_link_to_it_are_read(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "link").symlink_to("a")
    assert read_regular(tmp_path / "a") == read_regular(tmp_path / "link", 7) == b"content"


def test_a_longer_file_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    with pytest.raises(OSError, match="longer than the 6 bytes"):
        read_regular(tmp_path / "a", 6)


def test_a_file_whose_length_costs_no_disk_costs_no_memory(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    tracemalloc.start()
    try:
        with pytest.raises(OSError, match="longer than the 536,870,912 bytes"):
            read_regular(tmp_path / "sparse", 1 << 29)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_room_is_taken_for_the_file_and_not_for_the_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    tracemalloc.start()
    try:
        read_regular(tmp_path / "a", 1 << 30)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no file system that tells no size")
def test_a_file_that_tells_no_size_is_read_whole():
    assert b"VmPeak" in read_regular(Path("/proc/self/status"))


def test_a_file_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "a")


def test_pipes_devices_sockets_and_folders_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)
    for name in ("pipe", "endless"):
        with pytest.raises(OSError, match="expected a file"):
            read_regular(tmp_path / name)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(tmp_path / "socket"))
        with pytest.raises(OSError):
            read_regular(tmp_path / "socket")
