"""One camera of a calibration file: its keys under the names that tools give them."""

__all__ = ["camera_of", "is_camera"]

import math
from collections.abc import Mapping
from typing import Any

from vipe.detections.cameras.lens import BROWN, FISHEYE, LENS_MODELS, Lens
from vipe.errors import ReadError

_MATRIX = ("matrix", "K", "camera_matrix", "cameraMatrix", "CameraMatrix", "intrinsic_matrix", "intrinsicMatrix",
           "intrinsic", "intrinsics", "mtx", "M")  # fmt: skip
_DISTORTION = ("distortions", "distCoef", "distCoeffs", "DistCoeffs", "distortion_coefficients", "dist_coeffs",
               "dist_coefs", "distortion_coeffs", "distortion", "dist", "D")  # fmt: skip
_SIZE = ("size", "resolution", "image_size", "imageSize", "img_size")
_SIDES = (("image_width", "image_height"), ("image_Width", "image_Height"), ("width", "height"), ("w", "h"))
_LENGTHS = ("fx", "fy", "cx", "cy")
_OTHERWISE = {"fx": "fl_x", "fy": "fl_y"}  # in nerfstudio's files
_COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
_OF_FISHEYE = ("k1", "k2", "k3", "k4")
_MODEL = ("distortion_model", "camera_model", "model")
_MODELS = {
    **dict.fromkeys(
        ("brown", "brown_conrady", "plumb_bob", "radtan", "pinhole", "opencv", "perspective", "none", "rational",
         "rational_polynomial", "standard", "full_opencv", "simple_radial", "radial"), BROWN
    ),
    **dict.fromkeys(("fisheye", "equidistant", "equi", "kannala_brandt", "opencv_fisheye", "pinhole_equi"), FISHEYE),
}  # fmt: skip
_MOST = 14  # coefficients of OpenCV: beyond 8 those of thin prisms and tilted sensors
_SKEWED = 1e-6  # of the focal length


def is_camera(section: Mapping[str, Any]) -> bool:
    """Whether a part of a file is a camera: it has a matrix, or focal lengths."""
    if any(_is_matrix(section[key]) for key in _MATRIX if key in section):
        return True
    return any(not isinstance(section.get(key), Mapping | list | None) for key in ("fx", "fl_x"))


def camera_of(section: Mapping[str, Any]) -> tuple[Lens, tuple[float, float] | None]:
    """The lens of a camera, and the size of its images if the file says it.

    Raises:
        ReadError: Says what came and what was expected.
    """
    section = _with_intrinsics_inside(section)
    model = _model(section)
    return Lens(*_lengths(section), model=model, coefficients=_coefficients(section, model)), _size(section)


def _with_intrinsics_inside(section: Mapping[str, Any]) -> Mapping[str, Any]:
    """A section whose intrinsics are a section themselves, in one."""
    for key in ("intrinsics", "intrinsic"):
        if isinstance(section.get(key), Mapping) and not _is_matrix(section[key], only_rows=True):
            return {**{name: value for name, value in section.items() if name != key}, **section[key]}
    return section


def _is_matrix(value: Any, *, only_rows: bool = False) -> bool:
    """Whether a value is meant as a matrix: rows, numbers, OpenCV's mapping, or a mapping of focal lengths."""
    if isinstance(value, Mapping):
        return "data" in value or (not only_rows and any(key in value for key in ("fx", "fl_x")))
    return isinstance(value, list) and bool(value) and all(isinstance(one, list | int | float) for one in value)


def _lengths(section: Mapping[str, Any]) -> tuple[float, float, float, float]:
    skew = section.get("skew", 0)
    key = next((key for key in _MATRIX if key in section and _is_matrix(section[key])), None)
    if key is None:
        found = {}
        for name in _LENGTHS:
            given = name if name in section else _OTHERWISE.get(name, name)
            if given not in section:
                raise ReadError(f"has no {name}; expected {', '.join(_LENGTHS)}, or a camera matrix")
            found[name] = _number(section[given], name)
        _refuse_skew(_number(skew, "skew"), found["fx"])
        _refuse_singular(found["fx"], found["fy"])
        return found["fx"], found["fy"], found["cx"], found["cy"]
    flat = _flat(section[key], key)
    if len(flat) == 4 and key in ("intrinsics", "intrinsic") and not isinstance(section[key][0], list):  # Kalibr's
        _refuse_singular(flat[0], flat[1])
        return flat[0], flat[1], flat[2], flat[3]
    if len(flat) != 9:
        raise ReadError(f"{key} has {len(flat)} numbers; expected 3 rows of 3, or fx, fy, cx, cy")
    (fx, shear, cx), (low, fy, cy), last = flat[:3], flat[3:6], flat[6:]
    if last == [0, 0, 0] or last[2] == 0:
        raise ReadError(f"{key} is singular: its last row is {_told(last)}; expected 0 0 1")
    if last != [0, 0, 1] or low != 0:
        raise ReadError(f"{key} is {_told(flat)}; expected the rows fx 0 cx, 0 fy cy, 0 0 1; is it transposed?")
    _refuse_singular(fx, fy)
    _refuse_skew(shear, fx)
    return fx, fy, cx, cy


