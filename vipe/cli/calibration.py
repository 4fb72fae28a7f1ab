"""The command that holds a search's probabilities against what was right."""

__all__ = ["calibration"]

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vipe.cli.output import Json, Seed, emit, progress, table
from vipe.cli.splits import clips_of_part


def calibration(
    store: Path,
    /,
    *,
    index: Annotated[
        Path | None, Parameter(help="Index of the store; one of affine signatures is made for the run if not given.")
    ] = None,
    split: Annotated[Path | None, Parameter(help="Table of clips (.csv with columns `clip` and `split`).")] = None,
    part: Annotated[str | None, Parameter(help="Search only clips of this split, such as `val`.")] = None,
    queries: Annotated[int, Parameter(help="At most so many, drawn from the gallery.")] = 200,
    rig: Annotated[str, Parameter(help="Whose cameras look: `mpi_inf_3dhp`, `h36m`, or a .toml of your own.")] = (
        "mpi_inf_3dhp"
    ),
    condition: Annotated[tuple[str, ...], Parameter(help="Only these, such as `noise 0.03`; all if not given.")] = (),
    picture: Annotated[Path | None, Parameter(help="Also draw the reliability as a .png.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Ask a store for its own poses as simulated photos show them, and say whether the probabilities are right.

    Parameters
    ----------
    store
        Folder of the store.
    """
    from vipe import PoseIndex, PoseStore
    from vipe.embed import AffineSignature
    from vipe.errors import VipeError
    from vipe.evaluate import CONDITIONS, SearchProtocol
    from vipe.evaluate.calibration import evaluate_calibration

    known = {one.name: one for one in CONDITIONS}
    if unknown := [name for name in condition if name not in known]:
        raise VipeError(f"no condition {unknown[0]!r}; expected one of {', '.join(known)}")
    if (split is None) != (part is None):
        raise VipeError("--split and --part go together: a table of clips, and which of its splits to search")
    protocol = SearchProtocol(
        rig=rig, queries=queries, conditions=tuple(known[name] for name in condition or known), seed=seed
    )
    poses = PoseStore.open(store)
    where = None if split is None or part is None else {"clip": clips_of_part(split, part, poses)}
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
        report = evaluate_calibration(poses, opened, protocol=protocol, where=where, progress=advance)
    if picture is not None:
        from vipe.plots.reliability import save_reliability

        save_reliability(picture, report)
    head, *rows = report.to_table()
    lines = [
        "expected calibration error over all galleries but the last, within 0.1: "
        f"{report.pooled['first']:.3f} of first hits, {report.pooled['all']:.3f} of all; "
        f"within 0.05: {report.pooled['close']:.3f}; presence: {report.pooled['presence']:.3f}",
        *(
            [f"presence, whole gallery against the pose left out: AUROC {report.presence_auroc:.3f}"]
            if report.presence_auroc is not None
            else []
        ),
    ]
    if picture is not None:
        lines.append(f"picture: {picture}")
    emit(report.to_json(), table(head, rows), *lines, as_json=as_json)
