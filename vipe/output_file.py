"""Files that a user names for a result: refused before any work if they cannot be, and written whole or not at all."""

__all__ = ["check_output_file", "output_file"]

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vipe.atomic_write import atomic_write, check_writable
from vipe.errors import VipeError


def check_output_file(path: Path, what: str) -> None:
    """Refuse a path that a file could not be written to, before long work and without leaving a trace.

    Its folder need not exist, and a file that is there would be replaced.

    Args:
        path: The file.
        what: It is for, such as "hits", as messages call it.

    Raises:
        VipeError: If there is a folder at the path, or the disk refuses.
    """
    if path.is_dir():
        raise VipeError(f"{path}: is a folder, expected a file for the {what}; give a name in it")
    with _told(path, what):
        check_writable(path)


@contextmanager
def output_file(path: Path, what: str) -> Iterator[Path]:
    """Give a temporary path to write a file to, and rename it to `path` at the end (`atomic_write`).

    Args:
        path: The file; it is replaced if it exists, and its folders are made.
        what: As in `check_output_file`.

    Raises:
        VipeError: If it cannot be written; an existing file stays as it is.
    """
    with _told(path, what), atomic_write(path, replace=True) as beside:
        yield beside


@contextmanager
def _told(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise VipeError(f"{path}: the {what} cannot be written: {error.strerror or error}") from error
