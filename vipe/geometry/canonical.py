"""The canonical pose: one body, one size, one direction to face (torch; `canonicalize_array` takes numpy)."""

__all__ = [
    "REFERENCE_LENGTHS",
    "REFERENCE_TORSO",
    "Canonical",
    "CanonicalArrays",
    "canonical_rotation",
    "canonicalize",
    "canonicalize_array",
]

import math
import tomllib
from dataclasses import dataclass
from importlib import resources

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from vipe.arrays import Array
from vipe.cores import cores
from vipe.errors import ShapeError
from vipe.geometry.bones import SHORTEST, bone_vectors, from_bone_vectors
from vipe.geometry.planes import dot, from_planes, in_blocks, rotate, to_planes
from vipe.skeletons.working import BONES, H36M17, PARENTS

_RIGHT_HIP, _LEFT_HIP, _SPINE, _THORAX = (BONES.index(name) for name in ("right_hip", "left_hip", "spine", "thorax"))


def _read_reference() -> tuple[tuple[float, ...], float]:
    table = tomllib.loads(resources.files("vipe.geometry").joinpath("reference.toml").read_text("utf-8"))["millimetres"]
    torso = table["spine"] + table["thorax"]
    return tuple(table[bone] / torso for bone in BONES), torso / 1000


REFERENCE_LENGTHS, REFERENCE_TORSO = _read_reference()
"""Bone lengths of the canonical body, in the order of `load("h36m17").bones`; its torso (spine + thorax) is 1. And that
torso in metres: the size of a person of whom only an image is known."""

FLATTEST = 1e-3
"""Anchors lie on one line, and fix no rotation, if the ratio of their two singular values is below about this."""


@dataclass(frozen=True)
class Canonical:
    """Canonical poses, and the rotation, bone lengths and place that restore the recorded ones."""

    poses: Float[Tensor, "*batch 17 3"]  # torso lengths, canonical space, pelvis at 0
    rotation: Float[Tensor, "*batch 3 3"]  # canonical from world
    lengths: Float[Tensor, "*batch 16"]  # metres: the person's own bones, in the order of `Skeleton.bones`
    root: Float[Tensor, "*batch 3"]  # metres: the pelvis in the world
    degenerate: Bool[Tensor, "*batch"]  # hips and spine on one line, or a bone without a direction

    @property
    def scale(self) -> Float[Tensor, "*batch"]:
        """Torso length (pelvis to spine to thorax) of the person as recorded, metres."""
        return self.lengths[..., _SPINE] + self.lengths[..., _THORAX]

    def restore(self) -> Float[Tensor, "*batch 17 3"]:
        """The poses as recorded: own bone lengths, rotation and place, metres."""
        stretch = self.lengths / self.poses.new_tensor(REFERENCE_LENGTHS)
        vectors = bone_vectors(self.poses, H36M17.parents) * stretch[..., None]
        return from_bone_vectors(vectors @ self.rotation, H36M17.parents, self.root)


@dataclass(frozen=True)
class CanonicalArrays:
    """`Canonical` with numpy fields, for files and stores."""

    poses: Float32[Array, "*batch 17 3"]  # torso lengths, canonical space, pelvis at 0
    rotation: Float32[Array, "*batch 3 3"]  # canonical from world
    lengths: Float32[Array, "*batch 16"]  # metres: the person's own bones, in the order of `Skeleton.bones`
    root: Float32[Array, "*batch 3"]  # metres: the pelvis in the world
    degenerate: Bool[Array, "*batch"]  # hips and spine on one line, or a bone without a direction

    @property
    def scale(self) -> Float32[Array, "*batch"]:
        """Torso length (pelvis to spine to thorax) of the person as recorded, metres."""
        return np.asarray(self.lengths[..., _SPINE] + self.lengths[..., _THORAX])

    def restore(self) -> Float32[Array, "*batch 17 3"]:
        """The poses as recorded: own bone lengths, rotation and place, metres."""
        fields = (self.poses, self.rotation, self.lengths, self.root, self.degenerate)
        return Canonical(*(torch.from_numpy(field) for field in fields)).restore().numpy()


