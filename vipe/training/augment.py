"""Pose augmentation: limbs exchanged, bones bent, bodies leaned, bone lengths drawn anew (torch)."""

__all__ = ["AugmentConfig", "PosePool", "draw_poses"]

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vipe.errors import VipeError
from vipe.geometry.bones import bone_vectors, from_bone_vectors
from vipe.geometry.canonical import REFERENCE_LENGTHS, canonicalize
from vipe.geometry.rotations import random_rotation
from vipe.skeletons.working import BONES, CHILDREN, H36M17
from vipe.training.draws import Draws

_MIRRORED = [CHILDREN.index(H36M17.mirrored[child]) for child in CHILDREN]
_ONE_SIDE = [min(bone, other) for bone, other in enumerate(_MIRRORED)]  # left and right bones are equally long
_LIMBS = (
    ("right_knee", "right_ankle"),
    ("left_knee", "left_ankle"),
    ("left_shoulder", "left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow", "right_wrist"),
)
_UPPER = [
    name not in ("right_hip", "left_hip", "right_knee", "left_knee", "right_ankle", "left_ankle") for name in BONES
]
_BEND = [
    0.0 if name.endswith("hip") else 1.0 if name.endswith(("knee", "ankle", "elbow", "wrist")) else 0.5
    for name in BONES
]
# Spread of each bone's length relative to a limb's: between people, and between skeletons of capture systems.
_BUILD = [
    2.0 if name.endswith(("hip", "shoulder")) or name in ("nose", "head", "spine", "thorax") else 1.0 for name in BONES
]


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How far augmented poses depart from the recorded ones; angles in radians.

    Raises:
        VipeError: If a share is not from 0 to 1, or a number is negative.
    """

    exchange: float = 0.5  # share of poses that take limbs of another pose
    limb: float = 0.5  # of those, each limb
    bend: float = 0.5  # most spread of the bends of a pose, drawn from 0; trunk and head bend half as far as limbs
    lean: float = 0.3  # spread of a rotation of all above the pelvis
    tilt: float = 0.15  # spread of a rotation of the whole body away from upright
    lying: float = 0.05  # share of bodies with a uniformly random rotation instead
    build: float = 0.08  # spread of log bone lengths; twice that for hips, shoulders, trunk and head
    own: float = 0.5  # share of bodies that start from the recorded person's bones, not the reference body's
    torso: tuple[float, float] = (0.42, 0.58)  # metres, of the others
    family: int = 4  # poses in a family, which differ by small bends: hard negatives of each other
    familiar: float = 0.5  # share of a batch made up of families
    apart: float = 0.2  # most spread of the bends within a family, drawn from 0

    def __post_init__(self) -> None:
        for name in ("exchange", "limb", "lying", "own", "familiar"):
            if not 0 <= getattr(self, name) <= 1:
                raise VipeError(f"augmentation: {name} must be 0 to 1, got {getattr(self, name)}")
        for name in ("bend", "lean", "tilt", "build", "apart"):
            if not getattr(self, name) >= 0:
                raise VipeError(f"augmentation: {name} must not be negative, got {getattr(self, name)}")
        if self.family < 1 or not 0 < self.torso[0] <= self.torso[1]:
            raise VipeError(
                f"augmentation: family must be at least 1 and torso above 0, got {self.family}, {self.torso}"
            )


@dataclass(frozen=True)
class PosePool:
    """Recorded poses as bone directions, bone lengths of the person, and the rotation of the body."""

    directions: Float[Tensor, "N 16 3"]  # canonical space, unit
    rotation: Float[Tensor, "N 3 3"]  # canonical from world
    lengths: Float[Tensor, "N 16"]  # metres

    @classmethod
    def of(cls, recorded: Float[Tensor, "N 17 3"]) -> "PosePool":
        """Decompose poses: metres, world space, z up."""
        canonical = canonicalize(recorded)
        vectors = bone_vectors(canonical.poses, H36M17.parents)
        return cls(_unit(vectors), canonical.rotation, canonical.lengths)

    def __len__(self) -> int:
        return len(self.directions)

    def canonical(self, rows: Int[Tensor, " batch"]) -> Float[Tensor, "batch 17 3"]:
        """The poses of some rows, in canonical form."""
        return _posed(self.directions[rows], self.directions.new_tensor(REFERENCE_LENGTHS).expand(len(rows), -1))


def draw_poses(
    pool: PosePool, rows: Int[Tensor, " batch"], config: AugmentConfig, generator: torch.Generator
) -> tuple[Float[Tensor, "batch 17 3"], Float[Tensor, "batch 17 3"]]:
    """Draw one augmented pose for each row.

    Args:
        pool: Recorded poses.
        rows: Of the pool. All poses of a family are drawn from the row of its first.
        config: How far to go.
        generator: Every draw, on the pool's device.

    Returns:
        The poses as a camera sees them: metres, world space, pelvis at the origin, bone lengths of different people.
        And the same poses in canonical form, which does not depend on bone lengths.
    """
    batch = len(rows)
    draw = Draws(pool.directions, generator)
    directions = _exchange(pool, pool.directions[rows], config, draw)
    directions = _bent(directions, config.bend * draw.uniform(batch, 1, 1), draw)
    upper = directions.new_tensor(_UPPER)[:, None].bool()
    leaned = directions @ draw.turns(config.lean, batch).mT
    directions = torch.where(upper, leaned, directions)
    first = _families(batch, config, rows.device)
    rows, directions = rows[first], directions[first]
    apart = (
        config.apart * draw.uniform(batch, 1, 1) * (torch.bincount(first, minlength=batch)[first] > 1)[:, None, None]
    )
    directions = _bent(directions, apart, draw)

    canonical = canonicalize(_posed(directions, directions.new_tensor(REFERENCE_LENGTHS).expand(batch, -1)))
    # The augmented pose takes the rotation of the recorded body.
    world = directions @ pool.rotation[rows]
    anyhow = random_rotation(batch, generator=generator, dtype=directions.dtype)
    lying = draw.uniform(batch, 1, 1) < config.lying
    world = world @ torch.where(lying, anyhow, draw.turns(config.tilt, batch)).mT
    return _posed(world, _build(pool.lengths[rows], config, draw)), canonical.poses


def _exchange(
    pool: PosePool, directions: Float[Tensor, "batch 16 3"], config: AugmentConfig, draw: Draws
) -> Float[Tensor, "batch 16 3"]:
    """Exchange limbs with those of another pose, or of its mirror image."""
    batch = len(directions)
    other = draw.integers(len(pool), batch)
    partner = pool.directions[other]
    mirrored = partner[:, _MIRRORED] * partner.new_tensor([1.0, -1.0, 1.0])
    partner = torch.where(draw.uniform(batch, 1, 1) < 0.5, mirrored, partner)
    # Both limbs of a pair often: a seated pose's legs, say, belong together.
    taken = draw.uniform(batch, len(_LIMBS)) < config.limb
    together = draw.uniform(batch, 1) < 0.5
    taken = torch.where(together, taken[:, [0, 0, 2, 2]], taken) & (draw.uniform(batch, 1) < config.exchange)
    return torch.where(
        taken.to(draw.dtype) @ _limbs(directions) > 0, partner.flatten(1), directions.flatten(1)
    ).view_as(directions)


def _limbs(like: Tensor) -> Float[Tensor, "limbs 48"]:
    table = [[float(bone in limb) for bone in BONES for _ in range(3)] for limb in _LIMBS]
    return like.new_tensor(table)


def _bent(
    directions: Float[Tensor, "batch 16 3"], spread: Float[Tensor, "batch 1 1"], draw: Draws
) -> Float[Tensor, "batch 16 3"]:
    """Add noise to each bone's direction; a small spread is about the angle of the bend, in radians."""
    weight = directions.new_tensor(_BEND)[:, None]
    return _unit(directions + spread * weight * draw.normal(*directions.shape))


def _families(batch: int, config: AugmentConfig, device: torch.device) -> Int[Tensor, " batch"]:
    """Index of the first row of each row's family."""
    row = torch.arange(batch, device=device)
    alone = batch - int(config.familiar * batch) // config.family * config.family
    return torch.where(row < alone, row, alone + (row - alone) // config.family * config.family)


def _build(own: Float[Tensor, "batch 16"], config: AugmentConfig, draw: Draws) -> Float[Tensor, "batch 16"]:
    batch = len(own)
    low, high = config.torso
    reference = own.new_tensor(REFERENCE_LENGTHS) * (low + (high - low) * draw.uniform(batch, 1))
    start = torch.where(draw.uniform(batch, 1) < config.own, own, reference)
    factor = config.build * own.new_tensor(_BUILD) * draw.normal(batch, len(BONES))[:, _ONE_SIDE]
    return start * factor.clamp(-0.7, 0.7).exp()


def _posed(directions: Float[Tensor, "batch 16 3"], lengths: Float[Tensor, "batch 16"]) -> Float[Tensor, "batch 17 3"]:
    return from_bone_vectors(directions * lengths[..., None], H36M17.parents)


def _unit(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    return torch.nn.functional.normalize(vectors, dim=-1)
