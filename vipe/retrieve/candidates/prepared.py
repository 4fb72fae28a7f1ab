"""An index made ready for candidates: its poses prepared for scans, a sample of them for completions (numpy; torch)."""

__all__ = ["SPREAD", "PreparedIndex"]

from functools import cached_property

import numpy as np
from jaxtyping import Float32, Int64
from torch import Tensor

from vipe.arrays import Array
from vipe.crossing import to_tensor
from vipe.index import PoseIndex
from vipe.retrieve.candidates.everywhere import spread_rows
from vipe.retrieve.candidates.scan import PreparedGallery
from vipe.skeletons.working import COCO13_IN_H36M17

_SAMPLE = 32768  # poses that completions are made of: a tile of a scan, 1 ms
SPREAD = 65_536
"""Poses that a quick look compares: 3 ms; archives that have no more are compared as a whole."""


class PreparedIndex:
    """What candidates need of an index, on its device, made at first use.

    `index.cached(PreparedIndex)` keeps one for every search.
    """

    def __init__(self, index: PoseIndex) -> None:
        self._poses, self._device = index.pose_rows, index.device  # and not the index, which holds this

    @cached_property
    def gallery(self) -> PreparedGallery:
        """All poses, ready to be scanned."""
        return PreparedGallery.prepare(to_tensor(self._poses.whole()), COCO13_IN_H36M17, self._device)

    @cached_property
    def sample(self) -> tuple[Float32[Tensor, "n 13 3"], PreparedGallery]:
        """Some poses, and the same ready to be scanned."""
        # A fixed draw: an index gives the same answer every time.
        rows = np.random.default_rng(0).permutation(len(self._poses))[:_SAMPLE]
        poses = to_tensor(self._poses.take(np.sort(rows))[:, COCO13_IN_H36M17], self._device)
        return poses, PreparedGallery.prepare(poses)

    @cached_property
    def spread(self) -> tuple[Int64[Array, " n"], PreparedGallery]:
        """Rows spread evenly over the index, and their poses, ready to be scanned."""
        rows = spread_rows(np.arange(len(self._poses)), SPREAD)
        poses = to_tensor(self._poses.take(rows)[:, COCO13_IN_H36M17], self._device)
        return rows, PreparedGallery.prepare(poses)
