"""Lenses: closed forms, an inverse to the last digits, and where there is none."""

import itertools
import math

import numpy as np
import pytest
from numpy.polynomial import Polynomial
from scipy.optimize import fsolve

from vipe.detections.cameras.lens import LENS_MODELS, Lens
from vipe.errors import VipeError

NONE = Lens(800.0, 790.0, 321.0, 239.0)
LENSES = (
    NONE,
    Lens(800.0, 790.0, 321.0, 239.0, coefficients=(-0.3, 0.1, 0.001, -0.002)),
    Lens(800.0, 790.0, 321.0, 239.0, coefficients=(-0.3, 0.1, 0.01, -0.02, 0.01)),
    Lens(800.0, 790.0, 321.0, 239.0, coefficients=(0.5, 0.1, 0.001, -0.002, 0.01, 0.6, 0.05, 0.01)),
    Lens(800.0, 790.0, 321.0, 239.0, model="fisheye"),
    Lens(800.0, 790.0, 321.0, 239.0, model="fisheye", coefficients=(0.1, -0.05, 0.01, -0.002)),
)


def slow_twin(lens: Lens, x: float, y: float, z: float) -> tuple[float, float]:
    """OpenCV's documentation, word by word."""
    if lens.model == "fisheye":
        k1, k2, k3, k4 = lens.coefficients or (0.0,) * 4
        r = math.hypot(x / z, y / z)
        theta = math.atan(r)
        theta_d = theta * (1 + k1 * theta**2 + k2 * theta**4 + k3 * theta**6 + k4 * theta**8)
        return lens.fx * theta_d / r * x / z + lens.cx, lens.fy * theta_d / r * y / z + lens.cy
    k1, k2, p1, p2, k3, k4, k5, k6 = (*lens.coefficients, *(0.0,) * (8 - len(lens.coefficients)))
    a, b = x / z, y / z
    r = math.sqrt(a**2 + b**2)
    radial = (1 + k1 * r**2 + k2 * r**4 + k3 * r**6) / (1 + k4 * r**2 + k5 * r**4 + k6 * r**6)
    c = a * radial + 2 * p1 * a * b + p2 * (r**2 + 2 * a**2)
    d = b * radial + p1 * (r**2 + 2 * b**2) + 2 * p2 * a * b
    return lens.fx * c + lens.cx, lens.fy * d + lens.cy


@pytest.mark.parametrize("lens", LENSES)
def test_images_are_those_of_the_formula_as_opencv_writes_it(lens: Lens) -> None:
    points = np.random.default_rng(0).uniform((-0.5, -0.5, 1), (0.5, 0.5, 1.5), (50, 3))
    slow = [slow_twin(lens, *point) for point in points]
    np.testing.assert_allclose(lens.project(points), slow, rtol=0, atol=1e-9)


@pytest.mark.parametrize("lens", LENSES)
def test_a_direction_has_the_image_that_shows_it(lens: Lens) -> None:
    xy = np.random.default_rng(1).uniform((-100, -100), (750, 600), (500, 2))
    directions = lens.directions(xy)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=-1), 1, atol=1e-12)
    np.testing.assert_allclose(lens.project(directions), xy, rtol=0, atol=1e-9)


@pytest.mark.parametrize("lens", LENSES)
def test_distorting_what_was_undistorted_gives_the_same_pixels(lens: Lens) -> None:
    xy = np.random.default_rng(2).uniform((0, 0), (640, 480), (500, 2))
    ideal = (lens.undistort(xy) - (lens.cx, lens.cy)) / (lens.fx, lens.fy)
    there = lens.project(np.concatenate([ideal, np.ones((500, 1))], axis=1))
    np.testing.assert_allclose(there, xy, rtol=0, atol=1e-9)


def test_a_lens_without_distortion_changes_nothing() -> None:
    xy = np.random.default_rng(3).uniform(-500, 1500, (100, 2))
    for coefficients in ((), (0.0,) * 4, (0.0,) * 5, (0.0,) * 8):
        lens = Lens(800.0, 790.0, 321.0, 239.0, coefficients=coefficients)
        np.testing.assert_allclose(lens.undistort(xy), xy, rtol=0, atol=1e-9)


