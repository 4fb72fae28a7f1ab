"""Whether hypotheses spread as the truth does: how often it lies where they say, and its rank among them (numpy).

Hypotheses count equally. Poses are root-centered, the root is joint 0, and it is left out: it never moves. Frames of
one clip fail together, so N counts for less than it looks.

Ranks follow one rule. Of M samples `below` lie below the truth and `tied` equal it; if truth and samples come from one
distribution, the truth's place is uniform in (below, below + tied + 1) / (M + 1). The coverage of a level is the mean
share of that interval below the level. So it equals the level on average for every M, and no draw is needed.
"""

__all__ = [
    "CALIBRATION_LEVELS",
    "INTERVAL_LEVELS",
    "CalibrationCurve",
    "RankHistogram",
    "coordinate_calibration",
    "density_calibration",
    "interval_calibration",
    "interval_width",
    "radial_calibration",
    "rank_histogram",
]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64
from scipy.stats import chisquare

from vipe.arrays import Array, blocks
from vipe.errors import ShapeError
from vipe.evaluate.lifting_metrics import check_hypotheses

CALIBRATION_LEVELS = tuple(i / 20 for i in range(21))
"""0, 0.05, ..., 1: Pierzchlewicz et al. 2022."""

INTERVAL_LEVELS = (0.5, 0.9)

_AXES = ("x", "y", "z")
"""Of camera space: z is depth."""

_NUMBERS = 1 << 20  # coordinates worked on at a time: 8 MB


@dataclass(frozen=True)
class CalibrationCurve:
    """How often the truth lies in the regions that should hold it with given probabilities."""

    levels: Float64[Array, " Q"]  # the probabilities
    coverage: Float64[Array, " Q"]  # how often it does
    parts: Float64[Array, "Q P"]  # the same of each part alone: joint 1, 2, ... of a pose, or the pose itself

    @property
    def ece(self) -> float:
        """Expected calibration error: mean of |coverage - level| over the levels; 0 is best."""
        return float(np.abs(self.coverage - self.levels).mean())

    @property
    def part_ece(self) -> Float64[Array, " P"]:
        """`ece` of each part: in `coverage` parts that err in opposite ways cancel, here they do not."""
        return np.asarray(np.abs(self.parts - self.levels[:, None]).mean(axis=0))

    @property
    def signed_area(self) -> float:
        """Mean of coverage - level. If regions grow from the middle: negative is overconfident, positive too wide.

        `coordinate_calibration` says what the sign means there.
        """
        return float((self.coverage - self.levels).mean())


@dataclass(frozen=True)
class RankHistogram:
    """How the ranks of the truth among the samples fall into bins, and how likely such counts are if all is well."""

    counts: Int64[Array, "bins ..."]
    expected: Float64[Array, " bins"]  # counts of uniform ranks; bins differ where M + 1 is no multiple of their number
    p_value: Float64[Array, "..."]  # of a chi-square test of the counts, which takes the N as independent


def radial_calibration(
    poses: Float[Array, "N M J 3"], truth: Float[Array, "N J 3"], levels: Sequence[float] = CALIBRATION_LEVELS
) -> CalibrationCurve:
    """Coverage of balls around each joint's median hypothesis: the calibration error that papers on lifting report.

    For each pose and joint: the middle is the coordinate-wise median of the samples, the ball of level q has the
    q-quantile of their distances from it as its radius (linear between samples), and it covers a truth that lies closer
    than the radius. `parts` are the joints' means over poses, `coverage` is the median of `parts` over joints.

    What it cannot see: a wrong direction at the right distance, and two bad joints of many (the median), which
    `part_ece` shows. By the strict comparison level 0 covers a truth only if no sample lies on the median, level 1 what
    is nearer than the farthest sample, about M / (M + 1), and hypotheses that are all one pose cover nothing. The
    median is that of `numpy.median`; the authors' code takes the lower of the two middle samples.

    Args:
        poses: Hypotheses in any unit; the authors use M = 200.
        truth: In the unit of the poses.
        levels: Probabilities from 0 to 1.

    Returns:
        `ece` and `signed_area` of it; the area is negative where the hypotheses are overconfident.

    Raises:
        ShapeError: If the shapes do not fit, a number is not finite, there is no pose, no joint but the root, or M < 2.

    Reference:
        Pierzchlewicz et al. 2022 (cGNF).
    """
    q = _probabilities(levels)
    _check(poses, truth)
    covered = np.zeros((len(q), poses.shape[2] - 1))
    for rows in _rows(poses):
        samples, goal = poses[rows, :, 1:].astype(np.float64), truth[rows, 1:].astype(np.float64)
        middle = np.median(samples, axis=1)
        radius = np.quantile(np.linalg.norm(samples - middle[:, None], axis=-1), q, axis=1)
        covered += (radius > np.linalg.norm(goal - middle, axis=-1)).sum(axis=1)
    parts = covered / len(poses)
    return CalibrationCurve(q, np.median(parts, axis=1), parts)


