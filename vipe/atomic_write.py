"""Files and folders that appear whole or not at all, and the lock of a folder that several processes change."""

__all__ = ["atomic_write", "check_writable", "locked", "remove_abandoned"]

import ctypes
import errno
import importlib
import importlib.util
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

# Not on every system: without it there are no locks, and what a kill leaves is not recognized.
fcntl: Any = importlib.import_module("fcntl") if importlib.util.find_spec("fcntl") else None

_HERE = -100  # AT_FDCWD
_NO_REPLACE, _EXCHANGE = 1, 2  # flags of renameat2
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)
_OLD = "replaced"  # what was at a path, for the moment between two renames


@contextmanager
def atomic_write(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a temporary path to write a file or folder to, and rename it to `path` at the end.

    On any error, an interrupt included, the temporary file or folder is removed, and so are the parents that were made
    for it. What was at `path` is removed only after the new one took its place; where the system can exchange two
    folders at once, `path` is never empty in between. A killed process leaves a hidden folder beside `path`: the next
    write to the same path removes it, and puts back what was being replaced.

    Args:
        path: Where the result appears; parents are made. A link is followed.
        replace: Replace what is at `path`, instead of refusing.

    Yields:
        The temporary path, of the same name in a hidden folder beside `path`; nothing is at it yet.

    Raises:
        FileExistsError: If something is at `path` at the end, without `replace`, or something that is neither a file
            nor a folder, such as a device.
        OSError: If the disk refuses; it names a file.
    """
    path = Path(os.path.realpath(path))
    _refuse_special(path)
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear(path)
        with _hidden(path) as room:
            beside = room / path.name
            yield beside
            _refuse_special(path)
            if replace:
                _replace(beside, path)
            else:
                _appear(beside, path)
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = str(path)  # a full disk names no file
        raise
    finally:
        for folder in made:
            with suppress(OSError):  # somebody else uses it, or it never was made
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


@contextmanager
def locked(folder: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a folder's lock; another process that wants it waits. It ends with the process that holds it.

    The lock binds only those that ask for it. Systems without POSIX locks have none: there nobody waits. A folder that
    took the place of this one meanwhile is locked in its stead.

    Args:
        folder: Which must exist.
        on_wait: Called before waiting for another process; what it raises ends the wait.

    Raises:
        OSError: If there is no such folder.
    """
    if fcntl is None:
        yield
        return
    while True:
        handle = os.open(folder, os.O_RDONLY)
        try:
            _lock(handle, on_wait)
            if os.path.samestat(os.fstat(handle), folder.stat()):
                yield
                return
        finally:
            os.close(handle)


def _lock(handle: int, on_wait: Callable[[], None] | None) -> None:
    """Lock an open folder; on a file system without locks, do nothing."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if on_wait is not None:
            on_wait()
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:
        return


class _Tried(Exception):
    """Ends a trial, so that nothing appears."""


def _refuse_special(path: Path) -> None:
    """A rename would take the place of a device, a pipe or a socket without a word."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise FileExistsError("is neither a file nor a folder, and is left alone")


@contextmanager
def _hidden(path: Path) -> Iterator[Path]:
    """A new hidden folder beside a path, locked while it is used; it is removed at the end."""
    while True:
        room = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        room.mkdir()
        with ExitStack() as end:
            end.callback(shutil.rmtree, room, ignore_errors=True)
            try:
                end.enter_context(locked(room))
            except FileNotFoundError:  # another process cleared it away before it was locked
                continue
            yield room
            return


def remove_abandoned(folder: Path, names: str) -> None:
    """Remove what killed processes left of writes to files or folders in a folder, whose names match an expression."""
    for room, handle in _abandoned(folder, names):
        with suppress(OSError):
            shutil.rmtree(room, ignore_errors=True)
        os.close(handle)


def _clear(path: Path) -> None:
    """Remove what killed processes left of earlier writes to a path."""
    for room, handle in _abandoned(path.parent, re.escape(path.name)):
        with suppress(OSError):
            if (room / _OLD).exists() and not path.exists():
                (room / _OLD).rename(path)
            shutil.rmtree(room, ignore_errors=True)
        os.close(handle)


def _abandoned(folder: Path, names: str) -> Iterator[tuple[Path, int]]:
    """Hidden folders beside such names that no living process writes in, each locked by an open handle."""
    rooms = re.compile(rf"\.(?:{names})-[0-9a-f]{{8}}")
    for room in [entry for entry in folder.iterdir() if rooms.fullmatch(entry.name)]:
        if fcntl is None or not room.is_dir() or room.is_symlink():
            continue
        try:
            handle = os.open(room, os.O_RDONLY)
        except OSError:
            continue  # somebody else removed it, or it is not ours
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its process lives
        except OSError:
            os.close(handle)
            continue
        yield room, handle


def _appear(beside: Path, path: Path) -> None:
    """Rename to a path at which nothing is, or raise; never replaces anything."""
    taken = FileExistsError("it appeared while it was being written; nothing was changed, try again")
    try:
        if _rename(beside, path, _NO_REPLACE):
            return
        if beside.is_dir():
            path.mkdir()  # claims the path: a rename takes the place of an empty folder
            beside.replace(path)
        else:
            os.link(beside, path)
    except FileExistsError as error:
        raise taken from error


def _replace(beside: Path, path: Path) -> None:
    """Rename to a path; what is there goes into the hidden folder."""
    if not path.exists() or (path.is_file() and beside.is_file()):
        beside.replace(path)
        return
    if _rename(beside, path, _EXCHANGE):
        return
    old = beside.with_name(_OLD)
    path.replace(old)  # a folder cannot be renamed onto one that holds something
    try:
        beside.replace(path)
    except OSError:
        old.replace(path)
        raise


def _rename(source: Path, target: Path, flag: int) -> bool:
    """`renameat2` of Linux, which can refuse to replace and can exchange; False where there is no such call."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if call is None:
        return False
    if call(_HERE, os.fsencode(source), _HERE, os.fsencode(target), flag) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(target))
