"""Figures of people: coloured bones, the same for plots and for pages (numpy)."""

__all__ = ["Card", "Figure", "Photo", "colours", "figure_2d", "figure_3d", "figure_in_camera", "repeated", "seen_from"]

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float

from vipe.arrays import Array
from vipe.skeletons import Skeleton
from vipe.skeletons.working import COCO13, H36M17

_DEPTH_SHARE = 0.85  # of a body's largest extent in any direction: its width on the canvas is never drawn below this


@dataclass(frozen=True, kw_only=True, eq=False)
class Photo:
    """A piece of a photo that is drawn under a figure; on pages only."""

    jpeg: bytes
    box: Float[Array, "4"]  # left, top, right, bottom: in the coordinates of what it lies under


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A person to draw: points of a skeleton, x right, y up, z towards the viewer (all zero for keypoints)."""

    points: Float[Array, "joints 3"]
    bones: tuple[tuple[int, int, str], ...]  # from, to, colour
    turns: bool  # whether there is a third dimension worth turning
    others: "Figure | None" = None  # more bones, drawn thin and faint; on pages only
    ellipsoids: Float[Array, "n 3 4"] | None = None  # centre and covariance; drawn at one deviation, on pages only
    photo: Photo | None = None


@dataclass(frozen=True, kw_only=True)
class Card:
    """One figure with a title, a line below it, and a verdict."""

    figure: Figure
    title: str
    note: str = ""
    hit: bool | None = None  # whether it shows the pose of the query; None where that is not known
    beside: Figure | None = None  # a second view of the same body; on pages only
    probability: float | None = None  # of being a hit; on pages only
    share: float | None = None  # of a person's hypotheses; on pages only
    bars: tuple[tuple[str, float, str], ...] = ()  # label, length (0 to 1) and figure of each; on pages only


@cache
def colours() -> dict[str, str]:
    """Colours by name, from colours.toml."""
    table = tomllib.loads(resources.files("vipe.plots").joinpath("colours.toml").read_text(encoding="utf-8"))
    return {name: str(value) for name, value in table.items()}


def figure_2d(xy: Float[Array, "joints 2"], mask: Bool[Array, " joints"], skeleton: Skeleton) -> Figure:
    """Keypoints as a figure, y up; bones with an unseen end are left out."""
    parents = _drawn_parents(skeleton)
    seen = {(a, b): mask[a] and mask[b] for a, b in parents}
    points = np.zeros((len(xy), 3))
    if mask.any():
        shown = xy[mask]
        centre = (shown.min(axis=0) + shown.max(axis=0)) / 2
        size = max(float(np.ptp(shown, axis=0).max()), 1e-6)
        points[:, :2] = (xy - centre) / size * [1, -1]
        points[~mask] = 0
    return Figure(points=points, bones=_coloured([bone for bone in parents if seen[bone]], skeleton), turns=False)


def figure_3d(
    pose: Float[Array, "17 3"], camera: Float[Array, "2 3"] | None = None, skeleton: Skeleton = H36M17
) -> Figure:
    """A canonical pose as a figure, from a camera's direction, by default from the front.

    Args:
        pose: Canonical: z up, facing -x.
        camera: Affine camera (pixels, y down, from canonical). Only its viewing direction counts, not its shear.
        skeleton: The skeleton of the pose.
    """
    if camera is None:
        # The person faces -x with the right at +y; a viewer who stands there sees their right at the left.
        turn = np.array([[0, -1, 0], [0, 0, 1], [-1, 0, 0]], dtype=np.float64)
    else:
        u, _, vt = np.linalg.svd(np.asarray(camera, dtype=np.float64), full_matrices=False)
        right, down = u @ vt  # the nearest orthonormal rows
        turn = np.stack([right, -down, -np.cross(right, down)])
    return Figure(points=_fitting(pose @ turn.T), bones=_coloured(list(skeleton.bones), skeleton), turns=True)


def figure_in_camera(
    pose: Float[Array, "joints 3"],
    skeleton: Skeleton = H36M17,
    *,
    others: Float[Array, "K joints 3"] | None = None,
    ellipsoids: Float[Array, "n 3 4"] | None = None,
) -> Figure:
    """A pose in camera space (x right, y down, z away) as a figure; its first view is that of the camera.

    Args:
        pose: Of the skeleton, in any unit.
        skeleton: Of the pose.
        others: More poses, drawn faintly around it.
        ellipsoids: Of joints: in the first column where they are, beside it their covariance.
    """
    axes = np.array([1.0, -1.0, -1.0])
    bones = _coloured(list(skeleton.bones), skeleton)
    points = pose * axes
    if others is None:
        return Figure(points=_fitting(points), bones=bones, turns=True)
    every = np.concatenate([points, (others * axes).reshape(-1, 3)])
    centre, size = _frame(every)
    every = (every - centre) / size
    faint = Figure(points=every[len(points) :], bones=repeated(bones, len(points), len(others)), turns=True)
    if ellipsoids is not None:
        places = (ellipsoids[..., :1] * axes[:, None] - centre[:, None]) / size
        covariance = ellipsoids[..., 1:] * np.outer(axes, axes) / size**2
        ellipsoids = np.concatenate([places, covariance], axis=-1)
    return Figure(points=every[: len(points)], bones=bones, turns=True, others=faint, ellipsoids=ellipsoids)


def repeated(bones: tuple[tuple[int, int, str], ...], joints: int, count: int) -> tuple[tuple[int, int, str], ...]:
    """The bones of one body for each of several bodies, whose points lie one after the other."""
    return tuple((a + i * joints, b + i * joints, colour) for i in range(count) for a, b, colour in bones)


def seen_from(points: Float[Array, "*batch 3"], turn: float = 0.0, lift: float = 0.0) -> Float[Array, "*batch 2"]:
    """Orthographic image of figure points, after a turn about the vertical and a lift of the viewer (radians)."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    across = x * np.cos(turn) + z * np.sin(turn)
    depth = -x * np.sin(turn) + z * np.cos(turn)
    return np.stack([across, y * np.cos(lift) - depth * np.sin(lift)], axis=-1)


