"""New poses from a learned embedding: variations of one, the way between two, and ones from the prior (numpy)."""

__all__ = [
    "LIMBS",
    "Generative",
    "Prior",
    "between",
    "bone_length_error",
    "not_monotone",
    "pose_difference",
    "sample",
    "vary",
]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from vipe.arrays import Array
from vipe.embed.generation.plausibility import JointLimits
from vipe.embed.vvipe.network import VVIPE
from vipe.errors import ArgumentError, ShapeError, VipeError
from vipe.geometry.bones import bone_lengths, bone_vectors, from_bone_vectors
from vipe.geometry.canonical import REFERENCE_LENGTHS, Canonical, canonical_rotation, canonicalize
from vipe.geometry.procrustes import procrustes_mpjpe
from vipe.geometry.rotations import axis_angle
from vipe.skeletons import load

_BODY = load("h36m17")
_BONES = [_BODY.joints[child] for _, child in _BODY.bones]
_TORSO_METRES = 0.5  # of a body that no recording gives
_TRIES = 32  # drawn for each one asked for, before joint limits are said to leave too few
_TINY = 1e-6  # what float32 leaves of a zero: sines of opposite directions, differences of equal distances
_ANCHORS = {
    "pelvis": ("right_hip", "left_hip", "spine"),
    "chest": ("right_shoulder", "left_shoulder", "thorax"),
}

_LEFT_ARM, _RIGHT_ARM = ("left_elbow", "left_wrist"), ("right_elbow", "right_wrist")
_LEFT_LEG, _RIGHT_LEG = ("left_knee", "left_ankle"), ("right_knee", "right_ankle")
LIMBS: Mapping[str, tuple[str, ...]] = {
    "left_arm": _LEFT_ARM,
    "right_arm": _RIGHT_ARM,
    "arms": _LEFT_ARM + _RIGHT_ARM,
    "left_leg": _LEFT_LEG,
    "right_leg": _RIGHT_LEG,
    "legs": _LEFT_LEG + _RIGHT_LEG,
    "torso": ("right_hip", "left_hip", "spine", "thorax", "left_shoulder", "right_shoulder"),
    "head": ("nose", "head"),
}
"""The bones (by their child joint) of each part of the body that may be let move alone."""


@runtime_checkable
class Generative(Protocol):
    """An embedding of poses that can be decoded."""

    @property
    def name(self) -> str:
        """Its kind: "v-vipe" has a standard normal prior."""

    @property
    def dim(self) -> int:
        """Length D of an embedding."""

    def encode_poses(self, poses: Float[Array, "N 17 3"]) -> Float32[Array, "N D"]:
        """Embed poses."""

    def decode(self, z: Float[Array, "N D"]) -> Float32[Array, "N 17 3"]:
        """Canonical poses of embeddings."""


@dataclass(frozen=True)
class Prior:
    """Where embeddings lie: a Gaussian. Directions are drawn from it too, so that `alpha` means the same everywhere."""

    mean: Float32[Array, " D"]
    factor: Float32[Array, "D D"]  # times its transpose is the covariance

    @classmethod
    def standard(cls, dim: int) -> "Prior":
        """N(0, I), which a variational autoencoder is trained towards."""
        return cls(np.zeros(dim, np.float32), np.eye(dim, dtype=np.float32))

    @classmethod
    def fit(cls, embeddings: Float[Array, "N D"]) -> "Prior":
        """Mean and covariance of the embeddings of data, for an embedding that was trained towards no prior.

        Raises:
            VipeError: If there are not more embeddings than dimensions.
        """
        count, dim = embeddings.shape
        if count <= dim:
            raise VipeError(f"a prior of {dim} dimensions is fitted to more than {dim} embeddings, got {count}")
        values, vectors = np.linalg.eigh(np.cov(embeddings.astype(np.float64), rowvar=False).reshape(dim, dim))
        factor = vectors * np.sqrt(values.clip(0))
        return cls(embeddings.mean(axis=0).astype(np.float32), factor.astype(np.float32))

    def directions(self, count: int, generator: np.random.Generator) -> Float32[Array, "count D"]:
        """Steps with the spread of the prior and mean 0."""
        normal = generator.standard_normal((count, len(self.mean))).astype(np.float32)
        return np.asarray(normal @ self.factor.T)


