"""The hierarchy of a BVH file: its subjects, their joints, and which channels of a row move them."""

__all__ = ["Subject", "read_hierarchy"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from vipe.errors import ReadError
from vipe.readers.numbers import parse_float
from vipe.readers.rigs.kinematics import Node

_SHIFT, _TURN, _SCALE = range(3)
_CHANNELS = {
    f"{axis}{kind}": (which, place)
    for which, kind in enumerate(("position", "rotation", "scale"))
    for place, axis in enumerate("xyz")
}
_COUNTS = tuple(str(count) for count in range(len(_CHANNELS) + 1))
_EXPECTED = "Xposition ... Zposition, Xrotation ... Zrotation"
_SHOWN = 40  # characters of what a file says in a message


@dataclass(frozen=True)
class Subject:
    """All joints under one root: its joints, parents first, then the ends of its last bones (End Sites).

    An end has the name that the file gives it (`End Site Toe`), else that of its joint with `_End`.
    """

    nodes: Sequence[Node]
    ends: int  # how many of the nodes are ends
    scales: Sequence[tuple[str, int]]  # joint and row of the values of each scale channel


def read_hierarchy(text: bytes) -> tuple[list[Subject], int]:
    r"""The subjects of a file, one a root, and how many channels they have together.

    Bytes of text that is not UTF-8 become `\x82` in names, which matters only if a joint of that name is needed.

    Raises:
        ReadError: If it is not BVH; begins with ":line:" and lacks the file's name.
    """
    words = _Words(text)
    if (found := words.take("HIERARCHY")).upper() != "HIERARCHY":
        words.fail(f"found {found[:_SHOWN]!r}, expected HIERARCHY; is it BVH?")
    subjects: list[_Subject] = []
    open_: list[_Joint | None] = []  # joints whose brace is open; None for an End Site
    channels = 0
    while words or open_ or not subjects:
        found = words.take("'}' or JOINT" if open_ else "ROOT")
        word = found.upper()
        joint = open_[-1] if open_ else None
        if word in ("ROOT", "JOINT", "END"):
            title = words.title()
            if word == "ROOT" and open_:
                words.fail(f"ROOT {title[:_SHOWN]!r} within a joint, expected JOINT or '}}'", back=1)
            if word != "ROOT" and joint is None:
                words.fail(
                    f"{word} {title[:_SHOWN]!r} outside of a joint, expected {'}' if subjects else 'ROOT'}", back=1
                )
            if word == "END":
                assert joint is not None
                open_.append(None)
                subjects[-1].ends.append((joint, title.partition(" ")[2], (0.0, 0.0, 0.0)))
                continue
            if word == "ROOT":
                subjects.append(_Subject())
            open_.append(subjects[-1].add(title, joint, words))
        elif word == "}" and open_:
            open_.pop()
        elif word == "OFFSET" and open_:
            offset = words.offset()
            if joint is not None:
                joint.offset = offset
            else:
                ends = subjects[-1].ends
                ends[-1] = (*ends[-1][:2], offset)
        elif word == "CHANNELS" and joint is not None:
            if joint.shifts or joint.turns or joint.scales:
                words.fail(f"joint {joint.name[:_SHOWN]!r} has two lines of CHANNELS")
            channels += _read_channels(words, joint, channels)
        elif open_:
            words.fail(f"found {found[:_SHOWN]!r}, expected OFFSET, CHANNELS, JOINT, End Site or '}}'")
        else:
            words.fail(f"found {found[:_SHOWN]!r}, expected {'MOTION' if subjects else 'ROOT'}")
    if channels == 0:
        raise ReadError(": no joint has a channel, expected at least one line of CHANNELS")
    return [subject.done() for subject in subjects], channels


class _Subject:
    """A root and what is below it, whose lines are still being read."""

    def __init__(self) -> None:
        self.joints: dict[str, _Joint] = {}
        self.ends: list[tuple[_Joint, str, tuple[float, float, float]]] = []

    def add(self, title: str, above: "_Joint | None", words: "_Words") -> "_Joint":
        shown = title if len(title) <= _SHOWN else f"{title[:_SHOWN]}..."
        if not title or title in self.joints:
            words.fail(f"joint {shown!r} is listed twice" if title else "a joint without a name", back=1)
        if not title.isprintable():
            words.fail(f"joint {shown!r} has control characters in its name", back=1)
        self.joints[title] = _Joint(title, len(self.joints), -1 if above is None else above.at)
        return self.joints[title]

    def done(self) -> Subject:
        nodes = [joint.node() for joint in self.joints.values()]
        taken = set(self.joints)
        for joint, name, offset in self.ends:
            called = name if name and name.isprintable() and name not in taken else f"{joint.name}_End"
            if called in taken:
                continue  # the end of a joint whose name has the one that this would get
            taken.add(called)
            nodes.append(Node(called, joint.at, offset))
        return Subject(
            nodes,
            len(nodes) - len(self.joints),
            [(joint.name, row) for joint in self.joints.values() for row in joint.scales],
        )


class _Words:
    """The words of a text, taken one by one; knows the line of the last one taken."""

    def __init__(self, text: bytes) -> None:
        try:
            self._text = text.decode("utf-8")
        except UnicodeDecodeError:
            self._text = text.decode("ascii", "backslashreplace")
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


class _Joint:
    """A joint whose lines are still being read."""

    __slots__ = ("at", "name", "offset", "parent", "scales", "shifts", "turns")

    def __init__(self, name: str, at: int, parent: int) -> None:
        self.name, self.at, self.parent = name, at, parent
        self.offset = (0.0, 0.0, 0.0)
        self.shifts: list[tuple[int, int]] = []  # axis, row of the values
        self.turns: list[tuple[int, int]] = []
        self.scales: list[int] = []

    def node(self) -> Node:
        return Node(self.name, self.parent, self.offset, tuple(self.shifts), tuple(self.turns))


def _read_channels(words: _Words, joint: _Joint, row: int) -> int:
    """Give the joint its channels, whose values begin at a row; return how many."""
    count, name = words.take("the number of channels"), joint.name[:_SHOWN]
    if count not in _COUNTS:
        words.fail(f"joint {name!r} has {count[:_SHOWN]!r} channels, expected 0 to 6, or 9 with scales")
    seen: set[str] = set()
    for i in range(int(count)):
        channel = words.take(f"{count} channels")
        move = _CHANNELS.get(channel.lower())
        if move is None:
            words.fail(f"joint {name!r} has channel {channel[:_SHOWN]!r}; expected {count} of {_EXPECTED}")
        if channel.lower() in seen:
            words.fail(f"joint {name!r} has channel {channel!r} twice")
        seen.add(channel.lower())
        kind, axis = move
        if kind == _SCALE:
            joint.scales.append(row + i)
        else:
            (joint.shifts if kind == _SHIFT else joint.turns).append((axis, row + i))
    return int(count)
