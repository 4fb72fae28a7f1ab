"""Reports of generated poses: checks, table, summary, page."""

__all__ = [
    "GeneratedPoses",
    "ReferencePoses",
    "check",
    "check_export",
    "draw",
    "export_clips",
    "file_of",
    "pose_table",
    "summary",
]

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipe.cli.output import counted, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.table import Table

    from vipe import Clip
    from vipe.arrays import Array
    from vipe.embed.generation.joint_limits import JointLimits


_COMPARED = 100  # recorded poses that are checked like generated ones
_CLIP = "{clip}"  # in the name of a file: the name of a clip
_FPS = 10.0  # of the clips written, whose frames are the steps of a group


@dataclass(frozen=True)
class ReferencePoses:
    """Recorded poses of the store, thinned, with clip and frame of each."""

    poses: "Array"
    clips: list[str]
    frames: list[int]


@dataclass(frozen=True)
class GeneratedPoses:
    """Groups of generated poses, one after the other, with names of the groups and of the steps inside them."""

    mode: str
    names: list[str]
    steps: list[str]
    alphas: tuple[float, ...]
    poses: "Array"  # (groups, steps, 17, 3)

    def clips(self, origin: str) -> "Iterator[Clip]":
        """The groups as clips; `origin` names the source pose."""
        from vipe.clips import Clip
        from vipe.skeletons import load

        for name, poses in zip(self.names, self.poses, strict=True):
            yield Clip(name=name, skeleton=load("h36m17"), positions=poses, fps=_FPS, action=self.mode, source=origin)


def check(
    made: GeneratedPoses, given: "list[Array]", recorded: ReferencePoses, limits: "JointLimits"
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Check each pose, and all together.

    Args:
        made: Generated poses.
        given: Source and target pose, as far as there are any.
        recorded: Poses of the store.
        limits: Joint limits of these.

    Returns:
        An entry for each pose, and the checks of all.
    """
    import numpy as np

    from vipe.embed.generation.checks import bone_length_error, decreasing_steps, nearest_poses, pose_difference

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
        back = decreasing_steps(away)
        checks["steps"], checks["not_monotone"] = back.size, int(back.sum())
    return entries, checks


def pose_table(entries: list[dict[str, Any]]) -> "Table":
    """A row for each entry of `check`."""
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


def summary(checks: dict[str, Any]) -> list[str]:
    """The checks of all poses in words, a line each."""
    near, real = checks["nearest"], checks["recorded_nearest"]
    lines = [
        f"{checks['within_limits']:.0%} within the joint limits of the store",
        f"nearest recorded pose: {near['median']:.3f} torso lengths away (median), {near['q95']:.3f} (95%)"
        + (f"; recorded poses from those of other clips {real['median']:.3f}, {real['q95']:.3f}" if real else ""),
    ]
    if "bone_length_error" in checks:
        lines.append(f"bone lengths: those of the source to {checks['bone_length_error']:.0e}")
    if "steps" in checks:
        lines.append(
            f"distance to the source shrinks in {checks['not_monotone']} of {counted(checks['steps'], 'step')} away "
            "from it"
        )
    return lines


def draw(
    page: Path,
    made: GeneratedPoses,
    given: "list[Array]",
    origins: list[str],
    entries: list[dict[str, Any]],
    checks: dict[str, Any],
) -> None:
    """Draw the poses as one HTML page, source and target first."""
    import numpy as np

    from vipe.plots.pages.generated import Row, save_generated_page

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
        intro=". ".join(line[0].upper() + line[1:] for line in summary(checks))
        + ". Distances are in torso lengths. Blue is the person's left, orange the right.",
    )


def check_export(export: Path | None, names: str, *, several: bool) -> None:
    """Refuse files that could not be written, before any work.

    Args:
        export: Where to; `{clip}` in its name stands for that of a clip.
        names: Of the joints.
        several: Whether there are several clips.

    Raises:
        VipeError: If the ending is unknown, several clips would go to one file, or names are given for no rig.
    """
    from vipe.errors import VipeError
    from vipe.writers import RIG_FORMATS, check_place

    if names != "h36m17" and (export is None or export.suffix.lower() not in RIG_FORMATS):
        raise VipeError(f"--names {names} belongs to --export of {', '.join(RIG_FORMATS)}")
    if export is None:
        return
    check_place(file_of(export, "clip"))
    if several and _CLIP not in export.name:
        better = export.with_name(f"{export.stem}_{_CLIP}{export.suffix}")
        raise VipeError(f"{export}: a file holds one clip, and there are several; name it such as {better}")


def export_clips(export: Path, clips: "Iterable[Clip]", names: str) -> list[str]:
    """Write a file for each clip; the files."""
    from vipe.writers import write

    files = []
    for clip in clips:
        file = file_of(export, clip.name)
        write(file, clip, names=names)
        files.append(str(file))
    return files


def file_of(export: Path, clip: str) -> Path:
    """The file of a clip of that name."""
    return export.with_name(export.name.replace(_CLIP, clip))


def _recorded_nearest(recorded: ReferencePoses) -> "Array":
    """Distance of recorded poses to the nearest of other clips; empty if there is one clip only."""
    import numpy as np

    from vipe.embed.generation.checks import nearest_poses

    clips = np.array(recorded.clips)
    rows = np.unique(np.linspace(0, len(clips) - 1, _COMPARED).round().astype(np.int64))
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


def _limits(entry: dict[str, Any]) -> str:
    return ", ".join(entry["broken"]) or "within"
