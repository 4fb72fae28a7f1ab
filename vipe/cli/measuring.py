"""What the commands that measure have in common: conditions by name, clips of a split, an index made for the run."""

__all__ = ["chosen_conditions", "index_of", "part_of"]

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from vipe.cli.splits import clips_of_part

if TYPE_CHECKING:
    from vipe.cli.output import Advance
    from vipe.evaluate import Condition
    from vipe.index import PoseIndex
    from vipe.store import PoseStore


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
