"""Which clips train a model and which measure it: by a table, or by a hash of the name."""

__all__ = ["hashed_splits", "read_splits"]

import csv
import zlib
from collections.abc import Iterable
from pathlib import Path

from vipe.errors import ReadError


def read_splits(table: Path) -> dict[str, str]:
    """The split of each clip, from a .csv with columns `clip` and `split`; other columns are ignored.

    Raises:
        ReadError: If one of the two columns is missing.
        OSError: If the file cannot be read.
    """
    with table.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if missing := {"clip", "split"} - set(rows.fieldnames or ()):
            raise ReadError(f"{table}: has no column {', '.join(sorted(missing))}; expected clip and split")
        return {row["clip"]: row["split"] for row in rows}


def hashed_splits(clips: Iterable[str]) -> dict[str, str]:
    """A split for each clip by a hash of its name: about six tenths train, three test and one val.

    >>> hashed_splits(["walk", "run"])
    {'walk': 'test', 'run': 'train'}
    """
    tenths = {clip: zlib.crc32(clip.encode()) % 10 for clip in clips}
    return {clip: "val" if tenth == 0 else "test" if tenth <= 3 else "train" for clip, tenth in tenths.items()}
