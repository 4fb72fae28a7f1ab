"""The poses of a large archive in lists of similar ones, so that few have to be compared (numpy; torch)."""

__all__ = ["PoseLists"]

import math

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from vipe.arrays import Array, blocks
from vipe.crossing import to_array, to_tensor
from vipe.index import PoseIndex

_SAMPLE = 32_768  # poses that centres are made of
_ROUNDS = 3  # of moving the centres: more make no difference
_AT_ONCE = 16_384


class PoseLists:
    """Every row in the list of the centre that its canonical pose is nearest to; as many lists as the root of the rows.

    On the index's device. Made at first use, some seconds for a million poses; `index.cached(PoseLists)` keeps it for
    every search. A fixed draw: an index gives the same answer every time.
    """

    def __init__(self, index: PoseIndex) -> None:
        chosen = np.sort(np.random.default_rng(0).permutation(len(index))[:_SAMPLE])
        sample = to_tensor(index.poses(chosen).reshape(len(chosen), -1), index.device)
        self.centres: Float32[Tensor, "C 51"] = sample[:: -(-len(sample) // max(math.isqrt(len(index)), 1))].clone()
        for _ in range(_ROUNDS):
            nearest = self._nearest(sample)
            sums = torch.zeros_like(self.centres).index_add_(0, nearest, sample)
            count = torch.bincount(nearest, minlength=len(self.centres))[:, None]
            self.centres = torch.where(count > 0, sums / count.clamp_min(1), self.centres)
        every = (index.poses(np.arange(some.start, some.stop)) for some in blocks(len(index), _AT_ONCE))
        own = [self._nearest(to_tensor(poses.reshape(len(poses), -1), index.device)) for poses in every]
        of_row = to_array(torch.cat(own))
        self.order: Int64[Array, " N"] = np.argsort(of_row, kind="stable")
        """Rows, list after list, ascending in each."""
        self.starts: Int64[Array, " C+1"] = np.searchsorted(of_row[self.order], np.arange(len(self.centres) + 1))

    def rows(self, score: Float32[Tensor, " C"], enough: int, allowed: Int64[Array, " M"] | None) -> Int64[Array, " R"]:
        """Rows of the lists of greatest score, ascending: whole lists, until there are `enough` rows.

        Args:
            score: Of each list.
            enough: Rows.
            allowed: Only these count.
        """
        best = np.argsort(-to_array(score), kind="stable")
        usable = None
        if allowed is not None:
            usable = np.zeros(len(self.order), dtype=bool)
            usable[allowed] = True
        found, count = [], 0
        for own in best.tolist():
            rows = self.order[self.starts[own] : self.starts[own + 1]]
            rows = rows if usable is None else rows[usable[rows]]
            found.append(rows)
            count += len(rows)
            if count >= enough:
                break
        return np.sort(np.concatenate(found))

    def _nearest(self, points: Float32[Tensor, "N 51"]) -> Tensor:
        # |x - c|^2 less |x|^2, which is the same for all centres
        return torch.addmm(self.centres.square().sum(dim=1), points, self.centres.T, alpha=-2).argmin(dim=1)
