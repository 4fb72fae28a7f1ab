"""Commands that measure how good a search and its probabilities are."""

__all__ = ["calibration", "hypotheses", "real", "search"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

from vipe.cli.evaluate.measuring import (
    DRAWN,
    EVERYTHING,
    PRINTED,
    DrawnOutput,
    IndexPath,
    LifterSources,
    Output,
    Queries,
    Scope,
    conditions_of,
    lifters_of,
    measured,
    primary_figure,
    show,
)
from vipe.cli.options.folders import StoreFolder
from vipe.cli.options.known_camera import CameraOptions
from vipe.cli.options.people import Convention, MinConfidence, SkeletonName, read_people, with_convention
from vipe.cli.output import counted

if TYPE_CHECKING:
    from vipe.evaluate import SearchProtocol
    from vipe.evaluate.protocols.search_report import SearchReport

_UNKNOWN_CAMERA = CameraOptions()


def search(
    store: StoreFolder,
    /,
    *,
    index: IndexPath = None,
    mode: Annotated[
        tuple[str, ...], Parameter(help="Modes of `vipe query`; all geometric ones that fit the index if not given.")
    ] = (),
    scope: Scope = EVERYTHING,
    queries: Queries = 600,
    distance: Annotated[tuple[float, ...], Parameter(help="Metres from camera to person; several may be given.")] = (
        4.0,
    ),
    observed: Annotated[
        Literal["keypoints", "scores", "covariance"],
        Parameter(help="What of the simulated detector reaches the search; scores know how far off a joint is."),
    ] = "keypoints",
    output: DrawnOutput = DRAWN,
) -> None:
    """Query a store with simulated photos of its own poses, and measure how often they are found."""
    from vipe.evaluate import evaluate_search
    from vipe.evaluate.protocols.search import fitting_modes
    from vipe.plots.curves.search import search_picture

    output.check()
    protocol = _protocol(scope, queries, distances=distance, observed=observed)
    report = measured(
        store,
        index,
        scope,
        lambda poses, opened, where, advance: evaluate_search(
            poses,
            opened,
            modes=mode or tuple(one for one in fitting_modes(opened) if one != "hypotheses"),
            protocol=protocol,
            where=where,
            progress=advance,
        ),
    )
    show(
        report,
        f"{_asked(report)}; shares in percent, lengths in torso lengths, m from camera to person, ms a query in a "
        "batch, queries by threshold",
        *primary_figure(report.primary, "mode {mode}, {asked}"),
        title="Search, measured",
        output=output,
        draws=[("Queries with a hit, by gallery and condition", search_picture)],
    )


def hypotheses(
    store: StoreFolder,
    /,
    *,
    lifter: LifterSources = ("default",),
    index: IndexPath = None,
    mode: Annotated[tuple[str, ...], Parameter(help="Modes of `vipe query` to stand beside them.")] = (
        "affine",
        "full",
    ),
    samples: Annotated[tuple[int, ...], Parameter(help="Hypotheses of each person; several numbers may be given.")] = (
        1,
        5,
        10,
        50,
        200,
    ),
    scope: Scope = EVERYTHING,
    queries: Queries = 200,
    output: DrawnOutput = DRAWN,
) -> None:
    """Search with the hypotheses of lifters alone, and measure how often they find the pose."""
    from vipe.evaluate import evaluate_hypotheses
    from vipe.plots.curves.search import search_picture

    output.check()
    protocol = _protocol(scope, queries)
    lifters = lifters_of(lifter)
    report = measured(
        store,
        index,
        scope,
        lambda poses, opened, where, advance: evaluate_hypotheses(
            poses,
            opened,
            lifters(opened),
            counts=samples,
            modes=tuple(one for one in mode if one),
            protocol=protocol,
            where=where,
            progress=advance,
        ),
    )
    show(
        report,
        f"{_asked(report)}; a lifter and how many of its hypotheses searched, nothing else; shares in percent, lengths "
        "in torso lengths, ms a query",
        title="What hypotheses find, measured",
        output=output,
        draws=[("Queries with a hit, by gallery and condition", search_picture)],
    )


def real(
    store: Path,
    /,
    *,
    clip: Annotated[str, Parameter(help="The clip of the store that the keypoints show.")],
    keypoints: Annotated[Path, Parameter(help="Keypoints of one camera or several: a file, or a folder of files.")],
    index: IndexPath = None,
    mode: Annotated[tuple[str, ...], Parameter(help="Modes of `vipe query`; `affine` and `full` if not given.")] = (),
    lifter: LifterSources = (),
    samples: Annotated[
        int, Parameter(help="Hypotheses of each person, with --lifter.", validator=validators.Number(gte=1))
    ] = 200,
    convention: Convention = None,
    min_confidence: MinConfidence = 0.2,
    skeleton: SkeletonName = None,
    camera: CameraOptions = _UNKNOWN_CAMERA,
    output: Output = PRINTED,
) -> None:
    """Query a store with real keypoints of a motion that it holds, and measure how often the moment is found.

    Parameters
    ----------
    store
        Folder of the store, made of the motion (such as a .trc file) and an archive: `vipe ingest FOLDER --fps 20`.
    """
    from vipe.evaluate.protocols.real import REAL_MODES, evaluate_real

    output.check()
    lifters = lifters_of(lifter)
    camera.check()
    people = with_convention(read_people(keypoints, min_confidence, skeleton, None, []).people, convention)
    people = camera.of(people)
    report = measured(
        store,
        index,
        Scope(),
        lambda _, opened, __, advance: evaluate_real(
            opened,
            clip,
            people,
            modes=mode or REAL_MODES,
            lifters=lifters(opened),
            samples=samples,
            progress=advance,
        ),
    )
    show(
        report,
        f"{counted(report.rows, 'pose')}, {counted(report.frames, 'frame')} of clip {clip!r}; marks of convention "
        f"{report.convention}; {counted(report.left_out, 'person', 'people')} of the file left out; shares in percent",
        title="Search with real keypoints, measured",
        output=output,
        protocol={name: value for name, value in report.to_json().items() if name != "scores"},
    )


def calibration(
    store: StoreFolder,
    /,
    *,
    index: IndexPath = None,
    scope: Scope = EVERYTHING,
    queries: Queries = 200,
    output: DrawnOutput = DRAWN,
) -> None:
    """Query a store with simulated photos of its own poses, and measure whether the probabilities are right."""
    from vipe.evaluate import evaluate_calibration
    from vipe.evaluate.metrics import CLOSE_THRESHOLD, HIT_THRESHOLD
    from vipe.plots.curves.reliability import reliability, reliability_by_gallery

    output.check()
    protocol = _protocol(scope, queries)
    report = measured(
        store,
        index,
        scope,
        lambda poses, opened, where, advance: evaluate_calibration(
            poses, opened, protocol=protocol, where=where, progress=advance
        ),
    )
    lines = [
        f"expected calibration error over all galleries but the last, within {HIT_THRESHOLD:g}: "
        f"{report.pooled['first']:.3f} of first hits, {report.pooled['all']:.3f} of all; "
        f"within {CLOSE_THRESHOLD:g}: {report.pooled['close']:.3f}; presence: {report.pooled['presence']:.3f}; "
        f"five clips give {100 * report.share_of_five_clips:.0f}% of the queries"
    ]
    if report.presence_auroc is not None:
        lines.append(f"presence, whole gallery against the pose left out: AUROC {report.presence_auroc:.3f}")
    lines += [str(one) for one in report.lists]
    show(
        report,
        *lines,
        title="Probabilities of hits, measured",
        output=output,
        draws=[
            ("Probabilities beside how often they were right", reliability),
            ("The same of each gallery", reliability_by_gallery),
        ],
    )


def _protocol(scope: Scope, queries: int, **more: Any) -> "SearchProtocol":
    """The protocol that options ask for; `more` are settings that only some commands have."""
    from vipe.evaluate import CONDITIONS, SearchProtocol

    conditions = conditions_of(scope, CONDITIONS)
    return SearchProtocol(rig=scope.rig, queries=queries, conditions=conditions, seed=scope.seed, **more)


def _asked(report: "SearchReport") -> str:
    """What was searched with, where, and how long that took."""
    asked, clips = counted(report.queries, "query", "queries"), counted(report.clips, "clip")
    return f"{asked} from {clips} against {counted(report.gallery, 'pose')} in {report.seconds:.1f} s"
