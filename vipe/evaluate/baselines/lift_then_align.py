"""Lift, then align: keypoints compared by the 3D poses lifted from them, every pair aligned (numpy; torch inside)."""

__all__ = ["LiftedPoses", "aligned_likeness"]

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from vipe.arrays import Array, blocks
from vipe.detections import Keypoints
from vipe.embed.embedder import Embedder

_PAIRS = 1 << 14  # at a time: the quartic's coefficients stay in the cache
_STEPS = 6  # of Newton's method: rounding is reached in pairs whose likeness is above 0.9


class LiftedPoses:
    """The baseline that lifts: a 3D pose from each person's keypoints, then Procrustes for every pair.

    The lifter is a V-VIPE's 2D encoder and decoder. Pairs are ranked by their root mean square distance after the
    best rotation, scale and shift.
    """

    name = "lift, then Procrustes"

    def __init__(self, embedder: Embedder, name: str = "") -> None:
        self.embedder = embedder
        self.name = name or self.name

    def describe(self, keypoints: Keypoints) -> Float32[Array, "N 17 3"]:
        """Lifted poses, centred, of unit Frobenius norm.

        Raises:
            ShapeError: If a person has fewer than two visible joints, or all at one place; names the row.
            SkeletonError: If the skeleton does not convert to coco13.
        """
        poses = self.embedder.decode(self.embedder.encode_keypoints(keypoints))
        poses -= poses.mean(axis=1, keepdims=True)
        norm = np.sqrt(np.einsum("njc,njc->n", poses, poses))[:, None, None]
        unit: Float32[Array, "N 17 3"] = poses / np.maximum(norm, np.finfo(np.float32).tiny)
        return unit

    def compare(self, query: Float32[Array, "Q 17 3"], gallery: Float32[Array, "G 17 3"]) -> Float32[Array, "Q G"]:
        """The `aligned_likeness` of every pair."""
        return aligned_likeness(torch.from_numpy(query), torch.from_numpy(gallery)).numpy()


def aligned_likeness(a: Float32[Tensor, "Q J 3"], b: Float32[Tensor, "G J 3"]) -> Float32[Tensor, "Q G"]:
    """The largest trace(Rᵀ M) over rotations R, M the cross-covariance of every two centred sets of unit norm.

    It is the likeness: with the best scale, the squared residual of aligning the two sets is 1 - likeness². 1 means
    equal up to rotation and scale; a set of zeros gives 0.

    The trace w is the largest root of w⁴ - 2|M|² w² - 8 det(M) w + |M|⁴ - 4|cof M|² (Theobald 2005). Newton's method
    from above cannot miss it, since w is at most 1. Nine matrix products make all covariances.
    """
    likeness = torch.empty(len(a), len(b))
    step = max(1, _PAIRS // max(len(b), 1))
    columns = [b[:, :, k].T.contiguous() for k in range(3)]
    for rows in blocks(len(a), step):
        part = a[rows]
        m = [[part[:, :, i] @ columns[k] for k in range(3)] for i in range(3)]
        size = _sum_of_squares([entry for row in m for entry in row])
        cof = [[_minor(m, i, k) for k in range(3)] for i in range(3)]
        minors = _sum_of_squares([entry for row in cof for entry in row])
        det = m[0][0] * cof[0][0] + m[0][1] * cof[0][1] + m[0][2] * cof[0][2]
        likeness[rows] = _largest_root(size, det, minors)
    return likeness


def _sum_of_squares(entries: list[Tensor]) -> Tensor:
    total = entries[0].square()
    for entry in entries[1:]:
        total.addcmul_(entry, entry)
    return total


def _minor(m: list[list[Tensor]], i: int, k: int) -> Tensor:
    """Entry (i, k) of the cofactor matrix."""
    r, s, u, v = (i + 1) % 3, (i + 2) % 3, (k + 1) % 3, (k + 2) % 3
    return (m[r][u] * m[s][v]).addcmul_(m[r][v], m[s][u], value=-1)


def _largest_root(size: Tensor, det: Tensor, minors: Tensor) -> Tensor:
    constant = size.square().sub_(minors, alpha=4)
    w = (3 * size).sqrt_().clamp_(max=1)  # s1 + s2 + s3 is at most either
    for _ in range(_STEPS):
        square = w.square()
        half = square - size
        value = (square * (square - 2 * size)).addcmul_(det, w, value=-8).add_(constant)
        slope = (w * half).sub_(det, alpha=2).mul_(4)
        w = torch.where(slope > 1e-12, w - value / slope, w)
    return w
