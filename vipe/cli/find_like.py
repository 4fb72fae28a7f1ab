"""Commands that search an index with motion: what is like a clip, and what a clip repeats."""

__all__ = ["cycles", "duplicates", "find_like"]

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from vipe.cli.options.folders import IndexFolder
from vipe.cli.output import Json, counted, emit, progress, table

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64

    from vipe.arrays import Array
    from vipe.index import PoseIndex
    from vipe.retrieve.segments.find_like import Segments

Start = Annotated[float, Parameter(name="--from", help="Seconds in the clip at which the motion begins.")]
End = Annotated[float | None, Parameter(name="--to", help="Seconds at which it ends; the clip's end by default.")]
Limit = Annotated[
    float,
    Parameter(
        help="Torso lengths within which poses are alike (1 is about half a metre).", validator=validators.Number(gt=0)
    ),
]


def find_like(
    index: IndexFolder,
    clip: str,
    /,
    *,
    start: Start = 0.0,
    end: End = None,
    k: Annotated[
        int, Parameter(name="--k", help="How many stretches at most.", validator=validators.Number(gte=1))
    ] = 10,
    parts: Annotated[
        bool, Parameter(negative="", help="Find stretches that show any part of the motion, not the whole of it.")
    ] = False,
    limit: Limit = 0.15,
    shortest: Annotated[
        float, Parameter(help="Seconds of the motion that a part has at least.", validator=validators.Number(gt=0))
    ] = 1.0,
    clips: Annotated[
        tuple[str, ...],
        Parameter(help="Search these clips only.", consume_multiple=True),
    ] = (),
    fps: Annotated[
        float | None,
        Parameter(
            help="Poses a second of a motion file; those of the index by default.", validator=validators.Number(gt=0)
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find stretches of an archive that show the motion of a clip, at half to double its speed, from any side.

    A clip of the index is left out of its own answer, as far as the motion goes. With `--parts` the whole clip is.

    Parameters
    ----------
    clip
        Name of a clip in the index, or a motion file with one clip.
    """
    from vipe.errors import VipeError
    from vipe.index import PoseIndex
    from vipe.retrieve.segments.find_like import find_like as search_whole
    from vipe.retrieve.segments.find_like import find_parts
    from vipe.similar_names import lacks_clip

    began = time.perf_counter()
    opened = PoseIndex.open(index)
    poses, times, but = _motion(opened, clip, start, end, fps)
    for name in clips:
        if not len(opened.rows({"clip": name})):
            raise VipeError(lacks_clip(index, name, opened.labels["clip"].unique().to_pylist()))
    where = {"clip": list(clips)} if clips else None
    if parts:
        rate = 1 / max(_step(times), 1e-6)
        own = None if but is None else opened.rows({"clip": clip})
        least = max(2, round(shortest * rate))
        found = find_parts(opened, poses, k, limit=limit, shortest=least, where=where, but=own)
    else:
        found = search_whole(opened, poses, k, where=where, but=but)
    segments = _plain(found, times)
    seconds = round(time.perf_counter() - began, 3)
    result = {
        "index": str(index),
        "clip": clip,
        "from": float(times[0]),
        "to": float(times[-1]),
        "poses": len(poses),
        "segments": segments,
        "seconds": seconds,
    }
    shown = table(
        ["clip", "from s", "to s", "motion from s", "to s", "distance"],
        [
            [
                one["clip"],
                *(f"{one[name]:.2f}" for name in ("start", "end", "motion_start", "motion_end")),
                f"{one['distance']:.3f}",
            ]
            for one in segments
        ],
    )
    told = f"{counted(len(found), 'stretch', 'stretches')} like {counted(len(poses), 'pose')} in {seconds:.1f} s"
    remark = _remark(found.distance.tolist(), limit, parts)
    emit(result | {"remarks": remark}, shown, *remark, told, as_json=as_json)


def cycles(
    index: IndexFolder,
    clip: str,
    /,
    *,
    limit: Limit = 0.15,
    shortest: Annotated[float, Parameter(help="Least period, seconds.", validator=validators.Number(gt=0))] = 0.4,
    longest: Annotated[float, Parameter(help="Largest period, seconds.", validator=validators.Number(gt=0))] = 4.0,
    as_json: Json = False,
) -> None:
    """Find the cycles of a clip, such as the strides of a walk: from when to when, and how long one of them is.

    Parameters
    ----------
    clip
        Name of a clip in the index, or a motion file with one clip.
    """
    from vipe.index import PoseIndex
    from vipe.retrieve.segments.cycles import find_cycles

    poses, times, _ = _motion(PoseIndex.open(index), clip, 0.0, None, None)
    found = (
        find_cycles(poses, 1 / _step(times), limit=limit, shortest=shortest, longest=longest) if len(times) > 1 else ()
    )
    offset = float(times[0])
    entries = [
        {
            "start": round(offset + one.start, 4),
            "end": round(offset + one.end, 4),
            "period": round(one.period, 4),
            "repeats": round(one.repeats, 2),
            "distance": round(one.distance, 4),
        }
        for one in found
    ]
    rows = [
        [f"{one['start']:.2f}", *(f"{one[name]:.2f}" for name in list(one)[1:4]), f"{one['distance']:.3f}"]
        for one in entries
    ]
    shown = table(["from s", "to s", "period s", "repeats", "distance"], rows)
    emit({"clip": clip, "cycles": entries}, shown, f"{clip}: {counted(len(found), 'cycle')}", as_json=as_json)


def duplicates(
    index: IndexFolder,
    /,
    *,
    k: Annotated[int, Parameter(name="--k", help="How many pairs at most.", validator=validators.Number(gte=1))] = 100,
    limit: Limit = 0.05,
    shortest: Annotated[
        float, Parameter(help="Seconds that a stretch lasts at least.", validator=validators.Number(gt=0))
    ] = 1.0,
    as_json: Json = False,
) -> None:
    """Find stretches that two clips share: takes stored twice, and cuts of one recording.

    Time grows with the square of the archive.
    """
    from vipe.index import PoseIndex
    from vipe.retrieve.segments.find_like import find_duplicates

    began = time.perf_counter()
    opened = PoseIndex.open(index)
    with progress() as advance:
        found = find_duplicates(
            opened,
            k,
            limit=limit,
            shortest=max(2, round(shortest * _rate(opened))),
            progress=lambda done, total: advance("poses", done, total),
        )
    names = opened.look_up("clip", found.query_first, "").tolist()
    starts, ends = opened.times[found.query_first], opened.times[found.query_last]
    pairs = [
        {
            "clip": names[row],
            "start": round(float(starts[row]), 4),
            "end": round(float(ends[row]), 4),
            "other_clip": found.clip[row],
            "other_start": round(float(found.start[row]), 4),
            "other_end": round(float(found.end[row]), 4),
            "distance": round(float(found.distance[row]), 4),
        }
        for row in range(len(found))
    ]
    shown = table(
        ["clip", "from s", "to s", "other clip", "from s", "to s", "distance"],
        [
            [
                *(one["clip"], f"{one['start']:.2f}", f"{one['end']:.2f}"),
                *(one["other_clip"], f"{one['other_start']:.2f}", f"{one['other_end']:.2f}", f"{one['distance']:.3f}"),
            ]
            for one in pairs
        ],
    )
    seconds = round(time.perf_counter() - began, 3)
    told = f"{counted(len(pairs), 'pair')} in {seconds:.1f} s"
    emit({"index": str(index), "pairs": pairs, "seconds": seconds}, shown, told, as_json=as_json)


def _remark(distance: list[float], limit: float, parts: bool) -> list[str]:
    """Why nothing was found, or how much of it is alike."""
    if parts:
        return [] if distance else ["no stretch is alike for so long: try a larger --limit or a smaller --shortest"]
    if not distance:
        return ["no clip that was searched is half as long as the motion: try --parts, or --from and --to"]
    alike = sum(one < limit for one in distance)
    return (
        [] if alike == len(distance) else [f"{alike} of {len(distance)} are alike: their distance is below {limit:g}"]
    )


def _motion(
    index: "PoseIndex", clip: str, start: float, end: float | None, fps: float | None
) -> "tuple[Float32[Array, 'T 17 3'], Array, Int64[Array, ' T'] | None]":
    """Poses of a stretch of a clip, their times, and their rows if they are of the index."""
    import numpy as np

    from vipe.errors import VipeError
    from vipe.similar_names import lacks_clip

    rows = index.rows({"clip": clip})
    if len(rows):
        rows = rows[np.argsort(index.times[rows], kind="stable")]
        poses, times = index.poses(rows), index.times[rows]
    elif Path(clip).exists():
        poses, times = _read(Path(clip), fps if fps is not None else _rate(index))
    else:
        told = lacks_clip(index.path, clip, index.labels["clip"].unique().to_pylist())
        raise VipeError(f"{told}; nor is there a file of that name")
    kept = (times >= start) & (times <= (np.inf if end is None else end))
    if not kept.any():
        raise VipeError(
            f"{clip}: has no pose from {start:g} s to {'its end' if end is None else f'{end:g} s'}; "
            f"its poses are at {times[0]:.2f} to {times[-1]:.2f} s"
        )
    return poses[kept], times[kept], rows[kept] if len(rows) else None


def _read(path: Path, fps: float) -> "tuple[Float32[Array, 'T 17 3'], Array]":
    from vipe.errors import VipeError
    from vipe.readers import read
    from vipe.store.conversion import convert_clip

    found = list(read(path))
    if len(found) != 1:
        raise VipeError(f"{path}: holds {counted(len(found), 'clip')}, expected one; give a file with one clip")
    stored = convert_clip(found[0], fps)
    return stored.clip.positions, stored.frames / found[0].fps


def _rate(index: "PoseIndex") -> float:
    """Poses a second of most clips of an index."""
    from vipe.retrieve.sequences.timeline import Timeline

    step = Timeline(index, None, 0.0).step
    return 1 / step if step > 0 else 30.0


def _step(times: "Array") -> float:
    """Seconds from one pose to the next."""
    import numpy as np

    return float(np.median(np.diff(times))) if len(times) > 1 else 1.0


def _plain(found: "Segments", times: "Array") -> list[dict[str, Any]]:
    return [
        {
            "clip": found.clip[row],
            "start": round(float(found.start[row]), 4),
            "end": round(float(found.end[row]), 4),
            "motion_start": round(float(times[found.query_first[row]]), 4),
            "motion_end": round(float(times[found.query_last[row]]), 4),
            "distance": round(float(found.distance[row]), 4),
        }
        for row in range(len(found))
    ]
