"""Which way a pose is turned about the vertical: a start for many poses, and the best angle given a model (numpy).

An angle is that by which a pose is turned, counter-clockwise seen from above, from the model's heading: the recorded
pose is the aligned one turned by it.
"""

__all__ = ["HeadingStart", "best_headings", "turned"]

from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.errors import ShapeError
from vipe.lift.ppca.prior.gaussian import PPCA

_NEWTON_STEPS = 12  # the secular equation is nearly straight in 1 / length: 4 do for mocap, 8 for random numbers
_TINY = 1e-300  # so that a pose without any heading divides 0 by something


def turned(poses: Float64[Array, "N J 3"], angles: Float64[Array, " N"]) -> Float64[Array, "N J 3"]:
    """Turn each pose about the vertical through the origin; z stays.

    Args:
        poses: Any unit, z up.
        angles: Radians, counter-clockwise seen from above (+x goes toward +y).

    Example:
        >>> turned(np.array([[[1.0, 0.0, 5.0]]]), np.array([np.pi / 2])).round(9)
        array([[[0., 1., 5.]]])
    """
    c, s = np.cos(angles)[:, None], np.sin(angles)[:, None]
    x, y, z = np.moveaxis(poses, -1, 0)
    return np.stack([c * x - s * y, s * x + c * y, z], axis=-1)


def best_headings(poses: Float64[Array, "N J 3"], model: PPCA) -> Float64[Array, " N"]:
    """The angle of each pose under which, turned back, it is most likely; in (-pi, pi].

    The coefficients of the basis are eliminated: the log density is that of the whole model, a quadratic form in
    (cos, sin, 1). Its maximum on the circle is global, found by the secular equation of a trust region, so a pose that
    fits from two sides gets the better one. A pose on the vertical has no heading, and gets some angle.

    Args:
        poses: In the model's unit, z up.
        model: Of aligned poses, their coordinates in one row.

    Reference:
        Tome et al. 2017, sec. 4.1, where a non-linear solver does this step. More & Sorensen 1983 for the equation.
    """
    count = len(poses)
    x, y, z = np.moveaxis(poses, -1, 0)
    nothing = np.zeros_like(x)
    # The aligned pose is cos u + sin v + w.
    u = np.stack([x, y, nothing], axis=-1).reshape(count, -1)
    v = np.stack([y, -x, nothing], axis=-1).reshape(count, -1)
    w = np.stack([nothing, nothing, z], axis=-1).reshape(count, -1) - model.mean
    # noise * (x - mean)^T C^-1 (x - mean) = |x - mean|^2 - sum_j shrunk_j (basis_j (x - mean))^2, where u, v and w are
    # orthogonal and |u| = |v|: what remains is quadratic in the basis alone.
    shrunk = model.latent_variance / model.variance
    along_u, along_v, along_w = (part @ model.basis.T for part in (u, v, w))
    return _least_on_circle(
        uu=-np.square(along_u) @ shrunk,
        uv=-(along_u * along_v) @ shrunk,
        vv=-np.square(along_v) @ shrunk,
        u=-u @ model.mean - (along_u * along_w) @ shrunk,
        v=-v @ model.mean - (along_v * along_w) @ shrunk,
    )


