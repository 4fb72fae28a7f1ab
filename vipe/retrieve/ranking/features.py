"""What is known of a query's candidates once cameras are fitted: the parts that their odds are made of (numpy)."""

__all__ = [
    "PARTS",
    "PERSON_PARTS",
    "VOTERS",
    "CandidateFeatures",
    "EmbeddingFeatures",
    "FittedCandidates",
    "compute_features",
    "coverage_order",
]

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from scipy.special import expit

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.embed import Embedder
from vipe.geometry.procrustes import procrustes_mpjpe
from vipe.retrieve.camera.perspective import CameraPrior, Fits
from vipe.retrieve.ranking.marginal_likelihood import marginal_likelihood

VOTERS = 60
"""Candidates of least cost that say which poses are likely; all others are judged by them."""

PARTS = (
    "likelihood, bones turned 0.025",
    "likelihood, bones turned 0.05",
    "likelihood, bones turned 0.1",
    "likelihood, bones turned 0.2",
    "likelihood of the fit",
    "misfit, bones turned 0.025",
    "misfit, bones turned 0.05",
    "misfit, bones turned 0.1",
    "misfit of the fit",
    "residual",
    "affine residual",
    "camera",
    "build",
    "agreement within 0.1",
    "agreement within 0.1, loose",
    "agreement within 0.1, wide",
    "agreement within 0.05",
    "agreement within 0.1, each clip once",
    "agreement within 0.05, each clip once",
    "embedding",
    "prior",
    "joints seen",
    "all: bones turned 0.025",
    "all: bones turned 0.05",
    "all: bones turned 0.1",
    "all: bones turned 0.2",
)
"""What is known of a candidate. Likelihoods are logs of its share among the voters; misfits are squared distances for
each number that could show one; agreements are logs of the voters' share that lies near the candidate, of a clip's
voters only the one that says most where each clip counts once: neighbours in time are one witness. "embedding" is the
candidate's share of the voters by the distance of the learned embedding, "prior" its squared distance there from the
mean of all poses. "all" compares how well the voters explain the keypoints with and without turned bones, and is the
same for all candidates."""

PERSON_PARTS = (
    "least misfit, bones turned 0.025",
    "least misfit, bones turned 0.05",
    "least misfit, bones turned 0.1",
    "least misfit of the fit",
    "least affine residual",
    "most agreement within 0.1",
    "joints seen",
    "all: bones turned 0.025",
    "all: bones turned 0.05",
    "all: bones turned 0.1",
    "all: bones turned 0.2",
)
"""What is known of a person, from all candidates: whether the archive holds the pose at all."""

SAME_WIDTH = 0.015
"""Torso lengths over which two poses cease to be the same."""

FLATTENED = 4.0
"""`CandidateFeatures.share` is of the likelihood to the power of one over this: nearly equal voters are dependent."""

_COVERED = 0.06  # torso lengths within which a hit stands for its neighbours when the next is chosen
_COVERING = 100  # hits chosen for what they stand for; there are 60 voters to stand for
_LEAST = 1e-4  # share below which agreement is none


@dataclass(frozen=True, kw_only=True)
class EmbeddingFeatures:
    """What the embedding that comes with the library says of candidates."""

    distance: Float32[Array, "Q S"]  # squared, of the candidate from the keypoints
    size: Float32[Array, "Q S"]  # squared distance of the candidate from the mean of all poses

    @classmethod
    def of(cls, poses: Float32[Array, "Q S 17 3"], keypoints: Keypoints) -> "EmbeddingFeatures":
        """Embed Q people and their candidates."""
        embedder = _embedder()
        asked = embedder.encode_keypoints(keypoints)
        known = embedder.encode_poses(poses.reshape(-1, 17, 3)).reshape(*poses.shape[:2], -1)
        return cls(distance=np.square(known - asked[:, None]).sum(axis=-1), size=np.square(known).sum(axis=-1))


