"""Commands that measure how good a search is."""

__all__ = ["search"]

import csv
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from vipe.cli.output import Json, Seed, emit, progress, table

if TYPE_CHECKING:
    from vipe.store import PoseStore


def search(
    store: Path,
    /,
    *,
    index: Annotated[
        Path | None, Parameter(help="Index of the store; one of affine signatures is made for the run if not given.")
    ] = None,
    mode: Annotated[
        tuple[str, ...], Parameter(help="Modes of `vipe query`; all that fit the index if not given.")
    ] = (),
    split: Annotated[Path | None, Parameter(help="Table of clips (.csv with columns `clip` and `split`).")] = None,
    part: Annotated[str | None, Parameter(help="Search only clips of this split, such as `val`.")] = None,
    queries: Annotated[int, Parameter(help="At most so many, drawn from the gallery.")] = 600,
    rig: Annotated[str, Parameter(help="Whose cameras look: `mpi_inf_3dhp`, `h36m`, or a .toml of your own.")] = (
        "mpi_inf_3dhp"
    ),
    distance: Annotated[tuple[float, ...], Parameter(help="Metres from camera to person; several may be given.")] = (
        4.0,
    ),
    condition: Annotated[tuple[str, ...], Parameter(help="Only these, such as `noise 0.03`; all if not given.")] = (),
    told: Annotated[
        Literal["keypoints", "scores", "covariance"],
        Parameter(help="What of the simulated detector reaches the search; scores know how far off a joint is."),
    ] = "keypoints",
    picture: Annotated[Path | None, Parameter(help="Also draw the figures as a .png.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Ask a store for its own poses as simulated photos show them, and say how often they are found.

    Parameters
    ----------
    store
        Folder of the store.
    """
    from vipe import PoseIndex, PoseStore
    from vipe.embed import AffineSignature
    from vipe.errors import VipeError
    from vipe.evaluate import CONDITIONS, SearchProtocol, evaluate_search
    from vipe.evaluate.protocol import fitting_modes

    known = {one.name: one for one in CONDITIONS}
    if unknown := [name for name in condition if name not in known]:
        raise VipeError(f"no condition {unknown[0]!r}; expected one of {', '.join(known)}")
    if (split is None) != (part is None):
        raise VipeError("--split and --part go together: a table of clips, and which of its splits to search")
    protocol = SearchProtocol(
        rig=rig,
        distances=distance,
        queries=queries,
        conditions=tuple(known[name] for name in condition or known),
        told=told,
        seed=seed,
    )
    poses = PoseStore.open(store)
    where = None if split is None or part is None else {"clip": _clips(split, part, poses)}
    with ExitStack() as stack:
        advance = stack.enter_context(progress())
        if index is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vipe-"))
            opened = PoseIndex.build(
                poses,
                AffineSignature(),
                Path(folder) / "index",
                where=where,
                progress=lambda done, total: advance("index", done, total),
            )
        else:
            opened = PoseIndex.open(index)
        report = evaluate_search(
            poses,
            opened,
            modes=mode or fitting_modes(opened),
            protocol=protocol,
            where=where,
            progress=advance,
        )
    if picture is not None:
        from vipe.plots.curves import save_search_picture

        save_search_picture(picture, report)
    head, *rows = report.to_table()
    primary = report.primary
    lines = [
        f"{report.queries:,} queries from {report.clips} clips against {report.gallery:,} poses in "
        f"{report.seconds:.1f} s; shares in percent, lengths in torso lengths, ms a query in a batch"
    ]
    if primary is not None:
        low, high = (100 * end for end in primary["interval"])
        lines.append(
            f"primary figure: {100 * primary['value']:.1f}% ({low:.1f}-{high:.1f}) {primary['name']}, mode "
            f"{primary['mode']}, {primary['queries']} queries"
        )
    if picture is not None:
        lines.append(f"picture: {picture}")
    emit(report.to_json(), table(head, rows), *lines, as_json=as_json)


def _clips(split: Path, part: str, store: "PoseStore") -> list[str]:
    """The store's clips of one part of a table."""
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
        raise ReadError(f"{split}: store {store.path} holds none of the {len(wanted)} clips of split {part!r}")
    return found
