"""Names of 2D joints, as annotators and detectors write them, told as those of coco13."""

__all__ = ["joint_of", "joint_places", "skeleton_named", "words_of"]

import re
from collections.abc import Sequence
from functools import lru_cache

from vipe.skeletons import Skeleton, load
from vipe.skeletons.working import COCO13

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])")
_APART = re.compile(r"[^a-z0-9]+")
_SIDES = {"left": "left", "right": "right", "l": "left", "r": "right"}
_PARTS = {
    "shoulder": ("shoulder", "sho", "shldr", "should"),
    "elbow": ("elbow", "elb", "elbo"),
    "wrist": ("wrist", "wri"),
    "hip": ("hip",),
    "knee": ("knee", "kne"),
    "ankle": ("ankle", "ank"),
}
_LESS = {"wrist": ("hand",), "ankle": ("foot",)}  # as Human3.6M calls them; only where the proper name is missing
_PART = {word: part for part, words in _PARTS.items() for word in words}
_LESS_PART = {word: part for part, words in _LESS.items() for word in words}
_SAYS_NOTHING = frozenset({"joint", "keypoint", "kp", "kpt", "center", "point", "body", "part", "person", "landmark"})
_LONGEST_NAME = 200


def words_of(name: str) -> tuple[str, ...]:
    """The words of a name in lower case: `leftShoulder_x` is (left, shoulder, x)."""
    return tuple(word for word in _APART.split(_CAMEL.sub(" ", name[:_LONGEST_NAME]).casefold()) if word)


@lru_cache(4096)
def joint_of(name: str, *, loosely: bool = False) -> str | None:
    """The joint of coco13 that a name means; None if it means another one, or nothing known.

    Args:
        name: Such as "LShoulder", "left shoulder", "shoulder_left", "LEFT_SHOULDER".
        loosely: Whether a hand is a wrist and a foot an ankle, as in Human3.6M's names.

    Example:
        >>> joint_of("LShoulder"), joint_of("Right-Ankle"), joint_of("Nose"), joint_of("left_eye")
        ('left_shoulder', 'right_ankle', 'nose', None)
    """
    parts = _PART | _LESS_PART if loosely else _PART
    words = [word for word in words_of(name) if not word.isdigit() and word not in _SAYS_NOTHING]
    if words == ["nose"]:
        return "nose"
    sides = [_SIDES[word] for word in words if word in _SIDES]
    others = [word for word in words if word not in _SIDES]
    if len(sides) == 1 and len(others) == 1:
        return f"{sides[0]}_{parts[others[0]]}" if others[0] in parts else None
    if len(sides) == 0 and len(others) == 1:
        return _glued(others[0], parts)
    return None


def _glued(word: str, parts: dict[str, str]) -> str | None:
    """A side and a part in one word: `lshoulder`, `kneeright`."""
    for side in ("left", "right", "l", "r"):  # the longest first
        for rest in (word.removeprefix(side), word.removesuffix(side)):
            if rest != word and rest in parts:
                return f"{_SIDES[side]}_{parts[rest]}"
    return None


def joint_places(names: Sequence[str]) -> dict[str, int]:
    """Where each joint of coco13 stands among names, first come first served.

    Hands and feet stand for wrists and ankles where none has the proper name.

    Example:
        >>> joint_places(["neck", "RWrist", "left_foot"])
        {'right_wrist': 1, 'left_ankle': 2}
    """
    found: dict[str, int] = {}
    for loosely in (False, True):
        for place, name in enumerate(names):
            joint = joint_of(name, loosely=loosely)
            if joint is not None:
                found.setdefault(joint, place)
    return found


def skeleton_named(names: Sequence[str], called: str) -> Skeleton | None:
    """The skeleton of joints by their names; None if they are numbers, or lack a joint of coco13 other than the nose.

    Args:
        names: Of the joints, in the order of the numbers.
        called: What to call the skeleton in errors.

    Example:
        >>> skeleton_named(load("coco17").joints, "mine").name
        'coco17'
    """
    plain = tuple("_".join(words_of(name)) for name in names)
    for known in ("coco17", "coco133"):
        if plain == load(known).joints:
            return load(known)
    places = joint_places(names)
    if set(COCO13.joints) - {"nose"} - set(places):
        return None
    joints = tuple(f"{place} {name}" for place, name in enumerate(names))  # a name may be there twice
    table = {joint: None if joint not in places else {joints[places[joint]]: 1.0} for joint in COCO13.joints}
    return Skeleton(name=called, joints=joints, parents=(-1,) * len(joints), conversions={COCO13.name: table})
