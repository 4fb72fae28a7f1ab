"""The command that holds a search's probabilities against what was right."""

__all__ = ["calibration"]

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vipe.cli.measuring import (
    Conditions,
    IndexPath,
    Part,
    Queries,
    RigName,
    Split,
    chosen_conditions,
    index_of,
    part_of,
)
from vipe.cli.output import Json, Seed, emit, progress, table


def calibration(
    store: Path,
    /,
    *,
    index: IndexPath = None,
    split: Split = None,
    part: Part = None,
    queries: Queries = 200,
    rig: RigName = "mpi_inf_3dhp",
    condition: Conditions = (),
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
    from vipe import PoseStore
    from vipe.evaluate import SearchProtocol
    from vipe.evaluate.protocols.calibration import evaluate_calibration

    if picture is not None:
        from vipe.plots.writing import check_picture

        check_picture(picture)
    protocol = SearchProtocol(rig=rig, queries=queries, conditions=chosen_conditions(condition), seed=seed)
    poses = PoseStore.open(store)
    where = part_of(poses, split, part)
    with ExitStack() as stack:
        advance = stack.enter_context(progress())
        opened = index_of(poses, index, where, stack, advance)
        report = evaluate_calibration(poses, opened, protocol=protocol, where=where, progress=advance)
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
    if picture is not None:
        from vipe.plots.reliability import save_reliability

        save_reliability(picture, report)
