"""Commands that measure how good a search is."""

__all__ = ["retrieval", "search"]

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

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
    primary_figure,
)
from vipe.cli.output import Json, Seed, counted, emit, progress, table


def search(
    store: Path,
    /,
    *,
    index: IndexPath = None,
    mode: Annotated[
        tuple[str, ...], Parameter(help="Modes of `vipe query`; all that fit the index if not given.")
    ] = (),
    split: Split = None,
    part: Part = None,
    queries: Queries = 600,
    rig: RigName = "mpi_inf_3dhp",
    distance: Annotated[tuple[float, ...], Parameter(help="Metres from camera to person; several may be given.")] = (
        4.0,
    ),
    condition: Conditions = (),
    observed: Annotated[
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
    from vipe import PoseStore
    from vipe.evaluate import SearchProtocol, evaluate_search
    from vipe.evaluate.protocols.search import fitting_modes

    if picture is not None:
        from vipe.plots.writing import check_picture

        check_picture(picture)
    protocol = SearchProtocol(
        rig=rig,
        distances=distance,
        queries=queries,
        conditions=chosen_conditions(condition),
        observed=observed,
        seed=seed,
    )
    poses = PoseStore.open(store)
    where = part_of(poses, split, part)
    with ExitStack() as stack:
        advance = stack.enter_context(progress())
        opened = index_of(poses, index, where, stack, advance)
        report = evaluate_search(
            poses,
            opened,
            modes=mode or fitting_modes(opened),
            protocol=protocol,
            where=where,
            progress=advance,
        )
    head, *rows = report.to_table()
    asked, clips = counted(report.queries, "query", "queries"), counted(report.clips, "clip")
    lines = [
        f"{asked} from {clips} against {counted(report.gallery, 'pose')} in {report.seconds:.1f} s; "
        "shares in percent, lengths in torso lengths, m from camera to person, ms a query in a batch, "
        "queries by threshold",
        *primary_figure(report.primary, "mode {mode}, {asked}"),
    ]
    if picture is not None:
        lines.append(f"picture: {picture}")
    emit(report.to_json(), table(head, rows), *lines, as_json=as_json)
    if picture is not None:
        from vipe.plots.curves import save_search_picture

        save_search_picture(picture, report)  # last: if the disk is full now, the figures are told at least


def retrieval(
    store: Path,
    /,
    *,
    embedder: Annotated[
        tuple[str, ...],
        Parameter(help="Folder or name of a trained embedder; several may be given, the first one counts."),
    ] = (),
    lift: Annotated[
        Path | None, Parameter(help="A V-VIPE whose lifted poses are compared too, every pair aligned (slow).")
    ] = None,
    split: Split = None,
    part: Part = None,
    poses: Annotated[int | None, Parameter(help="At most so many, drawn at random; all if not given.")] = None,
    rig: RigName = "mpi_inf_3dhp",
    distance: Annotated[float, Parameter(help="Metres from camera to person.")] = 4.0,
    condition: Annotated[
        tuple[str, ...],
        Parameter(help="Such as `noise 0.06`; `ground truth`, `noise 0.03` and `2 missing` if not given."),
    ] = (),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """See every pose of a store from every camera of a rig, and say how often it is found again from another side.

    Parameters
    ----------
    store
        Folder of the store.
    """
    from vipe import Embedder, PoseStore
    from vipe.evaluate import RetrievalProtocol, evaluate_retrieval
    from vipe.evaluate.baselines.lift_then_align import LiftedPoses
    from vipe.evaluate.baselines.matchers import Matcher, Raw2D, find_matcher
    from vipe.evaluate.protocols.view_invariance import RETRIEVAL_CONDITIONS

    protocol = RetrievalProtocol(
        rig=rig,
        distance=distance,
        poses=poses,
        conditions=chosen_conditions(condition) if condition else RETRIEVAL_CONDITIONS,
        seed=seed,
    )
    matchers: list[Matcher] = [find_matcher(source, name=source) for source in embedder]
    if lift is not None:
        matchers.append(LiftedPoses(Embedder.from_pretrained(lift)))
    matchers.append(Raw2D())
    opened = PoseStore.open(store)
    where = part_of(opened, split, part)
    with progress() as advance:
        report = evaluate_retrieval(opened, matchers, protocol=protocol, where=where, progress=advance)
    head, *rows = report.to_table()
    pairs = ", ".join(f"{count} of column {name!r}" for name, count in report.pairs.items())
    lines = [
        f"{counted(report.poses, 'pose')} from {counted(report.clips, 'clip')}, ordered camera pairs: {pairs}; "
        f"{report.seconds:.1f} s; shares in percent; queries by threshold; last column: Hit@1 less that of the "
        "first, query by query",
        *primary_figure(report.primary, "{matcher}, {asked} a pair"),
    ]
    emit(report.to_json(), table(head, rows), *lines, as_json=as_json)
