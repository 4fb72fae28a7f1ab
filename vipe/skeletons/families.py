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
    found: list[tuple[Family, dict[str, int]]] = []
    for family in families():
        joints = _assigned(plain, family)
        found.append((family, joints))
        named = _named(family.name, joints, parents, lengths)
        if named is not None:
            fits.append(named)
    if not fits:
        legs = max(found, key=lambda one: _count(one[1], _LEGS))
        arms = max(found, key=lambda one: _count(one[1], _ARMS))
        if legs[0] is not arms[0]:
            mixed = {role: i for role, i in arms[1].items() if not role.endswith(_LEGS)}
            mixed |= {role: i for role, i in legs[1].items() if role.endswith((*_LEGS, "toe", "hips"))}
            named = _named(f"{legs[0].name}+{arms[0].name}", _once(mixed), parents, lengths)
            if named is not None:
                fits.append(named)
    if fits:
        best = max(fits, key=lambda one: one.explained)
        return best, tuple(one for one in fits if one is not best), ""
    family, joints = max(found, key=lambda one: sum(role in one[1] for role in REQUIRED))
    missing = [role.replace("_", " ") for role in REQUIRED if role not in joints]
    if not missing:
        return None, (), f"of family {family.name}, but its joints do not hang together as those of a body"
    if len(missing) > len(REQUIRED) - 3:
        return None, (), ""
    return None, (), f"nearest family {family.name}, without a joint for {', '.join(missing)}"


def _assigned(plain: Sequence[Plain], family: Family) -> dict[str, int]:
    """The joint of each role: of several, the one with the role's first word, then the first of the file."""
    best: dict[str, tuple[int, int]] = {}
    words = _vocabulary(family.name)
    for i, name in enumerate(plain):
        for side, rest in sided(name):
            known = words.get((bool(side), rest))
            if known is None:
                continue
            part, order = known
            role = f"{side}_{part}" if side else part
            if role not in best or order < best[role][0]:
                best[role] = order, i
            break
    return _once({role: i for role, (_, i) in best.items()})


def _once(joints: Mapping[str, int]) -> dict[str, int]:
    """A joint has one role: what a body needs goes before the rest."""
    kept: dict[str, int] = {}
    for role in sorted(joints, key=lambda role: role not in REQUIRED):
        if joints[role] not in kept.values():
            kept[role] = joints[role]
    return kept


@cache
def _vocabulary(name: str) -> Mapping[tuple[bool, str], tuple[str, int]]:
    """(has a side, word) -> (part, place of the word among those of its part)."""
    (family,) = (family for family in families() if family.name == name)
    words: dict[tuple[bool, str], tuple[str, int]] = {}
    for has_side, parts in ((False, family.middle), (True, family.side)):
        for part, spelled in parts.items():
            for order, word in enumerate(spelled):
                words.setdefault((has_side, word), (part, order))
    return words


def _count(joints: Mapping[str, int], limb: Sequence[str]) -> int:
    return sum(f"{side}_{part}" in joints for side in ("left", "right") for part in limb)


def _named(name: str, joints: Mapping[str, int], parents: Sequence[int], lengths: Sequence[float]) -> Named | None:
    roles = Roles.of(joints, parents, lengths)
    return None if roles is None else Named(name, roles, len({*joints.values(), *roles.trunk, roles.neck}))


def _parse(table: Mapping[str, object]) -> Family:
    def words(part: str) -> dict[str, tuple[str, ...]]:
        rows = table[part]
        assert isinstance(rows, dict)
        return {role: tuple(spelled) for role, spelled in rows.items()}

    return Family(str(table["name"]), words("middle"), words("side"))
