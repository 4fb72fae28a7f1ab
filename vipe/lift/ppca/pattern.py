"""Linear maps made once for all people of whom the same keypoints are seen, with the same error (torch)."""

__all__ = ["PatternMaps"]

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from vipe.arrays import blocks
from vipe.lift.ppca.inference import Observed, fit, log_evidence
from vipe.lift.ppca.projection import Aspects, PosePrior, from_image

_NUMBERS = 2**18  # whitened coordinates at a time: 1 MB
_ASPECTS = 2048  # whose maps are made at a time: from float64 arrays of 20 MB


@dataclass(frozen=True)
class PatternMaps:
    """Linear maps of keypoints for one choice of those that are seen, all with the same round error.

    With v the coordinates of the seen keypoints in an orthonormal basis of images around their centroid, the log
    evidence of an aspect is a constant minus half the squared length of a fixed linear map of (v, 1), and the mean of
    the pose is another one.

    Reference:
        Tome et al. 2017, sec. 5.3: what can be precomputed for each rotation.
    """

    basis: Float32[Tensor, "26 v"]
    whitening: Float32[Tensor, "inputs columns"]  # the first rows of all aspects' maps, then all second ones
    constant: Float64[Tensor, " aspects"]
    pose: Float32[Tensor, "aspects 48 inputs"]

    @classmethod
    def of(cls, prior: PosePrior, aspects: Aspects, seen: Bool[Tensor, " 13"], variance: float) -> "PatternMaps":
        """Make the maps of each aspect.

        Args:
            prior: Of the aspects.
            aspects: All that are compared.
            seen: Which keypoints are.
            variance: Of each coordinate of a keypoint's error, squared RMS radii.
        """
        basis = _around_centroid(seen).to(aspects.mean)
        noise = variance * torch.eye(2).to(basis).expand(len(seen), 2, 2)
        nothing = Observed.of(basis.new_zeros(len(seen), 2), seen, noise)
        parts = [_maps(prior, aspects[some], nothing, basis) for some in blocks(len(aspects), _ASPECTS)]
        whitening, constant, pose = (torch.cat(part) for part in zip(*parts, strict=True))
        rows = whitening.permute(2, 1, 0).reshape(whitening.shape[2], -1)
        return cls(basis.float(), rows, constant, pose)

    def log_evidence(self, xy: Float32[Tensor, "batch 13 2"]) -> Float64[Tensor, "batch aspects"]:
        """The log density of the keypoints under each aspect, as `log_evidence` of the module `inference`."""
        v = xy.flatten(1) @ self.basis
        squares = xy.new_empty(len(xy), len(self.constant))
        for rows in blocks(len(xy), max(1, _NUMBERS // self.whitening.shape[1])):
            white = torch.addmm(self.whitening[-1], v[rows], self.whitening[:-1])
            torch.sum(white.square_().view(len(white), -1, len(self.constant)), 1, out=squares[rows])
        return self.constant - 0.5 * squares

    def mean(self, xy: Float32[Tensor, "batch 13 2"], aspect: Int64[Tensor, " batch"]) -> Float32[Tensor, "batch 16 3"]:
        """The mean of the pose under one aspect for each row; camera space, RMS radii."""
        v = xy.flatten(1) @ self.basis
        v = torch.cat([v, torch.ones_like(v[:, :1])], dim=1)
        return torch.bmm(self.pose[aspect], v[..., None]).view(len(xy), -1, 3)


def _maps(
    prior: PosePrior, aspects: Aspects, nothing: Observed, basis: Float64[Tensor, "26 v"]
) -> tuple[Float32[Tensor, "some v v+1"], Float64[Tensor, " some"], Float32[Tensor, "some 48 v+1"]]:
    """Whitening map, constant and map to the pose of some aspects, from keypoints that are all 0."""
    found = fit(aspects, nothing)
    white = found.whiten(basis.expand(len(aspects), -1, -1))
    # The whitened coordinates lie in as many dimensions as v: a triangular map of v gives the same lengths.
    root = torch.linalg.cholesky(white.mT @ white).mT
    centre = found.scale[:, None, None] * (aspects.mean @ basis)[..., None]
    constant = log_evidence(aspects, nothing) + 0.5 * found.residual.square().sum(-1)
    gain = _gain(prior, aspects, found.pull(white)) * found.scale.square()[:, None, None]
    mean = found.scale[:, None, None] * (prior.mean[aspects.component] @ aspects.rotation.mT)
    pose = torch.cat([gain, mean.flatten(1)[..., None] - gain @ centre], dim=2)
    return torch.cat([root, -root @ centre], dim=2).float(), constant, pose.float()


def _gain(prior: PosePrior, aspects: Aspects, images: Float64[Tensor, "some 26 v"]) -> Float64[Tensor, "some 48 v"]:
    """The covariance of pose and image of each aspect, in the prior's unit, times images."""
    count, _, size = images.shape
    turned = from_image(images.mT) @ aspects.rotation[:, None]  # to the space of the prior
    component = aspects.component[:, None].expand(-1, size).flatten()
    moved = prior.times_covariance(component, turned.flatten(0, 1)).view(count, size, -1, 3)
    return (moved @ aspects.rotation[:, None].mT).flatten(2).mT


def _around_centroid(seen: Bool[Tensor, " 13"]) -> Float64[Tensor, "26 v"]:
    """An orthonormal basis of images of the seen keypoints whose centroid is 0 (Helmert's)."""
    places = seen.nonzero()[:, 0].tolist()
    basis = torch.zeros(len(seen), len(places) - 1, dtype=torch.float64)
    for column, place in enumerate(places[1:]):
        before = column + 1
        basis[places[:before], column] = 1 / math.sqrt(before * (before + 1))
        basis[place, column] = -before / math.sqrt(before * (before + 1))
    return torch.kron(basis, torch.eye(2, dtype=torch.float64))