def coordinate_calibration(
    poses: Float[Array, "N M J 3"], truth: Float[Array, "N J 3"], levels: Sequence[float] = CALIBRATION_LEVELS
) -> dict[str, CalibrationCurve]:
    """Coverage of the half-lines below the samples' quantiles, of each coordinate: x, y and z (depth).

    Coverage at level q is how often the truth lies below the q-quantile of the samples, by ranks (PIT). `parts` are the
    joints, `coverage` is their mean, and `ece` the mean of |coverage - level| over the levels, of which 0 and 1 always
    fit. It sees a shift as well as a wrong spread.

    The sign: an area above 0 says that the truth tends to lie below the samples. A spread that is too small lifts the
    curve at low levels and lowers it at high ones, which cancels in the area, not in `ece`; see `interval_calibration`.

    Args:
        poses: Hypotheses in any unit.
        truth: In the unit of the poses.
        levels: Probabilities from 0 to 1.

    Returns:
        A curve for each of "x", "y" and "z".

    Raises:
        ShapeError: As in `radial_calibration`.

    Reference:
        Dawid 1984 (PIT); Kuleshov et al. 2018 (the curve of regression).
    """
    q = _probabilities(levels)
    parts = _coverage(*_coordinate_ranks(poses, truth), poses.shape[1], q)
    return {axis: CalibrationCurve(q, parts[..., i].mean(axis=1), parts[..., i]) for i, axis in enumerate(_AXES)}


def interval_calibration(
    poses: Float[Array, "N M J 3"], truth: Float[Array, "N J 3"], levels: Sequence[float] = INTERVAL_LEVELS
) -> dict[str, CalibrationCurve]:
    """Coverage of central intervals of each coordinate: x, y and z (depth).

    The interval of level c leaves (1 - c) / 2 of the samples out on either side, by ranks as in
    `coordinate_calibration`. `parts` are the joints, `coverage` is their mean; an area below 0 is overconfident.

    Args:
        poses: Hypotheses in any unit.
        truth: In the unit of the poses.
        levels: Probabilities from 0 to 1.

    Returns:
        A curve for each of "x", "y" and "z": `coverage` has the coverage of each level.

    Raises:
        ShapeError: As in `radial_calibration`.
    """
    c = _probabilities(levels)
    ranks = _coordinate_ranks(poses, truth)
    low, high = (_coverage(*ranks, poses.shape[1], (1 + side * c) / 2) for side in (-1, 1))
    parts = high - low
    return {axis: CalibrationCurve(c, parts[..., i].mean(axis=1), parts[..., i]) for i, axis in enumerate(_AXES)}


def interval_width(
    poses: Float[Array, "N M J 3"], levels: Sequence[float] = INTERVAL_LEVELS
) -> Float64[Array, "levels 3"]:
    """Mean width of the central intervals along x, y and z, over poses and joints but the root: their sharpness.

    Of two calibrated lifters the one with narrower intervals says more. Ends are quantiles of the samples, linear
    between them.

    Args:
        poses: Hypotheses; their unit is that of the result.
        levels: Probabilities from 0 to 1; 0 has width 0.

    Raises:
        ShapeError: As in `radial_calibration`.
    """
    c = _probabilities(levels)
    _check(poses)
    total = np.zeros((len(c), 3))
    for rows in _rows(poses):
        low, high = np.quantile(poses[rows, :, 1:].astype(np.float64), [(1 - c) / 2, (1 + c) / 2], axis=1)
        total += (high - low).mean(axis=2).sum(axis=1)
    return np.asarray(total / len(poses))


def density_calibration(
    log_density: Float[Array, "N M"],
    truth_log_density: Float[Array, " N"],
    levels: Sequence[float] = CALIBRATION_LEVELS,
) -> CalibrationCurve:
    """Coverage of the regions of highest density: the smallest that hold a share of the probability.

    The region of level q holds the densest q of the samples, and covers a truth that is as dense, by ranks. If the
    truth follows the density, the share of samples denser than it is uniform. Overconfident densities have an area
    below 0. It judges the whole pose, so a small fault of many joints adds up.

    Args:
        log_density: The model's log density at its own M samples of each pose.
        truth_log_density: At the true pose; minus infinity where the model excludes it.
        levels: Probabilities from 0 to 1.

    Returns:
        The curve; its one part is the pose.

    Raises:
        ShapeError: If the shapes do not fit, a number is NaN, there is no pose, or M < 2.

    Reference:
        Hyndman 1996 (the regions); Hermans et al. 2022 (their expected coverage).
    """
    q = _probabilities(levels)
    below, tied = _ranks(-log_density, -truth_log_density)
    coverage = _coverage(below, tied, log_density.shape[1], q)
    return CalibrationCurve(q, coverage, coverage[:, None])


