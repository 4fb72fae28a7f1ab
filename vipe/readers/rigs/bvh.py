"""Biovision Hierarchy (BVH): a rig and the values of its channels in one text file."""

__all__ = ["first_rig", "read", "read_all"]

import codecs
import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from io import BufferedIOBase
from typing import Any, NamedTuple, NoReturn

import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.clips import Clip
from vipe.errors import ReadError, ShapeError, SkeletonError
from vipe.readers.contract import Hints, whole_rate
from vipe.readers.numbers import parse_float, parse_rows
from vipe.readers.rigs.bvh_hierarchy import read_hierarchy
from vipe.readers.rigs.rig import Rig, read_rig
from vipe.skeletons import Skeleton

_MOTION = re.compile(rb"^[ \t]*MOTION[ \t]*\r?(?:\n|\Z)", re.MULTILINE | re.IGNORECASE)
_FRAMES = re.compile(
    rb"\s*Frames[ \t]*:[ \t]*(\S*)[ \t]*\r?\n\s*Frame[ \t]+Time[ \t]*:[ \t]*(\S*)[ \t]*\r?(?:\n|\Z)", re.I
)
_CACHED_BYTES = 1 << 20
_SLOW, _FAST = 5.0, 500.0  # hertz beyond which a rate is told to be doubtful
_PADDING = b"\0\x1a"  # after the end of a text, of disk blocks and of DOS
_RADIANS = (1.0, math.pi * 1.001)  # where the largest angle of a clip lies that may be in radians
_FEWEST = 30  # frames in which somebody would turn a joint by more degrees than that
_SCALED = 1e-3  # by which a scale may differ from 1


def read(
    stream: BufferedIOBase,
    name: str,
    skeletons: Sequence[Skeleton] = (),
    hints: Hints = Hints(),  # noqa: B008
) -> Clip:
    """Read the first subject of a Biovision Hierarchy file; see `read_all`."""
    return read_all(stream, name, skeletons, hints)[0]


def read_all(
    stream: BufferedIOBase,
    name: str,
    skeletons: Sequence[Skeleton] = (),
    hints: Hints = Hints(),  # noqa: B008
) -> list[Clip]:
    """Read a Biovision Hierarchy file as joint positions in world space, one clip for each root that is a body.

    BVH states neither unit nor up axis. They come from the user (`hints`), else from the table that the joint names
    match, else from the body: see `vipe.skeletons.body`. Channels apply in the order in which the file lists them, and
    a position channel replaces that component of the joint's OFFSET; where the position channels of a joint below the
    root are all zero, its OFFSET is meant. Scale channels are read past. A rate within 0.05% of a whole number is
    rounded to it; any other rate is 1 / Frame Time. Text may be UTF-8, or UTF-16 with a byte order mark.

    Args:
        stream: The file's bytes.
        name: What to call it in the clip and in errors; of several roots, "#2" and so on is added.
        skeletons: A user's own, tried before those of the library.
        hints: Rate, unit and up axis if the user knows them, and whether to guess an unknown body.

    Returns:
        Clips with `notes` on what was assumed or left out.

    Raises:
        ReadError: If it is not BVH, is cut, or no skeleton matches; gives line, what was found, what was expected.
    """
    text = _utf8(stream.read(), name)
    # Ignoring case is slow, so it begins in the line where the word is spelled as usual, if there is one.
    motion = _MOTION.search(text, text.rfind(b"\n", 0, max(text.find(b"MOTION"), 0)) + 1)
    header = text[: motion.start()] if motion else text
    try:
        cached = not skeletons and len(header) < _CACHED_BYTES
        rigs = _known_rigs(header, hints.guess) if cached else _read_rigs(header, skeletons, hints.guess)
    except ReadError as error:
        raise ReadError(f"{name}{error}") from error
    if motion is None:
        raise ReadError(f"{name}: no line 'MOTION' after the hierarchy; was the file cut?")
    frames, fps, start, notes = _read_motion_head(text, motion.end(), name, hints.fps)
    wanted = sorted({row for rig in rigs.bodies for row in rig.rows} | {row for _, row in rigs.scales})
    values = parse_rows(text, start, frames, rigs.channels, wanted, name)
    if values.shape[1] > frames:
        more = values.shape[1] - frames
        notes.append(f"{more} more row{'s were' if more > 1 else ' was'} left out than the {frames} frames stated")
        values = values[:, :frames]
    rows = {row: at for at, row in enumerate(wanted)}
    notes += [*rigs.notes, *_scaled(rigs, values, rows), *_in_radians(rigs, values, rows)]
    clips = []
    for number, rig in enumerate(rigs.bodies, start=1):
        try:
            told = _offsets_for_zeros(rig, values, rows)
            skeleton, positions, more = rig.placed(values, rows, hints)
            positions.flags.writeable = False  # so that the clip need not copy it
            called = f"{name}#{number}" if len(rigs.bodies) > 1 else name
            clips.append(
                Clip(name=called, skeleton=skeleton, positions=positions, fps=fps, notes=(*notes, *told, *more))
            )
        except (ShapeError, ReadError) as error:
            raise ReadError(f"{name}: {error}") from error
    return clips


