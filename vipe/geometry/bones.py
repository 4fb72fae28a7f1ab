"""Bones: vectors from parent to child, their lengths, and poses built from them (torch)."""

__all__ = ["bone_lengths", "bone_vectors", "from_bone_vectors", "with_bone_lengths"]

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vipe.errors import ShapeError

SHORTEST = 1e-6
"""A bone not longer than this (a micrometre, in metres) has no direction; its length counts as zero."""


def bone_vectors(poses: Float[Tensor, "*batch J 3"], parents: Sequence[int]) -> Float[Tensor, "*batch B 3"]:
    """The vector of every bone, child minus parent, in the order of `Skeleton.bones` and the unit of the poses.

    Args:
        poses: Joint positions in any space.
        parents: The skeleton's parents, -1 for a root, every parent before its children.

    Raises:
        ShapeError: If the poses do not have one joint for each entry of `parents`.

    Example:
        >>> arm = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 3.0], [4.0, 0.0, 3.0]])
        >>> bone_vectors(arm, parents=(-1, 0, 1))
        tensor([[0., 0., 2.],
                [4., 0., 0.]])
    """
    _check(poses, parents)
    children = [child for child, parent in enumerate(parents) if parent >= 0]
    return poses[..., children, :] - poses[..., [parents[child] for child in children], :]


def bone_lengths(poses: Float[Tensor, "*batch J 3"], parents: Sequence[int]) -> Float[Tensor, "*batch B"]:
    """Length of every bone, in the order of `Skeleton.bones` and the unit of the poses.

    A bone not longer than `SHORTEST` has length exactly 0, and gradient 0, because the norm has no gradient at 0.

    Args:
        poses: Joint positions in any space.
        parents: The skeleton's parents, -1 for a root, every parent before its children.

    Raises:
        ShapeError: If the poses do not have one joint for each entry of `parents`.

    Example:
        >>> arm = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 3.0], [4.0, 0.0, 3.0]])
        >>> bone_lengths(arm, parents=(-1, 0, 1))
        tensor([2., 4.])
    """
    return safe_norm(bone_vectors(poses, parents))[0]


def from_bone_vectors(
    vectors: Float[Tensor, "*batch B 3"], parents: Sequence[int], root: Float[Tensor, "*batch 3"] | None = None
) -> Float[Tensor, "*batch J 3"]:
    """Joint positions from bone vectors: the inverse of `bone_vectors`.

    Args:
        vectors: Child minus parent, in the order of `Skeleton.bones`.
        parents: The skeleton's parents, -1 for its one root, every parent before its children.
        root: Where the root joint goes; the origin by default.

    Raises:
        ShapeError: If the number of vectors differs from the number of bones.

    Example:
        >>> vectors = torch.tensor([[0.0, 0.0, 2.0], [4.0, 0.0, 0.0]])
        >>> from_bone_vectors(vectors, parents=(-1, 0, 1), root=torch.tensor([0.0, 0.0, 1.0]))
        tensor([[0., 0., 1.],
                [0., 0., 3.],
                [4., 0., 3.]])
    """
    bones = sum(parent >= 0 for parent in parents)
    if vectors.ndim < 2 or vectors.shape[-2:] != (bones, 3):
        raise ShapeError(f"bone vectors must end in ({bones}, 3), got shape {tuple(vectors.shape)}")
    start = torch.zeros_like(vectors[..., 0, :]) if root is None else root
    joints: list[Tensor] = []
    bone = 0
    for parent in parents:
        if parent < 0:
            joints.append(start)
        else:
            joints.append(joints[parent] + vectors[..., bone, :])
            bone += 1
    return torch.stack(joints, dim=-2)


def with_bone_lengths(
    poses: Float[Tensor, "*batch J 3"], lengths: Float[Tensor, "*#batch B"], parents: Sequence[int]
) -> Float[Tensor, "*batch J 3"]:
    """The pose on another body: the same bone directions and root, other bone lengths.

    Args:
        poses: Joint positions in any space.
        lengths: Wanted lengths in the order of `Skeleton.bones`, in the unit of the poses; broadcast over the batch.
        parents: The skeleton's parents, -1 for its one root, every parent before its children.

    Returns:
        The poses. A bone of length zero has no direction and stays of length zero.

    Raises:
        ShapeError: If poses or lengths do not fit the parents.

    Example:
        >>> arm = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 3.0], [4.0, 0.0, 3.0]])
        >>> with_bone_lengths(arm, torch.tensor([1.0, 1.0]), parents=(-1, 0, 1))
        tensor([[0., 0., 1.],
                [0., 0., 2.],
                [1., 0., 2.]])
    """
    vectors = bone_vectors(poses, parents)
    if lengths.shape[-1:] != vectors.shape[-2:-1]:
        raise ShapeError(f"lengths must end in ({vectors.shape[-2]},), got shape {tuple(lengths.shape)}")
    _, inverse = safe_norm(vectors)
    root = poses[..., [parent < 0 for parent in parents].index(True), :]
    return from_bone_vectors(vectors * (lengths * inverse)[..., None], parents, root)


def safe_norm(
    vectors: Float[Tensor, "*batch 3"],
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """Length and 1 / length over the last axis; both 0, with gradient 0, where the length is at most `SHORTEST`."""
    square = vectors.square().sum(-1)
    long = square > SHORTEST**2
    # Two wheres: the first keeps zero away from sqrt and division, so that no infinite gradient is multiplied by 0.
    norm = torch.where(long, square, 1.0).sqrt()
    return torch.where(long, norm, 0.0), torch.where(long, 1.0 / norm, 0.0)


def _check(poses: Tensor, parents: Sequence[int]) -> None:
    if poses.ndim < 2 or poses.shape[-2:] != (len(parents), 3):
        raise ShapeError(f"poses must end in ({len(parents)}, 3), got shape {tuple(poses.shape)}")
