"""Scores of hypotheses as samples of a distribution: spread, energy score, and equal weights for weighted ones (numpy).

Samples count equally here and in `lifting_calibration`; `equally_weighted` turns weighted hypotheses into such.
"""

__all__ = ["energy_score", "equally_weighted", "joint_energy_score", "sharpness", "spread"]

import numpy as np
from jaxtyping import Float, Float64

from vipe.arrays import Array, blocks
from vipe.errors import ShapeError
from vipe.evaluate.lifting_metrics import check_hypotheses

_PAIRS = 1 << 20  # distances of pairs held at a time: 8 MB


def spread(poses: Float[Array, "N M J 3"]) -> Float64[Array, "N 3"]:
    """Standard deviation of the hypotheses along x, y and z, mean over the joints, in the unit of the poses.

    The divisor is M - 1. Every joint given counts, the root too, whose deviation is 0: so it is in Wehrbein et al.
    2021, sec. 4, who give 18, 17 and 42 mm for Human3.6M.

    Args:
        poses: Root-centered hypotheses in camera space: z is depth.

    Raises:
        ShapeError: If the poses are not (N, M, J, 3) of finite numbers, or M < 2: one hypothesis has no spread.

    >>> spread(np.array([0.0, 2.0])[:, None, None] * np.ones((1, 2, 17, 3)) * [1.0, 1.0, 3.0]).round(3)
    array([[1.414, 1.414, 4.243]])
    """
    check_hypotheses(poses, least=2)
    result = np.empty((len(poses), 3))
    for rows in blocks(len(poses), max(1, _PAIRS // max(1, poses[:1].size))):
        result[rows] = poses[rows].std(axis=1, ddof=1, dtype=np.float64).mean(axis=1)
    return result


def sharpness(poses: Float[Array, "N M J 3"]) -> float:
    """Mean of `spread` over poses and axes: of two calibrated lifters the one with less says more.

    NaN for no poses (N = 0). Raises as `spread` does.
    """
    return float(spread(poses).mean()) if len(poses) else float("nan")


def energy_score(poses: Float[Array, "N M J 3"], truth: Float[Array, "N J 3"]) -> Float64[Array, " N"]:
    """Energy score of each pose in R^(3J); the lower, the better.

    ES = E|X - y| - E|X - X'| / 2 with X, X' independent hypotheses and y the truth. It is strictly proper: its mean is
    least where the hypotheses follow the distribution of the truth, neither wider nor narrower. The estimate is
    (1 / M) sum_i |x_i - y| - 1 / (2 M (M - 1)) sum_(i != j) |x_i - x_j|, unbiased for every M.

    Args:
        poses: Hypotheses, root-centered.
        truth: In the unit of the poses, which is that of the result.

    Returns:
        The scores. If all hypotheses are one pose, its distance from the truth. A single estimate can be negative.

    Raises:
        ShapeError: If the shapes do not fit, a number is not finite, or M < 2.

    Reference:
        Gneiting & Raftery 2007, eq. 21.

    >>> poses = np.zeros((1, 2, 1, 3))
    >>> poses[0, :, 0, 0] = [0, 2]
    >>> energy_score(poses, np.zeros((1, 1, 3)))  # 1 - 2 / 2
    array([0.])
    """
    check_hypotheses(poses, truth, least=2)
    n, m = poses.shape[:2]
    result = np.empty(n)
    for rows in blocks(n, max(1, _PAIRS // max(m * m, poses[:1].size))):
        flat = (poses[rows].astype(np.float64) - truth[rows, None]).reshape(-1, m, poses[:1, :1].size)
        result[rows] = _score(flat)
    return result


def joint_energy_score(poses: Float[Array, "N M J 3"], truth: Float[Array, "N J 3"]) -> Float64[Array, "N J"]:
    """Energy score of each joint in R^3, as `energy_score` of that joint alone; of the root, which does not move, 0.

    It sees how wide each joint's cloud is, and not how joints move together.

    Args:
        poses: Hypotheses, root-centered.
        truth: In the unit of the poses, which is that of the result.

    Raises:
        ShapeError: If the shapes do not fit, a number is not finite, or M < 2.
    """
    check_hypotheses(poses, truth, least=2)
    n, m, joints = poses.shape[:3]
    result = np.empty((n, joints))
    for rows in blocks(n, max(1, _PAIRS // max(1, m * m * joints))):
        result[rows] = _score((poses[rows].astype(np.float64) - truth[rows, None]).swapaxes(1, 2))
    return result


def equally_weighted(
    poses: Float[Array, "N M J 3"],
    log_weight: Float[Array, "N M"],
    generator: np.random.Generator,
    count: int | None = None,
) -> Float[Array, "N count J 3"]:
    """Draw hypotheses again by their weights, so that all count equally (systematic resampling), in random order.

    A hypothesis of weight w comes floor(count w) or ceil(count w) times, and count w times on average. Copies are
    exact: metrics by ranks treat them as ties. The order is shuffled, because `best_of` looks at the first ones.

    Args:
        poses: Hypotheses.
        log_weight: Logarithms of weights, up to a constant for each pose; minus infinity for a weight of 0.
        generator: Two draws for each pose: one number, one order.
        count: How many to draw for each pose; M by default.

    Raises:
        ShapeError: If the weights do not fit the poses, count is below 1, or a pose has no finite sum of weights.

    Reference:
        Kitagawa 1996; Douc et al. 2005.
    """
    check_hypotheses(poses)
    count = poses.shape[1] if count is None else count
    if log_weight.shape != poses.shape[:2] or count < 1:
        raise ShapeError(
            f"log_weight must be {poses.shape[:2]} like the hypotheses and count at least 1, "
            f"got shape {log_weight.shape} and {count}"
        )
    largest = log_weight.max(axis=1, keepdims=True)
    if not np.isfinite(largest).all():
        row = int(np.argmin(np.isfinite(largest[:, 0])))
        raise ShapeError(f"log_weight of pose {row} hold NaN, plus infinity or no weight above 0; expected one weight")
    ends = np.exp(log_weight.astype(np.float64) - largest).cumsum(axis=1)
    ends /= ends[:, -1:]
    places = (np.arange(count) + generator.random((len(poses), 1))) / count
    places = np.minimum(places, np.nextafter(1.0, 0.0))  # rounding must not reach past the last weight
    pairs = zip(ends, places, strict=True)
    chosen = np.array([np.searchsorted(end, place, side="right") for end, place in pairs], dtype=np.int64)
    chosen = generator.permuted(chosen.reshape(-1, count), axis=1)
    return np.asarray(np.take_along_axis(poses, chosen[:, :, None, None], axis=1))


def _score(off: Float64[Array, "*batch M D"]) -> Float64[Array, "*batch"]:
    """The estimate for samples given as differences from the truth."""
    m = off.shape[-2]
    reach = np.linalg.norm(off, axis=-1).mean(axis=-1)
    centered = off - off.mean(axis=-2, keepdims=True)  # less is lost when squares cancel
    square = (centered * centered).sum(axis=-1)
    pairs = centered @ centered.swapaxes(-1, -2)
    pairs *= -2
    pairs += square[..., :, None]
    pairs += square[..., None, :]
    pairs[..., np.arange(m), np.arange(m)] = 0
    np.sqrt(np.maximum(pairs, 0, out=pairs), out=pairs)
    return np.asarray(reach - pairs.sum(axis=(-2, -1)) / (2 * m * (m - 1)))