def test_a_point_worked_out_by_hand() -> None:
    # (0.5, 0): r^2 = 0.25, g = 1 - 0.3/4 + 0.1/16 = 0.93125; y' = p1 r^2 = 0.0025, x' = 0.465625 + 3 p2 / 4 = 0.480625.
    lens = Lens(1000.0, 500.0, 10.0, 20.0, coefficients=(-0.3, 0.1, 0.01, 0.02))
    np.testing.assert_allclose(lens.project(np.array([1.0, 0.0, 2.0])), [490.625, 21.25], atol=1e-12)
    np.testing.assert_allclose(lens.undistort(np.array([490.625, 21.25])), [510.0, 20.0], atol=1e-9)


def test_an_equidistant_fisheye_sees_to_the_side_and_behind() -> None:
    lens = Lens(100.0, 100.0, 0.0, 0.0, model="fisheye")
    right = np.array([100 * math.pi / 2, 0.0])
    np.testing.assert_allclose(lens.directions(right), [1, 0, 0], atol=1e-12)
    assert np.isnan(lens.undistort(right + np.array([1, 0]))).all()  # behind: a direction, but no pixel
    behind = lens.directions(right + np.array([10.0, 0]))
    assert behind[2] < 0
    np.testing.assert_allclose(lens.project(behind), right + np.array([10.0, 0]), atol=1e-9)


def test_the_limit_is_where_the_distorted_radius_turns_back() -> None:
    # r (1 - 0.3 r^2) rises while 1 - 0.9 r^2 > 0.
    assert Lens(1.0, 1.0, 0.0, 0.0, coefficients=(-0.3, 0.0, 0.0, 0.0)).limit == pytest.approx(1 / math.sqrt(0.9))
    assert Lens(1.0, 1.0, 0.0, 0.0, coefficients=(-0.3, 0.1, 0.0, 0.0)).limit == math.inf
    assert Lens(1.0, 1.0, 0.0, 0.0, coefficients=(0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)).limit == pytest.approx(1)
    turned = Lens(1.0, 1.0, 0.0, 0.0, model="fisheye", coefficients=(-1.0, 0.0, 0.0, 0.0))
    assert turned.limit == pytest.approx(1 / math.sqrt(3))


def test_pixels_beyond_the_turn_have_no_direction_and_directions_beyond_it_no_pixel() -> None:
    lens = Lens(1000.0, 1000.0, 0.0, 0.0, coefficients=(-0.3, 0.0, 0.0, 0.0))
    most = 1000 * lens.limit * (1 - 0.3 * lens.limit**2)
    assert np.isnan(lens.directions(np.array([most + 1, 0.0]))).all()
    np.testing.assert_allclose(lens.directions(np.array([most - 1e-6, 0.0]))[0] > 0, True)
    assert np.isnan(lens.project(np.array([lens.limit * 1.01, 0.0, 1.0]))).all()
    assert np.isnan(lens.project(np.array([0.0, 0.0, -1.0]))).all()


def test_the_inverse_is_the_one_before_the_turn_with_tangential_distortion_too() -> None:
    lens = Lens(1000.0, 1000.0, 0.0, 0.0, coefficients=(-0.3, 0.0, 0.001, -0.001))
    xy = np.random.default_rng(4).uniform(-450, 450, (200, 2))
    found = lens.undistort(xy) / 1000

    def off(ideal: np.ndarray, pixel: np.ndarray) -> np.ndarray:
        return np.array(slow_twin(lens, ideal[0], ideal[1], 1.0)) - pixel

    slow = np.array([fsolve(off, pixel / 1000, args=(pixel,), xtol=1e-12) for pixel in xy])
    np.testing.assert_allclose(found, slow, atol=1e-9)
    assert np.isnan(lens.undistort(np.array([[800.0, 0.0], [-900.0, 300.0]]))).all()


