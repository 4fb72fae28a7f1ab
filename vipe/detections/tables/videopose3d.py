"""VideoPose3D's `data_2d_*.npz`: keypoints of many videos, by subject, action and camera (numpy)."""

__all__ = ["read_positions"]

from collections.abc import Iterator
from typing import Any

import numpy as np

from vipe.arrays import Array
from vipe.detections.people.as_found import NoPerson, People, positions
from vipe.errors import ReadError
from vipe.readers.arrays.npy import Npz

_H36M_LEFT = {(4, 5, 6, 11, 12, 13), (4, 5, 6, 11, 12, 13, 17, 18)}  # of `keypoints_symmetry`


def read_positions(arrays: Npz, name: str) -> People:
    """Read `positions_2d`: subject -> action -> an array (frames, joints, 2 or 3) of each camera.

    Each array is a video of one person. Frames count from 0 in each, `image_id` is "subject/action/camera/frame".
    `metadata` says whose joints they are: 17 may be COCO's or Human3.6M's.

    Args:
        arrays: The arrays of the file.
        name: What to call it in errors.

    Raises:
        ReadError: If it is not such a file; objects are read without running anything.
    """
    found = arrays["positions_2d"]
    has = arrays.names
    metadata = arrays["metadata"] if "metadata" in has else None
    videos: list[tuple[str, Array]] = []
    size = 0
    for where, array in _videos(found, name):
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf" or array.ndim != 3:
            raise ReadError(f"{name}: {where}: expected an array (frames, joints, 2), got {_shape(array)}")
        if array.shape[2] not in (2, 3):
            raise ReadError(f"{name}: {where}: expected (frames, joints, 2 or 3), got {array.shape}")
        if videos and array.shape[1:] != videos[0][1].shape[1:]:
            raise ReadError(f"{name}: {where}: {array.shape[1:]} numbers a frame, {videos[0][1].shape[1:]} before it")
        size += array.nbytes
        if size > 2**31:
            raise ReadError(f"{name}: more than {2**31} bytes of keypoints; read its videos one by one")
        if len(array):
            videos.append((where, array))
    if not videos:
        raise NoPerson(f"{name}: no person in it: positions_2d has no frames")
    with np.errstate(over="ignore"):
        numbers = positions(np.concatenate([array for _, array in videos]))
    video = np.repeat(np.arange(len(videos)), [len(array) for _, array in videos])
    frame = np.concatenate([np.arange(len(array)) for _, array in videos])

    def called(row: int) -> str:
        return f"{videos[int(video[row])][0]}, frame {frame[row]}"

    pairs = zip(video.tolist(), frame.tolist(), strict=True)
    return People(
        numbers=numbers,
        third="score" if numbers.shape[2] == 3 and videos[0][1].shape[2] == 3 else "nothing",
        image_id=tuple(f"{videos[which][0]}/{at}" for which, at in pairs),
        where=lambda row: f"{name}: {called(row)}",
        called=called,
        skeleton=_skeleton(metadata, numbers.shape[1]),
        frame=frame,
        track=video,
        video=video if len(videos) > 1 else None,
    )


def _videos(found: Any, name: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(found, dict):
        raise ReadError(f"{name}: positions_2d is {_shape(found)}, expected a dict by subject")
    for subject, actions in found.items():
        if not isinstance(actions, dict):
            raise ReadError(f"{name}: {subject[:40]}: expected a dict by action, got {_shape(actions)}")
        for action, cameras in actions.items():
            if isinstance(cameras, np.ndarray) and cameras.ndim == 4:
                cameras = list(cameras)
            if not isinstance(cameras, list | tuple):
                raise ReadError(
                    f"{name}: {subject[:40]}/{action[:40]}: expected arrays by camera, got {_shape(cameras)}"
                )
            for camera, array in enumerate(cameras):
                yield f"{subject[:40]}/{action[:40]}/{camera}", array


def _skeleton(metadata: Any, joints: int) -> str | None:
    """Whose joints they are, as far as the metadata says."""
    if not isinstance(metadata, dict) or joints != 17:
        return None
    layout = metadata.get("layout_name")
    if layout in ("h36m", "coco"):
        return {"h36m": "h36m17", "coco": "coco17"}[layout]
    symmetry = metadata.get("keypoints_symmetry")
    if isinstance(symmetry, list | tuple) and symmetry and isinstance(symmetry[0], list | tuple):
        left = tuple(one for one in symmetry[0] if isinstance(one, int))
        return "h36m17" if left in _H36M_LEFT else "coco17" if 1 in left else None
    return None


def _shape(value: Any) -> str:
    return f"an array {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
