"""Where candidates come from: affine cameras, the index's learned embedding, or both (numpy)."""

__all__ = ["Candidates", "by_embedding", "candidates_for", "quick_candidates"]

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from vipe.arrays import Array, take_columns
from vipe.detections import Keypoints
from vipe.index import Neighbours, PoseIndex
from vipe.retrieve.candidates import affine
from vipe.retrieve.candidates.affine import affine_residuals, by_affine_camera, quickly_by_affine_camera
from vipe.retrieve.candidates.leave_one_out import robust_candidates
from vipe.retrieve.candidates.rescoring import DEPTH, Sureness, rescored


class Candidates(NamedTuple):
    """C rows of an index for each of Q people, and how well the best affine camera makes each fit."""

    rows: Int64[Array, "Q C"]  # -1 is an empty place
    affine_residual: Float32[Array, "Q C"]  # infinite there

    def with_more(self, others: "Candidates") -> "Candidates":
        """These and those of the others that are not among them, in columns of their own."""
        known = np.stack([np.isin(more, own) for more, own in zip(others.rows, self.rows, strict=True)])
        return Candidates(
            np.concatenate([self.rows, np.where(known, -1, others.rows)], axis=1),
            np.concatenate([self.affine_residual, np.where(known, np.inf, others.affine_residual)], axis=1),
        )


def candidates_for(
    index: PoseIndex,
    people: Keypoints,
    count: int,
    allowed: Int64[Array, " M"] | None = None,
    sureness: Sureness | None = None,
) -> Candidates:
    """`count` candidates by affine camera, and as many by the learned embedding where the index holds one.

    If keypoints differ in how sure they are, or bodies in their bones (`sureness`), `DEPTH` times as many are compared
    again (`rescored`).

    In archives beyond `SCANNED` poses with a learned embedding, that brings all candidates: it takes keypoints with
    joints missing, and comparing 32 numbers is cheaper than looking at every pose.

    Args:
        index: The archive.
        people: On coco13; each can be searched for.
        count: At most as many as there are rows.
        allowed: Only these rows, ascending.
        sureness: Of these people.
    """
    available = len(index) if allowed is None else len(allowed)
    if index.is_learned and available > affine.SCANNED:
        near = by_embedding(index, people, min(2 * count, available), allowed).rows
        return Candidates(near, affine_residuals(index, people, near))
    depth = count if sureness is None else min(DEPTH * count, available)
    near, left = robust_candidates(
        index, people, depth, allowed, search=by_affine_camera, again=quickly_by_affine_camera
    )
    if sureness is not None and depth > count:
        best = rescored(index, people, sureness, near, count)
        near, left = take_columns(near, best), take_columns(left, best)
    if not index.is_learned or count == available:
        return Candidates(near, left)
    more = by_embedding(index, people, count, allowed).rows
    known = np.stack([np.isin(rows, others) for rows, others in zip(more, near, strict=True)])
    fresh = np.argsort(known, axis=1, kind="stable")[:, : int((~known).sum(axis=1).max())]
    more = np.where(np.take_along_axis(known, fresh, axis=1), -1, np.take_along_axis(more, fresh, axis=1))
    return Candidates(
        np.concatenate([near, more], axis=1), np.concatenate([left, affine_residuals(index, people, more)], axis=1)
    )


def quick_candidates(
    index: PoseIndex, people: Keypoints, count: int, allowed: Int64[Array, " M"] | None = None
) -> Int64[Array, "Q C"]:
    """Some rows of the nearest by the one source that answers fastest, nothing doubted and nothing compared again."""
    available = len(index) if allowed is None else len(allowed)
    count = min(count, available)
    if index.is_learned and available > affine.SCANNED:
        return by_embedding(index, people, count, allowed).rows
    return quickly_by_affine_camera(index, people, count, allowed)


def by_embedding(index: PoseIndex, people: Keypoints, k: int, allowed: Int64[Array, " M"] | None = None) -> Neighbours:
    """The nearest rows in the index's own embedding."""
    return index.nearest(index.encoder.encode_keypoints(people), k, allowed)
