"""Bent candidates: the poses near a fitted one that the keypoints allow, as a Gaussian (torch; numpy at its edge)."""

__all__ = ["BentCandidates"]

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from vipe.arrays import Array
from vipe.detections import Keypoints, normalize_keypoints
from vipe.geometry.bones import bone_vectors, from_bone_vectors
from vipe.geometry.rotations import axis_angle
from vipe.retrieve.body import BONE_GROUPS, IN_GROUP, TILT_SHARES
from vipe.retrieve.camera.images import flattened, seen_by
from vipe.retrieve.camera.perspective import Fits
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.camera.problem import MIN_DEPTH
from vipe.retrieve.camera.variances import inverse_variances
from vipe.skeletons.working import BONES, COCO13_IN_H36M17, H36M17

_ROBUST_AT = 0.05  # radians: at which tilt joints that are far off are recognized, as in `marginal_likelihood`
_ROBUST_ROUNDS = 2
_TILT = torch.from_numpy(TILT_SHARES)
_GROUP = torch.from_numpy(IN_GROUP)

_KEYPOINTS = list(COCO13_IN_H36M17)

# The unknowns, in order: turns of bones (axis times radians), group lengths (shares of the canonical bone), inverse
# depth; then the camera's turn, logarithm of its scale and shift (RMS radii), of which nothing is believed before.
_SIZES = (3 * len(BONES), len(BONE_GROUPS), 1, 3, 1, 2)
_TURNS = slice(0, _SIZES[0])
_LENGTHS = slice(_SIZES[0], _SIZES[0] + _SIZES[1])
_DEPTH = _LENGTHS.stop
_BELIEVED = _DEPTH + 1
_UNBELIEVED = 1e-6  # precision of the camera's unknowns: enough for a camera that the keypoints do not fix


