"""Biovision Hierarchy (BVH): a rig and the values of its channels in one text file."""

__all__ = ["read"]

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BufferedIOBase
from typing import NoReturn

from vipe.clips import Clip
from vipe.errors import ReadError, ShapeError, SkeletonError
from vipe.readers.kinematics import Node, Plan, forward_kinematics, world_axes
from vipe.readers.numbers import parse_float, parse_rows
from vipe.skeletons import Skeleton, detect

_CHANNELS = {
    "xposition": (True, 0),
    "yposition": (True, 1),
    "zposition": (True, 2),
    "xrotation": (False, 0),
    "yrotation": (False, 1),
    "zrotation": (False, 2),
}
_COUNTS = tuple(str(count) for count in range(len(_CHANNELS) + 1))
_EXPECTED = "Xposition ... Zposition, Xrotation ... Zrotation"
_MOTION = re.compile(rb"^[ \t]*MOTION[ \t]*\r?(?:\n|\Z)", re.MULTILINE | re.IGNORECASE)
_FRAMES = re.compile(
    rb"\s*Frames[ \t]*:[ \t]*(\S*)[ \t]*\r?\n\s*Frame[ \t]+Time[ \t]*:[ \t]*(\S*)[ \t]*\r?(?:\n|\Z)", re.I
)
# Rates are written with few digits: 0.016667 is meant to be 60 Hz. NTSC's 29.97 Hz, 0.1% below 30, must stay.
_RATE_ROUNDING = 5e-4
_CACHED_BYTES = 1 << 20


def read(stream: BufferedIOBase, name: str, skeletons: Sequence[Skeleton] = ()) -> Clip:
    """Read one Biovision Hierarchy file as joint positions in world space.

    BVH states neither unit nor up axis: both come from the skeleton that its joint names match. Channels apply in
    the order in which the file lists them, and a position channel replaces that component of the joint's OFFSET.
    A rate within 0.05% of a whole number is rounded to it; any other rate is 1 / Frame Time.

    Args:
        stream: The file's bytes.
        name: What to call it in the clip and in errors.
        skeletons: A user's own, tried before those of the library.

    Raises:
        ReadError: If it is not BVH, is cut, or no skeleton matches; gives line, what was found, what was expected.
    """
    text = stream.read().removeprefix(b"\xef\xbb\xbf")
    # Ignoring case is slow, so it begins in the line where the word is spelled as usual, if there is one.
    motion = _MOTION.search(text, text.rfind(b"\n", 0, max(text.find(b"MOTION"), 0)) + 1)
    header = text[: motion.start()] if motion else text
    try:
        cached = not skeletons and len(header) < _CACHED_BYTES
        rig = _known_rig(header) if cached else _read_rig(header, skeletons)
    except ReadError as error:
        raise ReadError(f"{name}{error}") from error
    if motion is None:
        raise ReadError(f"{name}: no line 'MOTION' after the hierarchy; was the file cut?")
    frames, fps, start = _read_motion_head(text, motion.end(), name)
    values = parse_rows(text, start, frames, rig.channels, rig.plan.rows, name)
    positions = forward_kinematics(rig.plan, values, world_axes(rig.skeleton.up, rig.skeleton.unit))
    try:
        return Clip(name=name, skeleton=rig.skeleton, positions=positions, fps=fps)
    except ShapeError as error:
        raise ReadError(f"{name}: {error}") from error


@dataclass(frozen=True)
class _Rig:
    """What the lines before MOTION say."""

    skeleton: Skeleton
    plan: Plan
    channels: int


@lru_cache(maxsize=16)
def _known_rig(header: bytes) -> _Rig:
    """Files of an archive mostly share a few rigs, to the byte."""
    return _read_rig(header, ())


def _read_rig(header: bytes, skeletons: Sequence[Skeleton]) -> _Rig:
    """Its errors begin with ":line:" and lack the file's name, which is not part of what is cached."""
    joints, channels = _read_hierarchy(header)
    where = {joint.name: i for i, joint in enumerate(joints)}
    try:
        skeleton = detect(tuple(where), skeletons)
    except SkeletonError as error:
        raise ReadError(f": {error}") from error
    sites = {site.name: site for site in skeleton.sites if site.joint in where}
    skeleton = skeleton.restricted({*where, *sites})
    wanted = []
    for joint in skeleton.joints:
        if joint in sites:
            x, y, z = (metres / skeleton.unit for metres in sites[joint].offset)
            joints.append(Node(name=joint, parent=where[sites[joint].joint], offset=(x, y, z)))
            wanted.append(len(joints) - 1)
        else:
            wanted.append(where[joint])
    return _Rig(skeleton, Plan.of(joints, wanted), channels)


