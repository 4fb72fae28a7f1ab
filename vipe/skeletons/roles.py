"""Which joint of a file is which part of a body, and the skeleton that follows from it (numpy)."""

__all__ = ["LIMBS", "REQUIRED", "SIDES", "Roles", "ancestors", "body_skeleton"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vipe.skeletons.skeleton import Site, Skeleton

SIDES = ("left", "right")
LIMBS = (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))
REQUIRED = (*(f"{side}_{part}" for side in SIDES for limb in LIMBS for part in limb), "head")
"""Roles that a body must have; others are `hips`, `head_end`, and both sides of `collar` and `toe`."""

_SPINE = 0.47  # of the way from pelvis to thorax: where Human3.6M has its spine joint (0.233 of 0.490 m)
_THORAX = 0.75  # of the way from the middle of the shoulders to the base of the neck
_NECK = 0.1  # of a leg: a joint above the shoulders' parent that lies nearer is a helper, not the neck
_NOSE, _CROWN = "tip of the nose", "top of the head"


@dataclass(frozen=True)
class Roles:
    """Joints of a rig by what they are on a body, as indices into the joints of the file."""

    joints: Mapping[str, int]
    lower: int  # the joint that legs and trunk have in common
    upper: int  # the joint that both arms have in common
    trunk: tuple[int, ...]  # from `lower` to `upper`
    neck: int  # where the neck begins; `upper` where there is no joint of its own

    @classmethod
    def of(cls, joints: Mapping[str, int], parents: Sequence[int], lengths: Sequence[float]) -> "Roles | None":
        """Roles of named joints, or None if they do not hang together as those of a body.

        Args:
            joints: The joint of each role; those of `REQUIRED` at least.
            parents: Of the file's joints, -1 for the root, before their children.
            lengths: From each joint to its parent, in any unit.
        """
        if not all(role in joints for role in REQUIRED) or len(set(joints.values())) != len(joints):
            return None
        for side in SIDES:
            for limb in LIMBS:
                first, middle, last = (joints[f"{side}_{part}"] for part in limb)
                if middle not in ancestors(last, parents) or first not in ancestors(middle, parents):
                    return None
        legs = _common(joints["left_hip"], joints["right_hip"], parents)
        upper = _common(joints["left_shoulder"], joints["right_shoulder"], parents)
        lower = _common(legs, upper, parents)
        if min(legs, upper, lower) < 0 or lower in (joints["left_hip"], joints["right_hip"]):
            return None
        trunk = (*reversed(_path(upper, lower, parents)),)
        leg = sum(lengths[i] for i in _path(joints["left_ankle"], joints["left_hip"], parents)[:-1])
        neck, far = upper, 0.0
        head = joints["head"]
        above = _path(head, upper, parents) if upper in ancestors(head, parents) else []
        for i in reversed(above[1:-1]):
            far += lengths[i]
            if far > _NECK * leg:
                neck = i
                break
        return cls(joints, lower, upper, trunk, neck)


def ancestors(joint: int, parents: Sequence[int]) -> set[int]:
    """A joint's ancestors and itself."""
    found = set()
    while joint >= 0:
        found.add(joint)
        joint = parents[joint]
    return found


