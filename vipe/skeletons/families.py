"""Families of rigs: the words that programs use for the parts of a body, and which family a file's joints are of."""

__all__ = ["Family", "Named", "families", "match_family"]

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from vipe.skeletons.names import Plain, plain_names, sided
from vipe.skeletons.roles import LIMBS, REQUIRED, Roles

_LEGS, _ARMS = LIMBS
_NECKS = frozenset({"neck", "neck1", "neck01", "neck0", "neckm", "neckx", "neckupper", "首"})
_HEAD_BASE = (0.04, 0.22)  # of a leg: the end of a neck that lies within is where the head begins; beyond, its top
_ALIKE = (0.55, 1.6)  # of the upper bone of a limb: lengths of a lower one


@dataclass(frozen=True)
class Family:
    """Words for the roles of a body, without side, prefix, case and separators; the first of a role counts most."""

    name: str
    middle: Mapping[str, tuple[str, ...]]
    side: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Named:
    """A family that a file's names fit."""

    name: str
    roles: Roles
    explained: int  # joints that have a role
    unusual: int  # how late in the family's lists the words of the roles come, summed
    from_ends: tuple[str, ...] = ()  # roles that ends of bones have, for lack of a joint


@cache
def families() -> tuple[Family, ...]:
    """The families that come with the library, by name; each is a TOML file."""
    folder = resources.files("vipe.skeletons").joinpath("families")
    return tuple(
        _parse(tomllib.loads(entry.read_text(encoding="utf-8")))
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    )


def match_family(
    names: Sequence[str], parents: Sequence[int], lengths: Sequence[float], ends: int = 0
) -> tuple[Named | None, tuple[Named, ...], str]:
    """Find the family that explains most joints of a file; legs and arms may be of two families.

    Of two that explain as many, the one whose usual words they are.

    Takes time in proportion to the length of all names.

    Args:
        names: Of the file's joints.
        parents: Of the file's joints, before their children; -1 for a root.
        lengths: From each joint to its parent, in any unit.
        ends: How many of them, the last, are ends of bones.

    Returns:
        The family, others that fit as well, and what the nearest family lacks ("" if one fits).
    """
    joints_only = len(names) - ends
    plain = plain_names(names[:joints_only])
    for i, own in enumerate(plain_names(names[joints_only:]), start=joints_only):
        above = parents[i]
        called_for_it = names[i] == f"{names[above]}_End"
        plain.append(Plain((*plain[above].words, "end")) if called_for_it else own)
    fits: list[Named] = []
    found: list[tuple[Family, dict[str, int], int]] = []
    tips = {parents[i]: i for i in range(joints_only, len(names))}
    for family in families():
        assigned, unusual = _assigned(plain, family)
        joints = _with_ends(assigned, plain, tips, lengths)
        found.append((family, joints, unusual))
        named = _named(family.name, joints, parents, lengths, joints_only, unusual)
        if named is not None:
            fits.append(named)
    if not fits:
        legs = max(found, key=lambda one: _count(one[1], _LEGS))
        arms = max(found, key=lambda one: _count(one[1], _ARMS))
        if legs[0] is not arms[0]:
            mixed = {role: i for role, i in arms[1].items() if not role.endswith(_LEGS)}
            mixed |= {role: i for role, i in legs[1].items() if role.endswith((*_LEGS, "toe", "hips"))}
            named = _named(
                f"{legs[0].name}+{arms[0].name}", _once(mixed), parents, lengths, joints_only, legs[2] + arms[2]
            )
            if named is not None:
                fits.append(named)
    if fits:
        best = max(fits, key=lambda one: (one.explained, -one.unusual))
        return best, tuple(one for one in fits if one is not best), ""
    family, joints, _ = max(found, key=lambda one: sum(role in one[1] for role in REQUIRED))
    missing = [role.replace("_", " ") for role in REQUIRED if role not in joints]
    if not missing:
        return None, (), f"of family {family.name}, but its joints do not hang together as those of a body"
    if len(missing) > len(REQUIRED) - 3:
        return None, (), ""
    return None, (), f"nearest family {family.name}, without a joint for {', '.join(missing)}"


