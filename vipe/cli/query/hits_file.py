"""Hits as a file for other programs: a table as CSV or Parquet."""

__all__ = ["HitsFile", "check_hits_file", "without_formulas", "write_hits"]

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
_FORMULA = r"^[=+\-@\t\r]"  # with what a spreadsheet's formulas begin
_NUMBER = r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$"


def check_hits_file(path: Path) -> None:
    """Refuse a path that `write_hits` could not write, before any work.

    Raises:
        VipeError: If the name ends otherwise, there is a folder at it, or it cannot be written.
    """
    from vipe.errors import VipeError
    from vipe.files.output_file import check_output_file

    if path.suffix.lower() not in _ENDINGS:
        raise VipeError(f"{path}: ends in {path.suffix or 'nothing'}, expected a name that ends in .csv or .parquet")
    check_output_file(path, "hits")


def write_hits(path: Path, hits: "pa.Table") -> None:
    """Write a table of hits; an existing file is replaced, whole or not at all.

    Names come from files that anybody may have made, and spreadsheets run a cell of CSV that begins with =, +, - or @.
    There such texts get an apostrophe in front, unless they are numbers (`without_formulas`); Parquet has them as they
    are.

    Raises:
        VipeError: If it cannot be written.
    """
    from pyarrow.csv import write_csv
    from pyarrow.parquet import write_table

    from vipe.files.output_file import output_file

    with output_file(path, "hits") as beside:
        if path.suffix.lower() == ".csv":
            write_csv(without_formulas(hits), beside)
        else:
            write_table(hits, beside)


def without_formulas(table: "pa.Table") -> "pa.Table":
    """A table whose texts no spreadsheet takes for a formula: those that begin as one get an apostrophe in front.

    Reference:
        OWASP, CSV Injection.

    Example:
        >>> import pyarrow as pa
        >>> without_formulas(pa.table({"clip": ["=1+1", "-5", "walk"], "frame": [-1, 0, 1]})).to_pydict()
        {'clip': ["'=1+1", '-5', 'walk'], 'frame': [-1, 0, 1]}
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = []
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            runs = pc.match_substring_regex(column, _FORMULA)
            runs = pc.and_(runs, pc.invert(pc.match_substring_regex(column, _NUMBER)))
            column = pc.if_else(runs, pc.binary_join_element_wise("'", column, ""), column)
        columns.append(column)
    return pa.table(columns, names=table.column_names)
