"""How sure a mean over queries is: 95% intervals over clips (numpy)."""

__all__ = ["bootstrap_interval", "bootstrap_statistic", "concentration"]

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped

from vipe.arrays import Array

_TAIL = 0.025  # on either side of a 95% interval
_ROUNDING = 1e-12  # means of clips that differ by less are equal


def bootstrap_interval(
    values: Float[Array, " N"] | Bool[Array, " N"],
    clips: Sequence[str] | Shaped[Array, " N"],
    *,
    generator: np.random.Generator,
    draws: int = 2000,
    span: tuple[float, float] = (0.0, 1.0),
) -> tuple[float, float]:
    """95% interval of a mean, when whole clips are drawn again with replacement.

    Clips are drawn and not single queries, because the frames of one clip succeed and fail together (cluster
    bootstrap; Davison & Hinkley 1997, sec. 3.8).

    If every clip has the same mean, each draw gives that mean again, and the bootstrap says nothing. The interval is
    then the exact one of Clopper & Pearson 1934: none of n clips differs, so at most a share 1 - 0.025^(1/n) of all
    clips does (about 3.7 / n), and a clip that differs may have any mean in `span`. As queries count and not clips,
    n is the effective number of clips, (sum of sizes)^2 / (sum of squared sizes) (Kish 1965; used with the exact
    interval by Korn & Graubard 1998).

    Args:
        values: One a query.
        clips: The clip of each query.
        generator: Every draw uses it.
        draws: Of the bootstrap.
        span: Smallest and largest value a query can have: 0 and 1 of a hit, -1 and 1 of a difference of hits.

    Ten clips of which every query was a hit:

    >>> clips = [f"clip {i}" for i in range(10)]
    >>> low, high = bootstrap_interval(np.ones(10), clips, generator=np.random.default_rng(0))
    >>> round(low, 3), high  # 0.025^(1/10)
    (0.692, 1.0)

    Ten clips of which every second was found:

    >>> found = np.arange(10) % 2
    >>> low, high = bootstrap_interval(found == 1, clips, generator=np.random.default_rng(0))
    >>> round(low, 1), round(high, 1)
    (0.2, 0.8)
    """
    _, clip = np.unique(np.asarray(clips), return_inverse=True)
    sums = np.bincount(clip, weights=np.asarray(values, dtype=np.float64))
    sizes = np.bincount(clip)
    drawn = generator.integers(len(sums), size=(draws, len(sums)))
    if np.ptp(sums / sizes) <= _ROUNDING:
        return _interval_of_equal_clips(float(sums.sum() / sizes.sum()), sizes, span)
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [_TAIL, 1 - _TAIL])
    return float(low), float(high)


def bootstrap_statistic(
    statistic: Callable[[Int64[Array, " N"]], float],
    clips: Sequence[str] | Shaped[Array, " N"],
    *,
    generator: np.random.Generator,
    draws: int = 500,
) -> tuple[float, float]:
    """95% interval of a number that is at least 0, such as a calibration error, by the basic bootstrap over clips.

    A calibration error of drawn clips exceeds that of all by as much, on average, as that exceeds the true one: both
    grow by chance. So its distance from the drawn ones is taken off on the other side (Davison & Hinkley 1997, sec.
    5.2), and the interval may lie below the number itself.

    Args:
        statistic: The number, of the queries with these places; a place may come several times.
        clips: The clip of each query.
        generator: Every draw uses it.
        draws: Of the bootstrap.

    >>> values = np.array([1.0, 1.0, 3.0, 3.0])
    >>> clips = ["a", "a", "b", "b"]
    >>> bootstrap_statistic(lambda some: values[some].mean(), clips, generator=np.random.default_rng(0))
    (1.0, 3.0)
    """
    _, clip = np.unique(np.asarray(clips), return_inverse=True)
    members = np.split(np.argsort(clip, kind="stable"), np.cumsum(np.bincount(clip))[:-1])
    drawn = generator.integers(len(members), size=(draws, len(members)))
    values = [statistic(np.concatenate([members[one] for one in some])) for some in drawn]
    low, high = np.quantile(values, [_TAIL, 1 - _TAIL])
    whole = statistic(np.arange(len(clip)))
    return max(0.0, float(2 * whole - high)), max(0.0, float(2 * whole - low))


def concentration(clips: Sequence[str] | Shaped[Array, " N"], most: int = 5) -> float:
    """Share of the queries that come from the `most` clips with the most queries.

    >>> concentration(["walk", "walk", "run", "jump"], most=1)
    0.5
    """
    _, sizes = np.unique(np.asarray(clips), return_counts=True)
    return float(np.sort(sizes)[-most:].sum() / sizes.sum())


def _interval_of_equal_clips(
    mean: float, sizes: Shaped[Array, " clips"], span: tuple[float, float]
) -> tuple[float, float]:
    effective = float(sizes.sum()) ** 2 / float(np.square(sizes, dtype=np.float64).sum())
    others = 1 - _TAIL ** (1 / effective)
    return mean - others * (mean - span[0]), mean + others * (span[1] - mean)
