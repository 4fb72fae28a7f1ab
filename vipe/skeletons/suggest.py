"""A body proposed for an unknown rig, from its topology, bone lengths, rest pose and names (numpy)."""

__all__ = ["Proposal", "propose"]

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array
from vipe.errors import SkeletonError
from vipe.skeletons.families import families
from vipe.skeletons.names import Plain, plain_names, sided
from vipe.skeletons.roles import LIMBS, REQUIRED, Roles, ancestors

_CHAIN = 16  # joints of a limb that are looked at; longer ones are cloth, hair or ropes
_CHILDREN = 8  # children of a joint that are compared with each other, those of the longest reach
_PAIRS = 10  # pairs of limbs that are tried as legs and arms
_ALIKE = 0.15  # logarithm of the ratio of bones of both sides
# Of an adult, in lengths of a leg (hip to ankle): arm, foot beyond the ankle, hand beyond the wrist, head above arms.
_ARM, _FOOT, _HAND, _NECK = 0.63, 0.22, 0.2, 0.28
_THIGH_SHIN, _UPPER_FORE = 1.04, 1.1
_NO = "no body was found in its topology: two legs and two arms of like length, on a trunk with a head"


@dataclass(frozen=True)
class Proposal:
    """A body that an unknown rig may be."""

    roles: Roles
    sure: float  # 0 to 1
    said: str  # why


@dataclass(frozen=True)
class _Pair:
    """Two chains of joints of like length that begin at children of one joint."""

    above: int
    chains: tuple[tuple[int, ...], tuple[int, ...]]
    arcs: tuple[float, ...]  # of the first chain: from its first joint along the bones
    bends: Float[Array, "joints joints"]  # of the first chain: how much longer the way along the bones is at rest
    reach: float
    unlike: float


def propose(names: Sequence[str], parents: Sequence[int], offsets: Float[Array, "joints 3"], ends: int = 0) -> Proposal:
    """Propose which joints of a rig are hips, knees, ankles, shoulders, elbows, wrists and head.

    The two pairs of chains that are most like legs and arms are taken, with the chain above the arms as neck and head.
    Sides come from names, else from where the feet of the rest pose point. Linear in the number of joints.

    Args:
        names: Of the joints, and of the ends of their last bones.
        parents: Before their children; -1 for the root.
        offsets: From each joint to its parent at rest, in any unit.
        ends: How many of them, the last, are ends of bones and no joints.

    Raises:
        SkeletonError: If there is no body.
    """
    lengths = np.linalg.norm(offsets, axis=1)
    children: list[list[int]] = [[] for _ in names]
    for i, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(i)
    reach = np.zeros(len(names))
    for i in reversed(range(len(names))):
        for child in children[i]:
            reach[i] = max(reach[i], lengths[child] + reach[child])
    rest = np.zeros((len(names), 3))
    for i, parent in enumerate(parents):
        rest[i] = offsets[i] + (rest[parent] if parent >= 0 else 0)
    joints_only = len(names) - ends
    pairs = sorted(_pairs(children, lengths, reach, rest), key=lambda pair: -pair.reach)[:_PAIRS]
    plain = plain_names(names)
    best: tuple[float, dict[str, int], str] | None = None
    for legs, arms in permutations(pairs, 2):
        found = _fitted(legs, arms, children, parents, lengths, reach, plain, joints_only)
        if found is not None and (best is None or found[0] < best[0]):
            best = found
    if best is None:
        raise SkeletonError(_NO)
    cost, joints, said = best
    joints, sides, factor = _sides(joints, plain, rest)
    roles = Roles.of(joints, parents, lengths.tolist())
    if roles is None:
        raise SkeletonError(_NO)
    named = _named(joints, plain)
    sure = math.exp(-max(cost, 0.0)) * factor * (0.7 + 0.3 * named)
    return Proposal(roles, sure, f"{said}; {sides}; {named:.0%} of the names agree")


