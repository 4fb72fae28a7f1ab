"""What a store keeps of a clip: its poses on the working skeleton, thinned to a rate (numpy)."""

__all__ = ["Stored", "convert_clip", "thin"]

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64

from vipe.arrays import Array
from vipe.clips import Clip
from vipe.errors import SkeletonError, StoreError
from vipe.skeletons.working import H36M17
from vipe.store.bodies import Body, body_of

_TORSO_M = (0.05, 5.0)  # pelvis to thorax: from a doll to a giant; a unit wrong by a hundred lies outside
_TORSO = tuple(H36M17.index(joint) for joint in ("pelvis", "spine", "thorax"))


@dataclass(frozen=True)
class Stored:
    """A clip as it came, and what the store keeps of it."""

    original: Clip
    clip: Clip  # on h36m17, thinned; its rate is still the original's
    frames: Int64[Array, " kept"]  # of the original, one for each pose of `clip`
    body: Body


def convert_clip(original: Clip, fps: float | None) -> Stored:
    """Thin a clip to a rate and convert it to h36m17.

    Args:
        original: The clip, of any skeleton and rate.
        fps: Poses a second to keep; None keeps all.

    Raises:
        SkeletonError: If its skeleton cannot be converted to h36m17; names the file and what to add to its table.
        StoreError: If its torso has no human size in some frame, as with a wrong unit.
    """
    frames = thin(len(original), original.fps, fps)
    try:
        clip = replace(original, positions=original.positions[frames]).to(H36M17)
    except SkeletonError as error:
        where = original.source or f"clip {original.name}"
        raise SkeletonError(f"{where}: {error}") from error
    _check_size(clip)
    return Stored(original, clip, frames, body_of(clip.positions))


def thin(frames: int, fps: float, target: float | None) -> Int64[Array, " kept"]:
    """Frames of a clip that are nearest to 0, 1/target, 2/target ... seconds; all of them if it has no more.

    Args:
        frames: How many the clip has.
        fps: How many it has a second.
        target: How many to keep a second; None keeps all.

    >>> thin(10, 30.0, 10.0)
    array([0, 3, 6, 9])
    >>> thin(8, 30.0, 20.0)  # 1.5 frames a step: halves are rounded up
    array([0, 2, 3, 5, 6])
    """
    if target is None or target >= fps:
        return np.arange(frames)
    steps = np.arange(math.ceil(frames * target / fps) + 1)
    nearest: Array = np.floor(steps * (fps / target) + 0.5).astype(np.int64)
    return nearest[nearest < frames]


def _check_size(clip: Clip) -> None:
    """Refuse a wrong unit: it passes every other check and spoils every camera."""
    torso = float(np.median(np.linalg.norm(np.diff(clip.positions[:, list(_TORSO)], axis=1), axis=2).sum(axis=1)))
    if not _TORSO_M[0] <= torso <= _TORSO_M[1]:  # single frames may be broken: an index leaves out those without a pose
        unit = next((note for note in clip.notes if "--unit" in note), "is `unit` of its skeleton right?")
        raise StoreError(
            f"clip {clip.name} of {clip.source or 'no source'}: a torso of {torso:.3g} m, expected {_TORSO_M[0]} to "
            f"{_TORSO_M[1]}; {unit}"
        )