class HeadingStart:
    """Angles for poses of which nothing is known yet: horizontal coordinates as a product of turns and one shape.

    The x and y of all poses, in 2 N rows, are nearly turns (2 N, 2) times the mean shape (2, J). A singular value
    decomposition of rank 2 gives both up to a linear map of the plane. That map is the one that makes the turns
    rotations: first by least squares, then the nearest rotation of each. Passes over the poses keep a (J, J) and a
    (3, 3) sum, nothing else.

    Reference:
        Tome et al. 2017, sec. 4.1: a variant of Tomasi & Kanade 1992.
    """

    def __init__(self, passes: Callable[[], Iterable[Float64[Array, "n J 3"]]]) -> None:
        """Find the map in two passes over the blocks of poses that each call of `passes` yields.

        Raises:
            ShapeError: If there are none.
        """
        grams = (np.tensordot(block[..., :2], block[..., :2], axes=((0, 2), (0, 2))) for block in passes())
        gram = np.asarray(sum(grams))
        if not gram.ndim:
            raise ShapeError("at least two poses are needed to align them, got 0")
        self._shape = np.linalg.eigh(gram)[1][:, -2:]
        normal, right, orientation = np.zeros((3, 3)), np.zeros(3), 0.0
        for block in passes():
            factors = self._factors(block)
            rows = _metric_rows(factors)
            normal += np.einsum("nij,nik->jk", rows, rows)
            right += rows[:, :2].sum(axis=(0, 1))  # of A Q A^T the diagonal should be 1, the rest 0
            orientation += float(np.linalg.det(factors).sum())
        a, b, c = np.linalg.lstsq(normal, right, rcond=None)[0]
        values, vectors = np.linalg.eigh(np.array([[a, b], [b, c]]))
        # A flat mean shape leaves one direction of the plane open; the other then decides.
        self._upgrade = vectors * np.sqrt(values.clip(max(values[-1] * 1e-6, _TINY)))
        if orientation * np.linalg.det(self._upgrade) < 0:
            self._upgrade[:, 0] *= -1

    def angles(self, poses: Float64[Array, "n J 3"]) -> Float64[Array, " n"]:
        """The angle of each pose: of the rotation nearest to its turn."""
        turns = self._factors(poses) @ self._upgrade
        return np.asarray(
            np.arctan2(turns[:, 1, 0] - turns[:, 0, 1], turns[:, 0, 0] + turns[:, 1, 1]), dtype=np.float64
        )

    def _factors(self, poses: Float64[Array, "n J 3"]) -> Float64[Array, "n 2 2"]:
        return np.asarray(np.swapaxes(poses[..., :2], -1, -2) @ self._shape)


def _metric_rows(factors: Float64[Array, "n 2 2"]) -> Float64[Array, "n 3 3"]:
    """Coefficients of (Q11, Q12, Q22) in the entries 11, 22 and sqrt(2) 12 of A Q A^T."""
    a, b = factors[:, 0], factors[:, 1]

    def row(p: Float64[Array, "n 2"], q: Float64[Array, "n 2"]) -> Float64[Array, "n 3"]:
        return np.stack([p[:, 0] * q[:, 0], p[:, 0] * q[:, 1] + p[:, 1] * q[:, 0], p[:, 1] * q[:, 1]], axis=-1)

    return np.stack([row(a, a), row(b, b), np.sqrt(2) * row(a, b)], axis=1)


def _least_on_circle(
    uu: Float64[Array, " N"],
    uv: Float64[Array, " N"],
    vv: Float64[Array, " N"],
    u: Float64[Array, " N"],
    v: Float64[Array, " N"],
) -> Float64[Array, " N"]:
    """The angle t of the global minimum of uu c^2 + 2 uv c s + vv s^2 + 2 u c + 2 v s with c, s = cos t, sin t."""
    # In axes of the quadratic form: k cos 2t + 2 (p cos t + q sin t), k >= 0. With a multiplier l >= 0 for the circle
    # (cos, sin) = (-p / (l + 2 k), -q / l), and l is where that has length 1.
    axis = np.arctan2(uv, (uu - vv) / 2) / 2
    k2 = 2 * np.hypot((uu - vv) / 2, uv)
    p, q = u * np.cos(axis) + v * np.sin(axis), v * np.cos(axis) - u * np.sin(axis)
    least = np.maximum(np.maximum(np.abs(q), np.abs(p) - k2), _TINY)
    multiplier = least
    for _ in range(_NEWTON_STEPS):
        cos, sin = p / (multiplier + k2), q / multiplier
        square = cos**2 + sin**2
        slope = cos**2 / (multiplier + k2) + sin**2 / multiplier
        step = (np.sqrt(square) - 1) * square / np.maximum(slope, _TINY)
        multiplier = np.maximum(multiplier + step, least)
    cos = (-p / (multiplier + k2)).clip(-1, 1)
    # q is 0 for a form with two equal minima: then the length, not q, gives the sine.
    t = np.arctan2(-np.copysign(np.sqrt(1 - cos**2), q), cos)
    # The root above loses half the digits where cos is nearly 1; one step of Newton on the circle brings them back.
    slope = -k2 * np.sin(2 * t) + 2 * (q * np.cos(t) - p * np.sin(t))
    curvature = -2 * k2 * np.cos(2 * t) - 2 * (p * np.cos(t) + q * np.sin(t))
    t = t - np.where(curvature > 0, slope, 0.0) / np.where(curvature > 0, curvature, 1.0)
    angle = t + axis
    return np.asarray(np.pi - (np.pi - angle) % (2 * np.pi), dtype=np.float64)