def canonicalize(poses: Float[Tensor, "*batch 17 3"]) -> Canonical:
    """Bring poses to one body, one size and one direction to face, so that only the pose is left.

    First the pelvis goes to the origin. Then every bone keeps its direction and gets the length of the reference body,
    whose torso (pelvis to spine to thorax) is 1. Last, Kabsch's rotation takes (left hip, right hip, spine) as near as
    possible to (0,-1,0), (0,1,0), (0,0,1). The rotation comes after the lengths, so the result depends on bone
    directions alone, and canonicalizing twice changes nothing. A mirrored person becomes the mirror image of the
    canonical pose, never the pose itself.

    Args:
        poses: Joints of `h36m17`, metres, in any right-handed space; finite.

    Returns:
        The canonical poses with rotation, own lengths and root. Their `restore()` gives the input again, in float32 to
        1e-5 m for a person within some metres of the origin. Two kinds of rows are `degenerate`: where hips and spine
        lie on one line, the rotation is the identity; where a bone is shorter than a micrometre, it has (almost) no
        length. Gradients are finite everywhere.

    Raises:
        ShapeError: If `poses` does not end in (17, 3).

    Reference:
        Levy & Shrivastava 2024 (V-VIPE), sec. 3.1.

    Example:
        >>> recorded = torch.randn(17, 3, generator=torch.Generator().manual_seed(0))
        >>> found = canonicalize(recorded)
        >>> moved = canonicalize(3 * recorded + 5)
        >>> torch.allclose(found.poses, moved.poses, atol=1e-5), torch.allclose(found.restore(), recorded, atol=1e-5)
        (True, True)
    """
    _check(poses.shape)
    batch = poses.shape[:-2]
    joints, rotation, lengths, degenerate = _canonicalize(to_planes(poses))
    return Canonical(
        poses=from_planes(joints, batch),
        rotation=from_planes(rotation, batch),
        lengths=lengths.T.reshape(*batch, len(BONES)),
        root=poses[..., 0, :],
        degenerate=degenerate.reshape(batch),
    )


def canonicalize_array(poses: Float[Array, "*batch 17 3"]) -> CanonicalArrays:
    """Bring poses to one body, one size and one direction to face: `canonicalize` for numpy arrays, on all cores.

    It computes in float32, block by block, so that millions of poses need little memory beside input and result.

    Args:
        poses: Joints of `h36m17`, metres, in any right-handed space.

    Raises:
        ShapeError: If `poses` does not end in (17, 3), or holds a number that is not finite; names the pose.

    Example:
        >>> canonicalize_array(np.random.default_rng(0).normal(size=(4, 17, 3))).poses.shape
        (4, 17, 3)
    """
    poses = np.asarray(poses)
    _check(poses.shape)
    batch, count = poses.shape[:-2], math.prod(poses.shape[:-2])
    rows = poses.reshape(count, 51)
    # numpy's memory, not torch's: numpy asks the system for huge pages, which halves the time of the whole function.
    joints, rotations, lengths, root = (np.empty((count, size), np.float32) for size in (51, 9, len(BONES), 3))
    degenerate = np.empty(count, dtype=bool)

    def work(block: slice) -> None:
        # torch refuses read-only arrays, such as those of a clip or of Arrow. Copying a block costs little.
        given = torch.from_numpy(np.require(rows[block], np.float32, ["C", "W"]))
        x, R, own, flat = _canonicalize(to_planes(given.view(-1, 17, 3)))
        if not torch.isfinite(own.sum()):
            bad = block.start + int(torch.isfinite(own).all(0).logical_not().nonzero()[0])
            raise ShapeError(f"poses must be finite, pose {bad} is not; drop it, or fill what is missing")
        torch.from_numpy(joints[block]).copy_(x.view(51, -1).T)
        torch.from_numpy(rotations[block]).copy_(R.view(9, -1).T)
        torch.from_numpy(lengths[block]).copy_(own.T)
        root[block] = rows[block, :3]
        degenerate[block] = flat.numpy()

    in_blocks(work, count, workers=cores())
    return CanonicalArrays(
        poses=joints.reshape(*batch, 17, 3),
        rotation=rotations.reshape(*batch, 3, 3),
        lengths=lengths.reshape(*batch, len(BONES)),
        root=root.reshape(*batch, 3),
        degenerate=degenerate.reshape(batch),
    )


