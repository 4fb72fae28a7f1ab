"""`vipe generate`: variations of a pose, interpolation between two, samples."""

__all__ = ["generate"]

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from vipe.cli.archive.show import Names
from vipe.cli.generated import (
    GeneratedPoses,
    ReferencePoses,
    check,
    check_export,
    draw,
    export_clips,
    pose_table,
    summary,
)
from vipe.cli.options.folders import NewStore
from vipe.cli.output import Json, Page, Seed, counted, emit, listed

if TYPE_CHECKING:
    from vipe import Embedder, PoseStore
    from vipe.arrays import Array


_ALPHAS = (0.2, 0.3, 0.4, 0.5)  # levy2024
_COMPARED = 20_000  # poses of the store that generated ones are compared with
_FITTED = 4_000  # poses of the store that a prior is fitted to


def generate(
    *,
    store: Annotated[Path, Parameter(help="Store with the poses to start from, and to compare with.")],
    out: NewStore,
    clip: Annotated[str | None, Parameter(help="Clip of the pose to start from.")] = None,
    frame: Annotated[int, Parameter(help="Its frame, counted in the source clip.")] = 0,
    mode: Annotated[
        Literal["noise", "between", "samples"],
        Parameter(
            help="`noise`: variations along random directions, further with each alpha. `between`: interpolation from "
            "the pose to that of --to-clip and --to-frame. `samples`: poses from the prior, with --clip on its body."
        ),
    ] = "noise",
    alpha: Annotated[
        tuple[float, ...],
        Parameter(
            help="Lengths of the step; 0 is the pose itself. Default: 0.2 0.3 0.4 0.5.",
            consume_multiple=True,
        ),
    ] = (),
    to_clip: Annotated[str | None, Parameter(help="Clip of the target pose. Default: that of --clip.")] = None,
    to_frame: Annotated[int | None, Parameter(help="Frame of the target pose, counted in the source clip.")] = None,
    count: Annotated[int, Parameter(help="Number of directions, of interpolated poses, or of samples.")] = 8,
    limbs: Annotated[
        tuple[str, ...],
        Parameter(
            help="Limbs that may move: left_arm, right_arm, arms, left_leg, right_leg, legs, torso, head; else all.",
            consume_multiple=True,
        ),
    ] = (),
    within_limits: Annotated[
        bool,
        Parameter(
            help="Draw directions, or samples, until enough are within the store's joint limits. Interpolation is not "
            "limited."
        ),
    ] = True,
    embedder: Annotated[str, Parameter(help="Folder or name of a learned embedding.")] = "default",
    page: Page = None,
    export: Annotated[
        Path | None,
        Parameter(
            help="Also write each clip of the new store as a motion file: .bvh, .glb, .gltf, .npz, .parquet, or COCO "
            "keypoints as .json. `{clip}` in the name stands for the clip's name, where there are several."
        ),
    ] = None,
    names: Names = "h36m17",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Generate poses with a learned embedding, and check how plausible they are."""
    from vipe import Embedder, PoseStore
    from vipe.embed.generation.joint_limits import JointLimits
    from vipe.errors import VipeError

    start = time.perf_counter()
    if clip is None and mode != "samples":
        raise VipeError(f"--mode {mode} starts from a pose: give --clip and --frame")
    if alpha and mode != "noise":
        raise VipeError(f"--alpha belongs to --mode noise, got --mode {mode}")
    if (mode == "between") != (to_frame is not None) or (to_clip is not None and mode != "between"):
        raise VipeError("--to-clip and --to-frame belong to --mode between, and no other; give --to-frame with it")
    if page is not None:
        from vipe.plots.writing import check_page

        check_page(page)
    check_export(export, names, several=mode != "between" and count != 1)
    opened = PoseStore.open(store)
    if out.exists():
        raise VipeError(f"{out}: exists already; delete it, or choose another path")
    given = [] if clip is None else [_pose(opened, clip, frame)]
    if clip is not None and to_frame is not None:
        given.append(_pose(opened, to_clip or clip, to_frame))
    recorded = _reference_poses(opened)
    model = Embedder.from_pretrained(embedder)
    limits = JointLimits.learn(recorded.poses)
    options = {"limbs": limbs, "limits": limits if within_limits else None}
    made = _make(model, mode, given, recorded, alpha, count, seed, options)
    entries, checks = check(made, given, recorded, limits)
    origin = "" if clip is None else f"{clip} frame {frame}"
    PoseStore.create(out, made.clips(origin), licence=opened.summary["licence"])
    files = [] if export is None else export_clips(export, made.clips(origin), names)
    result = {
        "out": str(out),
        "mode": mode,
        "embedder": model.fingerprint,
        "seconds": round(time.perf_counter() - start, 3),
        "checks": checks,
        "files": files,
        "poses": entries,
    }
    written = [f"files: {listed(files)}"] if files else []
    last = f"{out}: {counted(len(entries), 'pose')} in {result['seconds']:.1f} s" + (f"; page: {page}" if page else "")
    emit(result, pose_table(entries), *summary(checks), *written, last, as_json=as_json)
    if page is not None:
        draw(page, made, given, [origin, f"{to_clip or clip} frame {to_frame}"], entries, checks)


def _pose(store: "PoseStore", clip: str, frame: int) -> "Array":
    """One pose of a store."""
    from vipe.errors import StoreError
    from vipe.similar_names import lacks_clip

    where = {"clip": clip, "frame": frame}
    found = store.poses(where)
    if len(found):
        pose: Array = found[0]
        return pose
    frames = store.table(["frame"], {"clip": clip}).column("frame").to_pylist()
    if not frames:
        raise StoreError(lacks_clip(store.path, clip, store.clip_table().column("clip").to_pylist()))
    nearest = min(frames, key=lambda one: abs(one - frame))
    raise StoreError(f"{store.path}: clip {clip!r} has no row of frame {frame}; the nearest is {nearest}")


def _reference_poses(store: "PoseStore") -> ReferencePoses:
    every = -(-len(store) // _COMPARED)
    table = store.table(["clip", "frame"])
    clips, frames = (table.column(name).to_pylist()[::every] for name in ("clip", "frame"))
    return ReferencePoses(store.poses()[::every], clips, frames)


def _make(
    model: "Embedder",
    mode: str,
    given: "list[Array]",
    recorded: ReferencePoses,
    alpha: tuple[float, ...],
    count: int,
    seed: int,
    options: dict[str, Any],
) -> GeneratedPoses:
    import numpy as np

    from vipe.embed.generation.interpolation import interpolate
    from vipe.embed.generation.prior import Prior
    from vipe.embed.generation.samples import sample
    from vipe.embed.generation.variations import vary

    if mode == "between":
        poses = interpolate(model, given[0], given[1], count, limbs=options["limbs"])
        return GeneratedPoses(mode, ["between"], [f"{one:.0%}" for one in np.linspace(0, 1, count)], (), poses[None])
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
    return GeneratedPoses(mode, names, [f"alpha {one:g}" for one in alphas] or [""], alphas, poses)
