"""Which bones share a length: the nine factors by which a person's body may differ from the canonical one."""

__all__ = ["BONE_GROUPS", "GROUP_OF_BONE", "PAIRED_GROUPS"]

from vipe.skeletons.working import BONES, without_side

PAIRED_GROUPS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
"""Groups of two bones, left and right."""

BONE_GROUPS = (*PAIRED_GROUPS, "nose", "spine", "thorax")
"""What the nine bone factors belong to: the bone that ends in the joint of that name, on both sides."""

GROUP_OF_BONE: tuple[int | None, ...] = tuple(
    BONE_GROUPS.index(without_side(bone)) if without_side(bone) in BONE_GROUPS else None for bone in BONES
)
"""Each bone's group; None for the head's, which no keypoint shows."""