@cache
def _embedder() -> Embedder:
    return Embedder.from_pretrained("default")


@dataclass(frozen=True, kw_only=True)
class FittedCandidates:
    """Candidates that cameras were fitted to, of least cost first."""

    poses: Float32[Array, "Q S 17 3"]  # canonical
    fits: Fits
    affine_residual: Float32[Array, "Q S"]
    clip: Int64[Array, "Q S"]  # a number for the clip a candidate is from
    embedded: EmbeddingFeatures


@dataclass(frozen=True, kw_only=True)
class CandidateFeatures:
    """What is known of S candidates of Q people."""

    parts: Float32[Array, "Q S F"]  # by `PARTS`
    person: Float32[Array, "Q P"]  # by `PERSON_PARTS`
    share: Float32[Array, "Q V"]  # of each voter in the likelihood
    apart: Float32[Array, "Q S V"]  # candidates from voters, torso lengths


def compute_features(
    shortlist: FittedCandidates, keypoints: Keypoints, config: CameraPrior | None = None
) -> CandidateFeatures:
    """Work out the parts of a shortlist's odds.

    Args:
        shortlist: Q people's candidates.
        keypoints: The same people.
        config: As given to `fit_cameras`.
    """
    config = config or CameraPrior()
    fits = shortlist.fits
    voters = slice(0, VOTERS)
    said = marginal_likelihood(fits, keypoints, config)
    numbers = np.maximum(2 * keypoints.mask.sum(axis=1, keepdims=True) - 6, 1).astype(np.float32)
    strict, usual, loose, looser = said.cost[1:]
    apart = _apart(shortlist.poses, shortlist.poses[:, voters])
    same, close = (expit((within - apart) / SAME_WIDTH) for within in (0.1, 0.05))

    def log_share(cost: Float32[Array, "Q S"]) -> Float32[Array, "Q S"]:
        return np.asarray(-cost / 2 - _log_sum(-cost[:, voters] / 2))

    def agreement(near: Float32[Array, "Q S V"], cost: Float32[Array, "Q S"], flat: float) -> Float32[Array, "Q S"]:
        return np.asarray(np.log(np.einsum("qsv,qv->qs", near, _shares(cost[:, voters], flat)) + _LEAST))

    def by_clip(near: Float32[Array, "Q S V"]) -> Float32[Array, "Q S"]:
        return np.asarray(np.log(_each_clip_once(near * _shares(usual[:, voters], FLATTENED)[:, None], clip) + _LEAST))

    clip = shortlist.clip[:, voters]
    far = -shortlist.embedded.distance
    strictest = _log_sum(-said.cost[0][:, voters] / 2)
    explained = [(_log_sum(-cost[:, voters] / 2) - strictest)[:, 0] for cost in said.cost[1:]]
    agreed = agreement(same, usual, 2.0)
    of_each = (
        *(log_share(cost) for cost in (strict, usual, loose, looser, fits.cost)),
        *(misfit / numbers for misfit in (*said.misfit[1:4], fits.cost)),
        np.log(fits.residual + 0.01),
        np.log(shortlist.affine_residual + 0.01),
        np.square((fits.inverse_depth - config.inverse_depth) / config.inverse_depth_spread),
        np.square(fits.bones / config.bone_spread).sum(axis=-1),
        agreed,
        agreement(same, loose, 1.0),
        agreement(same, usual, 4.0),
        agreement(close, usual, 2.0),
        by_clip(same),
        by_clip(close),
        far - _log_sum(far[:, voters]),
        shortlist.embedded.size,
        np.broadcast_to(numbers, usual.shape),
        *(np.broadcast_to(one[:, None], usual.shape) for one in explained),
    )
    of_all = (
        *(misfit.min(axis=1) / numbers[:, 0] for misfit in (*said.misfit[1:4], fits.cost)),
        np.log(shortlist.affine_residual.min(axis=1) + 0.01),
        agreed.max(axis=1),
        numbers[:, 0],
        *explained,
    )
    return CandidateFeatures(
        parts=np.stack(of_each, axis=-1).astype(np.float32),
        person=np.stack(of_all, axis=-1).astype(np.float32),
        share=_shares(usual[:, voters], FLATTENED),
        apart=apart,
    )


