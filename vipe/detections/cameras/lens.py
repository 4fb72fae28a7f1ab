"""The lens of a camera: from pixels to directions and back, with OpenCV's two models of distortion (numpy)."""

__all__ = ["BROWN", "FISHEYE", "LENS_MODELS", "Lens"]

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float64

from vipe.arrays import Array
from vipe.errors import VipeError

BROWN = "brown"
FISHEYE = "fisheye"
LENS_MODELS = {BROWN: (0, 4, 5, 8), FISHEYE: (0, 4)}
"""How many coefficients each model takes; 0 is a lens without distortion, of `FISHEYE` the equidistant one."""

_LENGTHS = (1e-3, 1e9)
"""Pixels that a focal length may have: far more than any lens and sensor, far less than what float32 overflows by."""

_OFF_CENTRE = 1e9  # pixels from the image's corner to the principal point, at most
_STRONGEST = 1e12  # a coefficient, at most: one of r^6 grows with the sixth power of how narrow the view is
_FARTHEST = 1e6  # radius in normalized image coordinates: a direction some 1e-6 radians short of sideways
_STEPS = 60  # halvings of the radius' interval, then at most as many Newton steps
_CLOSE = 1e-12  # of what is left, relative to 1 and the point's radius


@dataclass(frozen=True)
class Lens:
    """Focal lengths and principal point in pixels, and the distortion.

    A direction (X, Y, Z) of camera space (x right, y down, z forward) has its image at
    `(fx x', fy y') + (cx, cy)`, where (x', y') is the distorted one of the normalized image coordinates (x, y):

    - `brown`, with (x, y) = (X, Y) / Z, r^2 = x^2 + y^2 and coefficients k1, k2, p1, p2[, k3[, k4, k5, k6]]:
      x' = x g + 2 p1 x y + p2 (r^2 + 2 x^2), y' = y g + p1 (r^2 + 2 y^2) + 2 p2 x y,
      g = (1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6);
    - `fisheye`, with the angle theta from the axis and coefficients k1, k2, k3, k4:
      (x', y') has the direction of (X, Y) and the length theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8).

    Raises:
        VipeError: If a number is not finite or beyond all lenses (focal lengths from 1e-3 to 1e9 pixels, a principal
            point within 1e9 pixels, coefficients up to 1e12), the model is unknown or has another number of
            coefficients.

    Reference:
        Brown 1966; Kannala & Brandt 2006. Order and names of the coefficients are OpenCV's.

    Example:
        >>> lens = Lens(800.0, 800.0, 320.0, 240.0, coefficients=(-0.3, 0.0, 0.0, 0.0))
        >>> lens.project(np.array([0.5, 0.0, 1.0])).tolist()  # 320 + 800 * 0.5 * (1 - 0.3 * 0.25)
        [690.0, 240.0]
    """

    fx: float
    fy: float
    cx: float
    cy: float
    model: str = BROWN
    coefficients: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.model not in LENS_MODELS:
            raise VipeError(f"lens: no model {self.model!r}; expected one of {', '.join(LENS_MODELS)}")
        counts = LENS_MODELS[self.model]
        if len(self.coefficients) not in counts:
            raise VipeError(
                f"lens: model {self.model} takes {_either(counts)} distortion coefficients, "
                f"got {len(self.coefficients)}"
            )
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.coefficients)
        if not all(math.isfinite(number) for number in numbers):
            raise VipeError(f"lens: focal lengths, principal point and distortion must be finite, got {numbers}")
        if not (self.fx > 0 and self.fy > 0):
            raise VipeError(f"lens: focal lengths must be above 0, got {self.fx:g} and {self.fy:g}")
        low, high = _LENGTHS
        if not all(low <= length <= high for length in (self.fx, self.fy)):
            raise VipeError(
                f"lens: focal lengths must be {low:g} to {high:g} pixels, got {self.fx:g} and {self.fy:g}; "
                "in which unit are they?"
            )
        if max(abs(self.cx), abs(self.cy)) > _OFF_CENTRE:
            raise VipeError(
                f"lens: the principal point must lie within {_OFF_CENTRE:g} pixels, got {self.cx:g} and {self.cy:g}"
            )
        if any(abs(number) > _STRONGEST for number in self.coefficients):
            raise VipeError(
                f"lens: distortion coefficients must be within {_STRONGEST:g}, got "
                f"{' '.join(f'{number:g}' for number in self.coefficients)}"
            )

    @property
    def focal(self) -> float:
        """The focal length of a camera with square pixels that shows as large."""
        return math.sqrt(self.fx * self.fy)

    def scaled(self, x: float, y: float) -> "Lens":
        """The same camera's images, resized by these factors; pixel centres have whole coordinates."""
        return replace(self, fx=self.fx * x, fy=self.fy * y, cx=(self.cx + 0.5) * x - 0.5, cy=(self.cy + 0.5) * y - 0.5)

    def project(self, directions: Float[Array, "*batch 3"]) -> Float64[Array, "*batch 2"]:
        """Images of directions, pixels; NaN for those that the lens does not show.

        Not shown is what lies beyond the radius at which the distortion turns back (see `limit`), and with model
        `brown` what lies not in front of the camera.
        """
        shape = directions.shape[:-1]
        points = np.asarray(directions, dtype=np.float64).reshape(-1, 3)
        if self.model == FISHEYE:
            flat = np.hypot(points[..., 0], points[..., 1])
            angle = np.arctan2(flat, points[..., 2])
            length = self._radial(angle)
            away = np.where(flat > 0, flat, 1)
            distorted = points[..., :2] * (length / away)[..., None]
            shown = angle <= self.limit
        else:
            depth = points[..., 2]
            xy = points[..., :2] / np.where(depth > 0, depth, np.nan)[..., None]
            distorted = self._distorted(xy)
            shown = (depth > 0) & (np.hypot(xy[..., 0], xy[..., 1]) <= self.limit)
        pixels = distorted * (self.fx, self.fy) + (self.cx, self.cy)
        return np.asarray(np.where(shown[..., None], pixels, np.nan).reshape(*shape, 2))

    def directions(self, xy: Float[Array, "*batch 2"]) -> Float64[Array, "*batch 3"]:
        """The direction that each pixel shows, of length 1; NaN where the distortion has no inverse.

        The radius is found by halving the interval in which the distortion rises, and with tangential distortion the
        point by Newton's method from there, both in float64 until nothing changes.
        """
        shape = xy.shape[:-1]
        points = ((np.asarray(xy, dtype=np.float64) - (self.cx, self.cy)) / (self.fx, self.fy)).reshape(-1, 2)
        length = np.hypot(points[..., 0], points[..., 1])
        radius = self._inverse_radius(length)
        along = points / np.where(length > 0, length, 1)[..., None]
        if self.model == FISHEYE:
            rays = np.concatenate([along * np.sin(radius)[:, None], np.cos(radius)[:, None]], axis=1)
            return np.asarray(rays.reshape(*shape, 3))
        ideal = along * radius[..., None]
        if any(self.coefficients[2:4]):
            start = np.where(np.isfinite(ideal), ideal, along * min(self.limit, 1e3) * 0.9)
            ideal = self._by_newton(points, start)
        rays = np.concatenate([ideal, np.ones_like(ideal[..., :1])], axis=-1)
        return np.asarray((rays / np.linalg.norm(rays, axis=-1, keepdims=True)).reshape(*shape, 3))

    def undistort(self, xy: Float[Array, "*batch 2"]) -> Float64[Array, "*batch 2"]:
        """Where the pixels would lie without distortion; NaN where it has no inverse, or 90 degrees off the axis."""
        rays = self.directions(xy)
        ahead = np.where(rays[..., 2:] > 0, rays[..., 2:], np.nan)
        return np.asarray(rays[..., :2] / ahead * (self.fx, self.fy) + (self.cx, self.cy))

    @cached_property
    def limit(self) -> float:
        """The radius up to which distorted radii rise with ideal ones: beyond it a lens would fold its image over.

        In normalized image coordinates, infinite if there is none; of model `fisheye` the angle, at most pi.
        """
        if self.model == FISHEYE:
            slope = np.polynomial.Polynomial([1, *(k * (2 * i + 3) for i, k in enumerate(self._all))])
            return min(math.sqrt(_first_root(slope)), math.pi)
        over, under = self._fraction
        # r N / D with N, D in s = r^2 rises while (N + 2 s N') D - 2 s N D' > 0.
        s = np.polynomial.Polynomial([0, 1])
        slope = (over + 2 * s * over.deriv()) * under - 2 * s * over * under.deriv()
        return math.sqrt(min(_first_root(slope), _first_root(under)))

    @property
    def _all(self) -> tuple[float, ...]:
        return (*self.coefficients, *([0.0] * (max(LENS_MODELS[self.model]) - len(self.coefficients))))

    @property
    def _fraction(self) -> tuple[np.polynomial.Polynomial, np.polynomial.Polynomial]:
        k1, k2, _, _, k3, k4, k5, k6 = self._all
        return np.polynomial.Polynomial([1, k1, k2, k3]), np.polynomial.Polynomial([1, k4, k5, k6])

    def _radial(self, radius: Float64[Array, "*batch"]) -> Float64[Array, "*batch"]:
        """The distorted radius, by radial distortion alone."""
        square = radius**2
        if self.model == FISHEYE:
            return np.asarray(radius * np.polynomial.Polynomial([1, *self._all])(square))
        over, under = self._fraction
        return np.asarray(radius * over(square) / under(square))

    def _inverse_radius(self, length: Float64[Array, "*batch"]) -> Float64[Array, "*batch"]:
        """The ideal radius, NaN where there is none."""
        high = np.full(length.shape, self.limit)
        with np.errstate(invalid="ignore", divide="ignore"):  # a radius may be that at which a fraction's divisor is 0
            if math.isinf(self.limit):
                high = np.maximum(length, 1e-3)
                for _ in range(_STEPS):
                    high = np.where(self._radial(high) < length, 2 * high, high)
            reached = self._radial(high) >= length
            low, top = np.zeros_like(length), high
            for _ in range(_STEPS):
                middle = (low + top) / 2
                below = self._radial(middle) < length
                low, top = np.where(below, middle, low), np.where(below, top, middle)
        radius = (low + top) / 2
        return np.asarray(np.where(reached, radius, np.nan))

    def _distorted(self, xy: Float64[Array, "*batch 2"]) -> Float64[Array, "*batch 2"]:
        _, _, p1, p2, *_ = self._all
        x, y = xy[..., 0], xy[..., 1]
        square = x**2 + y**2
        over, under = self._fraction
        g = over(square) / under(square)
        return np.stack(
            [
                x * g + 2 * p1 * x * y + p2 * (square + 2 * x**2),
                y * g + p1 * (square + 2 * y**2) + 2 * p2 * x * y,
            ],
            axis=-1,
        )

    def _by_newton(
        self, points: Float64[Array, "*batch 2"], start: Float64[Array, "*batch 2"]
    ) -> Float64[Array, "*batch 2"]:
        ideal = start
        with np.errstate(all="ignore"):  # points without an inverse run off
            for _ in range(_STEPS):
                jacobian = self._jacobian(ideal)
                step = _solved(jacobian, points - self._distorted(ideal))
                ideal = ideal + step
                if (np.abs(np.nan_to_num(step)) <= _CLOSE * (1 + np.abs(np.nan_to_num(ideal)))).all():
                    break
            left = np.linalg.norm(self._distorted(ideal) - points, axis=-1)
            radius = np.linalg.norm(ideal, axis=-1)
            turned: Bool[Array, "*batch"] = np.linalg.det(np.nan_to_num(self._jacobian(ideal))) > 0
            good = (left <= _CLOSE * (1 + radius)) & (radius <= self.limit) & turned
        return np.where(good[..., None], ideal, np.nan)

    def _jacobian(self, xy: Float64[Array, "*batch 2"]) -> Float64[Array, "*batch 2 2"]:
        _, _, p1, p2, *_ = self._all
        x, y = xy[..., 0], xy[..., 1]
        square = x**2 + y**2
        over, under = self._fraction
        g = over(square) / under(square)
        slope = 2 * (over.deriv()(square) - g * under.deriv()(square)) / under(square)  # dg/dx over x
        across = slope * x * y + 2 * p1 * x + 2 * p2 * y
        xx = g + slope * x**2 + 2 * p1 * y + 6 * p2 * x
        yy = g + slope * y**2 + 6 * p1 * y + 2 * p2 * x
        return np.stack([np.stack([xx, across], axis=-1), np.stack([across, yy], axis=-1)], axis=-2)


