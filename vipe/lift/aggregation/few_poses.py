"""The hypotheses of a person in few words: poses that stand for groups of alike ones, and their shares (numpy)."""

__all__ = ["MODE_DISTANCE", "MODE_SHARE", "Modes", "modes"]

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64

from vipe.arrays import Array
from vipe.errors import ShapeError, VipeError
from vipe.lift.hypotheses import Hypotheses

MODE_DISTANCE = 0.12
"""Metres of a person of reference size: groups of hypotheses that are nearer, by mean joint distance, are one mode. Of
60 simulated people that a trained lifter saw, 14 have one mode, 33 two or three, none more than six; at 0.2 m almost
all have one."""

MODE_SHARE = 0.05
"""Smaller groups are no mode; their hypotheses count for the mode that is nearest."""

_LINKED = 1000  # hypotheses that groups are made of, evenly spaced among all
_NOTHING = 1e-300  # of weight


@dataclass(frozen=True, kw_only=True)
class Modes:
    """The K modes of one person's hypotheses, the largest first."""

    poses: Float32[Array, "K 17 3"]  # each is one of the hypotheses
    share: Float64[Array, " K"]  # of the hypotheses that are nearest to each, by weight; they sum to 1
    row: Int64[Array, " K"]  # which of the hypotheses each is
    member: Int64[Array, " M"]  # the mode that each hypothesis is nearest to

    def __len__(self) -> int:
        return len(self.poses)


def modes(hypotheses: Hypotheses, *, apart: float = MODE_DISTANCE, least: float = MODE_SHARE) -> tuple[Modes, ...]:
    """Group each person's hypotheses into modes.

    Groups are merged, the two nearest first, until all are `apart`; the distance of two groups is the weighted mean of
    the distances between their members (average linkage), and that of two poses the mean over the joints. The pose of
    least mean distance within a group stands for it. Then every hypothesis is counted for the pose that is nearest: so,
    if the hypotheses are calibrated, a share is the probability that the true pose is nearer to this mode than to any
    other. A mode need not be a peak of the density: one broad distribution may give several.

    Nothing is drawn: the same hypotheses give the same modes. Groups are made of at most 1,000 hypotheses; all are
    counted. M = 200 takes some 20 ms a person, 1,000 about a second.

    Args:
        hypotheses: Of N people, M each.
        apart: Metres of a person of reference size, above 0.
        least: Share below which a group is no mode; where all groups are smaller, all hypotheses are one mode.

    Returns:
        The modes of each person.

    Raises:
        ShapeError: If there are people without a hypothesis.
        VipeError: If `apart` or `least` is out of its range.

    Reference:
        Average linkage: Sokal & Michener 1958.

    >>> flat = np.zeros((1, 3, 17, 3), dtype=np.float32)
    >>> flat[0, 2] += 1
    >>> found = modes(Hypotheses(poses=flat, log_weight=np.zeros((1, 3), dtype=np.float32)))[0]
    >>> len(found), found.share.round(2).tolist(), found.member.tolist()
    (2, [0.67, 0.33], [0, 0, 1])
    """
    if len(hypotheses) and not hypotheses.poses.shape[1]:
        raise ShapeError(f"modes need at least one hypothesis a person, got {hypotheses.poses.shape[:2]}")
    if not apart > 0 or not 0 <= least <= 1:
        raise VipeError(f"modes: apart must be above 0 and least 0 to 1, got {apart} and {least}")
    people = zip(hypotheses.poses, hypotheses.weight, strict=True)
    return tuple(_modes(poses, weight, apart, least) for poses, weight in people)


def _modes(poses: Float32[Array, "M 17 3"], weight: Float64[Array, " M"], apart: float, least: float) -> Modes:
    some = np.unique(np.linspace(0, len(poses) - 1, min(len(poses), _LINKED)).round().astype(np.int64))
    distance, mass = _distances(poses[some], poses[some]), weight[some] / max(weight[some].sum(), _NOTHING)
    group = _linked(distance, mass, apart)
    kept = np.flatnonzero(np.bincount(group, mass) >= least)
    groups = [np.flatnonzero(group == number) for number in kept] or [np.arange(len(some))]
    rows = some[[int(own[(distance[np.ix_(own, own)] @ mass[own]).argmin()]) for own in groups]]
    nearest = _distances(poses, poses[rows]).argmin(axis=1)
    share = np.bincount(nearest, weight, minlength=len(rows))
    order = np.argsort(-share, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return Modes(poses=poses[rows[order]], share=share[order], row=rows[order], member=place[nearest])


def _distances(poses: Float32[Array, "A 17 3"], others: Float32[Array, "B 17 3"]) -> Float64[Array, "A B"]:
    """Mean joint distance of each pose from each of the others."""
    joints = np.swapaxes(poses, 0, 1).astype(np.float64), np.swapaxes(others, 0, 1).astype(np.float64)
    total = np.zeros((len(poses), len(others)))
    for one, other in zip(*joints, strict=True):  # a joint at a time, for less memory
        total += np.sqrt(((one[:, None] - other[None]) ** 2).sum(axis=-1))
    return np.asarray(total / poses.shape[1])


def _linked(distance: Float64[Array, "M M"], weight: Float64[Array, " M"], apart: float) -> Int64[Array, " M"]:
    """Number of each row's group, after all merges of groups nearer than `apart`."""
    between, mass = distance.copy(), np.maximum(weight, _NOTHING)
    np.fill_diagonal(between, np.inf)
    group = np.arange(len(between))
    while len(between) > 1:
        least = int(between.argmin())
        a, b = divmod(least, len(between))
        if between[a, b] >= apart:
            break
        joined = (mass[a] * between[a] + mass[b] * between[b]) / (mass[a] + mass[b])
        joined[a] = joined[b] = np.inf
        between[a] = between[:, a] = joined
        between[b] = between[:, b] = np.inf
        mass[a] += mass[b]
        group[group == b] = a
    return np.asarray(np.unique(group, return_inverse=True)[1])
