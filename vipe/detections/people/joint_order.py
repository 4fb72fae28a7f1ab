"""Whose joints a person's numbers are: told from how many there are, and from how they lie (numpy)."""

__all__ = ["COUNTS", "bone_length", "skeleton_of"]

import numpy as np
from jaxtyping import Bool, Float

from vipe.arrays import Array
from vipe.errors import ReadError
from vipe.skeletons import Skeleton, load

COUNTS: dict[int, tuple[str, ...]] = {
    13: ("coco13",),
    14: ("crowdpose14", "aic14", "lsp14"),
    15: ("mpi15",),
    16: ("mpii16",),
    17: ("coco17", "h36m17"),
    18: ("openpose18",),
    23: ("coco17",),  # and feet
    25: ("openpose25", "openpose25b"),
    26: ("halpe26",),
    33: ("mediapipe33",),
    68: ("halpe26",),  # and hands
    133: ("coco133",),
    135: ("openpose25b",),  # and hands and face
    136: ("halpe136",),
}
"""Skeletons by number of joints, the usual one first. Numbers may go on after those of the skeleton."""

_OTHERS = {21: "one hand", 42: "two hands", 70: "OpenPose's face", 478: "MediaPipe's face", 468: "MediaPipe's face"}
_EQUAL = ("openpose25", "crowdpose14")  # of these numbers no order is the usual one: the joints themselves must tell
_CLEARLY = 0.8  # of the mean bone length of the next best: wrong orders have bones about twice as long
_SURE = 0.65  # the same, before the usual order is given up
_FEWEST_BONES = 3
_FAR = 1e6  # pixels, that no image has
_LOOKED_AT = 5000  # people, spread over the file


def skeleton_of(numbers: Float[Array, "N joints 3"], seen: Bool[Array, "N joints"], where: str) -> tuple[Skeleton, str]:
    """The skeleton that a number of joints stands for, and what is to be said about the choice.

    Several orders may have one number of joints. In the right one, joints that a bone joins lie near each other; in a
    wrong one the bones cross the body. The order whose bones are clearly the shortest is taken.

    Args:
        numbers: x, y and a third number of each joint.
        seen: Which joints were found.
        where: Names the file in errors.

    Raises:
        ReadError: If no skeleton has so many joints, or several have and the joints do not tell them apart.
    """
    count = numbers.shape[1]
    if count not in COUNTS:
        what = f", as {_OTHERS[count]} has" if count in _OTHERS else ""
        listed = ", ".join(f"{number} ({names[0]})" for number, names in COUNTS.items())
        raise ReadError(
            f"{where}: {count} joints a person{what}; read are {listed}; say whose joints these are with skeleton "
            "(--skeleton), a name or your own .toml file"
        )
    candidates = [load(name) for name in COUNTS[count]]
    if len(candidates) == 1:
        return candidates[0], ""
    some = slice(None, None, max(1, len(numbers) // _LOOKED_AT))
    xy, found = numbers[some, :, :2], seen[some]
    lengths = [bone_length(xy, found, skeleton) for skeleton in candidates]
    order = np.argsort(lengths)
    best, second = int(order[0]), int(order[1])
    usual = candidates[0]
    if usual.name not in _EQUAL:
        if best == 0 or not lengths[best] < _SURE * lengths[0]:
            return usual, ""
        return candidates[best], (
            f"{count} joints a person, which lie as those of {candidates[best].name}, not of {usual.name}; if that is "
            f"wrong, say so: --skeleton {usual.name}"
        )
    if np.isinf(lengths).all():
        return usual, f"{count} joints a person, of which too few are found to tell whose; read as {usual.name}"
    if lengths[best] < _CLEARLY * lengths[second]:
        told = f"{count} joints a person, read as {candidates[best].name}: their bones are the shortest"
        return candidates[best], "" if best == 0 else told
    named = " or ".join(skeleton.name for skeleton in candidates)
    raise ReadError(
        f"{where}: {count} joints a person may be {named}, and too few joints are found to tell; say which: "
        f"skeleton={candidates[0].name!r} (--skeleton)"
    )


def bone_length(xy: Float[Array, "N joints 2"], seen: Bool[Array, "N joints"], skeleton: Skeleton) -> float:
    """Median over people of the mean length of their seen bones, in RMS radii; infinite if hardly any bone is seen.

    About 0.5 for the right order of joints, 1 to 1.5 for a wrong one.
    """
    parents, children = (np.array(ends) for ends in zip(*skeleton.bones, strict=True))
    with np.errstate(invalid="ignore"):
        seen = seen & (np.abs(xy) < _FAR).all(axis=-1)
    both = seen[:, parents] & seen[:, children]
    there = seen.astype(np.float64)
    clean = np.where(seen[..., None], xy, 0).astype(np.float64)
    count = np.maximum(there.sum(axis=1), 1)
    off = (clean - (clean.sum(axis=1) / count[:, None])[:, None]) * there[..., None]
    radius = np.sqrt((off**2).sum(axis=(1, 2)) / count)
    length = (np.linalg.norm(clean[:, parents] - clean[:, children], axis=-1) * both).sum(axis=1)
    enough = (both.sum(axis=1) >= _FEWEST_BONES) & (radius > 0)
    if not enough.any():
        return float("inf")
    return float(np.median(length[enough] / both.sum(axis=1)[enough] / radius[enough]))