def rank_histogram(
    values: Float[Array, "N M ..."],
    truth: Float[Array, "N ..."],
    generator: np.random.Generator,
    bins: int = 20,
) -> RankHistogram:
    """Ranks of the truth among the samples, of any statistic of a pose: a coordinate, a length, the depth of a joint.

    Ranks go from 0 to M and are uniform if truth and samples follow one distribution. A valley in the middle says that
    the samples spread too little, a hill that they spread too much, a slope that they are shifted.

    Args:
        values: The statistic of each hypothesis; a histogram for each of the parts.
        truth: That of the true pose.
        generator: Draws a place for the truth among samples that equal it.
        bins: From 2 to M + 1. The p-value needs about five ranks expected in each.

    Raises:
        ShapeError: If the shapes do not fit, a number is NaN, there is no pose, M < 2, or the bins are too many.

    Reference:
        Talts et al. 2018 (simulation-based calibration); Cook et al. 2006.
    """
    below, tied = _ranks(values, truth)
    ranks, m = below + generator.integers(0, tied + 1), values.shape[1]
    if not 2 <= bins <= m + 1:
        raise ShapeError(f"bins must lie from 2 to M + 1 = {m + 1} for {m} hypotheses, got {bins}")
    numbers = ranks.reshape(len(ranks), -1) * bins // (m + 1)
    counts = np.stack([np.bincount(column, minlength=bins) for column in numbers.T], axis=1)
    expected = len(values) * np.bincount(np.arange(m + 1) * bins // (m + 1), minlength=bins) / (m + 1)
    p_value = chisquare(counts, expected[:, None], axis=0).pvalue
    shape = values.shape[2:]
    return RankHistogram(counts.reshape(bins, *shape), expected, np.asarray(p_value).reshape(shape))


def _probabilities(levels: Sequence[float]) -> Float64[Array, " Q"]:
    q = np.asarray(levels, dtype=np.float64)
    if q.ndim != 1 or not len(q) or not ((q >= 0) & (q <= 1)).all():
        raise ShapeError(f"levels must be probabilities from 0 to 1, at least one, got {levels}")
    return q


def _check(poses: Float[Array, "N M J 3"], truth: Float[Array, "N J 3"] | None = None) -> None:
    check_hypotheses(poses, truth, least=2)
    if len(poses) < 1 or poses.shape[2] < 2:
        raise ShapeError(f"calibration needs one pose and one joint besides the root, got shape {poses.shape}")


def _rows(poses: Float[Array, "N M J 3"]) -> list[slice]:
    return list(blocks(len(poses), max(1, _NUMBERS // poses[:1].size)))


def _coordinate_ranks(
    poses: Float[Array, "N M J 3"], truth: Float[Array, "N J 3"]
) -> tuple[Int64[Array, "N joints 3"], Int64[Array, "N joints 3"]]:
    _check(poses, truth)
    below, tied = zip(*(_ranks(poses[rows, :, 1:], truth[rows, 1:]) for rows in _rows(poses)), strict=True)
    return np.concatenate(below), np.concatenate(tied)


def _ranks(
    samples: Float[Array, "N M ..."], truth: Float[Array, "N ..."]
) -> tuple[Int64[Array, "N ..."], Int64[Array, "N ..."]]:
    """How many samples lie below the truth, and how many equal it."""
    if samples.ndim < 2 or truth.shape != (len(samples), *samples.shape[2:]) or len(samples) < 1:
        raise ShapeError(
            "samples must be (N, M, ...) and the truth (N, ...) with N at least 1, got shapes "
            f"{samples.shape} and {truth.shape}"
        )
    if samples.shape[1] < 2:
        raise ShapeError(f"ranks need at least 2 samples of each pose, got {samples.shape[1]}; draw more hypotheses")
    if np.isnan(samples).any() or np.isnan(truth).any():
        raise ShapeError("samples or truth hold NaN, which has no rank; leave such poses out")
    goal = truth[:, None]
    return np.asarray((samples < goal).sum(axis=1)), np.asarray((samples == goal).sum(axis=1))


def _coverage(
    below: Int64[Array, "N ..."], tied: Int64[Array, "N ..."], m: int, levels: Float64[Array, " Q"]
) -> Float64[Array, "Q ..."]:
    shares = (np.clip((level * (m + 1) - below) / (tied + 1), 0, 1).mean(axis=0) for level in levels)
    return np.stack(list(shares))