def _pairs(children: Sequence[Sequence[int]], lengths: Array, reach: Array, rest: Array) -> list[_Pair]:
    pairs = []
    for above, below in enumerate(children):
        if len(below) < 2:
            continue
        longest = sorted(below, key=lambda child: -reach[child])[:_CHILDREN]
        for a, b in combinations(longest, 2):
            if reach[a] <= 0 or abs(math.log(max(reach[a], 1e-9) / max(reach[b], 1e-9))) > _ALIKE:
                continue
            first, second = (_chain(child, children, lengths, reach) for child in (a, b))
            bones = [[lengths[i] for i in chain[1:]] for chain in (first, second)]
            if min(len(first), len(second)) < 3:
                continue
            unlike = max((abs(math.log(x / y)) for x, y in zip(bones[0][:3], bones[1][:3], strict=False)), default=1.0)
            if unlike > _ALIKE * 2:
                continue
            arcs = np.cumsum([0.0, *bones[0]])
            straight = np.linalg.norm(rest[list(first)][:, None] - rest[list(first)], axis=-1)
            bends = np.minimum(np.abs(arcs[:, None] - arcs) / np.maximum(straight, 1e-9 * arcs[-1]), 2.0) - 1
            pairs.append(_Pair(above, (first, second), tuple(arcs.tolist()), bends, float(reach[a]), unlike))
    return pairs


def _chain(joint: int, children: Sequence[Sequence[int]], lengths: Array, reach: Array) -> tuple[int, ...]:
    """A joint and those below it along the longest way, without those that lie where their parent does."""
    chain = [joint]
    while children[joint] and len(chain) < _CHAIN:
        joint = max(children[joint], key=lambda child: (lengths[child] + reach[child], -child))
        if lengths[joint] > 1e-6 * max(reach[chain[0]], 1e-9):
            chain.append(joint)
        elif len(chain) == 1:
            chain[0] = joint  # a helper at the same place
    return tuple(chain)


def _fitted(
    legs: _Pair,
    arms: _Pair,
    children: Sequence[Sequence[int]],
    parents: Sequence[int],
    lengths: Array,
    reach: Array,
    plain: Sequence[Plain],
    joints_only: int,
) -> tuple[float, dict[str, int], str] | None:
    """How unlike a body two pairs of limbs are, and the joints of its roles."""
    leg = _leg(legs, joints_only)
    above = ancestors(arms.above, parents)
    if (
        leg is None
        or above & {chain[0] for chain in legs.chains}
        or legs.above not in (above | ancestors(legs.above, parents))
    ):
        return None
    if {chain[0] for chain in arms.chains} & ancestors(legs.above, parents):
        return None
    cost, (i, j, k) = leg
    size = legs.arcs[k] - legs.arcs[i]
    arm = _arm(arms, size, joints_only)
    if arm is None:
        return None
    more, (p, q, r) = arm
    limbs = {chain[0] for pair in (legs, arms) for chain in pair.chains}
    head = _head(arms.above, limbs, children, parents, lengths, reach, size, plain, joints_only)
    if head is None:
        return None
    if legs.above != arms.above and legs.above in ancestors(arms.above, parents):
        cost -= 0.1  # the trunk grows from the hips
    joints: dict[str, int] = {"head": head[1]}
    if head[2] >= 0:
        joints["head_end"] = head[2]
    for side, (leg_chain, arm_chain) in zip(("left", "right"), zip(legs.chains, arms.chains, strict=True), strict=True):
        if max(k, 0) >= len(leg_chain) or r >= len(arm_chain):
            return None
        for part, at in zip(LIMBS[0], (i, j, k), strict=True):
            joints[f"{side}_{part}"] = leg_chain[at]
        for part, at in zip(LIMBS[1], (p, q, r), strict=True):
            joints[f"{side}_{part}"] = arm_chain[at]
        if k + 1 < len(leg_chain):
            joints[f"{side}_toe"] = leg_chain[k + 1]
    total = cost + more + head[0] + legs.unlike + arms.unlike
    return total, joints, f"legs of {j - i + k - j + 1} and arms of {r - p + 1} joints, of like length on both sides"


def _leg(pair: _Pair, joints_only: int) -> tuple[float, tuple[int, int, int]] | None:
    arcs, total = pair.arcs, pair.arcs[-1]
    best = None
    for i, j, k in combinations(range(sum(one < joints_only for one in pair.chains[0])), 3):
        thigh, shin = arcs[j] - arcs[i], arcs[k] - arcs[j]
        foot = (total - arcs[k]) / (thigh + shin)
        cost = 2 * math.log(thigh / shin / _THIGH_SHIN) ** 2 + 3 * max(abs(foot - _FOOT) - 0.12, 0.0) ** 2 + 0.05 * i
        cost += (0.02 if foot == 0 else 0.0) + 4 * float(pair.bends[i, j] + pair.bends[j, k])
        if best is None or cost < best[0]:
            best = cost, (i, j, k)
    return best


