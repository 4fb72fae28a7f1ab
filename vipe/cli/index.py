"""Commands that build an index of a store, change it, check it and describe it."""

__all__ = ["MANUAL", "add", "build", "compact", "info", "remove", "tune", "verify"]

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from vipe.cli.options.folders import IndexFolder, StoreFolder
from vipe.cli.output import Json, counted, emit, listed, progress

if TYPE_CHECKING:
    from vipe.index import Change, PoseIndex
    from vipe.index.build import RowProgress
    from vipe.index.tuning import Tuned

MANUAL = """
An index is a folder that holds the poses of clips, made searchable by an encoder. It needs neither the store it was
built from nor the encoder's own files.

    vipe ingest recordings --out stores/mocap --fps 10   read motion files
    vipe index build stores/mocap --out index/mocap      embed every pose
    vipe query index/mocap people.json                   search

Keep it up to date. Clips that are there already are recognized by their content, so adding a store again adds only
what is new in it. Adding a clip takes the same time whatever the size of the index.

    vipe index add index/mocap stores/today              a store, or files
    vipe index remove index/mocap --clip walk_3          clips by name
    vipe index remove index/mocap --where subject=s5     or by a column
    vipe index compact index/mocap                       once in a while

Change it while it is used. A search that runs goes on with what it opened. One process changes an index at a time;
another one waits. A kill, an interrupt or a full disk leaves the index as it was.

Beyond 300,000 poses a search compares the likeliest part of them. How large that part has to be is measured when an
index is built with recipe `auto`: 99% of the people that comparing every pose finds are found. Ask for more, or for
less and be faster; no code is written anew.

    vipe index tune index/mocap --recall 0.999           of simulated people
    vipe index tune index/mocap --people seen.json       of your own keypoints

    vipe index info index/mocap                          what it holds and takes
    vipe index verify index/mocap                        is every byte as it was?
"""

_MANY = 16  # parts: with short codes each takes a search about 0.15 ms
_Where = Annotated[
    tuple[str, ...],
    Parameter(
        help="Such as `subject=s1`; several must all hold, several of one column are alternatives. May be repeated."
    ),
]


def build(
    store: StoreFolder,
    /,
    *,
    out: IndexFolder,
    encoder: Annotated[
        str,
        Parameter(
            help="`affine` (no training needed), `default` (the embedding that comes with the library), or a trained "
            "embedder's folder."
        ),
    ] = "affine",
    recipe: Annotated[
        str,
        Parameter(
            help="How embeddings are stored: `flat`, `fp16`, `int8`, `ivf`, `ivf-pq`, `hnsw`, `cagra` (a GPU builds "
            "it), `auto` by size, or your own .toml file."
        ),
    ] = "auto",
    recall: Annotated[
        float | None,
        Parameter(
            help="With recipe `auto`, the share of people found by comparing all that must be found; 0.99 if not given."
        ),
    ] = None,
    device: Annotated[
        str, Parameter(help="Where a learned encoder embeds: `cpu`, or a GPU as torch names it: `cuda`, `cuda:1`.")
    ] = "cpu",
    as_json: Json = False,
) -> None:
    """Embed every pose of a store and make them searchable; after an interrupt the same command goes on."""
    from vipe.embed import AffineSignature, find_encoder
    from vipe.errors import VipeError
    from vipe.index import PoseIndex
    from vipe.index.tuning import WANTED
    from vipe.store import PoseStore

    if recall is not None and recipe != "auto":
        raise VipeError(
            f"--recall is what recipe auto is tuned for, got recipe {recipe}: tune it with `vipe index tune`"
        )
    recall = WANTED if recall is None else recall
    embedder, start = find_encoder(encoder, device=device), time.perf_counter()
    if device != "cpu" and embedder.name == AffineSignature.name:
        raise VipeError(
            f"--device {device} is for a learned encoder; affine signatures are made on the CPU: leave it out"
        )
    with progress() as advance:
        index = PoseIndex.build(
            PoseStore.open(store),
            embedder,
            out,
            recipe=recipe,
            recall=recall,
            progress=partial(advance, "poses"),
        )
    result = {**index.info(), "seconds": round(time.perf_counter() - start, 3)}
    poses = counted(len(index), "pose")
    done, measured = f"{out}: {poses} by {index.encoder.name} in {result['seconds']:.1f} s", None
    if index.tuned is not None:
        reached = "" if index.tuned.reached else f", not the {recall:.1%} asked for: it searches as its recipe says"
        measured = f"{_measured(index.tuned)}{reached}"
    exactness = index.exactness(measured)
    emit({**result, "exactness": exactness}, done, exactness, as_json=as_json)


