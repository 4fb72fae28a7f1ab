"""Human3.6M in VideoPose3D's arrays (data_3d_h36m.npz) as clips (numpy)."""

__all__ = ["FPS", "read_positions"]

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from vipe.clips import Clip
from vipe.errors import ReadError
from vipe.readers.contract import clip_of
from vipe.skeletons import load

FPS = 50.0
"""Rate of the recordings, which no file states (Ionescu et al. 2014)."""

_TABLES = {32: "h36m32", 17: "h36m17"}  # joints: table


def read_positions(objects: Any, name: str, fps: float | None = None) -> Iterator[Clip]:
    """The clips of VideoPose3D's `positions_3d`: subject, then action, then an array (frames, 32 or 17, 3).

    Positions are metres in the studio's space, z up. The 17 joints are those that remain of the 32, in their order:
    that is `h36m17`, whose `nose` is then Human3.6M's Neck/Nose.

    Args:
        objects: What `Npz` gives for `positions_3d`.
        name: The file, for errors.
        fps: Frames a second; 50 if not given.

    Raises:
        ReadError: If it is laid out otherwise, or has another number of joints.
    """
    if not isinstance(objects, dict) or not all(isinstance(actions, dict) for actions in objects.values()):
        raise ReadError(f"{name}: positions_3d is not subject -> action -> array, as VideoPose3D writes it")
    seen: set[int] = set()
    for subject, actions in objects.items():
        for action, array in actions.items():
            where = f"{name}: {_short(subject)}/{_short(action)}"
            if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.ndim != 3 or array.shape[2] != 3:
                raise ReadError(f"{where}: not an array (frames, 32 or 17, 3) of numbers")
            if array.shape[1] not in _TABLES:
                raise ReadError(
                    f"{where}: {array.shape[1]} joints, expected Human3.6M's 32 or 17; "
                    f"save other motion as an array (frames, joints, 3) and name its skeleton"
                )
            # One array under many names would be many times the file's motion.
            if (place := array.__array_interface__["data"][0]) in seen and array.size:
                raise ReadError(f"{where}: the same array as an action before it")
            seen.add(place)
            yield clip_of(
                f"{subject}/{action}",
                load(_TABLES[array.shape[1]]),
                array,
                fps or FPS,
                where=where,
                subject=subject,
                action=re.sub(r" \d+$", "", action),
            )


def _short(text: Any) -> str:
    return str(text)[:40].encode("unicode_escape").decode("ascii")