def vary(
    embedder: Generative,
    source: Float[Array, "17 3"],
    alphas: Sequence[float] = (0.2, 0.3, 0.4, 0.5),
    count: int = 8,
    *,
    generator: np.random.Generator,
    prior: Prior | None = None,
    limbs: Sequence[str] = (),
    limits: JointLimits | None = None,
    detail: bool = True,
) -> Float32[Array, "count alphas 17 3"]:
    """Variations of a pose: z + alpha * direction, decoded, along directions drawn once (levy2024).

    Args:
        embedder: A learned embedding.
        source: Metres, world space, joints of `h36m17`.
        alphas: How far to go; 0 is the source. At 1 a variation has as much spread as all the data.
        count: Directions.
        generator: Draws the directions.
        prior: Whose spread directions have; N(0, I) for V-VIPE. Other embeddings need one: `Prior.fit`.
        limbs: Parts of the body that may move, of `LIMBS`; all if empty. Bones of the others keep their directions.
        limits: Keep only directions along which the joints stay within these at every alpha, and draw on until there
            are `count`. An angle that the source itself has out of its range does not count.
        detail: Carry what decoding loses of the source over to the variations. Without, alpha 0 gives the source as
            the decoder has it.

    Returns:
        Poses on the source's body, with its bone lengths exactly, and at its place, metres.

    Raises:
        VipeError: If a limb is unknown, an alpha is negative or not finite, `count` is not positive, or the embedding
            has no prior and none is given, or the limits leave too few directions.
        ShapeError: If the source is not (17, 3) or has no canonical form.
    """
    moving = _moving(limbs)
    steps = np.asarray(alphas, np.float32)
    if not steps.size or not np.isfinite(steps).all() or (steps < 0).any():
        raise VipeError(f"alphas must be at least one number, none negative, got {', '.join(map(str, alphas)) or '-'}")
    prior = _prior(embedder, prior)
    body, z = _taken_apart(embedder, source, "source")
    own = _directions(body)
    turn = _turn(_decoded(embedder, z), own)

    def make(number: int) -> Float32[Array, "number alphas 17 3"]:
        turned = _decoded(embedder, z + steps[:, None] * prior.directions(number, generator)[:, None])
        return _placed(_held(_turned(turned, *turn) if detail else turned, own, moving), body)

    return _drawn(make, _positive("count", count), limits, source)


def between(
    embedder: Generative,
    source: Float[Array, "17 3"],
    target: Float[Array, "17 3"],
    steps: int = 8,
    *,
    limbs: Sequence[str] = (),
    detail: bool = True,
) -> Float32[Array, "steps 17 3"]:
    """The way from one pose to another on the line between their embeddings, ends included.

    Args:
        embedder: A learned embedding.
        source: Metres, world space, joints of `h36m17`; its body, place and facing are those of all results.
        target: Likewise; only its pose counts.
        steps: Poses, at least 2.
        limbs: As for `vary`.
        detail: As for `vary`: the ends are then the two poses themselves.

    Raises:
        VipeError: If a limb is unknown or there are fewer than 2 steps.
        ShapeError: If a pose is not (17, 3) or has no canonical form.
    """
    moving = _moving(limbs)
    if steps < 2:
        raise VipeError(f"a way between two poses has at least 2 steps, got {steps}")
    (body, start), (goal, end) = (
        _taken_apart(embedder, pose, name) for pose, name in ((source, "source"), (target, "target"))
    )
    share = np.linspace(0, 1, steps, dtype=np.float32)
    turned = _decoded(embedder, start + share[:, None] * (end - start))
    if detail:
        weight = torch.from_numpy(share)[:, None]
        for z, pose, part in ((start, body, 1 - weight), (end, goal, weight)):
            axis, angle = _turn(_decoded(embedder, z), _directions(pose))
            turned = _turned(turned, axis, part * angle)
    return _placed(_held(turned, _directions(body), moving), body)


