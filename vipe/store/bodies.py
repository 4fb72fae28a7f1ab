"""The bodies of a store's clips: their sizes, what of them no person has, and what their readers noted (numpy)."""

__all__ = ["BONES", "Bodies", "Body", "Note", "body_of", "doubts", "merged"]

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from vipe.arrays import Array
from vipe.clips import Clip
from vipe.skeletons import convert, known, load
from vipe.skeletons.body import PERSON, body_axes, measure
from vipe.skeletons.working import BONES as H36M_BONES
from vipe.skeletons.working import CHILDREN, H36M17, PARENTS

BONES = ("height", *PERSON, "head")
"""What is measured of a body, metres: its height, standing; its main bones; its head, from the thorax to its top."""

_LOOKED_AT = 48  # frames of a clip
_NOTES = 200  # different ones that a part of a store keeps
_ANKLE = 0.095  # metres from an adult's ankle to the floor, per `Measures.size`
_HEIGHT = (1.1, 2.2)  # metres; smaller and larger people exist, and are rarer than wrong units
_PART = (0.55, 1.7)  # of what the rest of the body speaks for
_HEAD = (0.2, 1.2)  # of the trunk
_SIDES = 1.2  # longer bone against shorter one
_REACH = 1.0  # of the height, from the pelvis; raised hands reach 0.65
_VARIES = 0.25  # of a bone's length, between its 5th and 95th percentile
_MOST = 0.9  # of the frames
_STRAIGHT = 0.9  # cosine between trunk and legs of one who is stretched out
_ORDER = 3  # impossible bones that speak for another order of joints
_PAIRS = {
    "thigh": ("hip", "knee"),
    "shin": ("knee", "ankle"),
    "upper arm": ("shoulder", "elbow"),
    "forearm": ("elbow", "wrist"),
}


@dataclass(frozen=True)
class Body:
    """A clip's body: lengths in metres, by the names of `BONES`, and what no person has."""

    lengths: Mapping[str, float]
    doubts: tuple[str, ...]


class Note(NamedTuple):
    """What the reader of clips assumed or left out, or what is doubtful about their bodies."""

    text: str
    clips: int
    first: str  # the first of them


def body_of(positions: Float32[Array, "frames 17 3"]) -> Body:
    """Measure the body of a clip on h36m17, medians over frames."""
    few = positions[np.unique(np.linspace(0, len(positions) - 1, _LOOKED_AT).round().astype(int))].astype(np.float64)
    of = {joint: few[:, i] for i, joint in enumerate(H36M17.joints)}
    lengths = _lengths(of)
    return Body(lengths, (*doubts(of, lengths), *_out_of_reach(positions, lengths["height"])))


def doubts(of: Mapping[str, Array], lengths: Mapping[str, float]) -> tuple[str, ...]:
    """What no person has, of a body on h36m17.

    Args:
        of: Positions of its joints, (frames, 3) each.
        lengths: As in `Body`.
    """
    found = []
    if not _HEIGHT[0] <= lengths["height"] <= _HEIGHT[1]:
        found.append(f"a height of {lengths['height']:.2g} m; is the unit right?")
    bones, varying = _impossible(of, lengths)
    found += bones
    if varying:
        found.append(f"bones that change their length: {', '.join(varying)}")
    found += _directions(of)
    if len(bones) + len(varying) >= _ORDER:
        order = _order(of)
        if order:
            found.append(f"its joints lie in the order of {order}, not of h36m17: --array-skeleton {order} reads it so")
        else:
            found.append("so many impossible bones: is the order of its joints that of h36m17?")
    return tuple(found)


def _lengths(of: Mapping[str, Array]) -> dict[str, float]:
    measured = measure(of)
    head = float(np.median(np.linalg.norm(of["head"] - of["thorax"], axis=1)))
    bones = measured.bones
    height = _ANKLE * measured.size + bones["thigh"] + bones["shin"] + bones["trunk"] + head
    return {"height": height, **bones, "head": head}


