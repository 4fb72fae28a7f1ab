"""The rows of an archive on one time line, clip after clip (numpy)."""

__all__ = ["Timeline"]


import numpy as np
from jaxtyping import Float, Float64, Int64, Integer

from vipe.arrays import Array
from vipe.index import PoseIndex


class Timeline:
    """Rows of an index in order of clip and time, the clips so far apart that no window reaches from one to the next.

    Places count along this order.
    """

    def __init__(self, index: PoseIndex, allowed: Int64[Array, " M"] | None, reach: float) -> None:
        """Lay out rows.

        Args:
            index: The archive.
            allowed: The rows to lay out; all of them if None.
            reach: Seconds; no window is wider.
        """
        rows = np.arange(len(index)) if allowed is None else allowed
        clip, time = index.clip_codes[rows], index.times[rows]
        order = np.lexsort((time, clip))
        clip, time = clip[order], time[order]
        new = np.diff(clip, prepend=-1) != 0
        step = np.diff(time, prepend=0.0)
        within = step[~new]
        self.rows: Int64[Array, " M"] = rows[order]
        self.step = float(np.median(within)) if len(within) else 0.0
        """Seconds from a row to the next of its clip."""
        step[new] = 2 * reach + 1
        self.at: Float64[Array, " M"] = np.cumsum(step)
        self._place = np.full(len(index), -1, dtype=np.int64)
        self._place[self.rows] = np.arange(len(rows))

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, rows: Integer[Array, "*any"]) -> Int64[Array, "*any"]:
        """Where rows lie, -1 for rows that are not laid out."""
        return np.asarray(self._place[rows])

    def between(
        self, early: Float[Array, "*any"], late: Float[Array, "*any"]
    ) -> tuple[Int64[Array, "*any"], Int64[Array, "*any"]]:
        """The places from `early` to `late`, both included, as first and last + 1; times along the line."""
        first = np.searchsorted(self.at, early.ravel(), side="left").reshape(early.shape)
        last = np.searchsorted(self.at, late.ravel(), side="right").reshape(late.shape)
        return first, last