def canonical_rotation(
    u: Float[Tensor, "*batch 3"], v: Float[Tensor, "*batch 3"]
) -> tuple[Float[Tensor, "*batch 3 3"], Bool[Tensor, "*batch"]]:
    """The rotation R maximizing y.(R u) + z.(R v): u as near to +y, and v as near to +z, as both can be.

    With three anchors at -u/2, u/2 and v this is Kabsch's rotation onto (0,-1,0), (0,1,0), (0,0,1): their
    cross-covariance has rank 2, so rows y and z of R are the polar factor A (A^T A)^(-1/2) of the 3 x 2 matrix
    A = [u v], and row x is their cross product, which makes R proper (det R = +1) always. With A = [e1 e2] T,
    e1 and e2 orthonormal and T = [[alpha, beta], [0, gamma]], the polar factor of T is the plane rotation
    [[alpha + gamma, beta], [-beta, alpha + gamma]] / sqrt((alpha + gamma)^2 + beta^2).

    Args:
        u: Right hip minus left hip, in any unit.
        v: Spine minus pelvis, in the same unit.

    Returns:
        R, canonical from world, and whether u and v lie on one line (`FLATTEST`; also where one of them is 0). Where
        they do, R is the identity, with gradient 0.

    Example:
        >>> right, up = torch.tensor([2.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 0.3])
        >>> rotation, degenerate = canonical_rotation(right, up)
        >>> (rotation @ right).tolist(), degenerate.item()
        ([0.0, 2.0, 0.0], False)
    """
    batch = u.shape[:-1]
    rotation, flat = _polar(to_planes(u[..., None, :])[0], to_planes(v[..., None, :])[0])
    return from_planes(rotation, batch), flat.reshape(batch)


def _canonicalize(
    joints: Float[Tensor, "17 3 N"],
) -> tuple[Float[Tensor, "17 3 N"], Float[Tensor, "3 3 N"], Float[Tensor, "16 N"], Bool[Tensor, " N"]]:
    bones = joints[1:] - joints.index_select(0, torch.tensor(PARENTS, device=joints.device))
    # Clamped rather than replaced, so that direction, gradient and inverse of the shortest bone stay finite.
    lengths = dot(bones, bones).clamp_min(SHORTEST**2).sqrt()
    bones = bones * (joints.new_tensor(REFERENCE_LENGTHS)[:, None] / lengths)[:, None]
    rotation, flat = _polar(bones[_RIGHT_HIP] - bones[_LEFT_HIP], bones[_SPINE])
    bones = rotate(rotation, bones)
    placed = [torch.zeros_like(bones[0])]
    for bone, parent in enumerate(PARENTS):
        placed.append(placed[parent] + bones[bone])
    return torch.stack(placed), rotation, lengths, flat | (lengths.amin(0) <= SHORTEST)


def _polar(u: Float[Tensor, "3 N"], v: Float[Tensor, "3 N"]) -> tuple[Float[Tensor, "3 3 N"], Bool[Tensor, " N"]]:
    aa = dot(u, u)
    # Two wheres on every root: the first keeps root and division off zero, so that no gradient is 0 times infinity.
    alpha = torch.where(aa > 0, aa, 1.0).sqrt()
    e1 = u / alpha
    beta = dot(v, e1)
    w = v - beta * e1
    w = w - dot(w, e1) * e1  # a second time, since one leaves w oblique where v is almost parallel to u
    gg = dot(w, w)
    solid = aa * gg > (FLATTEST / 2 * (aa + beta.square() + gg)).square()
    gamma = torch.where(solid, gg, 1.0).sqrt()
    e2 = w / gamma
    cosine = alpha + gamma
    turn = torch.where(solid, cosine.square() + beta.square(), 1.0).rsqrt()
    cosine, sine = cosine * turn, beta * turn
    rotation = torch.stack([_cross(e1, e2), cosine * e1 - sine * e2, sine * e1 + cosine * e2])
    # All is finite by now, and lerp is exact at its ends, so this is a where, at a fifth of the time.
    eye = torch.eye(3, dtype=u.dtype, device=u.device)[..., None]
    return torch.lerp(eye, rotation, solid.to(u.dtype)), ~solid


def _cross(a: Float[Tensor, "3 N"], b: Float[Tensor, "3 N"]) -> Float[Tensor, "3 N"]:
    """Cross product; torch's own takes five times as long on this layout."""
    return torch.stack([torch.addcmul(a[i - 2] * b[i - 1], a[i - 1], b[i - 2], value=-1) for i in range(3)])


def _check(shape: tuple[int, ...]) -> None:
    if len(shape) < 2 or tuple(shape[-2:]) != (17, 3):
        raise ShapeError(f"poses must end in (17, 3), the joints of h36m17 in metres, got shape {tuple(shape)}")
