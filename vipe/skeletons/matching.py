"""Which skeleton table a file's joint names fit: by name, else without prefix, case and separators."""

__all__ = ["Match", "detect", "match"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from vipe.errors import SkeletonError
from vipe.skeletons.names import bare, plain_names
from vipe.skeletons.skeleton import Skeleton, known, load

Kind = Literal["any", "near", "far"]

_SHOWN = 40  # characters of a name in a message


@dataclass(frozen=True)
class Match:
    """A table that fits a file."""

    skeleton: Skeleton  # restricted to the joints of the file, and its sites
    where: Mapping[str, int]  # of the table's joints, which joint of the file each is
    note: str = ""  # what to tell the user, if another table fits as well


def detect(joints: Sequence[str], extra: Sequence[Skeleton] = ()) -> Skeleton:
    """Find the skeleton of a file by its joint names; a user's own (`extra`) are tried first.

    Names match without prefix (`mixamorig:`, `Armature|`, a character's name), case, blanks, `_`, `-` and `.`. Joints
    of the file that the table does not list are ignored. Of several tables, the one with most of the joints counts.

    Returns:
        The skeleton restricted to the joints of the file, and its sites, which readers compute.

    Raises:
        SkeletonError: If none fits; names the nearest one and the joints that the file lacks.

    Example:
        >>> detect(["Sword", *load("coco17").joints]).name
        'coco17'
        >>> detect([f"Ann:{joint.upper()}" for joint in load("bandai").joints]).name
        'bandai'
    """
    return match(joints, extra).skeleton


def match(joints: Sequence[str], extra: Sequence[Skeleton] = (), kind: Kind = "any", ends: int = 0) -> Match:
    """As `detect`, with the place of each joint in the file.

    Args:
        joints: Names of the file's joints.
        extra: A user's own tables.
        kind: Which of the library's tables count: "near" those of rigs whose files are known to have one unit (BVH),
            "far" those of bones whose joints are their far ends (ASF), "any" all of them.
        ends: How many of `joints`, the last, are ends of bones, which a message need not list.

    Raises:
        SkeletonError: As `detect`.
    """
    ours = [table for table in map(load, known()) if kind == "any" or kind == _kind(table)]
    names = _Names(joints)
    for tables in (extra, ours):
        fits = [(skeleton, where) for skeleton in tables if (where := names.places(skeleton)) is not None]
        if not fits:
            continue
        # The one that explains most of the file; of two that explain as much, the one with fewer joints besides.
        fits.sort(key=lambda fit: (-len(fit[1]), len(fit[0])))
        (best, where), others = fits[0], fits[1:]
        note = ""
        if others and len(others[0][1]) < len(where) and kind != "any":
            other, explained = others[0]
            note = (
                f"the tables {best.name} and {other.name} both fit: {best.name} was taken, which explains {len(where)} "
                f"of {len(joints)} joints, {other.name} {len(explained)}"
            )
        return Match(best.restricted({*where, *(site.name for site in best.sites)}), where, note)
    candidates = [*extra, *ours]
    lacking = [(skeleton, names.missing(skeleton)) for skeleton in candidates]
    nearest, missing = min(lacking, key=lambda one: len(one[1]) / len(one[0].required))
    raise SkeletonError(
        f"unknown skeleton with joints {_shorten(joints[: len(joints) - ends])}; the nearest known one is "
        f"{nearest.name}, of which {len(missing)} are missing: {_shorten(missing)}; give a table of your own as a "
        ".toml file"
    )


def _kind(table: Skeleton) -> str:
    return "far" if table.far_ends else "" if "unit" in table.unstated else "near"


class _Names:
    """Names of a file, looked up in three ways; each is made when it is first needed, in linear time."""

    def __init__(self, joints: Sequence[str]) -> None:
        self._joints = joints
        self._ways: list[dict[str, int]] = [_first(joints)]

    def places(self, skeleton: Skeleton) -> dict[str, int] | None:
        """Where the table's joints are, or None if the file lacks one that the table needs."""
        if skeleton.required <= self._ways[0].keys():
            return {joint: self._ways[0][joint] for joint in skeleton.joints if joint in self._ways[0]}
        sites = {site.name for site in skeleton.sites}
        where: dict[str, int] = {}
        taken: set[int] = set()
        for joint in skeleton.joints:
            if joint not in sites and (i := self._find(joint)) is not None and i not in taken:
                where[joint] = i
                taken.add(i)
        return where if skeleton.required <= where.keys() else None

    def missing(self, skeleton: Skeleton) -> list[str]:
        return sorted(joint for joint in skeleton.required if self._find(joint) is None)

    def _find(self, joint: str) -> int | None:
        if joint in self._ways[0]:
            return self._ways[0][joint]
        if len(self._ways) == 1:
            self._ways.append(_first([bare(name) for name in self._joints]))
            self._ways.append(_first([name.key for name in plain_names(self._joints)]))
        key = _bare(joint)
        return self._ways[1].get(key, self._ways[2].get(key))


@cache
def _bare(joint: str) -> str:
    return bare(joint)


def _first(names: Sequence[str]) -> dict[str, int]:
    places: dict[str, int] = {}
    for i, name in enumerate(names):
        places.setdefault(name, i)
    return places


def _shorten(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..." for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