def test_the_rational_slope_is_that_of_the_polynomials() -> None:
    lens = LENSES[3]
    radius = np.linspace(0.01, 2.0, 50)
    shown = lens.project(np.stack([radius, 0 * radius, 0 * radius + 1], axis=1))[:, 0]
    k1, k2, _, p2, k3, k4, k5, k6 = lens.coefficients
    over, under = Polynomial([1, k1, k2, k3]), Polynomial([1, k4, k5, k6])
    own = radius * over(radius**2) / under(radius**2) + 3 * p2 * radius**2
    np.testing.assert_allclose(shown, 800 * own + 321, atol=1e-9)


def test_derivatives_are_those_of_small_steps() -> None:
    lens, xy, step = LENSES[3], np.random.default_rng(6).uniform(-1, 1, (20, 2)), 1e-6
    columns = [(lens._distorted(xy + way) - lens._distorted(xy - way)) / (2 * step) for way in step * np.eye(2)]
    np.testing.assert_allclose(lens._jacobian(xy), np.stack(columns, axis=-1), atol=1e-8)


def test_images_of_another_size_show_the_same() -> None:
    lens = LENSES[1]
    points = np.random.default_rng(5).uniform((-0.4, -0.4, 1), (0.4, 0.4, 1), (20, 3))
    # Of an image of half the size each pixel is the middle of two by two.
    np.testing.assert_allclose(lens.scaled(0.5, 0.5).project(points), (lens.project(points) + 0.5) / 2 - 0.5)


def test_unseen_pixels_stay_unseen() -> None:
    for lens in LENSES:
        assert np.isnan(lens.directions(np.array([np.nan, 3.0]))).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "spherical"}, "no model 'spherical'"),
        ({"coefficients": (0.1, 0.2, 0.3)}, "takes 0, 4, 5 or 8 distortion coefficients, got 3"),
        (
            {"coefficients": (0.1, 0.2, 0.3, 0.4, 0.5), "model": "fisheye"},
            "takes 0 or 4 distortion coefficients, got 5",
        ),
        ({"coefficients": (math.nan, 0.0, 0.0, 0.0)}, "must be finite"),
        ({"fx": 0.0}, "must be above 0"),
        ({"fy": -5.0}, "must be above 0"),
        ({"fx": 1e300}, "focal lengths must be 0.001 to 1e\\+09 pixels, got 1e\\+300 and 1"),
        ({"fy": 1e-300}, "focal lengths must be 0.001 to 1e"),
        ({"cx": -1e30}, "principal point must lie within 1e"),
        ({"coefficients": (0.0, 1e300, 0.0, 0.0)}, "coefficients must be within 1e\\+12, got 0 1e\\+300 0 0"),
    ],
)
def test_wrong_numbers_are_refused(change: dict, said: str) -> None:
    with pytest.raises(VipeError, match=said):
        Lens(**({"fx": 1.0, "fy": 1.0, "cx": 0.0, "cy": 0.0} | change))


MAGNITUDES = [1e-300, 1e-20, 1e-3, 1e9, 1e12, 1e100, 1e300]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("model", LENS_MODELS)
def test_a_lens_of_any_numbers_is_refused_or_works_without_a_warning(model: str) -> None:
    pixels = np.random.default_rng(0).uniform(-100, 2000, (3, 2))
    count = max(LENS_MODELS[model])
    for place, size, sign in itertools.product(range(4 + count), MAGNITUDES, (1, -1)):
        for others in (0.0, 0.01):
            numbers = [800.0, 800.0, 320.0, 240.0, *[others] * count]
            numbers[place] = sign * size
            try:
                lens = Lens(*numbers[:4], model=model, coefficients=tuple(numbers[4:]))
            except VipeError:
                continue
            directions = lens.directions(pixels)
            assert not np.isinf(directions).any()
            assert not np.isinf(lens.project(np.nan_to_num(directions))).any()


def test_a_coefficient_that_bends_nothing_is_none() -> None:
    bent = Lens(800.0, 800.0, 320.0, 240.0, coefficients=(-0.3, 0.0, 0.0, 0.0, 1e-300))
    assert bent.limit == Lens(800.0, 800.0, 320.0, 240.0, coefficients=(-0.3, 0.0, 0.0, 0.0)).limit
    assert math.isinf(Lens(800.0, 800.0, 320.0, 240.0, coefficients=(-1e-30, 0.0, 0.0, 0.0)).limit)