def first_rig(data: bytes, name: str) -> Rig:
    """The first root of a file that is a body, guessed if its names are unknown.

    Raises:
        ReadError: As `read_all`.
    """
    text = _utf8(data, name)
    motion = _MOTION.search(text)
    try:
        return _read_rigs(text[: motion.start()] if motion else text, (), True).bodies[0]
    except ReadError as error:
        raise ReadError(f"{name}{error}") from error


class _Rigs(NamedTuple):
    """What the lines before MOTION say."""

    bodies: list[Rig]
    channels: int
    scales: list[tuple[str, int]]
    notes: list[str]


@lru_cache(maxsize=16)
def _known_rigs(header: bytes, guess: bool) -> _Rigs:
    """Files of an archive mostly share a few rigs, to the byte."""
    return _read_rigs(header, (), guess)


def _read_rigs(header: bytes, skeletons: Sequence[Skeleton], guess: bool) -> _Rigs:
    """Its errors begin with ":line:" and lack the file's name, which is not part of what is cached."""
    subjects, channels = read_hierarchy(header)
    bodies, failed, notes = [], [], []
    for subject in subjects:
        try:
            bodies.append(read_rig(subject.nodes, subject.ends, skeletons, guess))
        except SkeletonError as error:
            failed.append((subject, error))
    if not bodies:
        raise ReadError(f": {failed[0][1]}") from failed[0][1]
    if failed:
        names = ", ".join(repr(subject.nodes[0].name[:40]) for subject, _ in failed[:3])
        notes.append(f"{len(failed)} of {len(subjects)} roots are no body and were left out: {names}")
    if len(bodies) > 1:
        notes.append(f"{len(bodies)} roots: one clip for each")
    return _Rigs(bodies, channels, [scale for subject in subjects for scale in subject.scales], notes)


def _scaled(rigs: _Rigs, values: Float64[Array, "rows frames"], rows: Mapping[int, int]) -> list[str]:
    if not rigs.scales:
        return []
    scales = values[[rows[row] for _, row in rigs.scales]]
    if np.abs(scales - 1).max() <= _SCALED:
        return []
    return [f"scale channels of {scales.min():.3g} to {scales.max():.3g} were not applied: bones keep their lengths"]


