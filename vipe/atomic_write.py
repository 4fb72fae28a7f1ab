"""Files and folders that appear whole or not at all."""

__all__ = ["atomic_write", "check_writable"]

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_write(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a temporary path to write a file or folder to, and rename it to `path` at the end.

    On any error, an interrupt included, the temporary file or folder is removed, and so are the parents that were made
    for it. What was at `path` is removed only after the new one took its place.

    Args:
        path: Where the result appears; parents are made.
        replace: Replace what is at `path`, instead of refusing.

    Yields:
        The temporary path, in the same folder; nothing is at it yet.

    Raises:
        FileExistsError: If something is at `path` at the end, without `replace`.
        OSError: If the disk refuses.
    """
    path = path.absolute()
    made = [folder for folder in path.parents if not folder.exists()]
    beside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        if path.exists() and not replace:  # a rename would take the place of an empty folder
            raise FileExistsError("it appeared while it was being written; nothing was changed, try again")
        _rename(beside, path)
    finally:
        _remove(beside)
        for folder in made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def check_writable(path: Path, *, folder: bool = False) -> None:
    """Check before long work that a file, or a folder, can be written at a path; leaves nothing behind.

    Raises:
        OSError: If the disk refuses.
    """
    with suppress(_Tried), atomic_write(path, replace=True) as beside:
        if folder:
            beside.mkdir()
        else:
            beside.write_bytes(b"")
        raise _Tried


class _Tried(Exception):
    """Ends a trial, so that nothing appears."""


def _rename(beside: Path, path: Path) -> None:
    if not (path.is_dir() and beside.is_dir()):
        beside.replace(path)
        return
    old = beside.with_name(f"{beside.name}-old")  # a folder cannot be renamed onto one that holds something
    path.replace(old)
    try:
        beside.replace(path)
    except OSError:
        old.replace(path)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