def sample(
    embedder: Generative,
    count: int = 8,
    *,
    generator: np.random.Generator,
    prior: Prior | None = None,
    source: Float[Array, "17 3"] | None = None,
    limbs: Sequence[str] = (),
    limits: JointLimits | None = None,
) -> Float32[Array, "count 17 3"]:
    """Poses from the prior: any that the embedding knows.

    Args:
        embedder: A learned embedding.
        count: Poses.
        generator: Draws them.
        prior: As for `vary`.
        source: Whose body, place and held limbs to take; else the reference body with a torso of 0.5 m, upright at
            the world's origin, its lowest joint on the floor, facing -x.
        limbs: As for `vary`; needs a source.
        limits: Keep only poses whose joints are within these, and draw on until there are `count`.

    Raises:
        VipeError: If a limb is unknown or there is no source to hold the others, `count` is not positive, or the
            embedding has no prior and none is given, or the limits leave too few poses.
        ShapeError: If the source is not (17, 3) or has no canonical form.
    """
    moving = _moving(limbs)
    if source is None and not all(moving):
        raise VipeError(f"limbs {', '.join(limbs)}: the others are held as in a source pose, and none is given")
    prior = _prior(embedder, prior)
    body = None if source is None else _taken_apart(embedder, source, "source")[0]

    def make(number: int) -> Float32[Array, "number 1 17 3"]:
        drawn = _decoded(embedder, prior.mean + prior.directions(number, generator))[:, None]
        return _on_reference(drawn) if body is None else _placed(_held(drawn, _directions(body), moving), body)

    return _drawn(make, _positive("count", count), limits, None if all(moving) else source)[:, 0]


def pose_difference(poses: Float[Array, "*batch 17 3"], source: Float[Array, "17 3"]) -> Float32[Array, "*batch"]:
    """Mean joint distance after similarity alignment of canonical poses, in torso lengths."""
    a, b = (canonicalize(torch.tensor(side, dtype=torch.float32)).poses for side in (poses, source))
    return np.asarray(procrustes_mpjpe(a, b).numpy())


def bone_length_error(poses: Float[Array, "N 17 3"], source: Float[Array, "17 3"]) -> float:
    """The largest share by which a bone of the poses is longer or shorter than the source's."""
    own, made = (bone_lengths(torch.tensor(side, dtype=torch.float32), _BODY.parents) for side in (source, poses))
    return float((made / own - 1).abs().max())


def not_monotone(distance: Float[Array, "*batch steps"]) -> Bool[Array, "*batch steps-1"]:
    """Steps after which the distance is smaller than before: where generation is not smooth.

    Args:
        distance: To the source, by growing alpha.
    """
    return np.asarray(np.diff(distance, axis=-1) < -_TINY)


def _drawn(
    make: Callable[[int], Float32[Array, "number steps 17 3"]],
    count: int,
    limits: JointLimits | None,
    source: Float[Array, "17 3"] | None,
) -> Float32[Array, "count steps 17 3"]:
    """Draw until `count` stay within the limits at all their steps; what the source has out of range is excused."""
    if limits is None:
        return make(count)
    excused = np.zeros(1, bool) if source is None else ~limits.within(source[None])
    kept: list[Array] = []
    for _ in range(_TRIES):
        drawn = make(count)
        within = (limits.within(drawn.reshape(-1, 17, 3)) | excused).all(axis=1)
        kept += list(drawn[within.reshape(drawn.shape[:2]).all(axis=1)])
        if len(kept) >= count:
            return np.stack(kept[:count])
    raise VipeError(
        f"joint limits: {len(kept)} of {_TRIES * count} drawn stay within them, {count} were asked for; ask for fewer, "
        "go less far, or draw without limits"
    )


def _moving(limbs: Sequence[str]) -> list[bool]:
    if isinstance(limbs, str):
        raise ArgumentError(f"limbs must be a sequence of names, got {limbs!r}; give ({limbs!r},)")
    if unknown := [limb for limb in limbs if limb not in LIMBS]:
        raise VipeError(f"there is no limb {unknown[0]!r}; limbs are {', '.join(LIMBS)}")
    free = {bone for limb in limbs for bone in LIMBS[limb]}
    return [not limbs or bone in free for bone in _BONES]


def _positive(name: str, count: int) -> int:
    if count < 1:
        raise VipeError(f"{name} must be at least 1, got {count}")
    return count


def _prior(embedder: Generative, prior: Prior | None) -> Prior:
    if prior is None:
        if embedder.name != VVIPE.kind:
            raise VipeError(
                f"an embedding of kind {embedder.name!r} was trained towards no prior; fit one to the embeddings of "
                "poses: Prior.fit(embedder.encode_poses(poses))"
            )
        return Prior.standard(embedder.dim)
    if len(prior.mean) != embedder.dim:
        raise ShapeError(f"the prior has {len(prior.mean)} dimensions, the embedding {embedder.dim}")
    return prior


