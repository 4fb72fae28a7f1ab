"""Human3.6M as its publishers give it: a .cdf file of the folder D3_Positions as a clip (numpy)."""

__all__ = ["read_all"]

import re
from collections.abc import Iterator, Sequence
from io import BufferedIOBase
from pathlib import PurePosixPath

from vipe.clips import Clip
from vipe.readers.contract import Hints, NotMotion, as_float64, clip_of
from vipe.readers.datasets.cdf import read_variable
from vipe.readers.datasets.h36m import FPS
from vipe.skeletons import Skeleton, load

_CAMERA = re.compile(r"\.\d{8}$")  # files of one camera end in its number
# The publishers' spellings and those that VideoPose3D's arrays share with most later work.
_SPELLINGS = (("TakingPhoto", "Photo"), ("WalkingDog", "WalkDog"))


def read_all(
    stream: BufferedIOBase,
    name: str,
    skeletons: Sequence[Skeleton] = (),  # noqa: ARG001  # every reader has it
    hints: Hints = Hints(),  # noqa: B008  # frozen
) -> Iterator[Clip]:
    """The clip of a file of the publishers' `MyPoseFeatures/D3_Positions`: 32 joints, millimetres, the studio's space.

    Subject and action come from the path, such as `S1/MyPoseFeatures/D3_Positions/Walking 1.cdf`. Actions are spelled
    as in VideoPose3D's arrays (Photo, WalkDog). Files of one camera (D3_Positions_mono) are refused: their space is
    the camera's, which stands askew.

    Args:
        stream: The file's bytes.
        name: What to call it in errors.
        skeletons: Not used: the file's joints have no names.
        hints: The whole path, which tells subject and action, and the rate, if it is not 50.

    Raises:
        ReadError: If it is not CDF, is cut, or has no variable Pose of 96 columns.
    """
    path = PurePosixPath(hints.path or name)
    if _CAMERA.search(path.stem):
        raise NotMotion(f"{name}: positions as one camera sees them; expected those of the folder D3_Positions")
    values = read_variable(stream.read(), name, "Pose")
    if values.size == 0 or values.size % 96 or values.shape[-1] != 96:
        raise NotMotion(
            f"{name}: Pose has the shape {values.shape}, expected (1, frames, 96): 32 joints of D3_Positions"
        )
    action = path.stem
    for old, new in _SPELLINGS:
        action = action.replace(old, new)
    subject = next((part for part in reversed(path.parts) if re.fullmatch(r"S\d{1,2}", part)), "")
    yield clip_of(
        f"{subject}/{action}" if subject else action,
        load("h36m32"),
        as_float64(values).reshape(-1, 32, 3) / 1000,
        hints.fps or FPS,
        where=name,
        subject=subject,
        action=re.sub(r" \d+$", "", action),
    )