@dataclass(frozen=True, kw_only=True)
class BentCandidates:
    """Fitted candidates of one person, each with a tilt, and what they may be off by: Gaussians given the keypoints.

    The model is that of `marginal_likelihood`: each bone is turned by N(0, tilt^2) about every axis (bones of trunk and
    head by half of it), lengths differ by N(0, bone_spread^2) a group and the inverse depth by its spread, the
    camera is free, and a keypoint is off by its own noise. There all unknowns are integrated out, which gives a
    candidate's weight; here they are kept. To first order about the fit, with H the derivatives of the keypoints by
    the unknowns in units of their spreads, W the inverse variances and r the residual of an unbent body of mean
    proportions, their posterior is Gaussian,

        precision  A = P + H' W H,    mean  A^-1 H' W r

    with P = 1 for what is believed before and 0 for the camera. The head's bone, which no keypoint shows, keeps its
    spread. Bones are turned by rotations, so that their lengths stay what the lengths' unknowns say.

    Reference:
        Linear regression with a Gaussian prior: Bishop 2006, eqs. 3.50 and 3.51.
    """

    vectors: Float64[Tensor, "B 16 3"]  # of the fitted bones, torso lengths, directions of the fitted camera
    lengths: Float64[Tensor, "B 9"]  # of the fitted bones, shares of the canonical ones
    inverse_depth: Float64[Tensor, " B"]  # of the fitted camera, per torso length
    tilts: Float64[Tensor, " B"]  # radians
    spread: Float64[Tensor, "B 64"]  # of the unknowns before the keypoints were seen; 1 for the camera's
    believed: Float64[Tensor, "B 64"]  # their mean before, as a deviation from the fit
    mean: Float64[Tensor, "B 64"]  # after, as a deviation from the one before, in spreads
    factor: Float64[Tensor, "B 64 64"]  # Cholesky factor of the precision after, likewise

    @classmethod
    def of(
        cls,
        fits: Fits,
        person: Keypoints,
        tilts: Float[Array, " B"],
        which: Int64[Array, " B"] | None = None,
        prior: CameraPrior | None = None,
    ) -> "BentCandidates":
        """Find what each fitted candidate may be off by.

        Args:
            fits: C of one person: (1, C).
            person: On coco13.
            tilts: Radians by which limb bones may point elsewhere than a candidate's; 0 for none.
            which: The candidate of each tilt; by default one tilt each, in order.
            prior: As given to `fit_cameras`; a tenth of its misfit is used, since bones that turn explain the rest.
        """

        def own(array: Array) -> Tensor:
            return torch.from_numpy(array[0].astype(np.float64))

        count = fits.cost.shape[1]
        return cls._linearized(
            own(fits.poses),
            1 + own(fits.bones),
            own(fits.inverse_depth),
            own(fits.scale),
            own(fits.shift),
            torch.zeros(count, _SIZES[0], dtype=torch.float64),
            person,
            torch.from_numpy(tilts.astype(np.float64)),
            torch.arange(count) if which is None else torch.from_numpy(which),
            prior or CameraPrior(),
        )

    @classmethod
    def _linearized(
        cls,
        poses: Float64[Tensor, "C 17 3"],
        lengths: Float64[Tensor, "C 9"],
        inverse_depth: Float64[Tensor, " C"],
        scale: Float64[Tensor, " C"],
        shift: Float64[Tensor, "C 2"],
        turned: Float64[Tensor, "C 48"],  # how far bones are turned already from where they are believed to point
        person: Keypoints,
        tilts: Float64[Tensor, " B"],
        rows: Int64[Tensor, " B"],
        prior: CameraPrior,
    ) -> "BentCandidates":
        radius = normalize_keypoints(person)[2]
        size = float(radius[0]) or 1.0
        vectors = bone_vectors(poses, H36M17.parents)
        slopes = _slopes(poses, vectors, lengths, inverse_depth, scale / size)
        images = scale[:, None, None] * flattened(poses, inverse_depth) + shift[:, None]
        rest = ((torch.from_numpy(person.xy.astype(np.float64)) - images) / size).flatten(1)
        believed = slopes.new_zeros(len(poses), sum(_SIZES))
        believed[:, _TURNS] = -turned
        believed[:, _LENGTHS] = 1 - lengths
        believed[:, _DEPTH] = prior.inverse_depth - inverse_depth
        rest = rest - (slopes @ believed[..., None])[..., 0]
        variance = inverse_variances(person, radius, replace(prior, misfit=prior.misfit / 10))
        weight = _robust(slopes, torch.from_numpy(variance).repeat_interleave(2, 1), rest, prior)
        spread = _spreads(tilts, prior)
        mean, factor = _solved(slopes[rows] * spread[:, None], weight[rows], rest[rows])
        return cls(
            vectors=vectors[rows],
            lengths=lengths[rows],
            inverse_depth=inverse_depth[rows],
            tilts=tilts,
            spread=spread,
            believed=believed[rows],
            mean=mean,
            factor=factor,
        )

    def mean_lengths(self) -> Float64[Tensor, "B 9"]:
        """The likeliest bone lengths, shares of the canonical ones, by `BONE_GROUPS`."""
        return self.lengths + (self.believed + self.spread * self.mean)[:, _LENGTHS]

    def with_lengths(self, lengths: Float64[Tensor, " 9"]) -> "BentCandidates":
        """The same where the bone lengths are known: the Gaussian of all else, given them.

        With u the lengths' part of the unknowns and A_vu the block of the precision that ties the others to it, theirs
        is A_vv, and their mean moves by -A_vv^-1 A_vu (u - mean of u).

        Args:
            lengths: Of the person's bones, shares of the canonical ones, by `BONE_GROUPS`.

        Reference:
            Conditional Gaussian: Bishop 2006, eqs. 2.73 and 2.75.
        """
        off = lengths - self.lengths
        precision = self.factor @ self.factor.mT
        known = (off - self.believed[:, _LENGTHS]) / self.spread[:, _LENGTHS] - self.mean[:, _LENGTHS]
        pull = (precision[..., _LENGTHS] @ known[..., None]).clone()
        pull[:, _LENGTHS] = 0
        precision[:, _LENGTHS] = 0
        precision[..., _LENGTHS] = 0
        precision[:, _LENGTHS, _LENGTHS] = torch.eye(len(lengths), dtype=precision.dtype)
        factor = torch.linalg.cholesky(precision)
        mean = self.mean - torch.cholesky_solve(pull, factor)[..., 0]
        mean[:, _LENGTHS] = 0
        spread, believed = self.spread.clone(), self.believed.clone()
        spread[:, _LENGTHS], believed[:, _LENGTHS] = 0, off
        return replace(self, spread=spread, believed=believed, mean=mean, factor=factor)

    def again(self, person: Keypoints, prior: CameraPrior | None = None) -> "BentCandidates":
        """The same, but linearized about its own mean in place of the fit: a further Gauss-Newton step.

        For candidates that are bent far. It is still believed that bones point where the fit's do.

        Args:
            person: As given to `of`.
            prior: As given to `of`.
        """
        off = self.believed + self.spread * self.mean
        poses, inverse_depth = self.means()
        scale, shift = seen_by(poses, inverse_depth, person)
        around = off[:, _DEPTH + 1 : _DEPTH + 4]
        turned = (off[:, _TURNS] - self.believed[:, _TURNS]).reshape(len(off), len(BONES), 3)
        turned = turned @ axis_angle(around, around.norm(dim=-1)).mT
        return self._linearized(
            poses,
            self.mean_lengths(),
            inverse_depth,
            scale,
            shift,
            turned.flatten(1),
            person,
            self.tilts,
            torch.arange(len(poses)),
            prior or CameraPrior(),
        )

    def means(self) -> tuple[Float64[Tensor, "B 17 3"], Float64[Tensor, " B"]]:
        """Each candidate bent as is likeliest; as `draw`."""
        return self._bent(torch.arange(len(self.mean)), self.mean)

    def draw(
        self, which: Int64[Tensor, " n"], generator: torch.Generator
    ) -> tuple[Float64[Tensor, "n 17 3"], Float64[Tensor, " n"]]:
        """Bend some candidates at random, each as often as it is named.

        Returns:
            Poses as `Fits.poses` (torso lengths of the canonical body from the pelvis, x right, y down, z away), and
            the inverse distances of their cameras.
        """
        normal = torch.randn(len(which), self.mean.shape[1], 1, dtype=torch.float64, generator=generator)
        about = torch.linalg.solve_triangular(self.factor.mT[which], normal, upper=True)[..., 0]
        return self._bent(which, self.mean[which] + about)

    def _bent(
        self, which: Int64[Tensor, " n"], unknowns: Float64[Tensor, "n 64"]
    ) -> tuple[Float64[Tensor, "n 17 3"], Float64[Tensor, " n"]]:
        off = self.believed[which] + self.spread[which] * unknowns
        turns, longer, further, around, *_ = torch.split(off, list(_SIZES), dim=1)
        turns = turns.reshape(len(off), len(BONES), 3)
        stretch = 1 + (longer / self.lengths[which]) @ _GROUP.T
        vectors = axis_angle(turns, turns.norm(dim=-1)) @ (self.vectors[which] * stretch[..., None])[..., None]
        vectors = vectors[..., 0] @ axis_angle(around, around.norm(dim=-1)).mT
        return from_bone_vectors(vectors, H36M17.parents), self.inverse_depth[which] + further[:, 0]