def _arm(pair: _Pair, leg: float, joints_only: int) -> tuple[float, tuple[int, int, int]] | None:
    arcs, total = pair.arcs, pair.arcs[-1]
    best = None
    for i, j, k in combinations(range(sum(one < joints_only for one in pair.chains[0])), 3):
        upper, fore = arcs[j] - arcs[i], arcs[k] - arcs[j]
        hand = (total - arcs[k]) / leg
        cost = 2 * math.log(upper / fore / _UPPER_FORE) ** 2 + 3 * math.log((upper + fore) / leg / _ARM) ** 2
        cost += 3 * max(abs(hand - _HAND) - 0.2, 0.0) ** 2 + 3 * max(arcs[i] / leg - 0.35, 0.0) ** 2
        cost += 0.05 * max(i - 1, 0) + 4 * float(pair.bends[i, j] + pair.bends[j, k])
        if best is None or cost < best[0]:
            best = cost, (i, j, k)
    return best


def _head(
    above: int,
    limbs: set[int],
    children: Sequence[Sequence[int]],
    parents: Sequence[int],
    lengths: Array,
    reach: Array,
    leg: float,
    plain: Sequence[Plain],
    joints_only: int,
) -> tuple[float, int, int] | None:
    """Cost, the head joint, and the top of the head (-1 if there is none): the longest chain above the arms."""
    others = [child for child in children[above] if not any(child in ancestors(limb, parents) for limb in limbs)]
    if not others:
        return None
    first = max(others, key=lambda child: lengths[child] + reach[child])
    chain = _chain(first, children, lengths, reach)
    if first >= joints_only:
        return None
    arcs = np.cumsum([lengths[i] for i in chain]) / leg
    own = sum(i < joints_only for i in chain)
    called = [at for at, i in enumerate(chain[:own]) if plain[i].key.endswith("head")]
    at = called[0] if called else int(np.argmin(np.abs(arcs[:own] - _NECK)))
    cost = 0.0 if called else 2 * max(abs(float(arcs[at]) - _NECK) - 0.1, 0.0)
    cost += 2 * max(abs(float(arcs[-1]) - 0.45) - 0.25, 0.0)
    return float(cost), chain[at], chain[at + 1] if at + 1 < len(chain) else -1


def _sides(
    joints: Mapping[str, int], plain: Sequence[Plain], rest: Float[Array, "joints 3"]
) -> tuple[dict[str, int], str, float]:
    """The roles with left and right as they are, how that was found, and how sure it is."""
    hips = [rest[joints[f"{side}_hip"]] for side in ("left", "right")]
    ankles = [rest[joints[f"{side}_ankle"]] for side in ("left", "right")]
    up = sum(rest[joints[f"{side}_shoulder"]] for side in ("left", "right")) - sum(hips)
    result, factor, how = dict(joints), 1.0, []
    toes = [rest[joints[f"{side}_toe"]] for side in ("left", "right") if f"{side}_toe" in joints]
    forward = sum(toes) - sum(ankles) if len(toes) == 2 else np.zeros(3)
    left = np.cross(up, forward)
    for parts, which in ((("hip", "knee", "ankle", "toe"), "legs"), (LIMBS[1], "arms")):
        votes: float = sum(
            (1 if side == _side(plain[joints[f"{side}_{part}"]]) else -1)
            for side in ("left", "right")
            for part in parts
            if f"{side}_{part}" in joints and _side(plain[joints[f"{side}_{part}"]])
        )
        if votes == 0:
            first = parts[1]
            votes = float(left @ (rest[joints[f"left_{first}"]] - rest[joints[f"right_{first}"]]))
            size = float(np.linalg.norm(left)) * float(np.linalg.norm(up))
            if abs(votes) <= 1e-6 * size:
                factor *= 0.5
                how.append(f"nothing tells left from right of the {which}: the first in the file was taken for left")
            else:
                factor *= 0.8
                how.append(f"left and right of the {which} from where the feet point")
        else:
            how.append(f"left and right of the {which} from names")
        if votes < 0:
            for part in parts:
                a, b = f"left_{part}", f"right_{part}"
                if a in joints and b in joints:
                    result[a], result[b] = joints[b], joints[a]
    return result, ", ".join(how), factor


def _side(name: Plain) -> str:
    side, rest = next(iter(sided(name)))
    if side:
        return side
    return next((side for side in ("left", "right") if rest.startswith(side) or rest.endswith(side)), "")


def _named(joints: Mapping[str, int], plain: Sequence[Plain]) -> float:
    """Share of the roles whose joint has one of the words that families use for it."""
    agreeing = 0
    for role in REQUIRED:
        side, _, part = role.rpartition("_")
        words = {word for family in families() for word in (family.side if side else family.middle).get(part, ())}
        agreeing += any(word in plain[joints[role]].key for word in words)
    return agreeing / len(REQUIRED)
