"""Marker trajectories (TRC, C3D) as clips: marker sets by name, joint centres, gaps (numpy)."""

__all__ = ["UNITS", "clips_of_markers"]

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Bool, Float64

from vipe.arrays import Array
from vipe.clips import Clip
from vipe.errors import ReadError, SkeletonError
from vipe.readers.contract import NotMotion, clip_of, pieces
from vipe.readers.markers.joint_centres import add_joint_centres
from vipe.readers.placing import place, pose_joints
from vipe.skeletons import Skeleton, load
from vipe.skeletons.matching import match
from vipe.skeletons.skeleton import Up

UNITS = {"m": 1.0, "meters": 1.0, "metres": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001, "in": 0.0254, "inches": 0.0254}
"""Metres of the units that marker files state."""

SETS = ("opencap_markers", "plug_in_gait", "plug_in_gait_model", "triangulated")
"""Tables of marker sets."""

_SHORT_GAP = 0.1  # seconds that are bridged by a straight line; a hidden marker rarely turns in a tenth of a second


def clips_of_markers(
    names: Sequence[str],
    positions: Float64[Array, "frames markers 3"],
    name: str,
    *,
    fps: float,
    unit: float | None,
    skeletons: Sequence[Skeleton] = (),
    up: Up | None = None,
) -> Iterator[Clip]:
    """A clip of each person whose markers a table knows; further ones where a needed marker is out of sight.

    Names are compared without case and without the subject's name before a colon. Gaps of up to 0.1 s are bridged by a
    straight line; longer ones divide the recording. Only markers that the conversion needs are kept.

    Args:
        names: Of the markers.
        positions: In the file's unit; not finite where a marker is out of sight.
        name: The file, for names of clips and errors.
        fps: Hertz.
        unit: Metres per unit, None if the file does not state it.
        skeletons: A user's own, tried before those of the library.
        up: The file's up axis, None if it does not state it.

    Raises:
        ReadError: If markers of a known set are never all in sight, or the body has no human size.
        NotMotion: If no table knows the markers.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        positions = np.where(np.isfinite(positions) & (np.abs(positions) < 1e9), positions, np.nan)
    people = _people(names, skeletons)
    problem: SkeletonError | None = None
    found = False
    for person, columns in people.items():
        of = {marker: positions[:, column] for marker, column in columns.items()}
        add_joint_centres(of, unit)
        markers = list(of)
        try:
            matched = match(markers, skeletons)
        except SkeletonError as error:
            problem = error
            continue
        found = True
        needed = matched.skeleton.restricted(pose_joints(matched.skeleton))
        stack = np.stack([of[markers[matched.where[joint]]] for joint in needed.joints], axis=1)
        bridged = _bridged(stack, int(_SHORT_GAP * fps))
        valid = np.asarray(np.isfinite(bridged).all(axis=(1, 2)))
        stem = PurePosixPath(name).stem
        title = f"{stem} {person}" if len(people) > 1 and person else stem
        where = f"{name}: {needed.name}"
        if not valid.any():
            lost = [
                joint
                for joint, seen in zip(needed.joints, np.asarray(np.isfinite(bridged).any((0, 2))), strict=True)
                if not seen
            ]
            raise ReadError(f"{where}: no frame has all markers; never in sight: {', '.join(lost) or 'none at once'}")
        bridged[valid] = place(bridged[valid], needed, where, unit=unit, up=up)  # once: a recording has one up axis
        for clip, part in pieces(title, valid, where):
            yield clip_of(clip, needed, bridged[part], fps, where=where, subject=person if len(people) > 1 else "")
    if not found:
        raise NotMotion(f"{name}: {problem or 'no markers'}")


def _people(names: Sequence[str], skeletons: Sequence[Skeleton]) -> dict[str, dict[str, int]]:
    """The columns of each subject's markers, spelled as in the tables; the first of a name counts."""
    spelled = {marker.lower(): marker for table in SETS for marker in load(table).joints}
    spelled |= {marker.lower(): marker for table in skeletons for marker in table.joints}
    people: dict[str, dict[str, int]] = {}
    for column, full in enumerate(names):
        shown = full.strip() if full.isprintable() else full.encode("unicode_escape").decode("ascii")
        person, _, marker = shown.rpartition(":")
        people.setdefault(person, {}).setdefault(spelled.get(marker.lower(), marker), column)
    return people


def _bridged(positions: Float64[Array, "frames markers 3"], longest: int) -> Float64[Array, "frames markers 3"]:
    """Straight lines across gaps of up to so many frames; none at the ends, where one side is unknown."""
    out = positions.copy()
    frames = np.arange(len(out))
    for marker in range(out.shape[1]):
        seen = np.asarray(np.isfinite(out[:, marker]).all(axis=1))
        if seen.all() or not seen.any():
            continue
        fill = ~seen & _short(seen, longest)
        for axis in range(3):
            out[fill, marker, axis] = np.interp(frames[fill], frames[seen], out[seen, marker, axis])
    return out


def _short(seen: Bool[Array, " frames"], longest: int) -> Bool[Array, " frames"]:
    """Frames within gaps of at most so many frames that are seen at both ends."""
    edges = np.flatnonzero(np.diff((~seen).astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    short = np.zeros(len(seen), dtype=bool)
    for start, stop in edges.tolist():
        if start > 0 and stop < len(seen) and stop - start <= longest:
            short[start:stop] = True
    return short