def body_skeleton(
    name: str,
    names: Sequence[str],
    parents: Sequence[int],
    lengths: Sequence[float],
    roles: Roles,
    *,
    nose: tuple[float, float, float],
    crown: tuple[float, float, float],
    unit: float,
    up: str,
) -> Skeleton:
    """The skeleton of a rig whose roles are known, with its conversion to h36m17.

    Pelvis is the middle of the hips. The spine is the point of the trunk, along its bones, where Human3.6M has it. The
    thorax is near the base of the neck, a quarter of the way to the middle of the shoulders.

    Args:
        name: What to call it.
        names: Of the file's joints.
        parents: Of the file's joints.
        lengths: From each joint to its parent.
        roles: From `Roles.of`.
        nose: Tip of the nose in the head joint's space, metres.
        crown: Top of the head, likewise.
        unit: Metres per unit of the file.
        up: Up axis of the file.
    """
    wanted = sorted({*roles.joints.values(), *roles.trunk, roles.neck})
    place = {i: at for at, i in enumerate(wanted)}
    above = []
    for i in wanted:
        parent = parents[i]
        while parent >= 0 and parent not in place:
            parent = parents[parent]
        above.append(place[parent] if parent >= 0 else -1)
    joints = {role: names[i] for role, i in roles.joints.items()}
    taken = {names[i] for i in wanted}
    site_names = [_new(_NOSE, taken), _new(_CROWN, taken)]
    head = joints["head"]
    sites = tuple(Site(name=s, joint=head, offset=at) for s, at in zip(site_names, (nose, crown), strict=True))
    to: dict[str, Mapping[str, float]] = {role: {joints[role]: 1.0} for role in REQUIRED if role != "head"}
    to["pelvis"] = _mean(joints["left_hip"], joints["right_hip"])
    shoulders = _mean(joints["left_shoulder"], joints["right_shoulder"])
    to["thorax"] = _blend(shoulders, {names[roles.neck]: 1.0}, _THORAX)
    to["spine"] = _spine(names, parents, lengths, roles, to["pelvis"], to["thorax"])
    to["nose"], to["head"] = {site_names[0]: 1.0}, {site_names[1]: 1.0}
    pairs = [
        (joints[f"left_{part}"], joints[f"right_{part}"])
        for part in (*LIMBS[0], "toe", "collar", *LIMBS[1])
        if f"left_{part}" in joints and f"right_{part}" in joints
    ]
    return Skeleton(
        name=name,
        joints=(*(names[i] for i in wanted), *site_names),
        parents=(*above, *(place[roles.joints["head"]] for _ in sites)),
        mirror=tuple(pairs),
        sites=sites,
        unit=unit,
        up=up,  # type: ignore[arg-type]
        conversions={"h36m17": to},
    )


def _spine(
    names: Sequence[str],
    parents: Sequence[int],
    lengths: Sequence[float],
    roles: Roles,
    pelvis: Mapping[str, float],
    thorax: Mapping[str, float],
) -> Mapping[str, float]:
    points = [pelvis, *({names[i]: 1.0} for i in roles.trunk[1:]), thorax]
    steps = [lengths[i] for i in roles.trunk[1:]]
    steps.append(sum(lengths[i] for i in _path(roles.neck, roles.upper, parents)[:-1]) * _THORAX)
    if sum(steps) <= 0:
        return _blend(pelvis, thorax, _SPINE)
    left = _SPINE * sum(steps)
    for before, after, step in zip(points, points[1:], steps, strict=True):
        if left <= step:
            return _blend(before, after, left / step)
        left -= step
    return _blend(pelvis, thorax, _SPINE)


def _mean(a: str, b: str) -> Mapping[str, float]:
    return {a: 0.5, b: 0.5}


def _blend(a: Mapping[str, float], b: Mapping[str, float], share: float) -> Mapping[str, float]:
    """Weights of a point on the way from a to b."""
    mixed = {joint: weight * (1 - share) for joint, weight in a.items()}
    for joint, weight in b.items():
        mixed[joint] = mixed.get(joint, 0.0) + weight * share
    return {joint: weight for joint, weight in mixed.items() if weight}


def _new(name: str, taken: set[str]) -> str:
    while name in taken:
        name += " "
    taken.add(name)
    return name


def _common(a: int, b: int, parents: Sequence[int]) -> int:
    """The nearest common ancestor, -1 if there is none."""
    above = ancestors(a, parents)
    while b >= 0 and b not in above:
        b = parents[b]
    return b


def _path(joint: int, above: int, parents: Sequence[int]) -> list[int]:
    """From a joint up to one of its ancestors, both included."""
    path = [joint]
    while joint != above:
        joint = parents[joint]
        path.append(joint)
    return path
