"""The clips of one split of a table, as commands take them from `--split` and `--part`."""

__all__ = ["clips_of_part"]

from pathlib import Path
from typing import TYPE_CHECKING

from vipe.cli.output import counted

if TYPE_CHECKING:
    from vipe.store import PoseStore


def clips_of_part(split: Path, part: str, store: "PoseStore") -> list[str]:
    """The store's clips that a table puts into one split.

    Raises:
        ReadError: If the table lacks a column or the split, or the store has no clip of it.
    """
    from vipe.errors import ReadError
    from vipe.evaluate.splits import read_splits

    splits = read_splits(split)
    wanted = {clip for clip, own in splits.items() if own == part}
    if not wanted:
        known = ", ".join(sorted({str(own) for own in splits.values()}))
        raise ReadError(f"{split}: no clip is of split {part!r}; it has {known}")
    found = [clip["clip"] for clip in store.clips() if clip["clip"] in wanted]
    if not found:
        clips = counted(len(wanted), "clip")
        raise ReadError(f"{split}: split {part!r} has {clips}, none of which store {store.path} holds")
    return found
