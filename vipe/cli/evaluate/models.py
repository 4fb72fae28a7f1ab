"""Commands that measure how good an embedding or a lifter is."""

__all__ = ["lifting", "retrieval"]

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vipe.cli.evaluate.measuring import (
    DRAWN,
    EVERYTHING,
    PRINTED,
    Distance,
    DrawnOutput,
    Output,
    Scope,
    conditions_of,
    primary_figure,
    show,
)
from vipe.cli.options.folders import StoreFolder
from vipe.cli.output import counted, progress


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LiftingScope(Scope):
    """As of every measurement, but lifters are seen from all around."""

    rig: Annotated[
        str, Parameter(help="The cameras: `random`, all around, or `mpi_inf_3dhp`, `h36m`, or a .toml of your own.")
    ] = "random"


_ALL_AROUND = LiftingScope()


def retrieval(
    store: StoreFolder,
    /,
    *,
    embedder: Annotated[
        tuple[str, ...],
        Parameter(help="Folder or name of a trained embedder; several may be given, the first one counts."),
    ] = (),
    lift: Annotated[
        Path | None, Parameter(help="A V-VIPE whose lifted poses are compared too, every pair aligned (slow).")
    ] = None,
    scope: Scope = EVERYTHING,
    poses: Annotated[int | None, Parameter(help="At most so many, drawn at random; all if not given.")] = None,
    distance: Distance = 4.0,
    output: Output = PRINTED,
) -> None:
    """View every pose of a store with every camera of a rig, and measure how often it is found from another side."""
    from vipe import Embedder, PoseStore
    from vipe.evaluate import RetrievalProtocol, evaluate_retrieval
    from vipe.evaluate.baselines.lift_then_align import LiftedPoses
    from vipe.evaluate.baselines.matchers import Matcher, find_matcher
    from vipe.evaluate.baselines.raw_2d import Raw2D
    from vipe.evaluate.protocols.view_invariance import RETRIEVAL_CONDITIONS

    output.check()
    protocol = RetrievalProtocol(
        rig=scope.rig,
        distance=distance,
        poses=poses,
        conditions=conditions_of(scope, RETRIEVAL_CONDITIONS),
        seed=scope.seed,
    )
    matchers: list[Matcher] = [find_matcher(source, name=source) for source in embedder]
    if lift is not None:
        matchers.append(LiftedPoses(Embedder.from_pretrained(lift)))
    matchers.append(Raw2D())
    opened = PoseStore.open(store)
    where = scope.where(opened)
    with progress() as advance:
        report = evaluate_retrieval(opened, matchers, protocol=protocol, where=where, progress=advance)
    pairs = ", ".join(f"{count} of column {name!r}" for name, count in report.pairs.items())
    show(
        report,
        f"{counted(report.poses, 'pose')} from {counted(report.clips, 'clip')}, ordered camera pairs: {pairs}; "
        f"{report.seconds:.1f} s; shares in percent; queries by threshold; last column: Hit@1 less that of the "
        "first, query by query",
        *primary_figure(report.primary, "{matcher}, {asked} a pair"),
        title="View invariance, measured",
        output=output,
    )


def lifting(
    store: StoreFolder,
    /,
    *,
    lifter: Annotated[
        tuple[str, ...], Parameter(help="Folder or name of a lifter; several may be given. Default: `default`.")
    ] = (),
    index: Annotated[
        Path | None, Parameter(help="An index whose poses lift too, without a network, as lifter `archive`.")
    ] = None,
    scope: LiftingScope = _ALL_AROUND,
    queries: Annotated[int, Parameter(help="At most so many poses, evenly spaced.")] = 300,
    samples: Annotated[int, Parameter(help="Hypotheses of each person.")] = 200,
    distance: Distance = 4.0,
    observed: Annotated[
        Literal["covariance", "keypoints"], Parameter(help="What of the simulated detector reaches the lifter.")
    ] = "covariance",
    output: DrawnOutput = DRAWN,
) -> None:
    """Lift simulated photos of a store's poses, and measure how near and how calibrated the hypotheses are."""
    from vipe import PoseIndex, PoseStore
    from vipe.evaluate import LIFT_CONDITIONS, LiftingProtocol, evaluate_lifting
    from vipe.lift import Lifter
    from vipe.plots.curves.error_by_samples import error_by_samples
    from vipe.retrieve.archive_lifter import ArchiveLifter

    output.check()
    protocol = LiftingProtocol(
        rig=scope.rig,
        distance=distance,
        queries=queries,
        samples=samples,
        conditions=conditions_of(scope, LIFT_CONDITIONS),
        observed=observed,
        seed=scope.seed,
    )
    sources = lifter or (("default",) if index is None else ())
    lifters = {source: Lifter.from_pretrained(source) for source in sources}
    if index is not None:
        lifters["archive"] = ArchiveLifter(PoseIndex.open(index))
    opened = PoseStore.open(store)
    where = scope.where(opened)
    with progress() as advance:
        report = evaluate_lifting(opened, lifters, protocol=protocol, where=where, progress=advance)
    show(
        report,
        f"{counted(report.queries, 'pose')} from {counted(report.clips, 'clip')}, {samples} hypotheses each, "
        f"{report.seconds:.1f} s; mm of a person with a torso of 490 mm; ECE of radial quantiles (0 is best); energy "
        "score of whole poses; depth: spread of the hypotheses along z; reproj.: PCKh@0.5 with the keypoints, in "
        "percent; ms: one person, all hypotheses, one core",
        title="Lifters, measured",
        output=output,
        draws=[
            (f"Error and calibration: {name}", partial(error_by_samples, condition=name))
            for name in report.protocol["conditions"]
        ],
    )
