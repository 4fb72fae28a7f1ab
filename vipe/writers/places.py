"""Places of a body that joints of a rig sit at: its own joints, the skull, and where bones bend (numpy)."""

__all__ = ["Places", "units"]

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.geometry.bones import SHORTEST
from vipe.skeletons import Skeleton

_Track: TypeAlias = Float64[Array, "frames 3"]

_SKULL = (0.136, 0.72)  # of the height from nose to crown: up from the nose, and away from it; see `_skull`
_STILL = 5e-5  # metres: a bone that changes its length less over the frames counts as rigid
_SLACK = 1.01  # of the longest that a bone gets: so long are its two halves, so that it never stretches quite straight


@dataclass(frozen=True, kw_only=True)
class _Bend:
    """A bone that changes its length, as two rigid ones with a joint between them."""

    ends: tuple[str, str]
    towards: Literal["front", "back", "up", "crown", "behind"]  # where it bends to; `behind` is away from the nose
    skull: bool = False  # whether the two bones are as long as those that meet at the skull, else one as the other


_BENDS = {
    "lumbar": _Bend(ends=("pelvis", "spine"), towards="front"),
    "chest": _Bend(ends=("spine", "thorax"), towards="back"),
    "left_blade": _Bend(ends=("thorax", "left_shoulder"), towards="up"),
    "right_blade": _Bend(ends=("thorax", "right_shoulder"), towards="up"),
    "neck": _Bend(ends=("thorax", "nose"), towards="crown", skull=True),
    "nape": _Bend(ends=("thorax", "head"), towards="behind", skull=True),
}
_SOCKETS = ("left_socket", "right_socket")


class Places:
    """Where places are: in each frame of a clip, and in the rest pose. Each is found once.

    A place is a joint of the skeleton; on h36m17 also `skull`, the top of the neck, the bends `lumbar`, `chest`,
    `left_blade`, `right_blade`, `neck` and `nape`, and the sockets `left_socket` and `right_socket`. In recordings,
    some distances between joints of h36m17 change by millimetres, because the recorded rig has joints there that h36m17
    lacks. A bend stands for such a joint: it keeps its distances to both ends. Where the distance of the ends does not
    change, it lies half way between them. A socket lies at the pelvis, for bones to the hips that turn against it.
    """

    def __init__(
        self, positions: Float64[Array, "frames joints 3"], rest: Float64[Array, "joints 3"], skeleton: Skeleton
    ) -> None:
        self._all = np.concatenate([positions, rest[None]])
        self._skeleton = skeleton
        self._found: dict[str, _Track] = {}

    def moving(self, name: str) -> _Track:
        """A place in each frame."""
        return self._both(name)[:-1]

    def resting(self, name: str) -> Float64[Array, "3"]:
        """A place in the rest pose."""
        return np.asarray(self._both(name)[-1])

    def straight(self, name: str) -> bool:
        """Whether a place is a bend or a socket that is not needed."""
        if name in _SOCKETS:
            return self._hips_are_one
        return name in _BENDS and self._rigid(*_BENDS[name].ends)

    @cached_property
    def _hips_are_one(self) -> bool:
        """Whether the hips keep their places on a line through the pelvis."""
        pelvis, left, right = (self.moving(name) for name in ("pelvis", "left_hip", "right_hip"))
        aside = np.linalg.norm(np.cross(units(left - right), pelvis - right), axis=-1).max()
        return bool(aside <= _STILL) and self._rigid("pelvis", "left_hip") and self._rigid("pelvis", "right_hip")

    def _both(self, name: str) -> _Track:
        if name not in self._found:
            if name in self._skeleton.joints:
                self._found[name] = self._all[:, self._skeleton.index(name)]
            elif name == "skull":
                self._found[name] = _skull(*(self._both(joint) for joint in ("thorax", "nose", "head")))
            elif name in _SOCKETS:
                self._found[name] = self._both("pelvis")
            elif name in _BENDS:
                self._found[name] = self._bent(name)
            else:
                self._skeleton.index(name)  # says which joints there are
        return self._found[name]

    def _rigid(self, one: str, other: str) -> bool:
        length = np.linalg.norm(self.moving(one) - self.moving(other), axis=-1)
        return bool(np.ptp(length) <= _STILL)

    def _bent(self, name: str) -> _Track:
        bend = _BENDS[name]
        start, end = (self._both(one) for one in bend.ends)
        if self._rigid(*bend.ends) and (name != "nape" or self._rigid("thorax", "skull")):
            return self._both("skull") if name == "nape" else (start + end) / 2
        distance = np.linalg.norm(end - start, axis=-1)[:-1]
        lengths, at_rest = [float(distance.max()) / 2] * 2, (start[-1] + end[-1]) / 2
        if bend.skull:
            skull = self._both("skull")
            lengths = [float(np.linalg.norm(skull - one, axis=-1)[:-1].mean()) for one in (start, end)]
            at_rest = skull[-1]
        short = max(1.0, _SLACK * float(distance.max()) / max(sum(lengths), SHORTEST))
        found = _between(start, end, self._direction(bend.towards), lengths[0] * short, lengths[1] * short)
        found[-1] = at_rest
        return found

    def _direction(self, name: str) -> _Track:
        if name in ("crown", "behind"):
            away = self._both("head" if name == "crown" else "nose") - self._both("thorax")
            return away if name == "crown" else -away
        up = self._both("thorax") - self._both("spine")
        if name == "up":
            return up
        if name == "back":
            return -np.cross(self._both("left_shoulder") - self._both("right_shoulder"), up)
        return np.cross(self._both("left_hip") - self._both("right_hip"), self._both("spine") - self._both("pelvis"))


def units(vectors: Float64[Array, "*batch 3"]) -> Float64[Array, "*batch 3"]:
    """Unit vectors; zero for one without length."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(np.where(length > SHORTEST, vectors / np.maximum(length, SHORTEST), 0))


def _skull(thorax: _Track, nose: _Track, crown: _Track) -> _Track:
    """The top of the neck, in the plane of the three, at constant distances from nose and crown.

    The two numbers of `_SKULL` follow from the heads of the reference body; on recorded nods the distance of this point
    from the thorax then has a standard deviation of 1.8 mm, that of the nose one of 6.4 mm.
    """
    height = np.linalg.norm(crown - nose, axis=-1, keepdims=True)
    up, back = units(crown - nose), thorax - nose
    away = units(back - (back * up).sum(axis=-1, keepdims=True) * up)
    return np.asarray(nose + height * (_SKULL[0] * up + _SKULL[1] * away))


def _between(start: _Track, end: _Track, towards: _Track, first: float, second: float) -> _Track:
    """The point at two distances from two ends, on the side where `towards` points from the line between them."""
    apart = np.linalg.norm(end - start, axis=-1, keepdims=True)
    along = units(end - start)
    foot = (first**2 - second**2 + apart**2) / (2 * np.maximum(apart, SHORTEST))
    across = units(towards - (towards * along).sum(axis=-1, keepdims=True) * along)
    return np.asarray(start + foot * along + np.sqrt(np.maximum(first**2 - foot**2, 0)) * across)