def _assigned(plain: Sequence[Plain], family: Family) -> tuple[dict[str, int], int]:
    """The joint of each role: of several, the one with the role's first word, then the one named without more words.

    And how late in the family's lists the words are that a body needs, summed.

    A word may stand for two roles: a shoulder is the collar where the upper arm has a joint of its own.
    """
    best: dict[str, tuple[int, int, int]] = {}
    words = _vocabulary(family.name)
    for i, name in enumerate(plain):
        for more, (side, rest) in enumerate(sided(name)):
            known = words.get((bool(side), rest))
            if known is None:
                continue
            for part, order in known:
                role = f"{side}_{part}" if side else part
                best[role] = min(best.get(role, (order, more, i)), (order, more, i))
            break
    unusual = sum(order for role, (order, _, _) in best.items() if role in REQUIRED)
    return _once({role: i for role, (_, _, i) in best.items()}), unusual


def _with_ends(
    joints: dict[str, int], plain: Sequence[Plain], tips: Mapping[int, int], lengths: Sequence[float]
) -> dict[str, int]:
    """Ends of bones where hands, feet or head have no joint: the end of a forearm is the wrist.

    Args:
        joints: The joint of each role.
        plain: Names of joints and ends.
        tips: The end of each joint that has one.
        lengths: From each to its parent.
    """
    whole = dict(joints)
    for side in ("left", "right"):
        for _, above, part in LIMBS:
            joint = joints.get(f"{side}_{above}", -1)
            if f"{side}_{part}" in joints or joint not in tips:
                continue
            if _ALIKE[0] * lengths[joint] < lengths[tips[joint]] < _ALIKE[1] * lengths[joint]:
                whole[f"{side}_{part}"] = tips[joint]
    if "head" not in joints:
        leg = sum(lengths[whole[role]] for role in ("left_knee", "left_ankle") if role in whole)
        for i, name in enumerate(plain):
            if name.key in _NECKS and i in tips and lengths[tips[i]] > _HEAD_BASE[0] * leg:
                short = lengths[tips[i]] < _HEAD_BASE[1] * leg
                whole |= {"head": tips[i]} if short else {"head": i, "head_end": tips[i]}
    return whole


def _once(joints: Mapping[str, int]) -> dict[str, int]:
    """A joint has one role: what a body needs goes before the rest."""
    kept: dict[str, int] = {}
    for role in sorted(joints, key=lambda role: role not in REQUIRED):
        if joints[role] not in kept.values():
            kept[role] = joints[role]
    return kept


@cache
def _vocabulary(name: str) -> Mapping[tuple[bool, str], Sequence[tuple[str, int]]]:
    """(has a side, word) -> (part, place of the word among those of its part), of each part that has the word."""
    (family,) = (family for family in families() if family.name == name)
    words: dict[tuple[bool, str], list[tuple[str, int]]] = {}
    for has_side, parts in ((False, family.middle), (True, family.side)):
        for part, spelled in parts.items():
            for order, word in enumerate(spelled):
                words.setdefault((has_side, word), []).append((part, order))
    return words


def _count(joints: Mapping[str, int], limb: Sequence[str]) -> int:
    return sum(f"{side}_{part}" in joints for side in ("left", "right") for part in limb)


def _named(
    name: str,
    joints: Mapping[str, int],
    parents: Sequence[int],
    lengths: Sequence[float],
    joints_only: int,
    unusual: int,
) -> Named | None:
    roles = Roles.of(joints, parents, lengths)
    if roles is None:
        return None
    from_ends = tuple(role for role in REQUIRED if joints[role] >= joints_only)
    return Named(name, roles, len({*joints.values(), *roles.trunk, roles.neck}), unusual, from_ends)


def _parse(table: Mapping[str, object]) -> Family:
    def words(part: str) -> dict[str, tuple[str, ...]]:
        rows = table[part]
        assert isinstance(rows, dict)
        return {role: tuple(spelled) for role, spelled in rows.items()}

    return Family(str(table["name"]), words("middle"), words("side"))
