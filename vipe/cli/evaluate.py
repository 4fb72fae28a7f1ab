"""Commands that measure how good a search, its probabilities, or an embedding is."""

__all__ = ["calibration", "hypotheses", "lifting", "real", "retrieval", "search"]

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vipe.cli.measuring import IndexPath, Picture, Queries, Scope, conditions_of, measured, primary_figure, show
from vipe.cli.output import Json, Seed, counted, progress
from vipe.cli.people import Convention, MinConfidence, SkeletonName, read_people, with_convention


def search(
    store: Path,
    /,
    *,
    index: IndexPath = None,
    mode: Annotated[
        tuple[str, ...], Parameter(help="Modes of `vipe query`; all geometric ones that fit the index if not given.")
    ] = (),
    scope: Scope | None = None,
    queries: Queries = 600,
    distance: Annotated[tuple[float, ...], Parameter(help="Metres from camera to person; several may be given.")] = (
        4.0,
    ),
    observed: Annotated[
        Literal["keypoints", "scores", "covariance"],
        Parameter(help="What of the simulated detector reaches the search; scores know how far off a joint is."),
    ] = "keypoints",
    picture: Picture = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Query a store with simulated photos of its own poses, and measure how often they are found.

    Parameters
    ----------
    store
        Folder of the store.
    """
    from vipe.evaluate import CONDITIONS, SearchProtocol, evaluate_search
    from vipe.evaluate.protocols.search import fitting_modes
    from vipe.plots.curves import save_search_picture
    from vipe.plots.writing import check_picture

    if picture is not None:
        check_picture(picture)
    scope = scope or Scope()
    protocol = SearchProtocol(
        rig=scope.rig,
        distances=distance,
        queries=queries,
        conditions=conditions_of(scope, CONDITIONS),
        observed=observed,
        seed=seed,
    )
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
    asked, clips = counted(report.queries, "query", "queries"), counted(report.clips, "clip")
    show(
        report,
        f"{asked} from {clips} against {counted(report.gallery, 'pose')} in {report.seconds:.1f} s; "
        "shares in percent, lengths in torso lengths, m from camera to person, ms a query in a batch, "
        "queries by threshold",
        *primary_figure(report.primary, "mode {mode}, {asked}"),
        picture=picture,
        save=save_search_picture,
        as_json=as_json,
    )


def hypotheses(
    store: Path,
    /,
    *,
    lifter: Annotated[
        tuple[str, ...], Parameter(help="Folder or name of a lifter; several may be given. Default: `default`.")
    ] = (),
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
    scope: Scope | None = None,
    queries: Queries = 200,
    picture: Picture = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Search with the hypotheses of lifters alone, and measure how often they find the pose.

    Parameters
    ----------
    store
        Folder of the store.
    """
    from vipe.evaluate import CONDITIONS, SearchProtocol, evaluate_hypotheses
    from vipe.lift import Lifter
    from vipe.plots.curves import save_search_picture
    from vipe.plots.writing import check_picture

    if picture is not None:
        check_picture(picture)
    scope = scope or Scope()
    protocol = SearchProtocol(rig=scope.rig, queries=queries, conditions=conditions_of(scope, CONDITIONS), seed=seed)
    lifters = {Path(source).name: Lifter.from_pretrained(source) for source in lifter or ("default",)}
    report = measured(
        store,
        index,
        scope,
        lambda poses, opened, where, advance: evaluate_hypotheses(
            poses,
            opened,
            lifters,
            counts=samples,
            modes=tuple(one for one in mode if one),
            protocol=protocol,
            where=where,
            progress=advance,
        ),
    )
    asked, clips = counted(report.queries, "query", "queries"), counted(report.clips, "clip")
    show(
        report,
        f"{asked} from {clips} against {counted(report.gallery, 'pose')} in {report.seconds:.1f} s; a lifter and how "
        "many of its hypotheses searched, nothing else; shares in percent, lengths in torso lengths, ms a query",
        picture=picture,
        save=save_search_picture,
        as_json=as_json,
    )


def real(
    store: Path,
    /,
    *,
    clip: Annotated[str, Parameter(help="The clip of the store that the keypoints show.")],
    keypoints: Annotated[Path, Parameter(help="Keypoints of one camera or several: a file, or a folder of files.")],
    index: IndexPath = None,
    mode: Annotated[tuple[str, ...], Parameter(help="Modes of `vipe query`; `affine` and `full` if not given.")] = (),
    convention: Convention = None,
    min_confidence: MinConfidence = 0.2,
    skeleton: SkeletonName = None,
    as_json: Json = False,
) -> None:
    """Query a store with real keypoints of a motion that it holds, and measure how often the moment is found.

    Parameters
    ----------
    store
        Folder of the store, made of the motion (such as a .trc file) and an archive: `vipe ingest FOLDER --fps 20`.
    """
    from vipe.evaluate.protocols.real import REAL_MODES, evaluate_real

    people = with_convention(read_people(keypoints, min_confidence, skeleton, None, []).people, convention)
    report = measured(
        store,
        index,
        Scope(),
        lambda _, opened, __, advance: evaluate_real(opened, clip, people, modes=mode or REAL_MODES, progress=advance),
    )
    show(
        report,
        f"{counted(report.rows, 'pose')}, {counted(report.frames, 'frame')} of clip {clip!r}; marks of convention "
        f"{report.convention}; {counted(report.left_out, 'person', 'people')} of the file left out; shares in percent",
        as_json=as_json,
    )


def calibration(
    store: Path,
    /,
    *,
    index: IndexPath = None,
    scope: Scope | None = None,
    queries: Queries = 200,
    picture: Picture = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Query a store with simulated photos of its own poses, and measure whether the probabilities are right.

    Parameters
    ----------
    store
        Folder of the store.
    """
    from vipe.evaluate import CONDITIONS, SearchProtocol, evaluate_calibration
    from vipe.evaluate.metrics import CLOSE_THRESHOLD, HIT_THRESHOLD
    from vipe.plots.reliability import save_reliability
    from vipe.plots.writing import check_picture

    if picture is not None:
        check_picture(picture)
    scope = scope or Scope()
    protocol = SearchProtocol(rig=scope.rig, queries=queries, conditions=conditions_of(scope, CONDITIONS), seed=seed)
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
    show(report, *lines, picture=picture, save=save_reliability, as_json=as_json)


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
    scope: Scope | None = None,
    poses: Annotated[int | None, Parameter(help="At most so many, drawn at random; all if not given.")] = None,
    distance: Annotated[float, Parameter(help="Metres from camera to person.")] = 4.0,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """View every pose of a store with every camera of a rig, and measure how often it is found from another side.

    Parameters
    ----------
    store
        Folder of the store.
    """
    from vipe import Embedder, PoseStore
    from vipe.evaluate import RetrievalProtocol, evaluate_retrieval
    from vipe.evaluate.baselines.lift_then_align import LiftedPoses
    from vipe.evaluate.baselines.matchers import Matcher, find_matcher
    from vipe.evaluate.baselines.raw_2d import Raw2D
    from vipe.evaluate.protocols.view_invariance import RETRIEVAL_CONDITIONS

    scope = scope or Scope()
    protocol = RetrievalProtocol(
        rig=scope.rig,
        distance=distance,
        poses=poses,
        conditions=conditions_of(scope, RETRIEVAL_CONDITIONS),
        seed=seed,
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
        as_json=as_json,
    )


def lifting(
    store: Path,
    /,
    *,
    lifter: Annotated[
        tuple[str, ...], Parameter(help="Folder or name of a lifter; several may be given. Default: `default`.")
    ] = (),
    index: Annotated[
        Path | None, Parameter(help="An index whose poses lift too, without a network, as lifter `archive`.")
    ] = None,
    split: Annotated[Path | None, Parameter(help="Table of clips (.csv with columns `clip` and `split`).")] = None,
    part: Annotated[str | None, Parameter(help="Only clips of this split, such as `val`.")] = None,
    rig: Annotated[
        str, Parameter(help="The cameras: `random`, all around, or `mpi_inf_3dhp`, `h36m`, or a .toml of your own.")
    ] = "random",
    condition: Annotated[
        tuple[str, ...], Parameter(help="Only these, such as `noise 0.03`; all of the protocol's if not given.")
    ] = (),
    queries: Annotated[int, Parameter(help="At most so many poses, evenly spaced.")] = 300,
    samples: Annotated[int, Parameter(help="Hypotheses of each person.")] = 200,
    distance: Annotated[float, Parameter(help="Metres from camera to person.")] = 4.0,
    observed: Annotated[
        Literal["covariance", "keypoints"], Parameter(help="What of the simulated detector reaches the lifter.")
    ] = "covariance",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Lift simulated photos of a store's poses, and measure how near and how calibrated the hypotheses are.

    Parameters
    ----------
    store
        Folder of the store.
    """
    from vipe import PoseIndex, PoseStore
    from vipe.evaluate import LIFT_CONDITIONS, LiftingProtocol, evaluate_lifting
    from vipe.lift import Lifter
    from vipe.retrieve.archive_lifter import ArchiveLifter

    scope = Scope(split=split, part=part, rig=rig, condition=condition)
    protocol = LiftingProtocol(
        rig=rig,
        distance=distance,
        queries=queries,
        samples=samples,
        conditions=conditions_of(scope, LIFT_CONDITIONS),
        observed=observed,
        seed=seed,
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
        as_json=as_json,
    )
