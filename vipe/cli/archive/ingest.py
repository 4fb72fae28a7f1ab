"""`vipe ingest`: motion capture into a store."""

__all__ = ["ingest"]

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from vipe.cli.archive.store import told_note, told_rig
from vipe.cli.options.folders import NewStore
from vipe.cli.output import Json, counted, emit, listed, progress
from vipe.cores import usable_cores

if TYPE_CHECKING:
    from vipe.clips import Clip
    from vipe.store import PassedOver, PoseStore

_Fps = Annotated[float | None, Parameter(help="Keep at most this many frames a second; all if not given.")]
_SHOWN = 20  # notes or rigs on a screen


def ingest(
    path: Path,
    /,
    *more: Annotated[Path, Parameter(help="More of them, read in this order.")],
    out: NewStore,
    fps: _Fps = None,
    append: Annotated[
        bool, Parameter(negative="", help="Add to a store that exists; clips that it holds already are passed over.")
    ] = False,
    keep_identical: Annotated[
        bool, Parameter(negative="", help="With --append or several paths: store identical clips again.")
    ] = False,
    skip_bad: Annotated[bool, Parameter(negative="", help="Report and pass over files that cannot be read.")] = False,
    skeleton: Annotated[tuple[Path, ...], Parameter(help="Table of a skeleton of your own (.toml).")] = (),
    source_fps: Annotated[
        float | None, Parameter(help="Frames a second of the files, instead of what they state; AMC states nothing.")
    ] = None,
    unit: Annotated[
        float | None,
        Parameter(help="Metres per unit of BVH files, markers and arrays; found from the body if not given."),
    ] = None,
    up: Annotated[
        Literal["x", "y", "z", "-x", "-y", "-z"] | None,
        Parameter(help="Up axis of BVH files, markers and arrays; found from the body if not given."),
    ] = None,
    guess: Annotated[
        bool, Parameter(negative="", help="Read BVH files of unknown joint names as `skeletons suggest` proposes.")
    ] = False,
    array_skeleton: Annotated[
        str, Parameter(help="Skeleton of arrays without names of joints (.npy, .npz), such as `h36m17`, or a .toml.")
    ] = "",
    body_models: Annotated[Path | None, Parameter(help="Folder of SMPL body models, which AMASS needs.")] = None,
    licence: Annotated[str, Parameter(help="Licence of the motion, written to the store.")] = "",
    report: Annotated[
        Path | None,
        Parameter(
            help="Also write what was read and what was not, speeds, bodies and poses as one HTML page, which needs no "
            "network."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read motion capture (BVH, ASF/AMC, C3D, TRC, glTF, arrays and tables; files, folders or archives) into a store.

    Parameters
    ----------
    path
        A file that ends in .bvh, .amc, .c3d, .trc, .glb, .gltf, .npz, .npy, .csv, .parquet, .mat or .cdf, a
        folder, a .zip, .tar, .tar.gz, .tar.xz or .tar.zst.
    """
    from vipe.errors import StoreError, VipeError
    from vipe.skeletons import load
    from vipe.store import PoseStore, read_sources

    start = time.perf_counter()
    if report is not None:
        from vipe.plots.writing import check_page

        check_page(report)
    if keep_identical and not append and not more:
        raise VipeError("--keep-identical goes with --append or several paths: a new store holds nothing yet")
    skipped: list[VipeError] = []
    on_skip = skipped.append if skip_bad else None
    tables = [load(str(one)) for one in skeleton]
    sources = read_sources(
        path,
        *more,
        skip_bad=skip_bad,
        skeletons=tables,
        on_skip=on_skip,
        source_fps=source_fps,
        unit=unit,
        up=up,
        guess=guess,
        array_skeleton=array_skeleton or None,
        body_models=body_models,
        workers=usable_cores(),
    )
    counts, rows = {"clips": 0, "frames": 0}, 0
    with progress() as advance:

        def on_clip(clip: "Clip", kept: int) -> None:
            nonlocal rows
            rows += kept
            counts["clips"] += 1
            counts["frames"] += len(clip)
            advance("clips", counts["clips"], None, counted(counts["frames"], "frame"))

        def on_wait() -> None:
            advance(f"waits for another append to {out}", 0)

        try:
            if append:
                store = PoseStore.open(out).append(
                    *sources,
                    fps=fps,
                    on_clip=on_clip,
                    on_skip=on_skip,
                    keep_identical=keep_identical,
                    on_wait=on_wait,
                )
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
    notes = store.new_notes
    result = {
        **counts,
        "rows": rows,
        "seconds": round(time.perf_counter() - start, 3),
        "skipped": [str(error) for error in skipped],
        "identical": [clip._asdict() for clip in identical],
        "notes": [note._asdict() for note in notes],
        "rigs": store.rigs,
    }
    lines = [f"skipped: {error}" for error in skipped]
    lines += [told_note(note) for note in notes[:_SHOWN]]
    if len(notes) > _SHOWN:
        lines.append(f"note: {len(notes) - _SHOWN} more; --json lists them")
    lines += [told_rig(rig) for rig in store.rigs[:_SHOWN]]
    if identical:
        one = len(identical) == 1
        lines.append(
            f"{counted(len(identical), 'clip')} {'is' if one else 'are'} in the store already and "
            f"{'was' if one else 'were'} passed over: {listed([_stored_as(clip) for clip in identical])}; "
            f"--keep-identical adds {'it' if one else 'them'} again"
        )
    read = f"{counted(counts['clips'], 'clip')}, {counted(counts['frames'], 'frame')}"
    kept = f"{counted(rows, 'row')} kept"
    lines.append(f"{out}: {read}, {kept}, {result['seconds']:.1f} s, {counted(len(skipped), 'file')} skipped")
    if report is not None:
        lines.append(f"report: {report}")
    emit(result, "\n".join(lines), as_json=as_json)
    if report is not None:
        _report(report, store, result)


def _report(page: Path, store: "PoseStore", result: Mapping[str, Any]) -> None:
    """Write the page of an ingest."""
    from vipe.plots.pages.ingestion import save_ingest_page
    from vipe.shareable import command_line

    facts = [
        ("clips read", f"{result['clips']:,}"),
        ("frames read", f"{result['frames']:,}"),
        ("rows kept", f"{result['rows']:,}"),
        ("seconds it took", f"{result['seconds']:.1f}"),
        ("identical clips passed over", f"{len(result['identical']):,}"),
        ("files skipped", f"{len(result['skipped']):,}"),
    ]
    save_ingest_page(page, store, facts=facts, skipped=result["skipped"], notes=store.new_notes, command=command_line())


def _stored_as(clip: "PassedOver") -> str:
    """A clip that was passed over and, if it is another one, the name of the stored clip."""
    return clip.clip if clip.clip == clip.stored_as else f"{clip.clip} (as {clip.stored_as})"
