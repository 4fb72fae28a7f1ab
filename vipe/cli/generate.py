"""The command that makes new poses: variations of one, the way between two, samples."""

__all__ = ["generate"]

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from vipe.cli.output import Json, Seed, emit, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from rich.table import Table

    from vipe import Clip, Embedder, PoseStore
    from vipe.embed.plausibility import JointLimits

    Array = np.ndarray[Any, np.dtype[Any]]

_ALPHAS = (0.2, 0.3, 0.4, 0.5)  # levy2024
_COMPARED = 20_000  # poses of the store that generated ones are compared with
_FITTED = 4_000  # poses of the store that a prior is fitted to
_REAL = 100  # poses of the store that are measured as the generated ones are, to compare
_RATE = 10.0  # hertz, of what is written: the poses of one direction, or of one way, follow each other


def generate(
    *,
    store: Annotated[Path, Parameter(help="Store with the poses to start from, and to compare with.")],
    out: Annotated[Path, Parameter(help="Folder of the new store.")],
    clip: Annotated[str | None, Parameter(help="Clip of the pose to start from.")] = None,
    frame: Annotated[int, Parameter(help="Its frame, counted in the source clip.")] = 0,
    mode: Annotated[
        Literal["noise", "between", "samples"],
        Parameter(
            help="`noise`: variations along directions drawn once, further with each alpha. `between`: the way from "
            "the pose to that of --to-clip and --to-frame. `samples`: any poses; with --clip on that body and place."
        ),
    ] = "noise",
    alpha: Annotated[
        tuple[float, ...],
        Parameter(
            help="How far to go, 0 being the pose itself; 0.2 0.3 0.4 0.5 if not given.",
            consume_multiple=True,
            negative="",
        ),
    ] = (),
    to_clip: Annotated[str | None, Parameter(help="Clip of the pose to go to; that of --clip if not given.")] = None,
    to_frame: Annotated[int | None, Parameter(help="Its frame.")] = None,
    count: Annotated[int, Parameter(help="Directions, poses on the way, or samples.")] = 8,
    limbs: Annotated[
        tuple[str, ...],
        Parameter(
            help="What may move, of left_arm, right_arm, arms, left_leg, right_leg, legs, torso, head; all if not "
            "given.",
            consume_multiple=True,
            negative="",
        ),
    ] = (),
    within_limits: Annotated[
        bool,
        Parameter(
            help="Draw directions, or samples, until there are enough that keep to the store's joint limits. The way "
            "between two poses is what it is."
        ),
    ] = True,
    embedder: Annotated[str, Parameter(help="Folder or name of a learned embedding.")] = "default",
    page: Annotated[Path | None, Parameter(help="Also draw the poses as one HTML page.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Make new poses with a learned embedding, and say how plausible they are."""
    from vipe import Embedder, PoseStore
    from vipe.embed.plausibility import JointLimits
    from vipe.errors import VipeError

    start = time.perf_counter()
    if clip is None and mode != "samples":
        raise VipeError(f"--mode {mode} starts from a pose: give --clip and --frame")
    if alpha and mode != "noise":
        raise VipeError(f"--alpha belongs to --mode noise, got --mode {mode}")
    if (mode == "between") != (to_frame is not None) or (to_clip is not None and mode != "between"):
        raise VipeError("--mode between, and no other, goes to a pose: give --to-frame with it, and --to-clip")
    opened = PoseStore.open(store)
    if out.exists():
        raise VipeError(f"{out}: exists already; delete it, or choose another path")
    given = [] if clip is None else [_pose(opened, clip, frame)]
    if clip is not None and to_frame is not None:
        given.append(_pose(opened, to_clip or clip, to_frame))
    recorded = _recorded(opened)
    model = Embedder.from_pretrained(embedder)
    limits = JointLimits.learn(recorded.poses)
    options = {"limbs": limbs, "limits": limits if within_limits else None}
    made = _make(model, mode, given, recorded, alpha, count, seed, options)
    entries, checks = _checked(made, given, recorded, limits)
    origin = "" if clip is None else f"{clip} frame {frame}"
    PoseStore.create(out, made.clips(origin), licence=opened.summary["licence"])
    result = {
        "out": str(out),
        "mode": mode,
        "embedder": model.fingerprint,
        "seconds": round(time.perf_counter() - start, 3),
        "checks": checks,
        "poses": entries,
    }
    last = f"{out}: {len(entries)} poses in {result['seconds']:.1f} s" + (f"; page: {page}" if page else "")
    emit(result, _table(entries), *_verdict(checks), last, as_json=as_json)
    if page is not None:
        _draw(page, made, given, [origin, f"{to_clip or clip} frame {to_frame}"], entries, checks)


@dataclass(frozen=True)
class _Recorded:
    """Poses of the store, thinned, and where they are from."""

    poses: "Array"
    clips: list[str]
    frames: list[int]


@dataclass(frozen=True)
class _Made:
    """What was generated: groups of poses that follow each other, and what each step of a group is called."""

    mode: str
    names: list[str]
    steps: list[str]
    alphas: tuple[float, ...]
    poses: "Array"  # (groups, steps, 17, 3)

    def clips(self, origin: str) -> "Iterator[Clip]":
        from vipe.clips import Clip
        from vipe.skeletons import load

        for name, poses in zip(self.names, self.poses, strict=True):
            yield Clip(name=name, skeleton=load("h36m17"), positions=poses, fps=_RATE, action=self.mode, source=origin)


def _pose(store: "PoseStore", clip: str, frame: int) -> "Array":
    """One pose of a store."""
    from vipe.errors import StoreError

    where = {"clip": clip, "frame": frame}
    found = store.poses(where)
    if len(found):
        pose: Array = found[0]
        return pose
    frames = store.table(["frame"], {"clip": clip}).column("frame").to_pylist()
    if not frames:
        known = ", ".join(repr(one["clip"]) for one in store.clips()[:3])
        raise StoreError(f"{store.path}: has no clip {clip!r}; it has {len(store.clips())}, such as {known}")
    nearest = min(frames, key=lambda one: abs(one - frame))
    raise StoreError(f"{store.path}: clip {clip!r} has no row of frame {frame}; the nearest is {nearest}")


def _recorded(store: "PoseStore") -> _Recorded:
    every = -(-len(store) // _COMPARED)
    table = store.table(["clip", "frame"])
    clips, frames = (table.column(name).to_pylist()[::every] for name in ("clip", "frame"))
    return _Recorded(store.poses()[::every], clips, frames)


def _make(
    model: "Embedder",
    mode: str,
    given: "list[Array]",
    recorded: _Recorded,
    alpha: tuple[float, ...],
    count: int,
    seed: int,
    options: dict[str, Any],
) -> _Made:
    import numpy as np

    from vipe.embed.generate import Prior, between, sample, vary

    if mode == "between":
        way = between(model, given[0], given[1], count, limbs=options["limbs"])
        return _Made(mode, ["between"], [f"{one:.0%}" for one in np.linspace(0, 1, count)], (), way[None])
    prior = None
    if model.name != "v-vipe":
        some = recorded.poses[:: -(-len(recorded.poses) // _FITTED)]
        prior = Prior.fit(model.encode_poses(some))
    alphas = tuple(sorted(set(alpha or _ALPHAS))) if mode == "noise" else ()
    common: dict[str, Any] = {"generator": np.random.default_rng(seed), "prior": prior, **options}
    if mode == "noise":
        poses = vary(model, given[0], alphas, count, **common)
    else:
        poses = sample(model, count, source=given[0] if given else None, **common)[:, None]
    names = [f"{mode.removesuffix('s')}-{number}" for number in range(1, count + 1)]
    return _Made(mode, names, [f"alpha {one:g}" for one in alphas] or [""], alphas, poses)


def _checked(
    made: _Made, given: "list[Array]", recorded: _Recorded, limits: "JointLimits"
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What is known of each pose, and of all together."""
    import numpy as np

    from vipe.embed.generate import bone_length_error, not_monotone, pose_difference
    from vipe.embed.plausibility import nearest_poses

    flat = made.poses.reshape(-1, 17, 3)
    broken = limits.broken(flat)
    nearest, row = nearest_poses(flat, recorded.poses)
    away = pose_difference(made.poses, given[0]) if given else None
    entries: list[dict[str, Any]] = []
    for i, (group, step) in enumerate(np.ndindex(made.poses.shape[:2])):
        entry: dict[str, Any] = {"clip": made.names[group], "frame": step}
        if made.alphas:
            entry["alpha"] = made.alphas[step]
        if away is not None:
            entry["distance"] = round(float(away[group, step]), 6)
        entry["within_limits"], entry["broken"] = not broken[i], broken[i]
        entry["nearest"] = {
            "clip": recorded.clips[row[i]],
            "frame": recorded.frames[row[i]],
            "distance": round(float(nearest[i]), 6),
        }
        entries.append(entry)
    checks: dict[str, Any] = {
        "within_limits": round(float(np.mean([not one for one in broken])), 6),
        "nearest": _quantiles(nearest),
        "recorded_nearest": _quantiles(_recorded_nearest(recorded)),
    }
    if given:
        checks["bone_length_error"] = round(bone_length_error(flat, given[0]), 9)
    if away is not None and made.mode != "samples":
        back = not_monotone(away)
        checks["steps"], checks["not_monotone"] = back.size, int(back.sum())
    return entries, checks


def _recorded_nearest(recorded: _Recorded) -> "Array":
    """How far recorded poses lie from those of other clips; none if there is one clip only."""
    import numpy as np

    from vipe.embed.plausibility import nearest_poses

    clips = np.array(recorded.clips)
    rows = np.unique(np.linspace(0, len(clips) - 1, _REAL).round().astype(np.int64))
    apart = clips[rows, None] != clips
    if not apart.any(axis=1).all():
        return np.empty(0, np.float32)
    return nearest_poses(recorded.poses[rows], recorded.poses, apart=apart)[0]


def _quantiles(distance: "Array") -> dict[str, float] | None:
    import numpy as np

    if not len(distance):
        return None
    low, middle, high = np.quantile(distance, [0.05, 0.5, 0.95])
    return {"q05": round(float(low), 6), "median": round(float(middle), 6), "q95": round(float(high), 6)}


def _table(entries: list[dict[str, Any]]) -> "Table":
    first = entries[0]
    head = ["clip", "frame", *[name for name in ("alpha", "distance") if name in first], "limits", "nearest", "of"]
    rows = []
    for entry in entries:
        row = [entry["clip"], str(entry["frame"])]
        row += [f"{entry[name]:{form}}" for name, form in (("alpha", "g"), ("distance", ".3f")) if name in entry]
        near = entry["nearest"]
        row += [_limits(entry), f"{near['distance']:.3f}", f"{near['clip']} frame {near['frame']}"]
        rows.append(row)
    return table(head, rows)


def _limits(entry: dict[str, Any]) -> str:
    return ", ".join(entry["broken"]) or "within"


def _verdict(checks: dict[str, Any]) -> list[str]:
    """The checks in words, a line each."""
    near, real = checks["nearest"], checks["recorded_nearest"]
    said = [
        f"{checks['within_limits']:.0%} within the joint limits of the store",
        f"nearest recorded pose: {near['median']:.3f} torso lengths away (median), {near['q95']:.3f} (95%)"
        + (f"; recorded poses from those of other clips {real['median']:.3f}, {real['q95']:.3f}" if real else ""),
    ]
    if "bone_length_error" in checks:
        said.append(f"bone lengths: those of the source to {checks['bone_length_error']:.0e}")
    if "steps" in checks:
        said.append(
            f"distance to the source shrinks in {checks['not_monotone']} of {checks['steps']} steps away from it"
        )
    return said


def _draw(
    page: Path,
    made: _Made,
    given: "list[Array]",
    origins: list[str],
    entries: list[dict[str, Any]],
    checks: dict[str, Any],
) -> None:
    import numpy as np

    from vipe.plots.generated import Row, save_generated_page

    notes = [
        (f"{entry['distance']:.3f} from the source; " if "distance" in entry else "")
        + (f"out of limits: {_limits(entry)}" if entry["broken"] else "within limits")
        for entry in entries
    ]
    count = len(made.steps)
    rows = [
        Row(label=name, poses=poses, titles=made.steps, notes=notes[i * count : (i + 1) * count])
        for i, (name, poses) in enumerate(zip(made.names, made.poses, strict=True))
    ]
    if made.mode == "samples":
        rows = [Row(label="", poses=made.poses[:, 0], titles=made.names, notes=notes)]
    source = None
    if given:
        source = Row(
            label="from" if len(given) == 1 else "from and to",
            poses=np.stack(given),
            titles=origins[: len(given)],
            notes=[""] * len(given),
        )
    save_generated_page(
        page,
        "Generated poses",
        rows,
        given=source,
        intro=". ".join(line[0].upper() + line[1:] for line in _verdict(checks)) + ". Distances are in torso lengths.",
    )
