"""A camera and the person's build, fitted to every candidate pose of every query (numpy; torch planes inside)."""

__all__ = ["BONE_GROUPS", "FitConfig", "Fits", "fit_cameras"]

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32

from vipe.detections import Keypoints, normalize_keypoints
from vipe.embed.affine import COCO13_IN_H36M17
from vipe.errors import ShapeError, VipeError
from vipe.geometry.planes import in_blocks
from vipe.retrieve.solver import GROUPS, JOINTS, Problem, Solution, Space, solve
from vipe.skeletons import load

Array = np.ndarray[Any, np.dtype[Any]]

BONE_GROUPS = GROUPS
"""What the nine bone factors belong to, left and right sharing one: the bone that ends in the joint of that name."""

_BODY = load("h36m17")
_PARENTS = tuple(parent for parent, _ in _BODY.bones)
_FACTOR = tuple(  # of each bone of h36m17; the head's is nobody's, since no keypoint shows it
    GROUPS.index(name) if name in GROUPS else len(GROUPS)
    for name in (_BODY.joints[child].removeprefix("left_").removeprefix("right_") for _, child in _BODY.bones)
)
_ORDER = [load("coco13").index(joint) for joint in JOINTS]
_LEAST_CONFIDENCE = 0.05  # a joint that was found at all says something
_BLOCK = 2048  # candidates: fewer, and calls cost more than sums


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """What is believed before looking, and how far to go. Lengths in the image are in RMS radii of the keypoints.

    Raises:
        VipeError: If a spread is not above 0, or a count is below 1.
    """

    noise: float = 0.04  # standard deviation of a keypoint's coordinate where the keypoints bring no covariance
    least_noise: float = 0.02  # what a model of nine bones and a perfect camera leaves even of perfect keypoints
    closeness: float = 0.12  # one over the camera's distance in torso lengths: a torso of 0.49 m at 4 m
    closeness_spread: float = 0.05
    bone_spread: float = 0.08  # of people's bone lengths about the canonical body's, as shares
    student: float | None = 5.0  # degrees of freedom of the noise of a joint; None is Gaussian, small is forgiving
    steps: int = 1  # for every candidate and start
    refine: int | None = 60  # candidates of each query, the best so far, that get the further steps; None for all
    further_steps: int = 4

    def __post_init__(self) -> None:
        for name in ("noise", "least_noise", "closeness_spread", "bone_spread"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise VipeError(f"fit: {name} must be finite and above 0, got {value}")
        if self.student is not None and not self.student > 0:
            raise VipeError(f"fit: student must be above 0 or None, got {self.student}")
        for name in ("steps", "refine"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise VipeError(f"fit: {name} must be at least 1, got {value}")


@dataclass(frozen=True, kw_only=True)
class Fits:
    """K fitted cameras and builds for each of Q people.

    A joint at Y, torso lengths in the camera's directions from the pelvis (x right, y down, z away), has its image at
    `scale * (Y_x, Y_y) / (1 + closeness * Y_z) + shift`.
    """

    cost: Float32[Array, "Q K"]  # twice the negative log posterior up to a constant: least is best
    residual: Float32[Array, "Q K"]  # root mean square distance of seen keypoints and reprojections, RMS radii
    rotation: Float32[Array, "Q K 3 3"]  # R_cam_canonical
    scale: Float32[Array, "Q K"]  # pixels a torso length at the pelvis
    shift: Float32[Array, "Q K 2"]  # pixels: where the pelvis lands
    closeness: Float32[Array, "Q K"]  # one over the distance of camera and pelvis, per torso length
    bones: Float32[Array, "Q K 9"]  # share by which a bone is longer than the canonical body's, by `BONE_GROUPS`
    poses: Float32[Array, "Q K 17 3"]  # in the camera's directions, torso lengths from the pelvis, with these bones
    error: Float32[Array, "Q K 13"]  # pixels from each keypoint to its reprojection, 0 where unseen

    def project(self) -> Float32[Array, "Q K 17 2"]:
        """Where all 17 joints land, pixels."""
        depth = np.maximum(1 + self.closeness[..., None] * self.poses[..., 2], 0.1)
        near = (self.scale[..., None] / depth)[..., None]
        return np.asarray(near * self.poses[..., :2] + self.shift[..., None, :], dtype=np.float32)


def fit_cameras(poses: Float[Array, "Q K 17 3"], keypoints: Keypoints, config: FitConfig | None = None) -> Fits:
    """Fit a perspective camera and nine bone lengths of the person to each of K poses for each of Q people.

    The camera has a rotation, a scale, a shift in the image and an inverse distance kappa; bone g of both sides is
    (1 + l_g) times the canonical one:

        p_j = s Y_xy / (1 + kappa Y_z) + t,   Y = R (X_j + sum_g l_g B_gj)

    Minimizes sum_j rho(|r_j|^2 / sigma_j^2) + (kappa - 0.12)^2 / 0.05^2 + sum_g l_g^2 / 0.08^2 by damped Gauss-Newton
    steps, of which none may raise the cost, from the two scaled-orthographic cameras, each the other's depth reversal,
    that fit the flat of the body. sigma_j comes from the keypoints' covariance (half its trace), or else is
    `config.noise` over the root of the confidence; either way it is at least `config.least_noise`. rho(q) is
    (nu + 2) log(1 + q / nu), a Student distribution of nu = `config.student` degrees of freedom, so that a joint far
    off does not decide, or q itself where that is None. Unseen joints take no part.

    The second start is left out where the first is so far ahead under scaled orthography that it cannot lose.

    Only the best `config.refine` of a person's candidates get more than `config.steps` steps: the others' costs are
    upper bounds.

    Args:
        poses: Canonical poses, such as `index.poses(hits.rows)`, torso lengths, pelvis at 0.
        keypoints: Q people on coco13, pixels.
        config: What is believed before looking, and how many steps.

    Returns:
        Finite numbers always. Where all seen joints coincide the camera has scale 0 and shows all joints there; a
        flat pose has two cameras that fit equally well, and one of them is given.

    Raises:
        ShapeError: If the shapes do not fit each other, a pose is not finite, or the skeleton is another.

    Reference:
        Depth reversal: Huang & Lee 1989 (motion and structure from orthographic projections).
    """
    config = config or FitConfig()
    if poses.ndim != 4 or poses.shape[0] != len(keypoints) or poses.shape[2:] != (17, 3):
        raise ShapeError(f"poses must be ({len(keypoints)} people, K, 17, 3), got shape {poses.shape}")
    if keypoints.skeleton.name != "coco13":
        raise ShapeError(f"keypoints must be on skeleton coco13, got {keypoints.skeleton.name}")
    if not np.isfinite(poses).all():
        raise ShapeError("poses must be finite; drop those that are not")
    people, count = poses.shape[:2]
    unit, center, radius = normalize_keypoints(keypoints)
    weight = _weights(keypoints, radius, config)
    points = torch.from_numpy(np.ascontiguousarray(poses, dtype=np.float32).reshape(people * count, 51))
    xy = torch.from_numpy(np.ascontiguousarray(unit[:, _ORDER].transpose(1, 2, 0)))
    weights = torch.from_numpy(np.ascontiguousarray(weight[:, _ORDER].T.astype(np.float32)))
    person = torch.arange(people).repeat_interleave(count)
    state = torch.empty(Solution.SIZE, people * count)

    _keep_freed_memory()
    block = min(_BLOCK, -(-people * count // torch.get_num_threads()) or 1)
    spaces: list[Space] = []  # taken and given back by the threads

    def advanced(problem: Problem, steps: int, start: torch.Tensor | None = None) -> torch.Tensor:
        space = spaces.pop() if spaces else Space(block)
        result = solve(problem, steps, space, start)
        spaces.append(space)
        return result

    def first(rows: slice) -> None:
        chosen = person[rows]
        problem = Problem.of(points[rows], xy[..., chosen], weights[:, chosen], config)
        state[:, rows] = advanced(problem, config.steps)

    in_blocks(first, people * count, block)
    if config.further_steps and people and count:
        best = state[Solution.COST].view(people, count).topk(min(config.refine or count, count), largest=False).indices
        rows_left = (best + torch.arange(people)[:, None] * count).flatten().sort().values

        def further(rows: slice) -> None:
            columns = rows_left[rows]
            chosen = person[columns]
            problem = Problem.of(points[columns], xy[..., chosen], weights[:, chosen], config)
            state[:, columns] = advanced(problem, config.further_steps, state[:, columns])

        in_blocks(further, len(rows_left), min(block, -(-len(rows_left) // torch.get_num_threads()) or 1))
    return _fits(state, poses, keypoints, center, radius)


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed, where it is glibc: giving pages back at every step costs more than the step.

    It raises its thresholds for that to the size of the largest block below 32 MB that it saw freed; this one is never
    written to, so it costs nothing.
    """
    torch.empty(30 << 20, dtype=torch.uint8)


def _weights(keypoints: Keypoints, radius: Float32[Array, " Q"], config: FitConfig) -> Float[Array, "Q 13"]:
    """One over the variance of each joint's coordinates, in RMS radii; 0 where unseen."""
    if keypoints.covariance is not None:
        trace = np.trace(keypoints.covariance, axis1=-2, axis2=-1).astype(np.float64) / 2
        variance = trace / np.square(np.where(radius > 0, radius, 1).astype(np.float64))[:, None]
    else:
        variance = config.noise**2 / np.maximum(keypoints.confidence.astype(np.float64), _LEAST_CONFIDENCE)
    least = config.least_noise**2
    variance = np.clip(np.nan_to_num(variance, nan=least), least, 1e6 * least)
    return np.asarray(np.where(keypoints.mask, 1 / variance, 0))


def _fits(state: torch.Tensor, poses: Array, keypoints: Keypoints, center: Array, radius: Array) -> Fits:
    people, count = poses.shape[:2]
    columns = state.numpy()

    def of(where: int | slice) -> Array:
        part = columns[where]
        apart = part.reshape(*part.shape[:-1], people, count)
        return apart if part.ndim == 1 else np.moveaxis(apart, 0, -1)

    rotation = np.ascontiguousarray(of(Solution.ROTATION)).reshape(people, count, 3, 3)
    bones = np.ascontiguousarray(of(Solution.BONES))
    stretch = np.concatenate([bones, np.zeros((people, count, 1), np.float32)], axis=-1)[..., list(_FACTOR)]
    vectors = (poses[:, :, 1:] - poses[:, :, list(_PARENTS)]) * (1 + stretch[..., None])
    body = np.zeros(poses.shape, dtype=np.float32)
    for bone, parent in enumerate(_PARENTS):
        body[:, :, bone + 1] = body[:, :, parent] + vectors[:, :, bone]
    body = body @ rotation.swapaxes(-1, -2)
    size = radius[:, None]
    fits = Fits(
        cost=of(Solution.COST).copy(),
        residual=np.zeros((people, count), np.float32),
        rotation=rotation,
        scale=of(Solution.SCALE) * size,
        shift=of(Solution.SHIFT) * size[..., None] + center[:, None],
        closeness=of(Solution.CLOSENESS).copy(),
        bones=bones,
        poses=body,
        error=np.zeros((people, count, 13), np.float32),
    )
    off = fits.project()[:, :, COCO13_IN_H36M17] - keypoints.xy[:, None]
    fits.error[...] = np.linalg.norm(off, axis=-1) * keypoints.mask[:, None]
    seen = np.maximum(keypoints.mask.sum(axis=1), 1)[:, None]
    rms = np.sqrt(np.square(fits.error).sum(axis=-1) / seen)
    fits.residual[...] = rms / np.where(size > 0, size, 1)
    return fits