def coverage_order(first: Float[Array, "Q S"], described: CandidateFeatures, k: int) -> Int64[Array, "Q K"]:
    """The k candidates that together are likeliest to hold a hit.

    The first is the one of greatest `first` (its odds). Each further one is that around which most of the voters'
    likelihood lies that no earlier one stands for (the greedy choice of a maximum coverage problem), so that a second
    way to read the keypoints comes before a tenth neighbour of the first. Where nothing is left to stand for, and after
    the first 100, the odds decide.
    """
    people, count = first.shape
    covers = expit((_COVERED - described.apart) / SAME_WIDTH)
    left = described.share.astype(np.float64)
    odds = first - first.max(axis=1, keepdims=True)
    taken = np.zeros((people, count), dtype=bool)
    order = np.empty((people, min(k, count)), dtype=np.int64)
    everyone = np.arange(people)
    chosen_one_by_one = min(order.shape[1], _COVERING)
    for place in range(chosen_one_by_one):
        gain = odds if place == 0 else np.einsum("qsv,qv->qs", covers, left) + 1e-9 * odds
        chosen = np.where(taken, -np.inf, gain).argmax(axis=1)
        order[:, place] = chosen
        taken[everyone, chosen] = True
        left *= 1 - covers[everyone, chosen]
    rest = np.argsort(np.where(taken, np.inf, -odds), axis=1, kind="stable")
    order[:, chosen_one_by_one:] = rest[:, : order.shape[1] - chosen_one_by_one]
    return order


def _each_clip_once(votes: Float32[Array, "Q S V"], clip: Int64[Array, "Q V"]) -> Float32[Array, "Q S"]:
    """Sum over clips of the greatest of a clip's votes."""
    order = np.argsort(clip, axis=1, kind="stable")
    ordered = np.take_along_axis(clip, order, axis=1)
    votes = np.take_along_axis(votes, order[:, None], axis=2)
    people, count, voters = votes.shape
    first = np.diff(ordered, axis=1, prepend=ordered[:, :1] - 1) != 0
    side_by_side = np.ascontiguousarray(votes.transpose(1, 0, 2)).reshape(count, people * voters)
    most = np.maximum.reduceat(side_by_side, np.flatnonzero(first), axis=1)
    return np.asarray(np.add.reduceat(most, np.r_[0, first.sum(axis=1).cumsum()[:-1]], axis=1).T)


def _shares(cost: Float32[Array, "Q V"], flat: float) -> Float32[Array, "Q V"]:
    """What each voter holds of the likelihood to the power 1 / flat: nearly equal voters are not independent."""
    log = -cost / (2 * flat)
    return np.asarray(np.exp(log - _log_sum(log)), dtype=np.float32)


def _log_sum(log: Float32[Array, "Q V"]) -> Float32[Array, "Q 1"]:
    """Sum in logs of each row; scipy's takes a tenth of a query's time, most of it looking at its arguments."""
    most = log.max(axis=1, keepdims=True)
    return np.asarray(most + np.log(np.exp(log - most).sum(axis=1, keepdims=True)))


def _apart(poses: Float32[Array, "Q S 17 3"], voters: Float32[Array, "Q V 17 3"]) -> Float32[Array, "Q S V"]:
    a, b = torch.from_numpy(np.ascontiguousarray(poses)), torch.from_numpy(np.ascontiguousarray(voters))
    distance: Float32[Array, "Q S V"] = procrustes_mpjpe(a[:, :, None], b[:, None]).numpy()
    return distance
