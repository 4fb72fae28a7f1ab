"""Options and steps of every command that measures: the part of the store, conditions, the index, and the output."""

__all__ = [
    "DRAWN",
    "EVERYTHING",
    "PRINTED",
    "Distance",
    "DrawnOutput",
    "IndexPath",
    "LifterSources",
    "Output",
    "Queries",
    "Scope",
    "conditions_of",
    "lifters_of",
    "measured",
    "primary_figure",
    "show",
]

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar, runtime_checkable

from cyclopts import Parameter

from vipe.cli.options.splits import clips_of_part
from vipe.cli.output import Json, Seed, counted, emit, progress, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vipe.cli.output import Advance
    from vipe.evaluate import Condition
    from vipe.index import PoseIndex
    from vipe.lift import Lifter
    from vipe.store import PoseStore

IndexPath = Annotated[
    Path | None, Parameter(help="Index of the store; one of affine signatures is made for the run if not given.")
]
LifterSources = Annotated[
    tuple[str, ...],
    Parameter(
        help="Folder or name of a lifter; `archive` for the poses that are searched, or the folder of another index; "
        "several may be given."
    ),
]
Distance = Annotated[float, Parameter(help="Metres from camera to person.")]
Queries = Annotated[int, Parameter(help="At most so many, drawn from the gallery.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Scope:
    """Which clips are measured, by which cameras, under which conditions, with which draws."""

    split: Annotated[Path | None, Parameter(help="Table of clips (.csv with columns `clip` and `split`).")] = None
    part: Annotated[str | None, Parameter(help="Only clips of this split, such as `val`.")] = None
    rig: Annotated[str, Parameter(help="The cameras: `mpi_inf_3dhp`, `h36m`, or a .toml of your own.")] = "mpi_inf_3dhp"
    condition: Annotated[
        tuple[str, ...], Parameter(help="Only these, such as `noise 0.03`; all of the protocol's if not given.")
    ] = ()
    seed: Seed = 0

    def where(self, store: "PoseStore") -> dict[str, list[str]] | None:
        """The filter for the clips of the part; None where neither table nor part is given.

        Raises:
            VipeError: If only one of them is given, or the table does not fit.
        """
        from vipe.errors import VipeError

        if (self.split is None) != (self.part is None):
            raise VipeError("--split and --part go together: a table of clips, and which of its splits to measure")
        if self.split is None or self.part is None:
            return None
        return {"clip": clips_of_part(self.split, self.part, store)}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Output:
    """Where the figures go."""

    report: Annotated[
        Path | None,
        Parameter(help="Also write table, pictures, protocol and command as one HTML page, which needs no network."),
    ] = None
    as_json: Json = False

    def check(self) -> None:
        """Refuse files that could not be written, before any work.

        Raises:
            MissingExtra: If what writes them is not installed.
            VipeError: If a name does not fit, or its folder cannot be written.
        """
        from vipe.plots.writing import check_page

        if self.report is not None:
            check_page(self.report)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class _Picture:
    picture: Annotated[Path | None, Parameter(help="Also draw the figures as a .png.")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DrawnOutput(Output, _Picture):
    """Where the figures go, if there is a picture of them; `--help` names it first."""

    def check(self) -> None:
        """See `Output`."""
        from vipe.plots.writing import check_picture

        super().check()
        if self.picture is not None:
            check_picture(self.picture)


EVERYTHING, PRINTED, DRAWN = Scope(), Output(), DrawnOutput()
"""What is measured, and where figures go, if no option says otherwise."""


@runtime_checkable
class Report(Protocol):
    """What an evaluation gives."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""

    def to_table(self) -> list[list[str]]:
        """Rows of cells, head first."""


_R = TypeVar("_R", bound=Report)

Measure = Callable[["PoseStore", "PoseIndex", dict[str, list[str]] | None, "Advance"], _R]
"""Store, index, filter, progress; gives the report."""


def conditions_of(scope: Scope, own: "tuple[Condition, ...]") -> "tuple[Condition, ...]":
    """The conditions that were named, `hard` being all of `HARD_CONDITIONS`; the protocol's own if none was.

    Raises:
        VipeError: If there is no such condition.
    """
    from vipe.errors import VipeError
    from vipe.evaluate.conditions import ALL_CONDITIONS, HARD_CONDITIONS

    known = {one.name: one for one in (*ALL_CONDITIONS, *own)}
    if unknown := [name for name in scope.condition if name not in known and name != "hard"]:
        raise VipeError(f"no condition {unknown[0]!r}; expected one of {', '.join(known)}, or hard")
    named = (HARD_CONDITIONS if name == "hard" else (known[name],) for name in scope.condition)
    return tuple({condition.name: condition for some in named for condition in some}.values()) or own


def lifters_of(sources: Sequence[str]) -> "Callable[[PoseIndex], dict[str, Lifter]]":
    """Lifters by the names that tables give them, once the index that is searched is there.

    `archive` is the archive lifter of that index; the folder of an index NAME is the archive lifter of that one,
    "archive of NAME"; any other is a trained lifter, by the last part of its path. They are opened at once.

    Raises:
        VipeError: If one cannot be opened, or two have one name.
    """
    from vipe import PoseIndex
    from vipe.errors import VipeError
    from vipe.lift import Lifter
    from vipe.retrieve.archive_lifter import ArchiveLifter

    found: dict[str, Lifter | None] = {}
    for source in sources:
        path = Path(source)
        of_index = (path / "manifest.json").is_file()
        name = f"archive of {path.name}" if of_index else path.name
        if name in found:
            raise VipeError(f"--lifter {source}: another one is called {name!r} already; rename one of the folders")
        if source == "archive":
            found[name] = None
        else:
            found[name] = ArchiveLifter(PoseIndex.open(path)) if of_index else Lifter.from_pretrained(source)
    return lambda index: {name: lifter or ArchiveLifter(index) for name, lifter in found.items()}


def measured(store: Path, index: Path | None, scope: Scope, measure: Measure[_R]) -> _R:
    """Open store and index, and measure; without an index one of affine signatures lives as long as that takes."""
    from vipe import PoseIndex, PoseStore
    from vipe.embed import AffineSignature

    poses = PoseStore.open(store)
    where = scope.where(poses)
    with ExitStack() as stack:
        advance = stack.enter_context(progress())
        if index is not None:
            return measure(poses, PoseIndex.open(index), where, advance)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vipe-"))
        built = PoseIndex.build(
            poses,
            AffineSignature(),
            Path(folder) / "index",
            where=where,
            progress=lambda done, total: advance("index", done, total),
        )
        return measure(poses, built, where, advance)


def show(
    report: _R,
    *lines: str,
    title: str,
    output: Output,
    protocol: Mapping[str, Any] | None = None,
    draws: Sequence[tuple[str, "Callable[[_R], Figure]"]] = (),
) -> None:
    """Print a report as JSON, or as its table and some lines; then draw its picture and its page, if they are wanted.

    Args:
        report: What was measured.
        lines: Sentences below the table.
        title: Of the page.
        output: Where to.
        protocol: Settings by name; those of the report if not given.
        draws: What each picture shows, and what draws it; the first is that of `DrawnOutput`, a page has them all.
    """
    head, *rows = report.to_table()
    picture = output.picture if isinstance(output, DrawnOutput) else None
    written = {"picture": picture, "report": output.report}
    said = [f"{name}: {path}" for name, path in written.items() if path is not None]
    emit(report.to_json(), table(head, rows), *lines, *said, as_json=output.as_json)
    # Last: if the disk is full now, the figures are printed at least.
    if picture is not None:
        from vipe.plots.writing import save_picture

        save_picture(picture, draws[0][1](report))
    if output.report is not None:
        from vipe.plots.pages.evaluation import save_evaluation_page
        from vipe.shareable import command_line

        save_evaluation_page(
            output.report,
            title,
            [head, *rows],
            notes=lines,
            protocol=report.to_json()["protocol"] if protocol is None else protocol,
            pictures=[(shows, draw(report)) for shows, draw in draws],
            command=command_line(),
        )


def primary_figure(primary: dict[str, Any] | None, of: str) -> list[str]:
    """The line on a report's one figure, if it has one; `of` names what was measured, with the figure's keys in braces.

    `{asked}` there are its queries, counted.
    """
    if primary is None:
        return []
    low, high = (100 * end for end in primary["interval"])
    share = f"{100 * primary['value']:.1f}% ({low:.1f}-{high:.1f})"
    asked = counted(primary["queries"], "query", "queries")
    five = f"five clips give {100 * primary['share_of_five_clips']:.0f}% of the queries"
    return [f"primary figure: {share} {primary['name']}, {of.format(asked=asked, **primary)}; {five}"]
