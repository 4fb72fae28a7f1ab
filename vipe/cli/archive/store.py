"""Commands that make a store of poses and list its content."""

__all__ = ["info", "outliers", "skeletons", "synth", "told_note", "told_rig"]

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from vipe.cli.options.folders import NewStore, StoreFolder
from vipe.cli.output import Json, Seed, counted, emit, progress, table

if TYPE_CHECKING:
    from vipe.clips import Clip
    from vipe.lift.ppca.prior.outliers import Outlier
    from vipe.store import Note

_SHOWN = 20  # outliers, notes or rigs on a screen


def synth(
    *,
    out: NewStore,
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


def info(store: StoreFolder, /, *, as_json: Json = False) -> None:
    """Show counts, rate and licence of a store."""
    from vipe.store import PoseStore

    opened = PoseStore.open(store)
    summary, notes = opened.summary, opened.notes
    lines = [f"{name:<10} {value}" for name, value in summary.items()]
    lines += [told_rig(rig) for rig in opened.rigs] + [told_note(note) for note in notes]
    emit(
        summary | {"rigs": opened.rigs, "notes": [note._asdict() for note in notes]}, "\n".join(lines), as_json=as_json
    )


def outliers(
    store: StoreFolder,
    /,
    *,
    prior: Annotated[
        str | None, Parameter(help="Folder of a lifter of kind `ppca`; else one is fitted to poses of the store.")
    ] = None,
    most: Annotated[int, Parameter(help="Frames listed, the worst.", validator=validators.Number(gte=1))] = 1000,
    picture: Annotated[Path | None, Parameter(help="Draw the worst frames in this file (.png).")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """List the frames of a store that cannot be: limbs exchanged left for right, a joint that slipped."""
    from vipe.lift.ppca.lifter import PPCALifter
    from vipe.lift.ppca.prior.outliers import OutlierConfig, find_outliers, prior_of_store
    from vipe.plots.bodies.outliers import save_outliers
    from vipe.plots.writing import check_picture
    from vipe.store import PoseStore

    start = time.perf_counter()
    if picture is not None:
        check_picture(picture)
    opened = PoseStore.open(store)
    given = None if prior is None else PPCALifter.from_pretrained(prior)
    with progress() as advance:
        if given is None:
            given = prior_of_store(
                opened, seed=seed, progress=lambda stage, step, steps, _: advance(stage, step, steps)
            )
        assert isinstance(given, PPCALifter)
        answer = find_outliers(opened, given, config=OutlierConfig(most=most), progress=advance)
    if picture is not None:
        save_outliers(picture, answer.found)
    result = {
        "rows": answer.rows,
        "impossible": answer.count,
        "usual_log_likelihood": round(answer.usual, 3),
        "least_log_likelihood": round(answer.least, 3),
        "frames": [_told(one) for one in answer.found],
        "seconds": round(time.perf_counter() - start, 3),
    }
    lines = [
        f"{store}: {counted(answer.count, 'frame')} of {answer.rows:,} cannot be, {result['seconds']:.1f} s",
        *([f"picture: {picture}"] if picture is not None and answer.found else []),
    ]
    rows = [
        [one.clip, str(one.frame), f"{one.time:.2f}", one.reason, f"{one.excess:.0f}"] for one in answer.found[:_SHOWN]
    ]
    shown: list[Any] = [table(["clip", "frame", "time", "reason", "nats"], rows)] if rows else []
    if len(answer.found) > _SHOWN:
        shown.append(f"the {_SHOWN} worst are shown; --json lists {len(answer.found):,}")
    emit(result, *lines, *shown, as_json=as_json)


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


def _told(one: "Outlier") -> dict[str, object]:
    """An outlier for JSON."""
    from vipe.skeletons.working import H36M17

    numbers = {name: round(getattr(one, name), 3) for name in ("time", "log_likelihood", "excess")}
    joints = [H36M17.joints[joint] for joint in one.joints]
    return {"clip": one.clip, "frame": one.frame, "row": one.row, "reason": one.reason, "joints": joints, **numbers}


def told_rig(rig: Mapping[str, Any]) -> str:
    """A rig and the lengths of its bodies, in one line."""
    from vipe.store.bodies import BONES

    size = f"height {rig['height']:.2f} m"
    if rig["tallest"] - rig["shortest"] > 0.01:
        size += f" ({rig['shortest']:.2f} to {rig['tallest']:.2f})"
    bones = ", ".join(f"{bone} {rig[bone]:.2f}" for bone in BONES[1:])
    return f"rig {rig['rig']}: {counted(rig['clips'], 'clip')}, {size}, {bones}"


def told_note(note: "Note") -> str:
    """A note, and the clips that it is of."""
    others = f" and {counted(note.clips - 1, 'more clip')}" if note.clips > 1 else ""
    return f"note: {note.text} ({note.first}{others})" if note.first else f"note: {note.clips:,} {note.text}"
