"""Skeleton tables: loaded from TOML, converted into each other (numpy)."""

__all__ = ["Site", "Skeleton", "convert", "known", "load", "parse"]

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from vipe.arrays import Array
from vipe.errors import ShapeError, SkeletonError
from vipe.files.regular_file import read_regular
from vipe.files.toml_table import parse_toml

Up = Literal["x", "y", "z", "-x", "-y", "-z"]


@dataclass(frozen=True, kw_only=True)
class Site:
    """A point that moves rigidly with a joint. It replaces a joint that the source lacks (nose, top of head).

    A reader that knows the joint's rotation R (world from local) places it at `position(joint) + R offset`.
    """

    name: str
    joint: str
    offset: tuple[float, float, float]  # metres, in the joint's local space


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """Joint names and parents, left/right pairs, and the weights that convert to other skeletons.

    `joints` ends with the names of `sites`. `conversions[target][joint]` maps source joints to weights that sum
    to one. It is None if that joint cannot be derived from the source.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]  # -1 for a root
    mirror: tuple[tuple[str, str], ...] = ()  # (left, right); every other joint is its own mirror image
    sites: tuple[Site, ...] = ()
    unit: float = 1.0  # metres per unit of the files that use it
    up: Up = "z"  # up axis of the files that use it
    conversions: Mapping[str, Mapping[str, Mapping[str, float] | None]] = field(default_factory=dict)
    unstated: frozenset[str] = frozenset()  # "unit", "up": what the table leaves to the body of each file
    signature: tuple[str, ...] = ()  # further joints that a file must have: its other names are common ones
    far_ends: bool = False  # joints are the far ends of the bones of their names, as in ASF; no BVH file is meant

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Position of a joint in `joints`.

        Raises:
            SkeletonError: If the skeleton has no such joint.
        """
        try:
            return self.joints.index(joint)
        except ValueError:
            raise SkeletonError(
                f"skeleton {self.name} has no joint {joint!r}; it has {', '.join(self.joints)}"
            ) from None

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) of every joint that has a parent."""
        return tuple((parent, child) for child, parent in enumerate(self.parents) if parent >= 0)

    @property
    def mirrored(self) -> tuple[int, ...]:
        """For every joint, the index of its left/right counterpart (itself on the midline)."""
        swap = {a: b for left, right in self.mirror for a, b in ((left, right), (right, left))}
        return tuple(self.index(swap.get(joint, joint)) for joint in self.joints)

    @property
    def required(self) -> frozenset[str]:
        """Joints that a file must have to match this skeleton: those that a conversion or a site needs."""
        sites = {site.name: site.joint for site in self.sites}
        used = {
            sites.get(source, source)
            for table in self.conversions.values()
            for weights in table.values()
            for source in weights or ()
        }
        return frozenset(used | set(self.signature)) or frozenset(self.joints) - frozenset(sites)

    def weights(self, target: "Skeleton") -> tuple[Float[Array, "target source"], Bool[Array, " target"]]:
        """The matrix that converts this skeleton's positions to the target's, and the mask of joints it can derive.

        For a joint that cannot be derived, the row is zero and the mask False.

        Raises:
            SkeletonError: If this skeleton's table has no conversion to the target.
        """
        if target.name == self.name:
            return np.eye(len(self), dtype=np.float64), np.ones(len(self), dtype=bool)
        if target.name not in self.conversions:
            raise SkeletonError(
                f"skeleton {self.name} has no conversion to {target.name}; add a table [to.{target.name}]"
            )
        matrix = np.zeros((len(target), len(self)))
        mask = np.zeros(len(target), dtype=bool)
        for joint, sources in self.conversions[target.name].items():
            if sources is not None:
                mask[target.index(joint)] = True
                for source, weight in sources.items():
                    matrix[target.index(joint), self.index(source)] = weight
        return matrix, mask

    def restricted(self, names: Iterable[str]) -> "Skeleton":
        """The same skeleton with only the named joints; the parent of each is its nearest ancestor among them."""
        keep = set(names)
        remaining = [i for i, joint in enumerate(self.joints) if joint in keep]
        place = {i: at for at, i in enumerate(remaining)}
        parents = []
        for i in remaining:
            parent = self.parents[i]
            while parent >= 0 and self.joints[parent] not in keep:
                parent = self.parents[parent]
            parents.append(place[parent] if parent >= 0 else -1)
        return replace(
            self,
            joints=tuple(self.joints[i] for i in remaining),
            parents=tuple(parents),
            mirror=tuple(pair for pair in self.mirror if keep.issuperset(pair)),
            sites=tuple(site for site in self.sites if site.name in keep),
        )


_MOST_JOINTS = 2000  # of a table; names are looked up one by one
_KEYS = frozenset({"name", "unit", "up", "joints", "mirror", "sites", "to", "signature", "far_ends"})
_UPS = ("x", "y", "z", "-x", "-y", "-z")


@cache
def known() -> tuple[str, ...]:
    """Names of the skeletons that come with the library.

    Example:
        >>> "coco17" in known()
        True
    """
    folder = resources.files("vipe.skeletons")
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def load(name: str) -> Skeleton:
    """Load a skeleton that comes with the library by name, or a user's own by the path of its TOML file.

    The same table is the same object; a file that was edited is read anew.

    Raises:
        SkeletonError: If there is no such table, or it contradicts itself.

    Example:
        >>> load("h36m17").joints[:3]
        ('pelvis', 'right_hip', 'right_knee')
    """
    if name in known():
        return _shipped(name)
    path = Path(name)
    if path.suffix != ".toml" or not path.exists():
        raise SkeletonError(f"no skeleton {name!r}: known are {', '.join(known())}; for your own give a .toml file")
    try:
        data = read_regular(path)
    except OSError as error:
        raise SkeletonError(f"{path}: {error.strerror}; expected the table of a skeleton") from error
    return _parsed(data, str(path))


@cache
def _shipped(name: str) -> Skeleton:
    return parse(resources.files("vipe.skeletons").joinpath(f"{name}.toml").read_bytes(), f"{name}.toml")


@lru_cache(maxsize=64)
def _parsed(data: bytes, where: str) -> Skeleton:
    return parse(data, where)


def convert(
    positions: Float[Array, "*batch source dim"], source: Skeleton, target: Skeleton
) -> tuple[Float[Array, "*batch target dim"], Bool[Array, " target"]]:
    """Convert positions (3D metres or 2D pixels) from one skeleton to another, float32.

    Returns:
        The target's positions, and the mask of joints that can be derived; the positions of the others are zero.

    Raises:
        ShapeError: If `positions` does not have one row for each joint of `source`.
        SkeletonError: If there is no conversion.

    Example:
        >>> source, target = load("coco17"), load("h36m17")
        >>> _, mask = convert(np.zeros((1, 17, 2)), source, target)
        >>> [joint for joint, derived in zip(target.joints, mask, strict=True) if not derived]
        ['head']
    """
    if positions.ndim < 2 or positions.shape[-2] != len(source):
        raise ShapeError(f"positions of {source.name} must end in ({len(source)}, dim), got shape {positions.shape}")
    matrix, mask = source.weights(target)
    return np.matmul(matrix.astype(np.float32), positions.astype(np.float32, copy=False)), mask


def parse(data: bytes, where: str) -> Skeleton:
    """A skeleton from the bytes of its table.

    Raises:
        SkeletonError: If it is no table, or contradicts itself; begins with `where`.
    """
    try:
        table = parse_toml(data)
        if unknown := sorted(set(table) - _KEYS):
            raise ValueError(f"unknown {', '.join(unknown)}; a table has {', '.join(sorted(_KEYS))}")
        names = [row["name"] for row in table["joints"]]
        sites = tuple(
            Site(name=row["name"], joint=row["joint"], offset=_offset(row["offset"])) for row in table.get("sites", ())
        )
        joints = (*names, *(site.name for site in sites))
        if len(joints) > _MOST_JOINTS:
            raise ValueError(f"{len(joints)} joints, at most {_MOST_JOINTS} are read")
        parents = [row.get("parent") for row in table["joints"]] + [site.joint for site in sites]
        skeleton = Skeleton(
            name=table["name"],
            joints=joints,
            parents=tuple(-1 if parent is None else joints.index(parent) for parent in parents),
            mirror=tuple((left, right) for left, right in table.get("mirror", ())),
            sites=sites,
            unit=float(table.get("unit", 1.0)),
            up=table.get("up", "z"),
            conversions={
                target: {joint: _weights(value) for joint, value in rows.items()}
                for target, rows in table.get("to", {}).items()
            },
            unstated=frozenset({"unit", "up"} - set(table)),
            signature=tuple(table.get("signature", ())),
            far_ends=bool(table.get("far_ends", False)),
        )
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise SkeletonError(f"{where}: not a skeleton table: {error}; see docs/skeletons.md for its form") from error
    _check(skeleton, where)
    return skeleton


def _offset(value: Any) -> tuple[float, float, float]:
    x, y, z = value
    return float(x), float(y), float(z)


def _weights(value: Any) -> dict[str, float] | None:
    if value is False:
        return None
    if isinstance(value, str):
        return {value: 1.0}
    if isinstance(value, list):
        return {joint: 1.0 / len(value) for joint in value}
    return {joint: float(weight) for joint, weight in value.items()}


def _check(skeleton: Skeleton, where: str) -> None:
    if len(set(skeleton.joints)) != len(skeleton.joints):
        twice = sorted(joint for joint, count in Counter(skeleton.joints).items() if count > 1)
        raise SkeletonError(f"{where}: joints listed twice: {', '.join(twice)}")
    if any(parent >= child for child, parent in enumerate(skeleton.parents)):
        raise SkeletonError(f"{where}: a joint must come after its parent")
    if skeleton.up not in _UPS or not 0 < skeleton.unit < float("inf"):
        raise SkeletonError(
            f"{where}: up must be 'y' or 'z' (or another of {', '.join(_UPS)}) and unit above 0, got {skeleton.up!r} "
            f"and {skeleton.unit}"
        )
    used = {joint for pair in skeleton.mirror for joint in pair} | set(skeleton.signature)
    for target, rows in skeleton.conversions.items():
        for joint, weights in rows.items():
            used.update(weights or ())
            if weights is not None and abs(sum(weights.values()) - 1) > 1e-6:
                total = sum(weights.values())
                raise SkeletonError(f"{where}: weights of {joint} in [to.{target}] sum to {total}, expected 1")
    if unknown := sorted(used - set(skeleton.joints)):
        raise SkeletonError(f"{where}: [mirror] or [to] names joints that are not listed: {', '.join(unknown)}")
