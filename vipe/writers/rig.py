"""Rigs: the joints that a file of a motion has, where they sit on the body, and where they point (numpy)."""

__all__ = ["Rig", "RigJoint", "known_rigs", "load_rig"]

import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

import numpy as np
from jaxtyping import Float, Float64

from vipe.arrays import Array
from vipe.errors import SkeletonError
from vipe.geometry.upright import upright_pose
from vipe.skeletons import Skeleton
from vipe.skeletons.skeleton import Up
from vipe.skeletons.working import H36M17
from vipe.writers.places import Places

GROUND = "ground"
"""A place that only a root sits at: as far below its one child as the ground is in the rest pose."""


@dataclass(frozen=True, kw_only=True)
class RigJoint:
    """A joint of a rig. Places are those of `Places`."""

    name: str
    parent: int  # -1 for the root
    at: str  # the place where it sits
    bone: tuple[str, str] | None = None  # turns so that it points from the first to the second place
    side: tuple[str, str] | None = None  # and about `bone`, so that it points there as nearly as it can
    tip: str | tuple[float, float, float] | None = None  # end of a limb: a place, or metres from the joint at rest
    spare: bool = False  # sits at a bend, and is left out where that is straight


@dataclass(frozen=True, kw_only=True)
class Rig:
    """Joints by name, each after its parent, and the pose in which none is turned."""

    joints: tuple[RigJoint, ...]
    skeleton: Skeleton
    rest: Float64[Array, "joints 3"]  # of the skeleton; metres, z up; only directions count
    unit: float  # metres per unit of files that state none
    up: Up  # of files that state none

    @classmethod
    def of(cls, skeleton: Skeleton, rest: Float[Array, "joints 3"]) -> "Rig":
        """A rig of a skeleton's own joints.

        Where several bones leave a joint, the first two turn it; every bone but the first hangs on a joint of its own
        at the same place, such as `pelvis_left_hip`, because no rotation of one joint carries all.

        Raises:
            SkeletonError: If the skeleton has sites, which follow rotations that positions do not tell, or several
                roots.
        """
        if skeleton.sites or skeleton.parents[0] >= 0 or any(parent < 0 for parent in skeleton.parents[1:]):
            raise SkeletonError(
                f"a rig cannot be made of skeleton {skeleton.name}, which has sites or several roots; "
                "convert the clip to h36m17"
            )
        names, joints = skeleton.joints, list[RigJoint]()
        numbers: list[int] = []  # of the skeleton's joints in the rig
        for joint, parent in enumerate(skeleton.parents):
            above = -1 if parent < 0 else numbers[parent]
            if parent >= 0 and skeleton.parents.index(parent) != joint:
                carrier, bone = f"{names[parent]}_{names[joint]}", (names[parent], names[joint])
                joints.append(RigJoint(name=carrier, parent=above, at=names[parent], bone=bone))
                above = len(joints) - 1
            bones = [(names[joint], names[child]) for child, its in enumerate(skeleton.parents) if its == joint]
            bones_or_none = [*bones, None, None]
            numbers.append(len(joints))
            joints.append(
                RigJoint(name=names[joint], parent=above, at=names[joint], bone=bones_or_none[0], side=bones_or_none[1])
            )
        still = np.asarray(rest, dtype=np.float64)
        return cls(joints=tuple(joints), skeleton=skeleton, rest=still, unit=skeleton.unit, up=skeleton.up)

    def without_spare(self, places: Places) -> "Rig":
        """The rig without the spare joints that a motion does not need; their children hang on their parents."""
        left_out = [joint.spare and places.straight(joint.at) for joint in self.joints]
        numbers: list[int] = []  # of each joint, or of what takes its place
        kept: list[RigJoint] = []
        for joint, out in zip(self.joints, left_out, strict=True):
            parent = numbers[joint.parent] if joint.parent >= 0 else -1
            numbers.append(parent if out else len(kept))
            if not out:
                kept.append(replace(joint, parent=parent))
        return replace(self, joints=tuple(kept))


@cache
def known_rigs() -> tuple[str, ...]:
    """Names of the rigs that come with the library.

    >>> known_rigs()
    ('h36m17', 'mixamo', 'unreal')
    """
    folder = resources.files("vipe.writers").joinpath("rigs")
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


@cache
def load_rig(name: str) -> Rig:
    """Load a rig of h36m17 by the kind of its names; its rest pose is a T.

    Raises:
        SkeletonError: If there is none of this name.

    >>> [joint.name for joint in load_rig("unreal").joints[:2]]
    ['root', 'pelvis']
    """
    if name not in known_rigs():
        raise SkeletonError(f"no rig {name!r}: known are {', '.join(known_rigs())}")
    table = tomllib.loads(resources.files("vipe.writers").joinpath(f"rigs/{name}.toml").read_text(encoding="utf-8"))
    rows, prefix = table["joints"], table.get("prefix", "")
    order = [row["name"] for row in rows]
    joints = tuple(
        RigJoint(
            name=prefix + row["name"],
            parent=order.index(row["parent"]) if "parent" in row else -1,
            at=row["at"],
            bone=(row.get("from", row["at"]), row["to"]) if "to" in row else None,
            side=tuple(row["side"]) if "side" in row else None,
            tip=tuple(row["tip"]) if isinstance(row.get("tip"), list) else row.get("tip"),
            spare=row.get("spare", False),
        )
        for row in rows
    )
    rest = upright_pose().astype(np.float64)
    return Rig(joints=joints, skeleton=H36M17, rest=rest, unit=table["unit"], up=table["up"])
