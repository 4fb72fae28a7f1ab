"""Calibration files: the lens of each camera, as people's tools write it (numpy)."""

__all__ = ["CalibratedCamera", "camera_named", "read_calibration", "read_calibrations"]

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from vipe.detections.cameras.calibration_sections import camera_of, is_camera
from vipe.detections.cameras.lens import Lens
from vipe.errors import MissingExtra, ReadError, VipeError
from vipe.files.regular_file import read_regular
from vipe.files.toml_table import parse_toml

_EXPECTED = (
    "expected a camera matrix ('matrix', 'K', 'camera_matrix') or 'fx', 'fy', 'cx', 'cy': Pose2Sim's Calib.toml, "
    "OpenCV's YAML or JSON, CMU Panoptic's JSON, Qualisys' .qca.txt, or these numbers as TOML or JSON"
)
_DEEPEST = 4  # sections within sections
_MOST = 1000  # cameras
_LARGEST = 2 << 20  # bytes of a file: twice a thousand cameras at their wordiest
_LARGEST_YAML = 256 << 10  # bytes: PyYAML reads a megabyte in some ten seconds
_SUBPIXELS = 64  # of a pixel, in Qualisys' files
_NAMED = 12  # cameras that a message names
_NUMBERS = {
    "int": re.compile(r"[-+]?[0-9]+$|0o[0-7]+$|0x[0-9a-fA-F]+$"),
    "float": re.compile(
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|Nan|NAN)$"
    ),
}
"""The core schema of YAML 1.2, section 10.3.2; and `.Nan`, as OpenCV writes it."""


@dataclass(frozen=True, kw_only=True)
class CalibratedCamera:
    """One camera of a calibration file."""

    name: str  # "" if the file does not say it
    lens: Lens
    size: tuple[float | int, float | int] | None = None  # width and height of the images it was calibrated with, pixels


def read_calibration(path: str | Path) -> tuple[CalibratedCamera, ...]:
    """Read the cameras of a calibration file; its content shows its format.

    Read are Pose2Sim's Calib.toml, OpenCV's FileStorage and ROS' camera_info as YAML (with PyYAML) or JSON, Kalibr's
    camchain, CMU Panoptic's JSON, Qualisys' XML (.qca.txt), and `fx`, `fy`, `cx`, `cy`, `k1` ... as TOML or JSON, of
    one camera or with a section for each. Where the cameras stand is not read.

    Raises:
        ReadError: If the file cannot be read, is larger than 2 MiB (of YAML 256 KiB), holds no camera, or a camera is
            wrong: a matrix that is not [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], numbers that are missing, not finite or
            beyond all lenses (`Lens`), another number of distortion coefficients, an unknown model; names the camera.
        MissingExtra: If the file is YAML and PyYAML is not installed.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        ...     print('{"fx": 800, "fy": 800, "cx": 320, "cy": 240, "k1": -0.3}', file=file, flush=True)
        ...     camera = read_calibration(file.name)[0]
        >>> camera.lens.model, camera.lens.coefficients
        ('brown', (-0.3, 0.0, 0.0, 0.0))
    """
    path = Path(path)
    try:
        data = read_regular(path, _LARGEST)
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError(f"{path}: not UTF-8 at byte {error.start}; {_EXPECTED}") from error
    start = text.lstrip()[:1]
    if not start:
        raise ReadError(f"{path}: the file is empty; {_EXPECTED}")
    if start == "<":
        cameras = tuple(_of_qualisys(text, path))
    else:
        found = list(_sections(_parsed(text, start, path), ""))
        if len(found) > _MOST:
            raise ReadError(f"{path}: {len(found)} cameras, expected at most {_MOST}")
        cameras = tuple(_camera(name, section, path) for name, section in found)
    if not cameras:
        raise ReadError(f"{path}: no camera; {_EXPECTED}")
    _refuse_twice(cameras, str(path))
    return cameras


def read_calibrations(paths: Sequence[str | Path]) -> tuple[CalibratedCamera, ...]:
    """The cameras of several calibration files, such as one for each; a camera without a name has its file's.

    Raises:
        ReadError: As `read_calibration`; or if two cameras have one name.
    """
    if len(paths) == 1:
        return read_calibration(paths[0])
    cameras = tuple(
        replace(camera, name=camera.name or Path(path).stem) for path in paths for camera in read_calibration(path)
    )
    _refuse_twice(cameras, ", ".join(map(str, paths)))
    return cameras


def _refuse_twice(cameras: Sequence[CalibratedCamera], where: str) -> None:
    names = [camera.name for camera in cameras]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ReadError(f"{where}: two cameras are called {twice!r}; give each its own name")


def camera_named(cameras: Sequence[CalibratedCamera], name: str, path: str | Path) -> CalibratedCamera:
    """The camera of that name.

    Raises:
        VipeError: If there is none; names those there are.
    """
    for camera in cameras:
        if camera.name == name:
            return camera
    raise VipeError(f"{path}: no camera {name!r}; there {_are(cameras)}")


def _are(cameras: Sequence[CalibratedCamera]) -> str:
    """The names after "there", for messages."""
    names = [camera.name or "one without a name" for camera in cameras]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{'is' if len(names) == 1 else 'are'} {', '.join(names[:_NAMED])}{more}"


def _camera(name: str, section: Mapping[str, Any], path: Path) -> CalibratedCamera:
    where = f"{path}: camera {name}" if name else str(path)
    try:
        lens, size = camera_of(section)
    except VipeError as error:
        raise ReadError(f"{where}: {error}") from error
    return CalibratedCamera(name=name, lens=lens, size=size)


