"""Exact search by whatever joints are seen: the affine residual of every pose of a gallery (torch)."""

__all__ = ["affine_residual", "scan"]

from typing import TypeAlias

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from vipe.embed.affine import column_basis
from vipe.geometry.planes import in_blocks

_BLOCK = 4096  # poses at a time: their bases stay near a core
_BLOCK_GPU = 1 << 17

Best: TypeAlias = tuple[Float32[Tensor, "Q _"], Int64[Tensor, "Q _"]]
"""The largest explained shares and the rows they belong to."""


def affine_residual(points: Float[Tensor, "N S 3"], xy: Float[Tensor, "Q S 2"]) -> Float[Tensor, "Q N"]:
    """Fit the best affine camera of every pose to every query, and say what it leaves.

    With B the orthonormal basis of a pose's centred seen joints and p the centred keypoints of unit Frobenius norm,
    this is sqrt(1 - |Bᵀp|²): the root of the squared residual over that of no camera but a shift. Fewer seen joints
    leave fewer dimensions in which a wrong pose could show, 2 (S - 4) of them, so residuals of queries with different
    joints do not compare, and at S = 4 every pose fits perfectly.

    Args:
        points: The seen joints of N poses, any unit.
        xy: The same joints of Q people in pixels; they must not all coincide.

    Reference:
        Equal, joint by joint, to least squares over cameras (2 x 3 matrix and shift); see `AffineSignature`.
    """
    return _residual(_explained(points, xy))


def scan(
    gallery: Float32[Tensor, "N J 3"],
    joints: Int64[Tensor, " S"],
    xy: Float32[Tensor, "Q S 2"],
    k: int,
    rows: Int64[Tensor, " M"] | None = None,
) -> tuple[Int64[Tensor, "Q K"], Float32[Tensor, "Q K"]]:
    """Find the k poses of least affine residual for Q people who show the same joints.

    Every pose is compared, so the answer is exact. Runs where the gallery lies; on a CPU with torch's number of
    threads.

    Args:
        gallery: The poses.
        joints: Which of a pose's joints are seen.
        xy: Where they are seen, pixels.
        k: How many; fewer if there are fewer poses.
        rows: Look only at these poses.

    Returns:
        Rows of the gallery and their residuals, least first, equal ones by row.
    """
    total = len(gallery) if rows is None else len(rows)
    block = _BLOCK_GPU if gallery.is_cuda else _BLOCK

    def best_of(starts: range) -> Best:
        best: Best = (xy.new_empty((len(xy), 0)), torch.empty((len(xy), 0), dtype=torch.int64, device=xy.device))
        for start in starts:
            chosen = slice(start, start + block) if rows is None else rows[start : start + block]
            explained, place = _most(_explained(gallery[chosen].index_select(1, joints), xy), k)
            found = place + start if rows is None else rows[place + start]
            best = _merged([best, (explained, found)], k)
        return best

    starts = range(0, total, block)
    workers = 1 if gallery.is_cuda else torch.get_num_threads()
    parts = [best_of(range(0))] * workers

    def work(share: slice) -> None:
        parts[share.start] = best_of(starts[share.start :: workers])

    in_blocks(work, workers, block=1)
    explained, found = _merged(parts, k)
    order = found.argsort(dim=1)
    order = order.gather(1, explained.gather(1, order).argsort(dim=1, descending=True, stable=True))
    return found.gather(1, order), _residual(explained.gather(1, order))


def _explained(points: Float[Tensor, "N S 3"], xy: Float[Tensor, "Q S 2"]) -> Float[Tensor, "Q N"]:
    """Share of the keypoints' squared size that the best affine camera of each pose accounts for: |Bᵀp|²."""
    basis = column_basis(points - points.mean(dim=-2, keepdim=True))
    centred = xy - xy.mean(dim=-2, keepdim=True)
    unit = centred / centred.square().sum((-2, -1), keepdim=True).sqrt()
    coordinates = unit.permute(2, 0, 1).flatten(0, 1)  # all x, then all y, so that one product serves both
    explained = xy.new_zeros(len(xy), len(points))
    for vectors in basis.unbind(-2):
        x, y = (coordinates @ vectors.mT).view(2, len(xy), len(points))
        explained.addcmul_(x, x).addcmul_(y, y)
    return explained


def _residual(explained: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    return (1 - explained).clamp(min=0).sqrt()  # rounding may take a perfect fit just past 1


def _most(values: Float[Tensor, "Q M"], k: int) -> Best:
    most = values.topk(min(k, values.shape[1]), dim=1)
    return most.values, most.indices


def _merged(parts: list[Best], k: int) -> Best:
    values, place = _most(torch.cat([part[0] for part in parts], dim=1), k)
    return values, torch.cat([part[1] for part in parts], dim=1).gather(1, place)
