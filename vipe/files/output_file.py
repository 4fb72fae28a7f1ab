"""Files that a user names for a result: refused before any work if they cannot be, and written whole or not at all."""

__all__ = ["check_output_file", "output_file", "refuse_inputs"]

from collections.abc import Iterable, Iterator
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
        VipeError: If there is a folder at the path, it lies in an index or among the parts of a store, whose own files
            it might replace, or the disk refuses.
    """
    _refuse_archives(path, what)
    if path.is_dir():
        raise VipeError(f"{path}: is a folder, expected a file for the {what}; give a name in it")
    with _told(path, what):
        check_writable(path)


def refuse_inputs(outputs: Iterable[Path | None], inputs: Iterable[Path | None]) -> None:
    """Refuse a result that would replace what it is made from, before any work.

    Args:
        outputs: Files that will be written; None stands for none.
        inputs: Files that are read.

    Raises:
        VipeError: If one of each is the same file, by whatever name.
    """
    given = [path for path in inputs if path is not None and path.is_file()]
    for output in outputs:
        if output is None or not output.exists():
            continue
        if (same := next((path for path in given if path.samefile(output)), None)) is not None:
            raise VipeError(f"{output}: is the file that is read{_named(same, output)}; give the result another name")


def _named(same: Path, output: Path) -> str:
    return "" if str(same) == str(output) else f" as {same}"


def _refuse_archives(path: Path, what: str) -> None:
    for folder in path.absolute().resolve().parents:
        if (folder / "manifest.json").is_file() and (folder / "encoder").is_dir():
            raise VipeError(f"{path}: lies in the index {folder}; write the {what} elsewhere")
    beside = path.absolute().resolve().parent
    if beside.is_dir() and next(beside.glob("part-*.parquet"), None) is not None:
        raise VipeError(f"{path}: lies in the store {beside}; write the {what} elsewhere")


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
