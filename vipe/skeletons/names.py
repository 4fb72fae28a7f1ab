"""Joint names as programs write them, reduced to what tells joints apart: no prefix, case, blank, or separator."""

__all__ = ["Plain", "bare", "plain_names", "sided"]

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_SEPARATORS = re.compile(r"[\s_\-.\"']+")
_NAMESPACE = re.compile(r"[:|]")
_SIDES = {
    **dict.fromkeys(("left", "lft", "lf", "lt", "l", "左"), "left"),
    **dict.fromkeys(("right", "rgt", "rt", "r", "右"), "right"),
}
_GLUED = ("left", "right", "lft", "rgt", "l", "r", "左", "右")  # sides without a separator, the longest first
_MOST = 0.6  # of the names that must begin, or end, alike for what they share to be a prefix or suffix
_FEWEST = 6  # names: of fewer, what they share says nothing
_DIFFERENT = 0.9  # of the numbers that names end with, for them to count the joints
_LAST_DIGITS = re.compile(r"[0-9]+\Z")
_FIRST_OF_CHAIN = re.compile(r"(?<=[a-z])01\Z")  # of bones in parts: "upperleg01", "upperleg02"
_LONGEST = 200  # letters of a name that is looked into; longer ones are nobody's
_LEADING = 3  # words before a joint's own name that may be something else, as in "J_Bip_L_UpperLeg"


@dataclass(frozen=True)
class Plain:
    """A joint's name in lower-case words, without what most names of the file begin or end with."""

    words: tuple[str, ...]

    @property
    def key(self) -> str:
        """The words in one."""
        return "".join(self.words)


def bare(name: str) -> str:
    """A name without namespace, case and separators.

    >>> bare("mixamorig:LeftUpLeg"), bare("Armature|upper_arm.L"), bare("Bip01 L Thigh")
    ('leftupleg', 'upperarml', 'bip01lthigh')
    """
    return "".join(_words(name))


def plain_names(names: Sequence[str]) -> list[Plain]:
    """The names of one rig; words that most of them begin or end with are left out, and numbers that count the joints.

    >>> [name.key for name in plain_names([f"{joint}_{i:02}" for i, joint in enumerate(["Hips", "Arm", *"ABCD"])])]
    ['hips', 'arm', 'a', 'b', 'c', 'd']
    >>> [name.key for name in plain_names([f"Hero_{joint}" for joint in ("Hips", "Spine", "L_Leg", "R_Leg", "A", "B")])]
    ['hips', 'spine', 'lleg', 'rleg', 'a', 'b']
    """
    words = _uncounted([_words(name) for name in names])
    for end in (0, -1):
        for _ in range(_LEADING):
            counted = Counter(one[end] for one in words if len(one) > 1).most_common(1)
            if len(names) < _FEWEST or not counted or counted[0][1] < _MOST * len(names) or counted[0][0] in _SIDES:
                break
            shared = counted[0][0]
            words = [_without(one, shared, end) for one in words]
    glued = _glued(["".join(one) for one in words])
    if glued:
        words = [_unglued(one, glued) for one in words]
    digits = _LAST_DIGITS.search(_glued(["".join(one)[::-1] for one in words], least=1)[::-1])
    if digits:
        words = [[*one[:-1], one[-1].removesuffix(digits[0]) or one[-1]] for one in words]
    return [Plain(tuple(one)) for one in words]


def sided(name: Plain) -> Iterator[tuple[str, str]]:
    """What a name may mean, likeliest first: (side, the rest), where the side is "left", "right" or "".

    A side is a word of its own anywhere (`L_Hip`, `Hip_R`, `Bip01 L Thigh`), or the beginning or end of the name
    (`LeftHip`, `lThigh`, `ThighLeft`). Whether the rest is the name of a joint is for a table to say.

    >>> list(sided(Plain(("l", "hip"))))[0], ("left", "shldr") in sided(Plain(("lshldr",)))
    (('left', 'hip'), True)
    """
    for side, rest in _sided(name.words):
        yield side, rest
        if _FIRST_OF_CHAIN.search(rest):
            yield side, rest[:-2]


def _sided(words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    at = next((i for i, word in enumerate(words) if word in _SIDES), None)
    if at is not None:
        rest = words[:at] + words[at + 1 :]
        for start in range(min(len(rest), _LEADING + 1)):
            yield _SIDES[words[at]], "".join(rest[start:])
        return
    for start in range(min(len(words), _LEADING + 1)):
        key = "".join(words[start:])
        yield "", key
        for side in _GLUED:
            if key.startswith(side) and len(key) > len(side):
                yield _SIDES[side], key[len(side) :]
            if key.endswith(side) and len(key) > len(side):
                yield _SIDES[side], key[: -len(side)]


def _words(name: str) -> list[str]:
    parts = [part for part in _NAMESPACE.split(name) if part.strip()]
    own = parts[-1] if parts else name
    if len(own) > _LONGEST:
        return [own]
    return [word for word in _SEPARATORS.split(own.casefold()) if word] or [own.casefold()]


def _without(words: list[str], shared: str, end: int) -> list[str]:
    if len(words) < 2 or words[end] != shared:
        return words
    return words[1:] if end == 0 else words[:-1]


def _uncounted(words: list[list[str]]) -> list[list[str]]:
    """The names without numbers that count a file's joints, as some programs add them: "Hips_01", "Spine_02"."""
    numbers = [one[-1] for one in words if len(one) > 1 and one[-1].isdecimal()]
    if len(words) < _FEWEST or len(numbers) < _MOST * len(words) or len(set(numbers)) < _DIFFERENT * len(numbers):
        return words
    return [one[:-1] if len(one) > 1 and one[-1].isdecimal() else one for one in words]


def _glued(keys: Sequence[str], least: int = 4) -> str:
    """What all names but a few begin with, without a separator after it: "mixamorig" of "mixamorigHips"."""
    if len(keys) < _FEWEST:
        return ""
    ordered = sorted(keys)
    first, last = ordered[len(ordered) // 10], ordered[-1 - len(ordered) // 10]
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:same] if same >= least else ""


def _unglued(words: list[str], glued: str) -> list[str]:
    key = "".join(words)
    rest = key[len(glued) :]
    if not key.startswith(glued) or not rest:
        return words
    return [words[0][len(glued) :], *words[1:]] if len(words[0]) > len(glued) else [rest]
