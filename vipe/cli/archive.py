"""Commands that make a store of poses and list its content."""

__all__ = ["info", "ingest", "skeletons", "synth"]

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from vipe.cli.output import Json, Seed, counted, emit, listed, progress, table

if TYPE_CHECKING:
    from vipe.clips import Clip
    from vipe.store import PassedOver

Out = Annotated[Path, Parameter(help="Folder of the new store.")]
Fps = Annotated[float | None, Parameter(help="Keep at most this many frames a second; all if not given.")]


def synth(
    *,
    out: Out,
    minutes: float = 30.0,
    fps: float = 30.0,
    programs: tuple[str, ...] = (),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Make a store of synthetic motion: procedural, no licence attached, no archive needed.

    Parameters
    ----------
    minutes
        How much motion.
    fps
        Frames a second.
    programs
        Only these, such as `walk` or `sit`; all if not given.
    """
    import numpy as np

    from vipe.simulate.motion import synthesize
    from vipe.store import PoseStore

    start = time.perf_counter()
    with progress() as advance:

        def watched() -> Iterator["Clip"]:
            done = 0.0
            generator = np.random.default_rng(seed)
            for clip in synthesize(minutes=minutes, fps=fps, programs=programs or None, generator=generator):
                yield clip
                done += clip.seconds
                advance("seconds of motion", round(min(done, minutes * 60)), round(minutes * 60))

        store = PoseStore.create(out, watched())
    result = {"clips": len(store.clips()), "rows": len(store), "seconds": round(time.perf_counter() - start, 3)}
    emit(
        result,
        f"{out}: {counted(len(store.clips()), 'clip')}, {counted(len(store), 'pose')} in {result['seconds']:.1f} s",
        as_json=as_json,
    )


def ingest(
    path: Path,
    /,
    *more: Annotated[Path, Parameter(help="More of them, read in this order.")],
    out: Out,
    fps: Fps = None,
    append: Annotated[
        bool, Parameter(negative="", help="Add to a store that exists; clips that it holds already are passed over.")
    ] = False,
    keep_identical: Annotated[
        bool, Parameter(negative="", help="With --append or several paths: store identical clips again.")
    ] = False,
    skip_bad: Annotated[bool, Parameter(negative="", help="Report and pass over files that cannot be read.")] = False,
    skeleton: Annotated[tuple[Path, ...], Parameter(help="Table of a skeleton of your own (.toml).")] = (),
    licence: Annotated[str, Parameter(help="Licence of the motion, written to the store.")] = "",
    as_json: Json = False,
) -> None:
    """Read motion capture (BVH, ASF/AMC; files, folders or archives) into a store.

    Parameters
    ----------
    path
        A .bvh or .amc file, a folder, a .zip, .tar, .tar.gz, .tar.xz or .tar.zst.
    """
    from vipe.errors import StoreError, VipeError
    from vipe.skeletons import load
    from vipe.store import PoseStore, read_sources

    start = time.perf_counter()
    if keep_identical and not append and not more:
        raise VipeError("--keep-identical goes with --append or several paths: a new store holds nothing yet")
    skipped: list[VipeError] = []
    on_skip = skipped.append if skip_bad else None
    tables = [load(str(one)) for one in skeleton]
    sources = read_sources(path, *more, skip_bad=skip_bad, skeletons=tables, on_skip=on_skip)
    counts = {"clips": 0, "frames": 0}
    with progress() as advance:

        def on_clip(clip: "Clip", _: int) -> None:
            counts["clips"] += 1
            counts["frames"] += len(clip)
            advance("clips", counts["clips"], None, counted(counts["frames"], "frame"))

        before = 0
        try:
            if append:
                store = PoseStore.open(out)
                before = len(store)
                store = store.append(*sources, fps=fps, on_clip=on_clip, on_skip=on_skip, keep_identical=keep_identical)
            else:
                store = PoseStore.create(
                    out,
                    *sources,
                    fps=fps,
                    licence=licence,
                    on_clip=on_clip,
                    on_skip=on_skip,
                    keep_identical=keep_identical,
                )
        except StoreError as error:
            if append or not skipped or counts["clips"]:
                raise
            files = "the only file was" if len(skipped) == 1 else f"all {len(skipped):,} files were"
            raise StoreError(f"{out}: nothing to store: {files} skipped; {skipped[0]}") from error
    identical = store.passed_over
    result = {
        **counts,
        "rows": len(store) - before,
        "seconds": round(time.perf_counter() - start, 3),
        "skipped": [str(error) for error in skipped],
        "identical": [clip._asdict() for clip in identical],
    }
    lines = [f"skipped: {error}" for error in skipped]
    if identical:
        one = len(identical) == 1
        lines.append(
            f"{counted(len(identical), 'clip')} {'is' if one else 'are'} in the store already and "
            f"{'was' if one else 'were'} passed over: {listed([_stored_as(clip) for clip in identical])}; "
            f"--keep-identical adds {'it' if one else 'them'} again"
        )
    read = f"{counted(counts['clips'], 'clip')}, {counted(counts['frames'], 'frame')}"
    kept = f"{counted(len(store) - before, 'row')} kept"
    lines.append(f"{out}: {read}, {kept}, {result['seconds']:.1f} s, {counted(len(skipped), 'file')} skipped")
    emit(result, "\n".join(lines), as_json=as_json)


def info(store: Path, /, *, as_json: Json = False) -> None:
    """Show counts, rate and licence of a store.

    Parameters
    ----------
    store
        Folder of the store.
    """
    from vipe.store import PoseStore

    summary = PoseStore.open(store).summary
    emit(summary, "\n".join(f"{name:<10} {value}" for name, value in summary.items()), as_json=as_json)


def skeletons(*, as_json: Json = False) -> None:
    """List the skeletons that files are matched with, by their joint names."""
    from vipe.skeletons import known, load

    found = {name: load(name) for name in known()}
    rows = [
        [name, str(len(one)), f"{one.unit:g} m, {one.up} up", ", ".join(one.conversions) or "-"]
        for name, one in found.items()
    ]
    result = {name: {"joints": one.joints, "converts_to": list(one.conversions)} for name, one in found.items()}
    emit(result, table(["skeleton", "joints", "unit", "converts to"], rows), as_json=as_json)


def _stored_as(clip: "PassedOver") -> str:
    """A clip that was passed over and, if it is another one, the name of the stored clip."""
    return clip.clip if clip.clip == clip.stored_as else f"{clip.clip} (as {clip.stored_as})"