def _parsed(text: str, start: str, path: Path) -> Any:
    """What the file says, as plain values."""
    kind = "TOML"
    try:
        if text.lstrip().startswith(("%YAML", "---")) or path.suffix.casefold() in (".yaml", ".yml"):
            kind = "YAML"
            return _yaml(text)
        if start == "{" or (start == "[" and path.suffix.casefold() == ".json"):
            kind = "JSON"
            return json.loads(text, object_pairs_hook=_no_key_twice)
        return parse_toml(text.encode())
    except RecursionError as error:
        raise ReadError(f"{path}: nested too deeply; {_EXPECTED}") from error
    except ValueError as error:
        raise ReadError(f"{path}: not {kind}: {error}; {_EXPECTED}") from error


def _no_key_twice(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping of a file; JSON and YAML would keep the last of two values without a word."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} stands there twice")
        found[key] = value
    return found


def _yaml(text: str) -> Any:
    """YAML, with the header and the tags of OpenCV's FileStorage, and the numbers of YAML 1.2.

    PyYAML knows those of YAML 1.1, where 1.15e3 is text for want of a sign and 0640 is octal.
    """
    if len(text) > _LARGEST_YAML:
        raise ValueError(
            f"{len(text):,} characters, at most {_LARGEST_YAML:,} are read of a calibration; keep the cameras alone, "
            "or give them as JSON"
        )
    try:
        import yaml  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise MissingExtra(
            "calibration in YAML needs PyYAML: pip install pyyaml; or give it as JSON or TOML"
        ) from error

    class Loader(yaml.SafeLoader):  # type: ignore[misc,unused-ignore]
        """Reads `!!opencv-matrix` as the mapping it is; no aliases, by which few bytes may say any number of values."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise ValueError("aliases (*name) are not read in a calibration")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            _no_key_twice([(str(key), None) for key in keys])
            return super().construct_mapping(node, deep)

    tags = {f"tag:yaml.org,2002:{kind}": kind for kind in ("int", "float")}
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag not in tags]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for tag, kind in tags.items():
        Loader.add_implicit_resolver(tag, _NUMBERS[kind], list("-+.0123456789"))
        Loader.add_constructor(tag, lambda loader, node: _number_of(loader.construct_scalar(node)))
    Loader.add_constructor("tag:yaml.org,2002:opencv-matrix", yaml.SafeLoader.construct_yaml_map)
    body = re.sub(r"\A\s*%YAML[^\n]*\n", "", text)  # OpenCV's "%YAML:1.0" is no directive of YAML
    try:
        return yaml.load(body, Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _number_of(text: str) -> int | float:
    """A number of YAML 1.2.

    Raises:
        ValueError: If the text is none, for a file may say `!!float one`.
    """
    if text[:2] in ("0x", "0o"):
        return int(text, 0)
    if _NUMBERS["int"].match(text):
        return int(text)
    return float(re.sub(r"\.(?=[inIN])", "", text))  # .inf and .nan


def _sections(value: Any, name: str, depth: int = 0) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The parts of a file that are a camera, each with its name."""
    if isinstance(value, Mapping):
        if is_camera(value):
            own = value.get("name", value.get("camera_name"))
            yield str(name if own is None else own), value
            return
        inside = [(str(key), part) for key, part in value.items()]
    elif isinstance(value, list):
        inside = [(str(number), part) for number, part in enumerate(value)]
    else:
        return
    if depth < _DEEPEST:
        for key, part in inside:
            yield from _sections(part, key, depth + 1)


def _of_qualisys(text: str, path: Path) -> Iterator[CalibratedCamera]:
    """The cameras of a Qualisys calibration, whose lengths are in 64ths of a pixel."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ReadError(f"{path}: XML with a document type is not read; {_EXPECTED}")
    try:
        root = ElementTree.fromstring(re.sub(r"\A\s*<\?xml[^>]*\?>", "", text))
    except ElementTree.ParseError as error:
        raise ReadError(f"{path}: broken XML: {error}; {_EXPECTED}") from error
    for number, camera in enumerate(root.iter("camera")):
        inside, seen = camera.find("intrinsic"), camera.find("fov_video")
        if inside is None:
            continue
        name = camera.get("serial", str(number))

        def numbers(part: ElementTree.Element, keys: Sequence[str], name: str = name) -> list[float]:
            try:
                return [float(part.attrib[key]) for key in keys]
            except (KeyError, ValueError) as error:
                raise ReadError(f"{path}: camera {name}: {part.tag} needs {', '.join(keys)}: {error}") from error

        lengths = numbers(inside, ("focalLengthU", "focalLengthV", "centerPointU", "centerPointV"))
        k1, k2, k3 = numbers(inside, [f"radialDistortion{i}" for i in (1, 2, 3)])
        p1, p2 = numbers(inside, ("tangentalDistortion1", "tangentalDistortion2"))
        section: dict[str, Any] = dict(
            zip(("fx", "fy", "cx", "cy"), (one / _SUBPIXELS for one in lengths), strict=True)
        )
        section |= {
            "k1": k1,
            "k2": k2,
            "p1": p1,
            "p2": p2,
            "k3": k3,
            "skew": numbers(inside, ("skew",))[0] if "skew" in inside.attrib else 0.0,
        }
        if seen is not None:
            left, right, top, bottom = numbers(seen, ("left", "right", "top", "bottom"))
            section["size"] = [right - left + 1, bottom - top + 1]
            section["cx"], section["cy"] = section["cx"] - left, section["cy"] - top
        yield _camera(name, section, path)