def _spreads(tilts: Float64[Tensor, " B"], prior: CameraPrior) -> Float64[Tensor, "B 64"]:
    """Standard deviations of the unknowns before the keypoints are seen; 1 for the camera's."""
    spread = tilts.new_ones(len(tilts), sum(_SIZES))
    spread[:, : _LENGTHS.start] = (tilts[:, None] * _TILT).repeat_interleave(3, 1)
    spread[:, _LENGTHS] = prior.bone_spread
    spread[:, _DEPTH] = prior.inverse_depth_spread
    return spread


def _slopes(
    poses: Float64[Tensor, "B 17 3"],
    vectors: Float64[Tensor, "B 16 3"],
    lengths: Float64[Tensor, "B 9"],
    inverse_depth: Float64[Tensor, " B"],
    scale: Float64[Tensor, " B"],
) -> Float64[Tensor, "B 26 64"]:
    """Derivatives of the keypoints' images, RMS radii, by the unknowns at the fit."""
    axes = torch.eye(3, dtype=poses.dtype)
    turned = torch.linalg.cross(axes[None, None], vectors[:, :, None])  # bone, axis, coordinate
    alone = torch.eye(len(BONES), dtype=poses.dtype)
    changes = [
        torch.einsum("bc,nbix->nbicx", alone, turned).flatten(1, 2),
        torch.einsum("nbx,bg,ng->ngbx", vectors, _GROUP, 1 / lengths),
        turned.transpose(1, 2),  # of the camera: all bones at once
    ]
    moves = from_bone_vectors(torch.cat(changes, 1), H36M17.parents)[:, :, _KEYPOINTS]
    points = poses[:, _KEYPOINTS]
    depth = (1 + inverse_depth[:, None] * points[..., 2]).clamp_min(MIN_DEPTH)
    zoom = (scale[:, None] / depth)[..., None]
    slant = inverse_depth[:, None, None] * points[..., :2] / depth[..., None]
    images = (zoom[:, None] * (moves[..., :2] - slant[:, None] * moves[..., 2:])).flatten(2)
    flat = zoom * points[..., :2]
    closer = -(points[..., 2:] / depth[..., None] * flat).flatten(1)
    shifts = torch.eye(2, dtype=poses.dtype).repeat(1, points.shape[1]).expand(len(poses), 2, -1)
    by_bones, by_turn = torch.split(images, [_DEPTH, 3], dim=1)
    return torch.cat([by_bones, closer[:, None], by_turn, flat.flatten(1)[:, None], shifts], 1).mT


