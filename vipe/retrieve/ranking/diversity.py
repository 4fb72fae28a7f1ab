"""Hits that differ: the first of a ranking that are not all the same moment of the same clip (numpy)."""

__all__ = ["diversify"]

import math

import numpy as np
from jaxtyping import Float, Int64, Integer

from vipe.arrays import Array
from vipe.errors import VipeError

_ROUNDING = 1e-6  # seconds: times are frames over a rate, and 0.5 s apart must not count as nearer


def diversify(
    rows: Integer[Array, "Q K"],
    clip: Integer[Array, " N"],
    time: Float[Array, " N"],
    k: int,
    *,
    max_per_clip: int | None = None,
    min_gap_seconds: float = 0.0,
) -> Int64[Array, "Q k"]:
    """Choose hits from the top of each ranking, each unless an earlier choice rules it out.

    A clip gives at most `max_per_clip` hits, and two hits of one clip lie at least `min_gap_seconds` apart. The best
    hit is always chosen, and the order does not change.

    Args:
        rows: Rows of an index, best first; -1 is an empty place and is passed over.
        clip: A number for the clip of each row of the index.
        time: Of each row of the index in its clip, seconds.
        k: How many to keep.
        max_per_clip: None for any number.
        min_gap_seconds: 0 allows neighbouring frames.

    Returns:
        Places in the rankings (columns of `rows`), ascending; -1 behind the last where fewer can be chosen.

    Raises:
        VipeError: If `k` or `max_per_clip` is below 1, or `min_gap_seconds` is negative or not finite.
    """
    if k < 1:
        raise VipeError(f"k must be at least 1, got {k}")
    if max_per_clip is not None and max_per_clip < 1:
        raise VipeError(f"max_per_clip must be at least 1, got {max_per_clip}; leave it out for any number")
    if not 0 <= min_gap_seconds < math.inf:
        raise VipeError(f"min_gap_seconds must be finite and not negative, got {min_gap_seconds}")
    places = np.full((len(rows), k), -1, dtype=np.int64)
    if not rows.size:
        return places
    open_ = rows >= 0
    clips, times = clip[rows], time[rows]
    kept = np.zeros(rows.shape, dtype=bool)
    everyone = np.arange(len(rows))
    for turn in range(min(k, rows.shape[1])):
        # The first place that no choice so far rules out is the next choice.
        first = open_.argmax(axis=1)
        some = open_[everyone, first]
        if not some.any():
            break
        places[some, turn] = first[some]
        kept[everyone[some], first[some]] = True
        same = (clips == clips[everyone, first][:, None]) & some[:, None]
        near = np.abs(times - times[everyone, first][:, None]) < min_gap_seconds - _ROUNDING
        full = False if max_per_clip is None else ((same & kept).sum(axis=1) >= max_per_clip)[:, None]
        open_ &= ~(same & (near | full))
        open_[everyone, first] = False
    return places