def _in_radians(rigs: _Rigs, values: Float64[Array, "rows frames"], rows: Mapping[int, int]) -> list[str]:
    if values.shape[1] < _FEWEST:
        return []
    nodes = [node for rig in rigs.bodies for node in rig.nodes]
    turns = [rows[row] for node in nodes for _, row in node.turns if row in rows]
    # Most clips are told by a frame or two.
    if not turns or np.abs(values[turns, :: values.shape[1] // 2]).max() > _RADIANS[1]:
        return []
    largest = float(np.abs(values[turns]).max())
    if not _RADIANS[0] < largest <= _RADIANS[1]:
        return []
    return [
        f"no rotation goes beyond {largest:.2f} degrees: are they radians? BVH has degrees; multiply them by 57.2958"
    ]


def _offsets_for_zeros(rig: Rig, values: Float64[Array, "rows frames"], rows: Mapping[int, int]) -> tuple[str, ...]:
    """Put a joint's OFFSET where all its position channels are zero, in place, and tell it: no bone has no length.

    Programs write zeros where they do not animate a position: for all joints, for one, or in a frame of reference.
    """
    moved = [node for node in rig.nodes if node.parent >= 0 and node.shifts and any(node.offset)]
    mended: list[str] = []
    where: list[Any] = []
    for node in moved:
        shifts = [(node.offset[axis], rows[row]) for axis, row in node.shifts if row in rows and node.offset[axis]]
        if not shifts or values[max(shifts, key=lambda shift: abs(shift[0]))[1]].all():
            continue
        zero = np.logical_not(values[[rows[row] for _, row in node.shifts if row in rows]].any(axis=0))
        if zero.any():
            for offset, row in shifts:
                values[row, zero] = offset
            mended.append(node.name)
            where.append(zero)
    if not mended:
        return ()
    which = f"of all {len(mended)} joints below the root" if len(mended) == len(moved) else f"of {_some(mended)}"
    frames = np.any(where, axis=0)
    when = "" if np.all(where) else f" in {frames.sum()} of {len(frames)} frames"
    return (f"the position channels {which} are zero{when}: their OFFSETs were taken",)


def _some(names: Sequence[str]) -> str:
    listed = ", ".join(name[:40] for name in names[:3])
    return listed if len(names) < 4 else f"{listed} and {len(names) - 3} more joints"


def _utf8(data: bytes, name: str) -> bytes:
    if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.removeprefix(codecs.BOM_UTF8).rstrip(_PADDING)
        return data if b"\n" in data else data.replace(b"\r", b"\n")
    try:
        return data.decode("utf-16").encode("utf-8", "backslashreplace")
    except UnicodeDecodeError as error:
        raise ReadError(f"{name}: not UTF-16 text, as its first bytes say: {error.reason} at {error.start}") from error


def _read_motion_head(text: bytes, start: int, name: str, stated: float | None) -> tuple[int, float, int, list[str]]:
    """Number of frames, rate, where the rows begin, and what to tell of the rate."""

    def fail(at: int, message: str) -> NoReturn:
        line = text.count(b"\n", 0, at) + 1
        raise ReadError(f"{name}:{line}: {message}")

    head = _FRAMES.match(text, start)
    if head is None:
        found = text[start : start + 200].split(b"\n")[0].strip()[:40].decode("utf-8", "backslashreplace")
        fail(start, f"found {found!r} after MOTION, expected 'Frames: N', then 'Frame Time: seconds'")
    frames, seconds = (word.decode("utf-8", "backslashreplace") for word in head.groups())
    if not (frames.isascii() and frames.isdigit() and len(frames) < 19) or int(frames) == 0:
        fail(head.start(1), f"{frames[:40]!r} frames, expected a whole number above 0")
    if stated is not None:
        return int(frames), stated, head.end(), []
    time = parse_float(seconds)
    if time is None or time <= 0 or not math.isfinite(1 / time):
        fail(head.start(2), f"Frame Time is {seconds[:40]!r}, expected a number of seconds above 0")
    rate = whole_rate(1 / time)
    notes = []
    if not _SLOW <= rate <= _FAST:
        notes.append(
            f"Frame Time {seconds[:40]} means {rate:.3g} frames/s, which is doubtful: --source-fps says otherwise"
        )
    return int(frames), rate, head.end(), notes
