"""Reading a file whole that may be something else: a pipe would be waited for without end, a device has no end."""

__all__ = ["irregular", "read_regular"]

import os
import stat
from pathlib import Path

MOST = 64 << 20
"""Bytes of a table or a description; data have limits of their own."""


def irregular(path: Path) -> str:
    """What is at a path that is neither a file nor a folder: "a pipe"; "" if it is one of them, or nothing is there."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return ""
    if stat.S_ISFIFO(mode):
        return "a pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else ""


def read_regular(path: Path, most: int = MOST) -> bytes:
    """Read a regular file, or a link to one.

    Args:
        path: The file.
        most: Bytes that it may have.

    Raises:
        OSError: If it cannot be read, is no regular file, or is longer.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(None, "is a folder, expected a file", str(path))
        if not stat.S_ISREG(found.st_mode):
            raise OSError(None, "is a pipe, a device or a socket, expected a file", str(path))
        size = min(found.st_size, most + 1)
        # Room for as much as is asked for is taken beforehand; and what is too long is not read at all.
        data = b"" if size > most else file.read(size + 1)
        if len(data) > size:  # it grew, or is of a kind that tells no size
            data += file.read(most + 1 - len(data))
    if max(size, len(data)) > most:
        raise OSError(None, f"is longer than the {most:,} bytes that are read of such a file", str(path))
    return data
