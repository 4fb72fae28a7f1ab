"""Command that proposes a skeleton table for the rig of a motion file."""

__all__ = ["suggest"]

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vipe.cli.output import Json, emit, table


def suggest(
    file: Path,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="Write the table here (.toml), for `vipe ingest --skeleton`.")] = None,
    picture: Annotated[Path | None, Parameter(help="Draw the body with its joints' names in this file (.png).")] = None,
    unit: Annotated[
        float | None, Parameter(help="Metres per unit of the file; found from the body if not given.")
    ] = None,
    up: Annotated[
        Literal["x", "y", "z", "-x", "-y", "-z"] | None,
        Parameter(help="Up axis of the file; found from rest pose and motion if not given."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Propose a skeleton table for a BVH file: which joint is which part of a body, and how sure that is.

    Parameters
    ----------
    file
        A .bvh file.
    """
    from vipe.errors import VipeError
    from vipe.files.output_file import output_file
    from vipe.plots.bodies.rig import save_rig
    from vipe.plots.writing import check_picture
    from vipe.readers.rigs.suggestion import suggest as propose

    if out is not None and (out.suffix != ".toml" or out.is_dir()):
        raise VipeError(f"{out}: expected the name of a table that ends in .toml")
    if picture is not None:
        check_picture(picture)
    found = propose(file, unit=unit, up=up)
    if out is not None:
        with output_file(out, "table") as path:
            path.write_text(found.text, encoding="utf-8")
    if picture is not None:
        save_rig(picture, found)
    result = {
        "sure": round(found.sure, 3),
        "said": found.said,
        "unit": found.skeleton.unit,
        "up": found.skeleton.up,
        "roles": dict(found.roles),
        "notes": list(found.clip.notes),
        "table": found.text,
    }
    lines = [
        f"{file.name}: {found.said}",
        f"{found.sure:.0%} sure; {found.skeleton.up} is up, {found.skeleton.unit:.4g} m a unit",
        *(f"note: {note}" for note in found.clip.notes if not note.startswith("a guess")),
        *([f"table: {out}; use it with `vipe ingest FILE --skeleton {out}`"] if out is not None else []),
        *([f"picture: {picture}"] if picture is not None else []),
    ]
    rows = [[role.replace("_", " "), joint] for role, joint in sorted(found.roles.items())]
    emit(result, *lines, *([table(["part", "joint"], rows)] if rows else []), as_json=as_json)
