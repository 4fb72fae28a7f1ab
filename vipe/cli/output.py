"""Output of commands: one JSON object or a few lines on standard output, progress on standard error."""

__all__ = ["Json", "Page", "Seed", "counted", "emit", "listed", "progress", "table"]

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, runtime_checkable

from cyclopts import Parameter, validators

from vipe.errors import VipeError
from vipe.printable import in_short, printable

if TYPE_CHECKING:
    from rich.table import Table

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object instead of text.")]
Page = Annotated[
    Path | None,
    Parameter(name=("--page", "--report"), help="Also draw the answer as one HTML page, which needs no network."),
]
Seed = Annotated[int, Parameter(help="Same seed, same result.", validator=validators.Number(gte=0, lt=2**63))]
_WIDE = 200
_LISTED = 5


@runtime_checkable
class Advance(Protocol):
    """Moves one bar of a progress display."""

    def __call__(self, task: str, done: int | float, total: int | float | None = None, note: str = "") -> None:
        """Set the progress of a task; a new name adds a bar."""


def emit(result: Mapping[str, Any], *shown: "str | Table", as_json: bool) -> None:
    """Print a command's result: as one JSON object, or as lines and tables for people.

    Raises:
        VipeError: If standard output cannot be written, as on a full disk.
    """
    try:
        _print(result, shown, as_json=as_json)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise VipeError(f"standard output cannot be written: {in_short(error)}") from error


def _print(result: Mapping[str, Any], shown: "Sequence[str | Table]", *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(result, allow_nan=False) + "\n")
        sys.stdout.flush()  # a closed pipe shows here, where `main` can answer it, instead of at exit
        return
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich itself would exit with 1; `main` decides

    console = Output(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _WIDE  # a pipe has no width, and rich would fold at 80 columns
    for part in shown:
        if isinstance(part, str):
            console.print(printable(part), soft_wrap=True)
        else:
            console.print(part)


def counted(count: int, one: str, many: str | None = None) -> str:
    """A number with its noun: "1 clip", "2,000 clips"; `many` is the plural if it is not `one` with an s.

    Example:
        >>> counted(2000, "clip"), counted(1, "query", "queries"), counted(0, "query", "queries")
        ('2,000 clips', '1 query', '0 queries')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(names: Sequence[object]) -> str:
    """The first names, and the number of the others.

    Example:
        >>> listed(range(7))
        '0, 1, 2, 3, 4 and 2 more'
    """
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(map(str, names[:_LISTED])) + more


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, narrow: bool = False) -> "Table":
    """Cells in columns; the first column is aligned left, the others right; `narrow` has less space between them."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    laid = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=narrow)
    for number, name in enumerate(head):
        laid.add_column(printable(name), justify="right" if number else "left", overflow="fold")
    for row in rows:
        laid.add_row(*(Text(printable(cell)) for cell in row))
    return laid


@contextmanager
def progress() -> Iterator[Advance]:
    """Show bars with rate and time left on standard error while the block runs."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f}/s" if task.speed else "")

    columns = [
        TextColumn("{task.description}"),
        BarColumn(bar_width=14),
        MofNCompleteColumn(),
        Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        # In a narrow terminal the note is cut, never the bar.
        TextColumn("{task.fields[note]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
    ]
    console = Console(stderr=True)
    if not console.is_terminal:
        console.width = _WIDE
    bars = Progress(*columns, console=console, expand=True)
    ids: dict[str, Any] = {}

    def advance(task: str, done: int | float, total: int | float | None = None, note: str = "") -> None:
        if not ids:
            bars.start()  # only now, so that a command that fails at once prints one line and nothing else
        note = printable(note)
        if task not in ids:
            ids[task] = bars.add_task(printable(task), total=total, note=note)
        bars.update(ids[task], completed=done, total=total, note=note)

    try:
        yield advance
    finally:
        if ids:
            bars.stop()