def _refuse_singular(fx: float, fy: float) -> None:
    if not (fx > 0 and fy > 0):
        raise ReadError(f"focal lengths must be above 0, got fx {fx:g} and fy {fy:g}")


def _refuse_skew(skew: float, fx: float) -> None:
    if abs(skew) > _SKEWED * abs(fx):
        raise ReadError(f"has skew {skew:g}: sensors whose rows and columns are not at right angles are not known")


def _model(section: Mapping[str, Any]) -> str:
    fisheye = section.get("fisheye", False)
    if not isinstance(fisheye, bool | int) or fisheye not in (0, 1):
        raise ReadError(f"fisheye is {fisheye!r}; expected true or false")
    models = []
    for key in _MODEL:
        if key in section and section[key] not in (None, ""):
            name = str(section[key]).casefold().replace("-", "_").replace(" ", "_")
            if name not in _MODELS:
                raise ReadError(
                    f"{key} is {section[key]!r}, which is not known; expected plumb_bob, rational_polynomial or "
                    "equidistant"
                )
            models.append(_MODELS[name])
    return FISHEYE if fisheye or FISHEYE in models else BROWN


def _coefficients(section: Mapping[str, Any], model: str) -> tuple[float, ...]:
    names = _OF_FISHEYE if model == FISHEYE else _COEFFICIENTS
    key = next((key for key in _DISTORTION if section.get(key) is not None), None)
    if key is None:
        given = [name for name in _COEFFICIENTS if name in section]
        if not given:
            return ()
        if not set(given) <= set(names):
            raise ReadError(f"has {', '.join(given)}; model {model} takes {', '.join(names)}")
        flat = [_number(section.get(name, 0), name) for name in names]
    else:
        flat = _flat(section[key], key)
        counts = LENS_MODELS[model]
        if model == BROWN and len(flat) in (12, _MOST):
            if any(flat[8:]):
                raise ReadError(f"{key} has coefficients of thin prisms or a tilted sensor, which are not known")
            flat = flat[:8]
        if len(flat) not in counts:
            raise ReadError(
                f"{key} has {len(flat)} numbers; model {model} takes {', '.join(map(str, counts[:-1]))} or {counts[-1]}"
            )
    if model == FISHEYE or not flat:
        return tuple(flat)
    # As short as it can be: the same numbers give the same lens, whatever the file's form.
    if len(flat) == 8 and not any(flat[5:]):
        flat = flat[:5]
    return tuple(flat[:4]) if len(flat) == 5 and not flat[4] else tuple(flat)


def _size(section: Mapping[str, Any]) -> tuple[float, float] | None:
    for key in _SIZE:
        if section.get(key) is not None:
            sides = _flat(section[key], key)
            if len(sides) != 2:
                raise ReadError(f"{key} has {len(sides)} numbers; expected width and height in pixels")
            return _checked(sides[0], sides[1], key)
    for wide, high in _SIDES:
        if wide in section and high in section:
            return _checked(_number(section[wide], wide), _number(section[high], high), f"{wide} and {high}")
    return None


def _checked(width: float, height: float, what: str) -> tuple[float, float]:
    if not (0 < width < 1e6 and 0 < height < 1e6):
        raise ReadError(f"{what}: expected width and height in pixels, got {width:g} and {height:g}")
    return width, height


def _flat(value: Any, key: str) -> list[float]:
    """The numbers of rows, of a list, or of OpenCV's mapping with `data`."""
    if isinstance(value, Mapping):
        if "data" not in value:
            raise ReadError(f"{key} is a section without 'data'; expected numbers")
        rows, columns = value.get("rows"), value.get("cols")
        flat = _flat(value["data"], key)
        if isinstance(rows, int) and isinstance(columns, int) and rows * columns != len(flat):
            raise ReadError(f"{key} says {rows} rows of {columns}, but has {len(flat)} numbers")
        return flat
    if not isinstance(value, list):
        raise ReadError(f"{key} is {value!r}; expected numbers")
    rows_of = [one for one in value if isinstance(one, list)]
    if rows_of and len({len(row) for row in rows_of}) != 1:
        raise ReadError(f"{key} has rows of different lengths")
    flat = []
    for one in value:
        flat += _flat(one, key) if isinstance(one, list) else [_number(one, key)]
    return flat


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ReadError(f"{key} is {value!r}; expected a number")
    try:
        number = float(value)
    except OverflowError as error:
        raise ReadError(f"{key} is an integer beyond all numbers with a point; expected a finite number") from error
    if not math.isfinite(number):
        raise ReadError(f"{key} is {value!r}; expected a finite number")
    return number


def _told(numbers: list[float]) -> str:
    return " ".join(f"{number:g}" for number in numbers)
