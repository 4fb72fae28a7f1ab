"""Pure functions on points, poses, rotations and cameras (torch)."""

from vipe.geometry.bones import bone_lengths, bone_vectors, from_bone_vectors, with_bone_lengths
from vipe.geometry.cameras import in_front, look_at, project, to_camera
from vipe.geometry.canonical import (
    REFERENCE_LENGTHS,
    REFERENCE_TORSO,
    Canonical,
    CanonicalArrays,
    canonical_rotation,
    canonicalize,
    canonicalize_array,
)
from vipe.geometry.kabsch import kabsch
from vipe.geometry.procrustes import align, procrustes_mpjpe
from vipe.geometry.rotations import axis_angle, random_rotation

__all__ = [
    "REFERENCE_LENGTHS",
    "REFERENCE_TORSO",
    "Canonical",
    "CanonicalArrays",
    "align",
    "axis_angle",
    "bone_lengths",
    "bone_vectors",
    "canonical_rotation",
    "canonicalize",
    "canonicalize_array",
    "from_bone_vectors",
    "in_front",
    "kabsch",
    "look_at",
    "procrustes_mpjpe",
    "project",
    "random_rotation",
    "to_camera",
    "with_bone_lengths",
]
