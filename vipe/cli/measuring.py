"""What the commands that measure share: options, conditions by name, clips of a split, an index for the run."""

__all__ = [
    "Conditions",
    "IndexPath",
    "Part",
    "Queries",
    "RigName",
    "Split",
    "chosen_conditions",
    "index_of",
    "part_of",
    "primary_figure",
]

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from vipe.cli.output import counted
from vipe.cli.splits import clips_of_part

if TYPE_CHECKING:
    from vipe.cli.output import Advance
    from vipe.evaluate import Condition
    from vipe.index import PoseIndex
    from vipe.store import PoseStore

IndexPath = Annotated[
    Path | None, Parameter(help="Index of the store; one of affine signatures is made for the run if not given.")
]
Split = Annotated[Path | None, Parameter(help="Table of clips (.csv with columns `clip` and `split`).")]
Part = Annotated[str | None, Parameter(help="Only clips of this split, such as `val`.")]
Queries = Annotated[int, Parameter(help="At most so many, drawn from the gallery.")]
RigName = Annotated[str, Parameter(help="Whose cameras look: `mpi_inf_3dhp`, `h36m`, or a .toml of your own.")]
Conditions = Annotated[tuple[str, ...], Parameter(help="Only these, such as `noise 0.03`; all if not given.")]


def chosen_conditions(names: tuple[str, ...]) -> "tuple[Condition, ...]":
    """The conditions of these names; all if there are none.

    Raises:
        VipeError: If there is no such condition.
    """
    from vipe.errors import VipeError
    from vipe.evaluate import CONDITIONS

    known = {one.name: one for one in CONDITIONS}
    if unknown := [name for name in names if name not in known]:
        raise VipeError(f"no condition {unknown[0]!r}; expected one of {', '.join(known)}")
    return tuple(known[name] for name in names or known)


def part_of(store: "PoseStore", split: Path | None, part: str | None) -> dict[str, list[str]] | None:
    """The filter for the clips of one part of a table; None where neither is given.

    Raises:
        VipeError: If only one is given, or the table does not fit.
    """
    from vipe.errors import VipeError

    if (split is None) != (part is None):
        raise VipeError("--split and --part go together: a table of clips, and which of its splits to measure")
    return None if split is None or part is None else {"clip": clips_of_part(split, part, store)}


def index_of(
    store: "PoseStore", index: Path | None, where: dict[str, list[str]] | None, stack: ExitStack, advance: "Advance"
) -> "PoseIndex":
    """The index at a path, or one of affine signatures that is gone when the stack closes."""
    from vipe import PoseIndex
    from vipe.embed import AffineSignature

    if index is not None:
        return PoseIndex.open(index)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vipe-"))
    return PoseIndex.build(
        store,
        AffineSignature(),
        Path(folder) / "index",
        where=where,
        progress=lambda done, total: advance("index", done, total),
    )


def primary_figure(primary: dict[str, Any] | None, of: str) -> list[str]:
    """The line on a report's one figure, if it has one; `of` names whose it is, with the figure's words in braces.

    `{asked}` there are its queries, counted.
    """
    if primary is None:
        return []
    low, high = (100 * end for end in primary["interval"])
    share = f"{100 * primary['value']:.1f}% ({low:.1f}-{high:.1f})"
    asked = counted(primary["queries"], "query", "queries")
    return [f"primary figure: {share} {primary['name']}, {of.format(asked=asked, **primary)}"]