def _fitting(points: Float[Array, "joints 3"]) -> Float[Array, "joints 3"]:
    """Points centred, and one unit wide or high; deep bodies are smaller, so that turning keeps them on the canvas."""
    centre, size = _frame(points)
    return (points - centre) / size


def _frame(points: Float[Array, "joints 3"]) -> tuple[Float[Array, "3"], float]:
    """The middle of the points, and what to divide by so that they fit the canvas."""
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    deepest = float(np.linalg.norm(points - centre, axis=1).max()) * 2
    return centre, max(float(np.ptp(points[:, :2], axis=0).max()), _DEPTH_SHARE * deepest, 1e-6)


def _drawn_parents(skeleton: Skeleton) -> list[tuple[int, int]]:
    if skeleton.name != COCO13.name:
        return list(skeleton.bones)
    # The tree of coco13 does not look like a body; a box for the trunk does.
    i = skeleton.index
    trunk = ["left_shoulder", "right_shoulder", "right_hip", "left_hip", "left_shoulder"]
    limbs = [(a, b) for a, b in skeleton.bones if skeleton.joints[b].endswith(("elbow", "wrist", "knee", "ankle"))]
    neck = [(i("nose"), i("left_shoulder")), (i("nose"), i("right_shoulder"))]
    return [*((i(a), i(b)) for a, b in pairwise(trunk)), *neck, *limbs]


def _coloured(bones: list[tuple[int, int]], skeleton: Skeleton) -> tuple[tuple[int, int, str], ...]:
    def side(a: int, b: int) -> str:
        names = {skeleton.joints[a].split("_")[0], skeleton.joints[b].split("_")[0]}
        if "left" in names and "right" not in names:
            return "left"
        return "right" if "right" in names and "left" not in names else "middle"

    return tuple((a, b, colours()[side(a, b)]) for a, b in bones)
