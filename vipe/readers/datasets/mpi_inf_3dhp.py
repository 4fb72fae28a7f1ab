"""MPI-INF-3DHP: the training set's annot.mat and the test set's annot_data.mat as clips (numpy)."""

__all__ = ["read_all"]

import re
from collections.abc import Iterator, Sequence
from io import BufferedIOBase
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.clips import Clip
from vipe.errors import ReadError
from vipe.readers.contract import Hints, NotMotion, as_float64, clip_of, pieces
from vipe.readers.datasets.matlab import is_hdf5, read_hdf5, read_matrices
from vipe.readers.numbers import parse_float
from vipe.skeletons import Skeleton, load

_POSES, _VALID = "annot3", "valid_frame"
# Sequences of 50 frames a second have over 12,000 frames, the others, of 25, below 7,000; the test set has 25.
_LONG = 10_000
_CALIBRATION_BYTES = 1 << 20


def read_all(
    stream: BufferedIOBase,
    name: str,
    skeletons: Sequence[Skeleton] = (),  # noqa: ARG001  # every reader has it
    hints: Hints = Hints(),  # noqa: B008  # frozen
    *,
    calibration: bytes | None = None,
) -> Iterator[Clip]:
    """The clip of an `annot.mat` (28 joints, all cameras), or those of an `annot_data.mat` (17 joints, HDF5).

    Positions are `annot3`: millimetres, as the first camera sees them. With the sequence's `camera.calibration` they
    go to the studio's space; without it that camera is taken to be level (it looks down by 2 degrees) and at the
    origin. Frames without a person (`valid_frame` of the test set) divide the sequence into clips.

    Args:
        stream: The file's bytes.
        name: What to call it in errors.
        skeletons: Not used: the file's joints have no names.
        hints: The whole path, which tells subject and sequence (S1/Seq1, TS1), and the rate, if it is not that of the
            published sequences.
        calibration: The text of `camera.calibration`.

    Raises:
        ReadError: If it is not a .mat file, is cut, or its arrays are of another shape.
        NotMotion: If it is a .mat file without `annot3`.
        MissingExtra: If it is HDF5 and h5py is not installed.
    """
    data = stream.read()
    if is_hdf5(data):
        arrays: dict[str, Any] = dict(read_hdf5(data, name, (_POSES, _VALID)))
        poses = arrays.get(_POSES)
        joints = 17
    else:
        cells = read_matrices(data, name, (_POSES,)).get(_POSES)
        arrays = {}
        poses = cells[0] if isinstance(cells, list) and cells else cells
        joints = 28
    if poses is None:
        raise NotMotion(f"{name}: no {_POSES}, expected annot.mat or annot_data.mat of MPI-INF-3DHP")
    where = f"{name}: {_POSES}"
    if poses.dtype.kind not in "iuf" or poses.size == 0 or poses.size != len(poses) * joints * 3:
        raise ReadError(f"{where}: an array {poses.shape}, expected {joints} joints of x, y, z a frame")
    camera = as_float64(poses).reshape(-1, joints, 3) / 1000
    world = _to_world(camera, None if calibration is None else _first_camera(calibration, name))
    valid = np.ones(len(world), dtype=bool)
    if _VALID in arrays:
        valid = arrays[_VALID].reshape(-1) != 0
        if len(valid) != len(world):
            raise ReadError(f"{name}: {_VALID} of {len(valid)} frames, expected {len(world)}")
    subject, action = _labels(hints.path or name)
    title = "/".join(part for part in (subject, action) if part) or PurePosixPath(name).stem
    fps = hints.fps or (50.0 if len(world) > _LONG else 25.0)
    for clip, part in pieces(title, valid, where):
        skeleton = load(f"mpi_inf_3dhp{joints}")
        yield clip_of(clip, skeleton, world[part], fps, where=where, subject=subject, action=action)


def _labels(name: str) -> tuple[str, str]:
    """Subject and sequence out of a path such as S1/Seq2/annot.mat or TS3/annot_data.mat."""
    parts = PurePosixPath(name).parts
    subject = next((part for part in reversed(parts) if re.fullmatch(r"T?S\d{1,2}", part)), "")
    return subject, next((part for part in reversed(parts) if re.fullmatch(r"Seq\d", part)), "")


def _first_camera(text: bytes, name: str) -> Float64[Array, "3 4"]:
    """The first camera of a camera.calibration: camera from world, y up, millimetres."""
    for line in text[:_CALIBRATION_BYTES].decode("utf-8", "replace").splitlines():
        words = line.split()
        if words[:1] != ["extrinsic"]:
            continue
        numbers = [parse_float(word) for word in words[1:]]
        if len(numbers) == 16 and None not in numbers:
            return np.array(numbers, dtype=np.float64).reshape(4, 4)[:3]
    raise ReadError(f"{name}: camera.calibration beside it has no line 'extrinsic' with 16 numbers")


def _to_world(
    camera: Float64[Array, "frames joints 3"], extrinsic: Float64[Array, "3 4"] | None
) -> Float64[Array, "frames joints 3"]:
    if extrinsic is None:
        x, y, z = np.moveaxis(camera, -1, 0)
        return np.stack([x, z, -y], axis=-1)
    # X_cam = R X + t, and R is a rotation to the digits that the file has.
    x, y, z = np.moveaxis((camera - extrinsic[:, 3] / 1000) @ extrinsic[:, :3], -1, 0)
    return np.stack([x, -z, y], axis=-1)
