"""Which clips train a model and which measure it: by a table, or by a hash of the name."""

__all__ = ["hashed_splits", "read_splits"]

import csv
import io
import zlib
from collections.abc import Iterable
from pathlib import Path

from vipe.errors import ReadError
from vipe.files.regular_file import read_regular


def read_splits(table: Path) -> dict[str, str]:
    """The split of each clip, from a .csv with columns `clip` and `split`; other columns are ignored.

    Raises:
        ReadError: If it is no such table: not UTF-8, without one of the two columns, or a clip is there twice.
        OSError: If the file cannot be read.
    """
    try:
        rows = csv.DictReader(io.StringIO(read_regular(table).decode("utf-8-sig"), newline=""))
        if missing := {"clip", "split"} - set(rows.fieldnames or ()):
            raise ReadError(f"{table}: has no column {', '.join(sorted(missing))}; expected clip and split")
        found: dict[str, str] = {}
        for row in rows:
            clip, split = row["clip"], row["split"]
            if not clip or split is None:
                raise ReadError(f"{table}:{rows.line_num}: has no clip or no split; each row needs both")
            if found.setdefault(clip, split) != split:
                raise ReadError(f"{table}:{rows.line_num}: clip {clip!r} is in {found[clip]!r} and in {split!r}")
    except UnicodeDecodeError as error:
        raise ReadError(f"{table}: is not UTF-8 (byte {error.start}); save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise ReadError(f"{table}: is no CSV table: {error}") from error
    return found


def hashed_splits(clips: Iterable[str]) -> dict[str, str]:
    """A split for each clip by a hash of its name: about six tenths train, three test and one val.

    >>> hashed_splits(["walk", "run"])
    {'walk': 'test', 'run': 'train'}
    """
    tenths = {clip: zlib.crc32(clip.encode()) % 10 for clip in clips}
    return {clip: "val" if tenth == 0 else "test" if tenth <= 3 else "train" for clip, tenth in tenths.items()}
