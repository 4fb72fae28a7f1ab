"""What variations, interpolation and samples share: poses as bone directions, and back on a body (torch)."""

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from vipe.arrays import Array
from vipe.embed.generation.prior import Generative
from vipe.errors import ShapeError, VipeError
from vipe.geometry.bones import bone_vectors, from_bone_vectors
from vipe.geometry.canonical import REFERENCE_LENGTHS, Canonical, canonicalize
from vipe.geometry.rotations import axis_angle
from vipe.skeletons.working import BONES, H36M17

_TORSO_METRES = 0.5  # of the reference body
_ROUNDING = 1e-6  # sine of opposite directions in float32


def decompose(embedder: Generative, pose: Float[Array, "17 3"], name: str) -> tuple[Canonical, Float32[Array, " D"]]:
    """The canonical form of one pose, and its embedding."""
    if pose.shape != (17, 3):
        raise ShapeError(f"{name} must be one pose (17, 3), got shape {pose.shape}")
    z = embedder.encode_poses(pose[None])[0]  # refuses what has no canonical form
    return canonicalize(torch.tensor(pose, dtype=torch.float32)), z


def bone_directions(body: Canonical) -> Float[Tensor, "*batch 16 3"]:
    """Unit bone directions of canonical poses."""
    return torch.nn.functional.normalize(bone_vectors(body.poses, H36M17.parents), dim=-1)


def decode_directions(embedder: Generative, z: Float32[Array, "*batch D"]) -> Float[Tensor, "*batch 16 3"]:
    """Unit bone directions, in canonical space."""
    poses = embedder.decode(z.reshape(-1, z.shape[-1])).reshape(*z.shape[:-1], 17, 3)
    return bone_directions(canonicalize(torch.tensor(poses)))


def smallest_rotation(
    a: Float[Tensor, "*batch 3"], b: Float[Tensor, "*batch 3"]
) -> tuple[Float[Tensor, "*batch 3"], Float[Tensor, "*batch"]]:
    """Axis and angle of the smallest rotation from each direction to the other."""
    axis = torch.linalg.cross(a, b)
    cosine = (a * b).sum(-1)
    # Opposite directions have no unique one: half a turn about any orthogonal axis.
    across = torch.linalg.cross(a, torch.eye(3)[a.abs().argmin(-1)])
    opposite = (axis.norm(dim=-1) < _ROUNDING) & (cosine < 0)
    angle = torch.atan2(axis.norm(dim=-1), cosine)
    return torch.where(opposite[..., None], across, axis), angle


def rotate(
    vectors: Float[Tensor, "*batch 3"], axis: Float[Tensor, "*#batch 3"], angle: Float[Tensor, "*#batch"]
) -> Float[Tensor, "*batch 3"]:
    """Rotate vectors about axes by angles, radians."""
    return (axis_angle(axis, angle) @ vectors[..., None])[..., 0]


def on_body(directions: Float[Tensor, "*batch 16 3"], body: Canonical) -> Float32[Array, "*batch 17 3"]:
    """Poses with the bone lengths, rotation and place of a body."""
    batch = directions.shape[:-2]
    vectors = directions * directions.new_tensor(REFERENCE_LENGTHS)[:, None]
    whole = Canonical(
        poses=from_bone_vectors(vectors, H36M17.parents),
        rotation=body.rotation.expand(*batch, 3, 3),
        lengths=body.lengths.expand(*batch, len(BONES)),
        root=body.root.expand(*batch, 3),
        degenerate=body.degenerate.expand(batch),
    )
    return np.asarray(whole.restore().numpy())


def on_reference_body(directions: Float[Tensor, "*batch 16 3"]) -> Float32[Array, "*batch 17 3"]:
    """Poses of the reference body, upright at the world's origin, the lowest joint on the floor."""
    lengths = _TORSO_METRES * directions.new_tensor(REFERENCE_LENGTHS)
    poses = from_bone_vectors(directions * lengths[:, None], H36M17.parents)
    floor = poses[..., 2].amin(-1)[..., None, None] * poses.new_tensor([0.0, 0.0, 1.0])
    return np.asarray((poses - floor).numpy())


def check_positive(name: str, count: int) -> int:
    """Refuse a count below 1."""
    if count < 1:
        raise VipeError(f"{name} must be at least 1, got {count}")
    return count
