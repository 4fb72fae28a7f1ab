"""Arrays and tensors in files: .npy, .npz and .pt, as Ultralytics' `keypoints.data` or MMPose's are saved (numpy)."""

__all__ = ["read_npy_file", "read_npz_file", "read_tensors"]

import io
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from vipe.arrays import Array
from vipe.detections.people.as_found import Id, NoPerson, People, positions
from vipe.detections.people.joint_order import COUNTS
from vipe.detections.tables.videopose3d import read_positions
from vipe.errors import ReadError
from vipe.readers.arrays.npy import Npz, read_npy

_XY = ("keypoints", "kpts", "keypoints_2d", "xy", "poses_2d", "pose_2d", "joints_2d", "data", "poses", "arr_0")
_SCORES = ("scores", "keypoint_scores", "confidence", "confidences", "conf", "kpts_score", "score")
_FORM = "expected (people, joints, 2 or 3), (frames, people, joints, 2 or 3), or a row of all numbers a person"
_MOST_ARRAYS = 10**6


def read_npy_file(data: bytes, name: str) -> People:
    """Read an array of x, y and perhaps a score: (people, joints, 2 or 3), or (frames, people, joints, 2 or 3).

    Three axes are one person an image, images numbered from 0; four axes are the people of each frame. Rows of 51 or
    34 numbers, or as many as another skeleton has, are a person each.

    Raises:
        ReadError: If it is another kind of array, or holds objects.
    """
    return _people(read_npy(data, name), None, name)


def read_npz_file(data: bytes, name: str) -> People:
    """Read an archive of arrays: VideoPose3D's `positions_2d`, or one array of keypoints and perhaps one of scores.

    Raises:
        ReadError: If it is none, or it holds objects other than plain values and arrays.
    """
    arrays = Npz(data, name)
    if "positions_2d" in arrays:
        return read_positions(arrays, name)
    xy = next((key for key in _XY if key in arrays), None)
    if xy is None:
        listed = ", ".join(sorted(arrays.names)[:8])
        raise ReadError(
            f"{name}: its arrays are {listed or 'none'}; expected positions_2d (VideoPose3D), or keypoints and scores"
        )
    score = next((key for key in _SCORES if key in arrays), None)
    return _people(arrays[xy], None if score is None else arrays[score], name)


def read_tensors(data: bytes, name: str) -> People:
    """Read tensors that torch saved: one, a list of them (the people of each image), or a dict with keypoints.

    Only tensors and plain values are loaded; nothing in the file is run.

    Raises:
        ReadError: If it holds anything else, or cannot be read.
    """
    import torch

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
        if unpacked > 2 * len(data) + 2**20:  # torch stores without compression
            raise ReadError(f"{name}: unpacks to {unpacked} bytes; torch's files are not compressed")
        loaded = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        raise ReadError(
            f"{name}: holds more than tensors, which would have to be run; save tensors: torch.save(keypoints, path)"
        ) from error
    except (RuntimeError, OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, MemoryError,
            zipfile.BadZipFile, NotImplementedError, OverflowError, AssertionError) as error:  # fmt: skip
        raise ReadError(f"{name}: tensors that cannot be read; was the file cut?") from error
    if isinstance(loaded, Mapping):
        xy = next((key for key in _XY if key in loaded), None)
        score = next((key for key in _SCORES if key in loaded), None)
        if xy is None:
            raise ReadError(f"{name}: a dict of tensors without keypoints; expected keypoints and scores")
        return _people(_plain(loaded[xy], name), None if score is None else _plain(loaded[score], name), name)
    if isinstance(loaded, list | tuple):
        return _images([_plain(one, name) for one in loaded[:_MOST_ARRAYS]], name)
    return _people(_plain(loaded, name), None, name)


def _plain(tensor: Any, name: str) -> Array:
    try:
        tensor = tensor.detach().to_dense()
        return np.asarray((tensor.float() if tensor.is_floating_point() else tensor).numpy())
    except (AttributeError, RuntimeError, TypeError, NotImplementedError) as error:
        raise ReadError(f"{name}: holds {type(tensor).__name__}; expected a tensor of keypoints") from error


def _images(arrays: list[Array], name: str) -> People:
    """One array of people an image."""
    kept = [(i, array) for i, array in enumerate(arrays) if array.ndim == 3 and len(array)]
    if not kept or len({array.shape[1:] for _, array in kept}) > 1:
        raise ReadError(f"{name}: {len(arrays)} tensors, expected (people, joints, 3) of each image")
    counts = [len(array) for _, array in kept]
    people = _people(np.concatenate([array for _, array in kept]), None, name)
    image = np.repeat([i for i, _ in kept], counts)
    return _numbered(people, image, name)


def _people(xy: Any, score: Any, name: str) -> People:
    if not isinstance(xy, np.ndarray) or xy.dtype.kind not in "iuf":
        raise ReadError(f"{name}: not an array of numbers; {_FORM}")
    if score is not None and (not isinstance(score, np.ndarray) or score.dtype.kind not in "iufb"):
        raise ReadError(f"{name}: the scores are not an array of numbers")
    array = _unflattened(xy) if xy.ndim == 2 else xy
    if array.ndim not in (3, 4) or array.shape[-1] not in (2, 3) or array.size == 0:
        raise ReadError(f"{name}: an array {xy.shape}; {_FORM}")
    image = np.arange(len(array))
    if array.ndim == 4:
        image = np.repeat(image, array.shape[1])
        array = array.reshape(-1, *array.shape[2:])
    if score is not None:
        if score.size != array.shape[0] * array.shape[1]:
            raise ReadError(f"{name}: {score.shape} scores of {xy.shape} keypoints; expected one a joint")
        score = score.reshape(array.shape[:2])
    with np.errstate(over="ignore"):
        numbers = positions(array[..., :2] if score is not None else array, score)
    people = People(
        numbers=numbers,
        third="score" if score is not None or array.shape[-1] == 3 else "nothing",
        image_id=(0,) * len(numbers),
        where=lambda row: f"{name}: row {row}",
        called=lambda row: f"row {row}",
    )
    return _numbered(people, image, name)


def _unflattened(xy: Array) -> Array:
    """One person's joints, or rows of all numbers of a person: 51 are x, y and a score of 17 joints, 34 x and y."""
    for width in (3, 2):
        if xy.shape[1] > 3 and xy.shape[1] % width == 0 and xy.shape[1] // width in COUNTS:
            return xy.reshape(len(xy), -1, width)
    return xy[None]


def _numbered(people: People, image: Array, name: str) -> People:
    """People with the numbers of their images, as frames too; those of whom nothing is there are left out."""
    there = (np.nan_to_num(people.numbers[..., :2]) != 0).any(axis=(1, 2))
    if not there.any():
        raise NoPerson(f"{name}: no person in it: all numbers are 0")
    ids: tuple[Id, ...] = tuple(image[there].tolist())
    kept = np.flatnonzero(there)
    return replace(
        people,
        numbers=people.numbers[there],
        image_id=ids,
        frame=np.array(ids, dtype=np.int64),
        where=lambda row: f"{name}: row {kept[row]}",
        called=lambda row: f"row {kept[row]}",
        empty=tuple(sorted(set(image.tolist()) - set(ids))),
    )