def _taken_apart(embedder: Generative, pose: Float[Array, "17 3"], name: str) -> tuple[Canonical, Float32[Array, " D"]]:
    """The canonical form of one pose, and its embedding."""
    if pose.shape != (17, 3):
        raise ShapeError(f"{name} must be one pose (17, 3), got shape {pose.shape}")
    z = embedder.encode_poses(pose[None])[0]  # refuses what has no canonical form
    return canonicalize(torch.tensor(pose, dtype=torch.float32)), z


def _directions(body: Canonical) -> Float[Tensor, "*batch 16 3"]:
    return torch.nn.functional.normalize(bone_vectors(body.poses, _BODY.parents), dim=-1)


def _decoded(embedder: Generative, z: Float32[Array, "*batch D"]) -> Float[Tensor, "*batch 16 3"]:
    """Unit bone directions, in canonical space."""
    poses = embedder.decode(z.reshape(-1, z.shape[-1])).reshape(*z.shape[:-1], 17, 3)
    return _directions(canonicalize(torch.tensor(poses)))


def _turn(
    a: Float[Tensor, "*batch 3"], b: Float[Tensor, "*batch 3"]
) -> tuple[Float[Tensor, "*batch 3"], Float[Tensor, "*batch"]]:
    """Axis and angle of the smallest rotation that takes each direction to the other."""
    axis = torch.linalg.cross(a, b)
    cosine = (a * b).sum(-1)
    # Opposite directions have no smallest rotation: half a turn about anything square to them.
    across = torch.linalg.cross(a, torch.eye(3)[a.abs().argmin(-1)])
    opposite = (axis.norm(dim=-1) < _TINY) & (cosine < 0)
    angle = torch.atan2(axis.norm(dim=-1), cosine)
    return torch.where(opposite[..., None], across, axis), angle


def _turned(
    vectors: Float[Tensor, "*batch 3"], axis: Float[Tensor, "*#batch 3"], angle: Float[Tensor, "*#batch"]
) -> Float[Tensor, "*batch 3"]:
    return (axis_angle(axis, angle) @ vectors[..., None])[..., 0]


def _held(
    directions: Float[Tensor, "*batch 16 3"], source: Float[Tensor, "16 3"], moving: Sequence[bool]
) -> Float[Tensor, "*batch 16 3"]:
    """Give the bones that may not move the source's directions.

    A limb that moves while the torso does not keeps its angles to the torso: its directions are turned from the
    decoded torso to the source's, legs with the pelvis and all else with the chest.
    """
    result = directions
    if not moving[_BONES.index("thorax")]:
        leg = torch.tensor([bone in LIMBS["legs"] for bone in _BONES])[:, None]
        legs, rest = ((directions @ _facing(directions, part).mT) @ _facing(source, part) for part in _ANCHORS)
        result = torch.where(leg, legs, rest)
    return torch.where(torch.tensor(moving)[:, None], result, source)


def _facing(directions: Float[Tensor, "*batch 16 3"], part: str) -> Float[Tensor, "*batch 3 3"]:
    """The rotation to a part of the torso's own axes."""
    right, left, up = (directions[..., _BONES.index(bone), :] for bone in _ANCHORS[part])
    return canonical_rotation(right - left, up)[0]


def _on_reference(directions: Float[Tensor, "*batch 16 3"]) -> Float32[Array, "*batch 17 3"]:
    """On the reference body, upright at the world's origin, the lowest joint on the floor."""
    lengths = _TORSO_METRES * directions.new_tensor(REFERENCE_LENGTHS)
    poses = from_bone_vectors(directions * lengths[:, None], _BODY.parents)
    floor = poses[..., 2].amin(-1)[..., None, None] * poses.new_tensor([0.0, 0.0, 1.0])
    return np.asarray((poses - floor).numpy())


def _placed(directions: Float[Tensor, "*batch 16 3"], body: Canonical) -> Float32[Array, "*batch 17 3"]:
    """Bones of the body's own lengths, turned and placed as it is."""
    batch = directions.shape[:-2]
    vectors = directions * directions.new_tensor(REFERENCE_LENGTHS)[:, None]
    whole = Canonical(
        poses=from_bone_vectors(vectors, _BODY.parents),
        rotation=body.rotation.expand(*batch, 3, 3),
        lengths=body.lengths.expand(*batch, len(_BONES)),
        root=body.root.expand(*batch, 3),
        degenerate=body.degenerate.expand(batch),
    )
    return np.asarray(whole.restore().numpy())
