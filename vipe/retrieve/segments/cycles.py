"""Cycles of a motion: stretches that repeat themselves after one and the same time (numpy)."""

__all__ = ["Cycle", "find_cycles"]

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64

from vipe.arrays import Array
from vipe.errors import ShapeError, VipeError
from vipe.geometry.canonical import canonicalize_array
from vipe.retrieve.segments.find_like import ALIKE

_MOVES = 2.0  # times the limit: what half a period away is no farther is no cycle but standing still


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """A stretch in which every pose comes again after `period`."""

    start: float  # seconds
    end: float
    period: float  # seconds
    distance: float  # mean between a pose and the one a period later, torso lengths: root mean square over joints

    @property
    def repeats(self) -> float:
        """How many periods it lasts."""
        return (self.end - self.start) / self.period


def find_cycles(
    poses: Float[Array, "T 17 3"],
    fps: float,
    *,
    limit: float = ALIKE,
    shortest: float = 0.4,
    longest: float = 4.0,
) -> tuple[Cycle, ...]:
    """The cycles of one motion, such as the strides of a walk, in order of time.

    For each moment the period is the least time after which a whole period of poses comes again within `limit` on
    average, while poses half a period apart differ by more than twice that. Neighbouring moments of periods that differ
    by a sample at most make one stretch. A stretch of fewer than two periods is no cycle.

    Args:
        poses: In time order, at a constant rate; any unit, any direction.
        fps: Poses a second.
        limit: Torso lengths, root mean square over joints.
        shortest: Least period, seconds.
        longest: Largest period, seconds.

    Returns:
        None of them overlap; none if the motion is shorter than two of the shortest periods.

    Raises:
        ShapeError: If the poses are none of the working skeleton, or one has no canonical form.
        VipeError: If a number is out of its range.
    """
    if poses.ndim != 3 or poses.shape[1:] != (17, 3):
        raise ShapeError(f"a motion must be (poses, 17, 3), got shape {poses.shape}")
    if not 0 < fps < np.inf or not 0 < limit < np.inf or not 0 < shortest <= longest < np.inf:
        raise VipeError(
            f"fps, limit and periods must be above 0, the shortest first, got {fps}, {limit}, {shortest} and {longest}"
        )
    least, most = max(2, round(shortest * fps)), min(round(longest * fps), len(poses) // 2)
    if most < least:
        return ()
    flat = canonicalize_array(poses).poses[:, 1:].reshape(len(poses), -1).astype(np.float32) / 4  # root of 16 joints
    apart = np.stack([_repeated(flat, lag) for lag in range(least, most + 1)])
    half = np.stack([_repeated(flat, lag, lag // 2) for lag in range(least, most + 1)])
    usable = (apart < limit) & (half > _MOVES * limit)
    # The first dip: a period, not twice a period, which comes back as well.
    dip = usable & (apart <= np.pad(apart[1:], ((0, 1), (0, 0)), constant_values=np.inf))
    dip &= apart <= np.pad(apart[:-1], ((1, 0), (0, 0)), constant_values=np.inf)
    period = np.where(dip.any(axis=0), dip.argmax(axis=0) + least, 0)
    cycles: list[Cycle] = []
    first = 0
    while first < len(period):
        last = first
        while last + 1 < len(period) and period[first] and abs(int(period[last + 1]) - int(period[last])) <= 1:
            last += 1
        if period[first]:
            lags = period[first : last + 1]
            middle = round(float(np.median(lags)))
            end = min(last + 2 * middle - 1, len(poses) - 1)  # the last moment's own period, and its repetition
            distance = float(np.mean(apart[lags - least, np.arange(first, last + 1)]))
            cycles.append(Cycle(start=first / fps, end=end / fps, period=middle / fps, distance=distance))
            first = max(last + 1, end)
        else:
            first += 1
    return tuple(cycles)


def _repeated(flat: Float32[Array, "T 48"], period: int, lag: int | None = None) -> Float64[Array, " T"]:
    """For each moment the mean over one period of the distance of poses `lag` apart; infinite where it does not fit."""
    lag = period if lag is None else lag
    distance = np.sqrt(np.square(flat[lag:] - flat[: len(flat) - lag]).sum(axis=1, dtype=np.float64))
    total = np.concatenate([[0.0], np.cumsum(distance)])
    mean = np.full(len(flat), np.inf)
    fits = len(flat) - 2 * period + 1
    mean[:fits] = (total[period : period + fits] - total[:fits]) / period
    return mean
