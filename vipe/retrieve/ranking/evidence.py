"""What the fitted candidates of a person say together, from which features are read (numpy; torch inside)."""

__all__ = [
    "FLATTENED",
    "SAME_WIDTH",
    "VOTERS",
    "EmbeddingDistances",
    "Evidence",
    "FittedCandidates",
    "embedding_distances",
]

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from jaxtyping import Float32, Int64
from scipy.special import expit

from vipe.arrays import Array, blocks
from vipe.crossing import to_array, to_tensor
from vipe.detections import Keypoints
from vipe.embed import Embedder
from vipe.geometry.procrustes import CLOSE_THRESHOLD, HIT_THRESHOLD, procrustes_mpjpe
from vipe.index import PoseIndex
from vipe.retrieve.camera.perspective import Fits
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.ranking.marginal_likelihood import TILTS, MarginalLikelihood, marginal_likelihood

VOTERS = 60
"""Candidates of least cost among which the likelihood is shared; all others are compared with them."""

SAME_WIDTH = 0.015
"""Torso lengths over which two poses cease to be the same."""

FLATTENED = 4.0
"""The shares of voters are of the likelihood to the power of one over this: nearly equal voters are dependent."""

_LEAST_SHARE = 1e-4  # added before a logarithm: where no voter agrees
_PAIRS_GPU = 1 << 20  # of poses that a GPU aligns at a time: some 2 GB; the CPU cuts its own blocks


@dataclass(frozen=True, kw_only=True)
class EmbeddingDistances:
    """Where the shipped embedding puts candidates."""

    to_keypoints: Float32[Array, "Q S"]  # squared distance of a candidate from the keypoints
    to_mean: Float32[Array, "Q S"]  # squared distance of a candidate from the mean of all poses


@dataclass(frozen=True, kw_only=True)
class FittedCandidates:
    """S candidates of each of Q people with the cameras fitted to them, of least cost first."""

    rows: Int64[Array, "Q S"]  # of the index
    poses: Float32[Array, "Q S 17 3"]  # canonical
    fits: Fits
    affine_residual: Float32[Array, "Q S"]
    clip: Int64[Array, "Q S"]  # code of the clip a candidate is from
    embedding: EmbeddingDistances


def shipped_embedding(device: str = "cpu") -> Embedder:
    """The embedding whose distances are features, on a device; it comes with the library."""
    return _default(device)


@cache
def _default(device: str) -> Embedder:
    return Embedder.from_pretrained("default", device=device)


def embedding_distances(
    index: PoseIndex | None,
    rows: Int64[Array, "Q S"],
    poses: Float32[Array, "Q S 17 3"],
    keypoints: Keypoints,
    device: str = "cpu",
) -> EmbeddingDistances:
    """Embed Q people, and their candidates unless the index holds the shipped embedding already.

    Args:
        index: Where the candidates come from; None if from nowhere.
        rows: Of that index.
        poses: The same candidates, canonical.
        keypoints: The people.
        device: Where both are embedded, as torch names it.
    """
    embedder = shipped_embedding(device)
    person = embedder.encode_keypoints(keypoints)
    if index is not None and index.holds(embedder):
        candidate = index.vectors(rows)
    else:
        candidate = embedder.encode_poses(poses.reshape(-1, 17, 3)).reshape(*poses.shape[:2], -1)
    return EmbeddingDistances(
        to_keypoints=np.square(candidate - person[:, None]).sum(axis=-1), to_mean=np.square(candidate).sum(axis=-1)
    )


