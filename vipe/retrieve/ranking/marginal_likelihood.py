"""How likely keypoints are if the true pose is only *near* a fitted candidate (numpy; torch inside)."""

__all__ = ["TILTS", "MarginalLikelihood", "marginal_likelihood"]

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from vipe.arrays import Array, blocks
from vipe.crossing import to_array, to_tensor
from vipe.detections import Keypoints, normalize_keypoints
from vipe.retrieve.body import CARRIED, IN_GROUP, TILT_SHARES
from vipe.retrieve.camera.perspective import Fits
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.camera.problem import MIN_DEPTH
from vipe.retrieve.camera.variances import bone_spreads, inverse_variances
from vipe.skeletons.joint_conventions import ARCHIVE, JointConvention, load_convention
from vipe.skeletons.working import CHILDREN, COCO13_IN_H36M17, PARENTS

TILTS = (0.0, 0.025, 0.05, 0.1, 0.2)
"""Radians by which limb bones may point elsewhere than the candidate's; bones of trunk and head by half of it."""

_ROBUST_AT = 2  # of the tilts: at which joints that are far off are recognized
_ROBUST_ROUNDS = 2
_ROWS = 4096  # candidates at a time: their matrices take 60 MB
_ROWS_GPU = 65_536  # 1 GB


@dataclass(frozen=True)
class _Body:
    """How bones move keypoints."""

    parents: Int64[Tensor, " bones"]
    ends: Int64[Tensor, " bones"]
    keypoints: Int64[Tensor, "13"]  # joints of h36m17
    carries: Float32[Tensor, "13 bones"]
    """`CARRIED` of the keypoints' joints."""
    used: Int64[Tensor, " used"]  # no keypoint shows the head's bone
    tilt: Float32[Tensor, " bones"]
    group: Float32[Tensor, "bones 9"]

    @classmethod
    @cache
    def on(cls, device: torch.device) -> "_Body":
        """On a device, made once."""
        carries = CARRIED[list(COCO13_IN_H36M17)].astype(np.float32)
        numbers = (np.array(PARENTS), np.array(CHILDREN), np.array(COCO13_IN_H36M17), carries)
        shares = (TILT_SHARES.astype(np.float32), IN_GROUP.astype(np.float32))
        used = np.flatnonzero(carries.sum(axis=0))
        return cls(*(to_tensor(array, device) for array in (*numbers, used, *shares)))


@dataclass(frozen=True, kw_only=True)
class MarginalLikelihood:
    """What the keypoints say for each of K candidates of Q people, at each of `TILTS`.

    Both are minus twice a log: the smaller, the likelier.
    """

    cost: Float32[Array, "tilts Q K"]  # of the marginal likelihood, up to a constant of the person
    chi_squared: Float32[
        Array, "tilts Q K"
    ]  # its part that is a squared distance: chi-squared, 2 joints - 6 on average