def _impossible(of: Mapping[str, Array], lengths: Mapping[str, float]) -> tuple[list[str], list[str]]:
    """What of the lengths no person has, and the bones that change theirs."""
    found = []
    for bone, usual in PERSON.items():
        others = sorted(lengths[other] / PERSON[other] for other in PERSON if other != bone)
        expected = usual * (others[1] + others[2]) / 2
        if not _PART[0] * expected <= lengths[bone] <= _PART[1] * expected:
            article = "an" if bone == "upper arm" else "a"
            found.append(
                f"{article} {bone} of {lengths[bone]:.2g} m, of which the rest of the body speaks for {expected:.2g} m"
            )
    trunk = max(lengths["trunk"], 1e-9)
    if not _HEAD[0] <= lengths["head"] / trunk <= _HEAD[1]:
        found.append(f"a head {lengths['head'] / trunk:.2g} trunks long")
    return [*found, *_unlike(of)], _varying(of)


def _order(of: Mapping[str, Array]) -> str:
    """The skeleton in whose order joints make a possible body, where that of h36m17 makes none; "" if there is none."""
    joints = np.stack([of[joint] for joint in H36M17.joints], axis=1).astype(np.float32)
    for name in known():
        skeleton = load(name)
        if name == H36M17.name or len(skeleton) != len(H36M17) or H36M17.name not in skeleton.conversions:
            continue
        converted, _ = convert(joints, skeleton, H36M17)
        there = {joint: converted[:, i].astype(np.float64) for i, joint in enumerate(H36M17.joints)}
        if not any(_impossible(there, _lengths(there))) and not _directions(there):
            return name
    return ""


class Bodies:
    """What a part of a store states of its clips' bodies: sizes by rig, and notes; grows clip by clip, bounded."""

    def __init__(self) -> None:
        self._rigs: dict[str, dict[str, float]] = {}
        self._notes: dict[str, tuple[int, str]] = {}
        self._more = 0

    def add(self, clip: Clip, body: Body) -> None:
        """Add a clip, on the skeleton that it was read with."""
        rig = self._rigs.setdefault(clip.skeleton.name, {"clips": 0.0, "shortest": np.inf, "tallest": 0.0})
        rig["clips"] += 1
        rig["shortest"] = min(rig["shortest"], body.lengths["height"])
        rig["tallest"] = max(rig["tallest"], body.lengths["height"])
        for name, length in body.lengths.items():
            rig[name] = rig.get(name, 0.0) + length
        for text in (*clip.notes, *(f"a doubtful body: {doubt}" for doubt in body.doubts)):
            if text not in self._notes and len(self._notes) >= _NOTES:
                self._more += 1
                continue
            count, first = self._notes.get(text, (0, clip.source or clip.name))
            self._notes[text] = count + 1, first

    def stated(self) -> dict[str, Any]:
        """For JSON."""
        rigs = [
            {"rig": name, "clips": int(sums["clips"])}
            | {bone: round(sums[bone] / sums["clips"], 4) for bone in BONES}
            | {bound: round(sums[bound], 4) for bound in ("shortest", "tallest")}
            for name, sums in self._rigs.items()
        ]
        notes = [[text, count, first] for text, (count, first) in self._notes.items()]
        if self._more:
            notes.append(["further notes of other kinds", self._more, ""])
        return {"rigs": rigs, "notes": notes}


def _unlike(of: Mapping[str, Array]) -> list[str]:
    found = []
    lengths = {
        side: np.median(
            np.linalg.norm(
                np.stack([of[f"{side}_{a}"] - of[f"{side}_{b}"] for a, b in _PAIRS.values()]),
                axis=-1,
            ),
            axis=-1,
        ).tolist()
        for side in ("left", "right")
    }
    for bone, left, right in zip(_PAIRS, lengths["left"], lengths["right"], strict=True):
        if max(left, right) > _SIDES * min(left, right):
            found.append(f"a left {bone} of {left:.2g} m and a right one of {right:.2g} m")
    return found