class _Words:
    """The words of a text, taken one by one; knows the line of the last one taken."""

    def __init__(self, text: bytes) -> None:
        try:
            self._text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            line = text.count(b"\n", 0, error.start) + 1
            raise ReadError(f":{line}: byte 0x{text[error.start]:02x} is not UTF-8 text") from error
        self._words = self._text.split()
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._words)

    def take(self, expected: str) -> str:
        try:
            word = self._words[self._at]
        except IndexError:
            raise ReadError(f": the file ends within the hierarchy, expected {expected}; was it cut?") from None
        self._at += 1
        return word

    def title(self) -> str:
        """The words before the next brace: names may have blanks in them."""
        start = self._at
        while self.take("'{'") != "{":
            pass
        return " ".join(self._words[start : self._at - 1])

    def offset(self) -> tuple[float, float, float]:
        x, y, z = (parse_float(self.take("three numbers of OFFSET")) for _ in range(3))
        if x is None or y is None or z is None:
            found = " ".join(self._words[self._at - 3 : self._at])
            self.fail(f"OFFSET is {found[:60]!r}, expected three finite numbers", back=2)
        return x, y, z

    def fail(self, message: str, *, back: int = 0) -> NoReturn:
        """Refuse the last word taken, or the one so many words before it."""
        left = self._at - back
        for line, content in enumerate(self._text.splitlines(), start=1):
            left -= len(content.split())
            if left <= 0:
                raise ReadError(f":{line}: {message}")
        raise ReadError(f": {message}")


def _read_hierarchy(text: bytes) -> tuple[list[Node], int]:
    """The joints, parents first, and how many channels they have together."""
    words = _Words(text)
    if (found := words.take("HIERARCHY")).upper() != "HIERARCHY":
        words.fail(f"found {found[:40]!r}, expected HIERARCHY; is it BVH?")
    joints: dict[str, _Joint] = {}
    open_: list[_Joint | None] = []  # joints whose brace is open; None for an End Site
    channels = 0
    while words or open_ or not joints:
        found = words.take("'}' or JOINT" if open_ else "ROOT")
        word = found.upper()
        joint = open_[-1] if open_ else None
        if word in ("ROOT", "JOINT", "END"):
            title = words.title()
            if word == "ROOT" and joints:
                first = next(iter(joints))
                words.fail(f"a second root {title!r} beside {first!r}; expected one subject in a file", back=1)
            if word != "ROOT" and joint is None:
                words.fail(f"{word} {title!r} outside of a joint, expected {'}' if joints else 'ROOT'}", back=1)
            if word == "END":
                open_.append(None)
                continue
            if not title or title in joints:
                words.fail(f"joint {title!r} is listed twice" if title else "a joint without a name", back=1)
            if not title.isprintable():
                words.fail(f"joint {title[:40]!r} has control characters in its name", back=1)
            joints[title] = _Joint(title, len(joints), -1 if joint is None else joint.at)
            open_.append(joints[title])
        elif word == "}" and open_:
            open_.pop()
        elif word == "OFFSET" and open_:
            offset = words.offset()
            if joint is not None:
                joint.offset = offset
        elif word == "CHANNELS" and joint is not None:
            if joint.shifts or joint.turns:
                words.fail(f"joint {joint.name!r} has two lines of CHANNELS")
            channels += _read_channels(words, joint, channels)
        elif open_:
            words.fail(f"found {found[:40]!r}, expected OFFSET, CHANNELS, JOINT, End Site or '}}'")
        else:
            words.fail(f"found {found[:40]!r}, expected {'MOTION' if joints else 'ROOT'}")
    if channels == 0:
        raise ReadError(": no joint has a channel, expected at least one line of CHANNELS")
    return [joint.node() for joint in joints.values()], channels


class _Joint:
    """A joint whose lines are still being read."""

    __slots__ = ("at", "name", "offset", "parent", "shifts", "turns")

    def __init__(self, name: str, at: int, parent: int) -> None:
        self.name, self.at, self.parent = name, at, parent
        self.offset = (0.0, 0.0, 0.0)
        self.shifts: list[tuple[int, int]] = []  # axis, row of the values
        self.turns: list[tuple[int, int]] = []

    def node(self) -> Node:
        return Node(self.name, self.parent, self.offset, tuple(self.shifts), tuple(self.turns))


def _read_channels(words: _Words, joint: _Joint, row: int) -> int:
    """Give the joint its channels, whose values begin at a row; return how many."""
    count = words.take("the number of channels")
    if count not in _COUNTS:
        words.fail(f"joint {joint.name!r} has {count[:40]!r} channels, expected 0 to {len(_CHANNELS)}")
    for i in range(int(count)):
        channel = words.take(f"{count} channels")
        move = _CHANNELS.get(channel.lower())
        if move is None:
            words.fail(f"joint {joint.name!r} has channel {channel[:40]!r}; expected {count} of {_EXPECTED}")
        shift, axis = move
        moves = joint.shifts if shift else joint.turns
        for other, _ in moves:
            if other == axis:
                words.fail(f"joint {joint.name!r} has channel {channel!r} twice")
        moves.append((axis, row + i))
    return int(count)


def _read_motion_head(text: bytes, start: int, name: str) -> tuple[int, float, int]:
    """Number of frames, rate, and where the rows begin."""

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
    time = parse_float(seconds)
    if time is None or time <= 0 or not math.isfinite(1 / time):
        fail(head.start(2), f"Frame Time is {seconds[:40]!r}, expected a number of seconds above 0")
    rate = 1 / time
    whole = round(rate)
    return int(frames), float(whole) if whole and abs(rate / whole - 1) < _RATE_ROUNDING else rate, head.end()
