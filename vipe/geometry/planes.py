"""Arithmetic on many poses at once: joints first, poses last, in blocks that fit the cache (torch).

The 51 numbers of one pose are too few to fill a vector unit or to be worth a call. With poses on the last, contiguous
axis ("planes": `J 3 N`) every step of a formula is one pass over thousands of poses, forward and backward.
"""

__all__ = ["dot", "from_planes", "in_blocks", "rotate", "to_planes"]

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Float
from torch import Tensor

from vipe.arrays import blocks

# A forked process has none of its parent's threads, but OpenMP would wait for them without end: it starts with one.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))

BLOCK = 8192
"""Poses in a block: 1.7 MB in float32. With fewer, calls cost more than sums; with more, they do not fit the cache."""


def to_planes(points: Float[Tensor, "*batch J 3"]) -> Float[Tensor, "J 3 N"]:
    """Points with the batch flattened and moved last, contiguous."""
    joints = points.shape[-2]
    # Two axes only: torch has a fast kernel for a transposed copy of a matrix and none for three axes.
    matrix = points.reshape(math.prod(points.shape[:-2]), 3 * joints)
    return matrix.T.contiguous().reshape(joints, 3, len(matrix))


def from_planes(planes: Float[Tensor, "J K N"], batch: torch.Size) -> Float[Tensor, "*batch J K"]:
    """The inverse of `to_planes` for any matrix a pose; contiguous."""
    rows, columns, count = planes.shape
    return planes.reshape(rows * columns, count).T.contiguous().reshape(*batch, rows, columns)


def dot(a: Float[Tensor, "*#J 3 #N"], b: Float[Tensor, "*#J 3 #N"]) -> Float[Tensor, "*J N"]:
    """Inner product over the coordinates."""
    total = a[..., 0, :] * b[..., 0, :]
    # In place, here and below: no gradient needs the partial sums, and the cache has room for something else.
    return total.addcmul_(a[..., 1, :], b[..., 1, :]).addcmul_(a[..., 2, :], b[..., 2, :])


def rotate(rotation: Float[Tensor, "3 3 N"], vectors: Float[Tensor, "J 3 N"]) -> Float[Tensor, "J 3 N"]:
    """R v for every vector of every pose; R may be any matrix."""
    total = rotation[:, 0] * vectors[:, :1]
    return total.addcmul_(rotation[:, 1], vectors[:, 1:2]).addcmul_(rotation[:, 2], vectors[:, 2:])


def in_blocks(work: Callable[[slice], None], count: int, block: int = BLOCK, *, workers: int | None = None) -> None:
    """Call `work` with slices that cover `count` rows, without gradients, on several cores.

    Returns when all blocks are done; raises the first error of a block.

    Args:
        work: Called with each slice.
        count: How many rows there are.
        block: At most so many rows a slice.
        workers: Blocks at once; by default as many as torch has threads.
    """
    slices = list(blocks(count, block))
    threads = torch.get_num_threads()
    workers = workers or threads

    def without_gradients(rows: slice) -> None:
        with torch.inference_mode():
            work(rows)

    if min(workers, len(slices)) <= 1:
        for rows in slices:
            without_gradients(rows)
        return
    try:
        # One thread a block: if torch divided every single step over the cores, that would cost more than the step.
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for _ in pool.map(without_gradients, slices):
                pass
    finally:
        torch.set_num_threads(threads)  # the workers' setting is the default of threads that start later
