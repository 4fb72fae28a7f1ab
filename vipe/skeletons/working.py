"""The two skeletons that the library works on, loaded once, and the index tables that follow from them."""

__all__ = ["BONES", "CHILDREN", "COCO13", "COCO13_IN_H36M17", "COCO13_MIRRORED", "H36M17", "PARENTS", "without_side"]

from vipe.skeletons.skeleton import load

H36M17 = load("h36m17")
"""Of 3D poses."""

COCO13 = load("coco13")
"""Of keypoints."""

PARENTS: tuple[int, ...] = tuple(parent for parent, _ in H36M17.bones)
"""The joint in which each bone of `H36M17.bones` begins."""

CHILDREN: tuple[int, ...] = tuple(child for _, child in H36M17.bones)
"""The joint in which each bone ends."""

BONES: tuple[str, ...] = tuple(H36M17.joints[child] for child in CHILDREN)
"""Each bone's name: that of the joint in which it ends."""

COCO13_IN_H36M17: tuple[int, ...] = tuple(H36M17.index(joint) for joint in COCO13.joints)
"""Where a pose holds the keypoints' joints: each has its namesake there."""

COCO13_MIRRORED: tuple[int, ...] = COCO13.mirrored
"""For every keypoint, that of the other side of the body."""


def without_side(joint: str) -> str:
    """A joint's name without left and right: "hip" of "left_hip", "nose" of "nose"."""
    return joint.removeprefix("left_").removeprefix("right_")
