"""What readers of arrays share: what a user adds to a file, the error of a file without motion, clips of arrays."""

__all__ = ["Hints", "NotMotion", "as_float64", "clip_of", "one_line", "pieces", "whole_rate"]

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float64, Shaped

from vipe.arrays import Array
from vipe.clips import Clip
from vipe.errors import ReadError, ShapeError
from vipe.skeletons import Skeleton
from vipe.skeletons.skeleton import Up

# Rates are written with few digits: 0.016667 s is meant to be 60 Hz. NTSC's 29.97 Hz, 0.1% below 30, must stay.
_RATE_ROUNDING = 5e-4


@dataclass(frozen=True, kw_only=True)
class Hints:
    """What a file does not say and its user knows."""

    skeleton: Skeleton | None = None
    """Of arrays without names of joints."""
    fps: float | None = None
    """Frames a second, of files that state none; wins over what a file states."""
    path: str = ""
    """The file's whole path, from which some layouts tell subject and action."""
    body_models: Path | None = None
    """Folder of the SMPL body models that AMASS needs."""
    unit: float | None = None
    """Metres per unit of BVH files, markers and arrays; wins over what file or body tell."""
    up: Up | None = None
    """Up axis, likewise."""
    guess: bool = False
    """Whether a BVH file whose joint names are unknown is read as what its topology and rest pose suggest."""


class NotMotion(ReadError):
    """A file of a kind that may hold motion holds something else; in folders and archives it is passed over."""


def as_float64(array: Shaped[Array, "..."]) -> Float64[Array, "..."]:
    """Numbers of any kind as float64; some NaN of broken files set off a warning that says nothing."""
    with np.errstate(invalid="ignore", over="ignore"):
        return array.astype(np.float64)


def clip_of(
    name: str,
    skeleton: Skeleton,
    positions: Float[Array, "frames joints 3"],
    fps: float,
    *,
    where: str,
    subject: str = "",
    action: str = "",
) -> Clip:
    """A clip, or a `ReadError` that names the place in the file.

    Args:
        name: Of the clip.
        skeleton: Its joints.
        positions: Metres, world space, z up.
        fps: Hertz.
        where: The file and the place in it, for errors.
        subject: Who moves.
        action: What they do.

    Raises:
        ReadError: If positions and skeleton do not fit, or a number is not finite.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes infinite, which Clip refuses
            positions = np.array(positions, dtype=np.float32)  # a copy, which the clip makes read-only
        return Clip(name=name, skeleton=skeleton, positions=positions, fps=fps, subject=subject, action=action)
    except ShapeError as error:
        raise ReadError(f"{where}: {error}") from error


def pieces(name: str, valid: Bool[Array, " frames"], where: str) -> Iterator[tuple[str, slice]]:
    """The unbroken stretches of a recording: gaps stay gaps, since a clip has a pose in every frame.

    Args:
        name: Of the recording. A stretch is named for it and the frame in which it begins: `walk@120`.
        valid: Whether a frame has a pose.
        where: The file, for errors.

    Yields:
        Name and frames of each stretch.

    Raises:
        ReadError: If no frame has a pose.

    >>> list(pieces("walk", np.array([True, True, False, True]), "walk.trc"))
    [('walk', slice(0, 2, None)), ('walk@3', slice(3, 4, None))]
    """
    edges = np.flatnonzero(np.diff(valid.astype(np.int8), prepend=0, append=0))
    if len(edges) == 0:
        raise ReadError(f"{where}: no frame of {len(valid)} has a whole pose")
    for start, stop in edges.reshape(-1, 2).tolist():
        yield (f"{name}@{start}" if start else name), slice(start, stop)


def one_line(error: BaseException) -> str:
    """What an error of another library says, as one short line; its kind if it says nothing.

    >>> one_line(ValueError("no such  thing"))
    'no such thing'
    """
    said = " ".join(str(error).split())[:160].encode("unicode_escape").decode("ascii")
    return said or type(error).__name__


def whole_rate(fps: float) -> float:
    """A rate, rounded to a whole number of hertz if it is within 0.05% of one.

    >>> whole_rate(1 / 0.016667), whole_rate(30000 / 1001) == 30000 / 1001
    (60.0, True)
    """
    whole = round(fps)
    return float(whole) if whole and abs(fps / whole - 1) < _RATE_ROUNDING else fps