def _robust(
    slopes: Float64[Tensor, "C 26 64"],
    weight: Float64[Tensor, "#C 26"],
    rest: Float64[Tensor, "C 26"],
    prior: CameraPrior,
) -> Float64[Tensor, "C 26"]:
    """Inverse variances, lower where a joint is off by more than its noise: those of a Student distribution there."""
    usual = weight.expand_as(rest)
    if prior.student is None:
        return usual
    slopes = slopes * _spreads(rest.new_tensor([_ROBUST_AT]), prior)[:, None]
    weight = usual
    for _ in range(_ROBUST_ROUNDS):
        mean, _ = _solved(slopes, weight, rest)
        left = rest - (slopes @ mean[..., None])[..., 0]
        squared = (left.square() * usual).view(len(left), -1, 2).sum(-1).repeat_interleave(2, 1)
        weight = usual / ((prior.student + squared) / (prior.student + 2)).clamp_min(1)
    return weight


def _solved(
    slopes: Float64[Tensor, "B 26 64"], weight: Float64[Tensor, "B 26"], rest: Float64[Tensor, "B 26"]
) -> tuple[Float64[Tensor, "B 64"], Float64[Tensor, "B 64 64"]]:
    """Mean and Cholesky factor of the precision of the unknowns, in units of their spreads."""
    before = slopes.new_ones(sum(_SIZES))
    before[_BELIEVED:] = _UNBELIEVED
    weighed = weight[..., None] * slopes
    factor = torch.linalg.cholesky(weighed.mT @ slopes + torch.diag(before))
    return torch.cholesky_solve(weighed.mT @ rest[..., None], factor)[..., 0], factor