def marginal_likelihood(
    fits: Fits, keypoints: Keypoints, prior: CameraPrior | None = None, *, device: str = "cpu"
) -> MarginalLikelihood:
    """Likelihood of keypoints, given that the true pose differs from a candidate by small turns of its bones.

    An archive seldom holds the very moment, so the residual of its best moment is not the detector's noise alone:
    where a bone points elsewhere, all joints beyond it are off together, and by more the farther they are. Each bone
    turns by N(0, tilt^2) about every axis, lengths differ by N(0, 0.08^2) a group and the inverse depth by N(0, 0.05^2)
    as in `fit_cameras`, and a keypoint is off by its own noise. To first order about the fitted camera the keypoints
    are then Gaussian,

        r ~ N(A c, S),   S = diag(sigma^2) + tilt^2 T T' + 0.08^2 B B' + 0.05^2 k k'

    with A the derivatives by rotation, scale and shift, of which nothing is believed before. Integrated over all
    of them, minus twice the log is  log|S| + log|A' S^-1 A| + r'(S^-1 - S^-1 A (A' S^-1 A)^-1 A' S^-1) r.

    Unlike the least cost it counts how much of what could have been seen a candidate explains (Occam's factor,
    MacKay 1992), and does not blame a candidate for a forearm that is some degrees off.

    What the keypoints' convention leaves open (`JointConvention`) is integrated out as well: its spread, independent
    for each joint, and how much of its mean offset the archive's joints have already, one number for all joints. Its
    spread of bone lengths takes the place of 0.08.

    With `prior.student`, joints that are off by more than their noise are given the variance of a Student
    distribution at that residual, found at the tilt of 0.05.

    Args:
        fits: Cameras and bodies of Q people's candidates.
        keypoints: The same people.
        prior: As given to `fit_cameras`; a tenth of its misfit is used, since bones that turn explain the rest.
        device: Where to compute, as torch names it.

    Returns:
        Finite numbers; where all keypoints of a person coincide they mean nothing.
    """
    prior = prior or CameraPrior()
    people, count = fits.cost.shape
    _, _, radius = normalize_keypoints(keypoints)
    size = np.where(radius > 0, radius, 1)[:, None]
    convention = load_convention(keypoints.convention)
    bare = replace(keypoints, convention=ARCHIVE)  # the spread is added in the units of each fit
    variance = 1 / np.maximum(inverse_variances(bare, radius, replace(prior, misfit=prior.misfit / 10)), 1e-12)
    images = fits.project()[:, :, COCO13_IN_H36M17]
    rest = (keypoints.xy[:, None] - images) / size[..., None, None]
    rest = np.where(keypoints.mask[:, None, :, None], rest, 0)

    def flat(array: Array) -> Tensor:
        rows = np.ascontiguousarray(array, dtype=np.float32).reshape(people * count, *array.shape[2:])
        return to_tensor(rows, device)

    def each(array: Array) -> Tensor:
        return to_tensor(array.astype(np.float32), device).repeat_interleave(count, 0)

    parts = (
        flat(fits.poses),
        flat(fits.rotation),
        flat(fits.scale / size),
        flat(fits.inverse_depth),
        flat(fits.bones),
        flat(rest),
        each(variance),
        each(keypoints.mask),
    )
    costs, chi_squares = torch.empty(2, len(TILTS), people * count, device=device).unbind()
    for rows in blocks(people * count, _ROWS if costs.is_cpu else _ROWS_GPU):
        costs[:, rows], chi_squares[:, rows] = _marginal(prior, convention, *(part[rows] for part in parts))
    shape = (len(TILTS), people, count)
    return MarginalLikelihood(cost=to_array(costs).reshape(shape), chi_squared=to_array(chi_squares).reshape(shape))


