"""Tables that say which clips train a model and which measure it."""

__all__ = ["clips_of_part"]

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from vipe.cli.output import counted

if TYPE_CHECKING:
    from vipe.store import PoseStore


def clips_of_part(split: Path, part: str, store: "PoseStore") -> list[str]:
    """The store's clips of one part of a table.

    Raises:
        ReadError: If the table lacks a column, no clip is of that part, or the store holds none of them.
    """
    from vipe.errors import ReadError

    with split.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if missing := {"clip", "split"} - set(reader.fieldnames or ()):
            raise ReadError(f"{split}: has no column {', '.join(sorted(missing))}; expected clip and split")
        rows = list(reader)
    wanted = {row["clip"] for row in rows if row["split"] == part}
    if not wanted:
        known = ", ".join(sorted({str(row["split"]) for row in rows}))
        raise ReadError(f"{split}: no clip is of split {part!r}; it has {known}")
    found = [clip["clip"] for clip in store.clips() if clip["clip"] in wanted]
    if not found:
        clips = counted(len(wanted), "clip")
        raise ReadError(f"{split}: split {part!r} has {clips}, none of which store {store.path} holds")
    return found