def _varying(of: Mapping[str, Array]) -> list[str]:
    joints = np.stack(list(of.values()), axis=1)
    lengths = np.linalg.norm(joints[:, list(CHILDREN)] - joints[:, list(PARENTS)], axis=2)
    ordered = np.sort(lengths, axis=0)
    spread = ordered[int(0.95 * (len(ordered) - 1))] - ordered[int(0.05 * (len(ordered) - 1))]
    # A shoulder moves against the thorax, and the nose against it: these are no bones.
    solid = [name.endswith(("knee", "ankle", "elbow", "wrist")) for name in H36M_BONES]
    return [
        name.replace("_", " ")
        for name, change, length, counts in zip(H36M_BONES, spread, ordered[len(ordered) // 2], solid, strict=True)
        if counts and change > _VARIES * length
    ]


def _out_of_reach(positions: Float32[Array, "frames 17 3"], height: float) -> list[str]:
    """Joints that are far from the body in some frames, which medians do not see."""
    far = np.linalg.norm(positions - positions[:, :1], axis=2)
    frames = int((far > _REACH * height).any(axis=1).sum())
    if not frames:
        return []
    joint = H36M17.joints[int(far.max(axis=0).argmax())].replace("_", " ")
    return [f"a {joint} {far.max():.2g} m from the pelvis; so far off are joints in {frames:,} of {len(far):,} frames"]


def _directions(of: Mapping[str, Array]) -> list[str]:
    found = []
    legs = _unit(of["left_hip"] + of["right_hip"] - of["left_ankle"] - of["right_ankle"])
    trunk = _unit(of["thorax"] - of["pelvis"])
    lying = (np.abs(trunk[:, 2]) < 0.35) & (legs[:, 2] > 0.9)
    if len(lying) > 1 and lying.mean() > _MOST:
        found.append("a trunk that lies while the legs stand, in all frames")
    stretched = (trunk * legs).sum(axis=1) > _STRAIGHT
    if (trunk[:, 2] < -0.9).mean() > _MOST:
        found.append("a body upside down, in all frames; is the up axis right?")
    elif len(stretched) > 1 and (stretched & (np.abs(trunk[:, 2]) < 0.35)).mean() > _MOST:
        found.append("a body that lies stretched out, in all frames; is the up axis right?")
    hips, shoulders = (_unit(of[f"left_{joint}"] - of[f"right_{joint}"]) for joint in ("hip", "shoulder"))
    if np.median((hips * shoulders).sum(axis=1)) < -0.5:
        found.append("hips the other way round than shoulders: are left and right of the legs exchanged?")
    elif np.median((_unit(of["nose"] - of["head"] + of["nose"] - of["thorax"]) * body_axes(of)[1]).sum(axis=1)) < -0.5:
        found.append("a face at the back of the head: are left and right exchanged?")
    return found


def merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The statements of several parts as one."""
    rigs: dict[str, dict[str, Any]] = {}
    notes: dict[str, Note] = {}
    for part in parts:
        for rig in part["rigs"]:
            known = rigs.get(rig["rig"])
            if known is None:
                rigs[rig["rig"]] = dict(rig)
                continue
            clips = known["clips"] + rig["clips"]
            for bone in BONES:
                known[bone] = round((known[bone] * known["clips"] + rig[bone] * rig["clips"]) / clips, 4)
            known["shortest"], known["tallest"] = (
                min(known["shortest"], rig["shortest"]),
                max(known["tallest"], rig["tallest"]),
            )
            known["clips"] = clips
        for text, count, first in part["notes"]:
            before = notes.get(text)
            notes[text] = Note(text, count + (before.clips if before else 0), before.first if before else first)
    return {"rigs": list(rigs.values()), "notes": list(notes.values())}


def _unit(vectors: Array) -> Array:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1))