class Evidence:
    """All that features are computed from, each quantity once.

    Costs and chi-squares are minus twice a log: small is likely. The first `VOTERS` candidates share the likelihood.
    """

    def __init__(
        self, candidates: FittedCandidates, keypoints: Keypoints, prior: CameraPrior, device: str = "cpu"
    ) -> None:
        self.candidates, self.fits, self.prior, self._device = candidates, candidates.fits, prior, device
        self.voters = slice(0, VOTERS)
        self.degrees_of_freedom: Float32[Array, "Q 1"] = np.maximum(
            2 * keypoints.mask.sum(axis=1, keepdims=True) - 6, 1
        ).astype(np.float32)
        """Numbers in which a wrong pose could show: two a visible joint, less the camera's six."""
        self.marginal: MarginalLikelihood = marginal_likelihood(self.fits, keypoints, prior, device=device)

    def cost(self, tilt: float) -> Float32[Array, "Q S"]:
        """Marginal likelihood if bones may be turned by so many radians."""
        cost: Float32[Array, "Q S"] = self.marginal.cost[TILTS.index(tilt)]
        return cost

    def chi_squared(self, tilt: float) -> Float32[Array, "Q S"]:
        """The squared distance in it, for each degree of freedom."""
        return np.asarray(self.marginal.chi_squared[TILTS.index(tilt)] / self.degrees_of_freedom)

    @cached_property
    def distance(self) -> Float32[Array, "Q S V"]:
        """Of every candidate from every voter, torso lengths after similarity alignment."""
        poses = to_tensor(np.ascontiguousarray(self.candidates.poses), self._device)
        voters = poses[:, self.voters]
        people, pairs = len(poses), max(poses.shape[1] * voters.shape[1], 1)
        each = people if poses.is_cpu else max(_PAIRS_GPU // pairs, 1)
        parts = [procrustes_mpjpe(poses[some, :, None], voters[some, None]) for some in blocks(people, max(each, 1))]
        distance: Float32[Array, "Q S V"] = np.concatenate([to_array(part) for part in parts])
        return distance

    @cached_property
    def _same(self) -> dict[float, Float32[Array, "Q S V"]]:
        return {within: expit((within - self.distance) / SAME_WIDTH) for within in (HIT_THRESHOLD, CLOSE_THRESHOLD)}

    def log_share(self, cost: Float32[Array, "Q S"]) -> Float32[Array, "Q S"]:
        """Log of a candidate's share of the voters' likelihood."""
        return np.asarray(-cost / 2 - log_sum(-cost[:, self.voters] / 2))

    def share(self, cost: Float32[Array, "Q S"], flattened: float) -> Float32[Array, "Q V"]:
        """Each voter's share of the likelihood to the power of one over `flattened`."""
        log = -cost[:, self.voters] / (2 * flattened)
        return np.asarray(np.exp(log - log_sum(log)), dtype=np.float32)

    def agreement(self, within: float, tilt: float, flattened: float) -> Float32[Array, "Q S"]:
        """Log of the voters' share that lies within a distance of a candidate."""
        share = self.share(self.cost(tilt), flattened)
        return np.asarray(np.log(np.einsum("qsv,qv->qs", self._same[within], share) + _LEAST_SHARE))

    def agreement_of_clips(self, within: float) -> Float32[Array, "Q S"]:
        """The same, each clip counting by its best voter alone: neighbours in time are one witness."""
        votes = self._same[within] * self.share(self.cost(0.05), FLATTENED)[:, None]
        return np.asarray(np.log(_sum_over_clips(votes, self.candidates.clip[:, self.voters]) + _LEAST_SHARE))

    def log_likelihood(self, tilt: float) -> Float32[Array, " Q"]:
        """Log of the voters' likelihood, up to a constant that depends on how many joints are seen."""
        return np.asarray(log_sum(-self.cost(tilt)[:, self.voters] / 2)[:, 0])

    def likelihood_gain(self, tilt: float) -> Float32[Array, " Q"]:
        """Log of how much likelier the voters are with bones turned than with none: equal for all candidates."""
        return np.asarray(self.log_likelihood(tilt) - self.log_likelihood(TILTS[0]))


def log_sum(log: Float32[Array, "Q V"]) -> Float32[Array, "Q 1"]:
    """Log of the sum of exponentials of each row; scipy's takes a tenth of a query's time to check its arguments."""
    most = log.max(axis=1, keepdims=True)
    return np.asarray(most + np.log(np.exp(log - most).sum(axis=1, keepdims=True)))


def _sum_over_clips(votes: Float32[Array, "Q S V"], clip: Int64[Array, "Q V"]) -> Float32[Array, "Q S"]:
    """Sum over clips of the greatest of a clip's votes."""
    order = np.argsort(clip, axis=1, kind="stable")
    ordered = np.take_along_axis(clip, order, axis=1)
    votes = np.take_along_axis(votes, order[:, None], axis=2)
    people, count, voters = votes.shape
    first = np.diff(ordered, axis=1, prepend=ordered[:, :1] - 1) != 0
    side_by_side = np.ascontiguousarray(votes.transpose(1, 0, 2)).reshape(count, people * voters)
    most = np.maximum.reduceat(side_by_side, np.flatnonzero(first), axis=1)
    return np.asarray(np.add.reduceat(most, np.r_[0, first.sum(axis=1).cumsum()[:-1]], axis=1).T)