def add(
    index: IndexFolder,
    source: Path,
    /,
    *,
    where: _Where = (),
    fps: Annotated[
        float | None,
        Parameter(help="Thin motion files to so many frames a second, if the index does not know its rate (format 1)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Add the clips of a store, or of motion files; those that are there already are passed over.

    Parameters
    ----------
    source
        Folder of a store, or what `vipe ingest` reads: a file, a folder or an archive.
    """
    from vipe import PoseStore, read
    from vipe.errors import VipeError

    is_store = any(source.glob("part-*.parquet"))
    if where and not is_store:
        raise VipeError(f"--where chooses rows of a store; {source} is none: ingest it first")
    if is_store and fps is not None:
        raise VipeError("--fps is for motion files; a store has its rate")

    result, done = _changed(
        index,
        lambda opened, poses, waits: opened.add(
            PoseStore.open(source) if is_store else read(source),
            where=_filter(where) if where else None,
            fps=fps,
            progress=poses,
            on_wait=waits,
        ),
    )
    result |= {"passed_over": [clip._asdict() for clip in done.passed_over], "left_out": done.left_out}
    lines = []
    if done.passed_over:
        names = listed([clip.clip for clip in done.passed_over])
        lines.append(f"{counted(len(done.passed_over), 'clip')} already there: {names}")
    added = f"{counted(done.clips, 'clip')}, {counted(done.poses, 'pose')} added"
    emit(result, *lines, f"{index}: {added} in {result['seconds']:.1f} s; {_now(result)}", as_json=as_json)


def remove(
    index: IndexFolder,
    /,
    *,
    clip: Annotated[tuple[str, ...], Parameter(help="Name of a clip. May be repeated.")] = (),
    where: _Where = (),
    as_json: Json = False,
) -> None:
    """Remove clips, or all poses that match; no search finds them any more."""
    from vipe.errors import VipeError

    if bool(clip) == bool(where):
        raise VipeError("give --clip or --where: what is to be removed?")
    which: Mapping[str, Any] = {"clip": list(clip)} if clip else _filter(where)
    result, done = _changed(index, lambda opened, _, waits: opened.remove(which, on_wait=waits))
    gone = f"{counted(done.clips, 'clip')}, {counted(done.poses, 'pose')} removed"
    emit(result, f"{index}: {gone} in {result['seconds']:.1f} s; {_now(result)}", as_json=as_json)


def compact(
    index: IndexFolder,
    /,
    *,
    recipe: Annotated[
        str | None, Parameter(help="Another recipe, as for `build`; that of the index if not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make one part of all, without what was removed: quicker to search, smaller on disk; nothing is embedded again."""
    result, _ = _changed(
        index, lambda opened, poses, waits: opened.compact(recipe=recipe, progress=poses, on_wait=waits)
    )
    emit(result, f"{index}: {_now(result)}, in {result['seconds']:.1f} s", as_json=as_json)


def tune(
    index: IndexFolder,
    /,
    *,
    recall: Annotated[
        float, Parameter(help="Share of people found by comparing every pose that must be found.")
    ] = 0.99,
    k: Annotated[int, Parameter(help="Among how many of an index's answers.")] = 200,
    people: Annotated[
        Path | None,
        Parameter(help="Keypoints to measure with, as for `vipe query`: then the share of the nearest that are found."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure how much of an index has to be searched for a recall, and search so much from now on."""
    from vipe.detections import read_keypoints
    from vipe.index import PoseIndex

    opened, start = PoseIndex.open(index), time.perf_counter()
    with progress() as advance:
        found = opened.tune(
            recall,
            k=k,
            people=None if people is None else read_keypoints(people),
            progress=partial(advance, "settings"),
            on_wait=partial(advance, _waits(index), 0),
        )
    field, name = ("lists", "share of lists") if found.recipe.has_lists else ("effort", "effort")
    trials = [
        {
            field: getattr(trial.search, field),
            "recall": trial.recall,
            "nearest": trial.nearest,
            "milliseconds": trial.milliseconds,
        }
        for trial in found.trials
    ]
    result = {
        "index": str(index),
        "recipe": found.recipe.name,
        "reached": found.reached,
        "wanted": found.wanted,
        "recall": found.recall,
        "k": found.k,
        "people": found.people,
        field: getattr(found.recipe.search, field),
        "trials": trials,
        "seconds": round(time.perf_counter() - start, 3),
    }
    rows = [f"{name:>15} {'recall@' + str(found.k):>12} {'ms a query':>12}"]
    rows += [f"{trial[field]:>15.4g} {trial['recall']:>12.4f} {trial['milliseconds']:>12.3f}" for trial in trials]
    of = "people that comparing every pose finds" if people is None else "people's nearest"
    done = "from now on" if found.reached else f"not reached, so nothing was changed (wanted {recall:g})"
    last = f"{index}: {name} {result[field]:.4g} finds {100 * found.recall:.1f}% of {found.people} {of}: {done}"
    result["exactness"] = PoseIndex.open(index).exactness(_measured(found) if found.reached else None)
    emit(result, "\n".join(rows), last, result["exactness"], as_json=as_json)


def verify(index: IndexFolder, /, *, as_json: Json = False) -> None:
    """Read every byte of an index and compare it with the checksums."""
    from vipe.index import verify as compare

    manifest = compare(index)
    emit(
        {"index": str(index), "ok": True, "files": len(manifest.all_files())},
        f"{index}: every checksum agrees, of {counted(len(manifest.all_files()), 'file')}",
        as_json=as_json,
    )


def info(index: IndexFolder, /, *, as_json: Json = False) -> None:
    """Show encoder, recipe, parts and counts of an index, and what it takes on disk and in memory."""
    from vipe.index import PoseIndex

    found = PoseIndex.open(index).info()
    width = max(map(len, found))
    emit(found, "\n".join(f"{name:<{width}} {_told(value)}" for name, value in found.items()), as_json=as_json)


def _measured(found: "Tuned") -> str:
    return (
        f"{found.nearest:.1%} of the {found.k} nearest by comparing every pose were found, "
        f"of {counted(found.people, 'person', 'people')} that were tried"
    )


def _changed(
    index: Path, change: "Callable[[PoseIndex, RowProgress, Callable[[], None]], PoseIndex]"
) -> "tuple[dict[str, Any], Change]":
    """Change an index, which is handed over with what to call after each block and before waiting for others.

    Returns:
        What it is now, with how long that took; and what was changed.
    """
    from vipe.index import PoseIndex

    start = time.perf_counter()
    with progress() as advance:
        changed = change(PoseIndex.open(index), partial(advance, "poses"), partial(advance, _waits(index), 0))
    done = changed.change
    if done is None:
        raise AssertionError
    result = {**changed.info(), "changed": {"poses": done.poses, "clips": done.clips}}
    return {**result, "seconds": round(time.perf_counter() - start, 3)}, done


def _filter(where: tuple[str, ...]) -> dict[str, list[Any]]:
    """Values by column from texts such as "subject=s1".

    Raises:
        VipeError: If one is no such text, there is no such column, or the value is no number where one is expected.
    """
    from vipe.errors import VipeError
    from vipe.index.folder.frames import LABELS, SCHEMA

    chosen: dict[str, list[Any]] = {}
    for text in where:
        column, sign, value = text.partition("=")
        if not sign or column not in LABELS:
            raise VipeError(f"--where {text!r}: expected COLUMN=VALUE, with a column of {', '.join(LABELS)}")
        kind: Any = {"int32": int, "int64": int, "double": float}.get(str(SCHEMA.field(column).type), str)
        try:
            chosen.setdefault(column, []).append(kind(value))
        except ValueError as error:
            raise VipeError(f"--where {text!r}: {column} is a number, got {value!r}") from error
    return chosen


def _now(result: dict[str, Any]) -> str:
    poses, parts = counted(result["poses"], "pose"), counted(result["parts"], "part")
    removed = f", {counted(result['removed'], 'removed pose')} on disk" if result["removed"] else ""
    advice = "; `vipe index compact` makes one of them" if result["parts"] > _MANY else ""
    return f"now {poses} in {parts}{removed}{advice}"


def _told(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _waits(index: Path) -> str:
    return f"waits for another process that changes {index}"