def _solved(matrix: Float64[Array, "*batch 2 2"], right: Float64[Array, "*batch 2"]) -> Float64[Array, "*batch 2"]:
    (a, b), (c, d) = (matrix[..., 0, 0], matrix[..., 0, 1]), (matrix[..., 1, 0], matrix[..., 1, 1])
    det = a * d - b * c
    x, y = right[..., 0], right[..., 1]
    return np.stack([(d * x - b * y) / det, (a * y - c * x) / det], axis=-1)


def _first_root(polynomial: np.polynomial.Polynomial) -> float:
    """The least real root above 0 and within `_FARTHEST` squared, infinite if there is none."""
    within = _FARTHEST ** (2 * np.arange(len(polynomial.coef))) * np.abs(polynomial.coef)
    # A coefficient too small to turn anything within that radius would only give roots that overflow.
    kept = np.where(within > np.finfo(np.float64).eps * np.abs(polynomial.coef[0]), polynomial.coef, 0)
    roots = np.polynomial.Polynomial(kept).trim().roots()
    real = roots[(np.abs(roots.imag) <= 1e-9 * np.maximum(np.abs(roots), 1)) & (roots.real > 0)].real
    return float(real[real <= _FARTHEST**2].min(initial=math.inf))


def _either(counts: tuple[int, ...]) -> str:
    return f"{', '.join(map(str, counts[:-1]))} or {counts[-1]}"
