"""Hits as a file for other programs: a table as CSV or Parquet."""

__all__ = ["HitsFile", "check_hits_file", "write_hits"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    import pyarrow as pa

HitsFile = Annotated[
    Path | None,
    Parameter(name="--table", help="Also write all hits as a table, a row each: a .csv or .parquet file."),
]

_ENDINGS = (".csv", ".parquet")


def check_hits_file(path: Path) -> None:
    """Refuse a path that `write_hits` could not write, before any work.

    Raises:
        VipeError: If the name ends otherwise, there is a folder at it, or it cannot be written.
    """
    from vipe.errors import VipeError
    from vipe.output_file import check_output_file

    if path.suffix.lower() not in _ENDINGS:
        raise VipeError(f"{path}: ends in {path.suffix or 'nothing'}, expected a name that ends in .csv or .parquet")
    check_output_file(path, "hits")


def write_hits(path: Path, hits: "pa.Table") -> None:
    """Write a table of hits; an existing file is replaced, whole or not at all.

    Raises:
        VipeError: If it cannot be written.
    """
    from pyarrow.csv import write_csv
    from pyarrow.parquet import write_table

    from vipe.output_file import output_file

    with output_file(path, "hits") as beside:
        if path.suffix.lower() == ".csv":
            write_csv(hits, beside)
        else:
            write_table(hits, beside)
