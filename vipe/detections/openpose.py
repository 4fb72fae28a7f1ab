"""OpenPose JSON: one file a frame, BODY_25 or its older 18 joints of each person."""

__all__ = ["read", "read_folder"]

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from vipe.detections.decode import decode
from vipe.detections.keypoints import Keypoints
from vipe.detections.rows import MIN_CONFIDENCE, check_confidence, check_scores, to_coco13, triples
from vipe.errors import ReadError
from vipe.skeletons import load

_BODIES = {25: "openpose25", 18: "openpose18"}
_FRAME = re.compile(r"(\d{1,18})_keypoints$")  # video_000000000012_keypoints.json


class _Person(msgspec.Struct):
    pose_keypoints_2d: list[float] | None = None
    pose_keypoints: list[float] | None = None  # before version 1.2


class _Frame(msgspec.Struct):
    people: list[_Person] | msgspec.UnsetType = msgspec.UNSET


_FRAME_FILE = msgspec.json.Decoder(_Frame)


def read(data: bytes, name: str, *, min_confidence: float = MIN_CONFIDENCE) -> Keypoints:
    """Read one frame: 75 numbers (BODY_25) or 54 a person, (x, y, score) a joint, zeros where none was found.

    Such a file holds neither the image's name nor its size; `image_id` is the name of the file.

    Args:
        data: The file's bytes.
        name: What to call it in errors, and its last part without `_keypoints.json` in `image_id`.
        min_confidence: Joints that score below are not seen; people without any seen joint stay rows, with a note. A
            score a little above 1 counts as 1.

    Raises:
        ReadError: If it is not such a file, holds no person, or a person is broken; names the person.
    """
    check_confidence(min_confidence)
    keypoints = _read_frame(data, name, min_confidence)
    if keypoints is None:
        raise ReadError(f"{name}: no person in it: its list of people is empty; nothing to search with")
    return keypoints


def read_folder(
    folder: Path, *, min_confidence: float = MIN_CONFIDENCE, on_empty: Callable[[str], None] | None = None
) -> Keypoints:
    """Read the frames of one video: every .json file of a folder, in the order of their numbers.

    `frame` is the number in the file's name (`video_000000000012_keypoints.json`). If a file has no number, frames are
    numbered in the order of names. Frames without a person give no row, but are numbered too.

    Args:
        folder: The video.
        min_confidence: As in `read`.
        on_empty: Called with the name of each frame without a person, in order.

    Raises:
        ReadError: If there is no .json file or no person in any, or a file is broken.
    """
    check_confidence(min_confidence)
    paths = sorted(path for path in folder.iterdir() if path.suffix == ".json" and path.is_file())
    if not paths:
        raise ReadError(f"{folder}: no .json file in this folder; expected OpenPose's, one a frame")
    parts, empty = [], []
    for path, frame in sorted(zip(paths, _frames(paths, folder), strict=True), key=lambda pair: pair[1]):
        keypoints = _read_frame(path.read_bytes(), str(path), min_confidence)
        if keypoints is None:
            empty.append(_image_id(str(path)))
        else:
            parts.append(replace(keypoints, frame=np.full(len(keypoints), frame, dtype=np.int64)))
    if not parts:
        raise ReadError(f"{folder}: no person in any of its {len(paths)} .json files; nothing to search with")
    if on_empty is not None:
        for image_id in empty:
            on_empty(image_id)
    return Keypoints.concat(parts)


def _read_frame(data: bytes, name: str, min_confidence: float) -> Keypoints | None:
    people = decode(data, _FRAME_FILE, name).people
    if people is msgspec.UNSET:
        raise ReadError(
            f"{name}: has no 'people'; a folder of keypoints holds OpenPose's files, one a frame; give a file of "
            "another kind itself"
        )
    if not people:
        return None
    rows = []
    for i, person in enumerate(people):
        row = person.pose_keypoints if person.pose_keypoints_2d is None else person.pose_keypoints_2d
        if row is None:
            raise ReadError(f"{name}: person {i} has no pose_keypoints_2d")
        rows.append(row)

    def where(row: int) -> str:
        return f"{name}: person {row}"

    table = triples(rows, tuple(_BODIES), "x, y, score", where)
    body, score = load(_BODIES[table.shape[1]]), table[..., 2]
    check_scores(score, body, where)
    return to_coco13(
        table,
        (score >= min_confidence) & (score > 0),
        body,
        [_image_id(name)] * len(rows),
        f"no body keypoint scores at least {min_confidence:g}",
    )


def _image_id(name: str) -> str:
    return Path(name).name.removesuffix(".json").removesuffix("_keypoints")


def _frames(paths: Sequence[Path], folder: Path) -> list[int]:
    found = [_FRAME.search(path.stem) for path in paths]
    if any(match is None for match in found):
        return list(range(len(paths)))
    frames = [int(match[1]) for match in found if match is not None]
    if len(set(frames)) < len(frames):
        twice = next(frame for frame in frames if frames.count(frame) > 1)
        raise ReadError(f"{folder}: frame {twice} is there twice; expected one video a folder; move the others out")
    return frames