def _marginal(
    prior: CameraPrior,
    convention: JointConvention,
    poses: Float32[Tensor, "N 17 3"],
    rotation: Float32[Tensor, "N 3 3"],
    scale: Float32[Tensor, " N"],
    inverse_depth: Float32[Tensor, " N"],
    bones: Float32[Tensor, "N 9"],
    rest: Float32[Tensor, "N 13 2"],
    variance: Float32[Tensor, "N 13"],
    seen: Float32[Tensor, "N 13"],
) -> tuple[Float32[Tensor, "tilts N"], Float32[Tensor, "tilts N"]]:
    count, body = len(poses), _Body.on(poses.device)
    points = poses[:, body.keypoints]
    depth = (1 + inverse_depth[:, None] * points[..., 2]).clamp_min(MIN_DEPTH)
    zoom = scale[:, None] / depth * seen  # an unseen joint has no derivatives and no residual
    slant = inverse_depth[:, None, None] * points[..., :2] / depth[..., None]

    def image(moves: Float[Tensor, "N 13 3 M"]) -> Float[Tensor, "N 26 M"]:
        moved = moves[:, :, :2] - slant[..., None] * moves[:, :, 2:]
        return (zoom[:, :, None, None] * moved).reshape(count, 26, -1)

    vectors = poses[:, body.ends] - poses[:, body.parents]
    turned = _cross_matrices(vectors[:, body.used]) * body.tilt[body.used, None, None]
    tilts = torch.einsum("jb,nbxy->njxby", body.carries[:, body.used], turned).flatten(3)
    lengths = torch.einsum("jb,nbx,bg->njxg", body.carries, vectors, body.group) / (1 + bones)[:, None, None]
    by_length = image(lengths)
    by_closeness = -(zoom * points[..., 2] / depth)[..., None] * points[..., :2]
    around = _cross_matrices(points)
    ones = torch.eye(2, device=poses.device).expand(count, 13, 2, 2) * seen[..., None, None]
    camera = torch.cat(
        [image(around), (zoom[..., None] * points[..., :2]).reshape(count, 26, 1), ones.reshape(count, 26, 2)], -1
    )
    # The residual of a body of mean proportions at the mean distance: what the fit explained by both is put back.
    rest = rest + (by_length @ bones[..., None]).reshape(count, 13, 2)
    rest = rest + by_closeness * (inverse_depth - prior.inverse_depth)[:, None, None]
    spreads = to_tensor(bone_spreads(prior, convention).astype(np.float32), poses.device)
    believed = torch.cat([by_length * spreads, by_closeness.reshape(count, 26, 1) * prior.inverse_depth_spread], -1)
    if convention.mean.any():
        offsets = to_tensor((convention.STRENGTH_SPREAD * convention.mean).astype(np.float32), poses.device)
        believed = torch.cat([believed, image((offsets @ rotation.mT)[..., None])], -1)
    fixed = believed @ believed.mT
    tilted = image(tilts)
    tilted = tilted @ tilted.mT
    right = torch.cat([camera, rest.reshape(count, 26, 1)], -1)

    marked = zoom * to_tensor(convention.spread.astype(np.float32), poses.device)
    noise = torch.where(seen > 0, variance + marked.square(), 1.0)
    if prior.student is not None:
        usual = noise
        for _ in range(_ROBUST_ROUNDS):
            solved = _Solved.of(fixed + TILTS[_ROBUST_AT] ** 2 * tilted, noise, right)
            squared = (noise[..., None] * solved.pulled().view(count, 13, 2)).square().sum(-1) / usual
            noise = usual * ((prior.student + squared) / (prior.student + 2)).clamp_min(1)
    both = [_Solved.of(fixed + tilt**2 * tilted, noise, right) for tilt in TILTS]
    return torch.stack([one.cost for one in both]), torch.stack([one.chi_squared for one in both])


def _cross_matrices(vectors: Float32[Tensor, "N M 3"]) -> Float32[Tensor, "N M 3 3"]:
    """[v] with column i the cross product of axis i and v: what a turn about that axis does to v."""
    x, y, z = vectors.unbind(-1)
    o = torch.zeros_like(x)
    return torch.stack([torch.stack([o, z, -y], -1), torch.stack([-z, o, x], -1), torch.stack([y, -x, o], -1)], -2)


@dataclass(frozen=True)
class _Solved:
    """The pieces of one Gaussian with the camera integrated out."""

    factor: Tensor  # of S
    inner: Tensor  # of A' S^-1 A
    white: Tensor  # factor^-1 [A r]
    along: Tensor  # inner^-1 A' S^-1 r
    cost: Tensor
    chi_squared: Tensor

    @classmethod
    def of(cls, spread: Tensor, noise: Tensor, right: Tensor) -> "_Solved":
        spread = spread + torch.diag_embed(noise.repeat_interleave(2, -1))
        factor = torch.linalg.cholesky_ex(spread).L
        white = torch.linalg.solve_triangular(factor, right, upper=False)
        columns, rest = white[..., :-1], white[..., -1:]
        information = columns.mT @ columns + 1e-6 * torch.eye(columns.shape[-1], device=columns.device)
        inner = torch.linalg.cholesky_ex(information).L
        along = torch.linalg.solve_triangular(inner, columns.mT @ rest, upper=False)
        chi_squared = (rest.square().sum((-2, -1)) - along.square().sum((-2, -1))).clamp_min(0)
        volume = 2 * (_log_diagonal(factor) + _log_diagonal(inner))
        return cls(factor, inner, white, along, chi_squared + volume, chi_squared)

    def pulled(self) -> Tensor:
        """S^-1 (r - A c): what each number's residual would have to be pulled by."""
        camera = torch.linalg.solve_triangular(self.inner.mT, self.along, upper=True)
        rest = self.white[..., -1:] - self.white[..., :-1] @ camera
        pulled: Tensor = torch.linalg.solve_triangular(self.factor.mT, rest, upper=True)[..., 0]
        return pulled


def _log_diagonal(factor: Tensor) -> Tensor:
    total: Tensor = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return total
