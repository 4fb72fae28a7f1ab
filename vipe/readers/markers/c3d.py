"""C3D: marker trajectories of motion capture laboratories, read by the package c3d (numpy).

The package is written in Python alone. The other common one, ezc3d, ends the whole process at some broken files.
"""

__all__ = ["read_all"]

import io
import struct
import warnings
from collections.abc import Iterator, Sequence
from io import BufferedIOBase
from typing import Any

import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.clips import FASTEST, Clip
from vipe.errors import MissingExtra, ReadError
from vipe.readers.contract import Hints, one_line, whole_rate
from vipe.readers.markers.trajectories import UNITS, clips_of_markers
from vipe.skeletons import Skeleton
from vipe.skeletons.skeleton import Up

_BROKEN = (
    AssertionError,
    AttributeError,
    LookupError,
    OverflowError,
    TypeError,
    ValueError,
    ZeroDivisionError,
    EOFError,
    struct.error,
    MemoryError,
    NameError,
    RuntimeError,
)
_UPS: dict[str, Up] = {
    "+y": "y",
    "+z": "z",
    "+x": "x",
    "-y": "-y",
    "-z": "-z",
    "-x": "-x",
    "y": "y",
    "z": "z",
    "x": "x",
}


def read_all(
    stream: BufferedIOBase,
    name: str,
    skeletons: Sequence[Skeleton] = (),
    hints: Hints = Hints(),  # noqa: B008  # frozen
) -> Iterator[Clip]:
    """The clips of a C3D file, whose marker names decide which table turns them into joints.

    The file states rate and unit, and mostly the up axis (Y_SCREEN); where it does not, the trunk tells it. Points with
    a negative residual are out of sight; see `clips_of_markers` for what becomes of them. Analog channels are passed
    over.

    Args:
        stream: The file's bytes.
        name: What to call it in the clip and in errors.
        skeletons: A user's own tables of markers, tried before those of the library.
        hints: Rate, unit and up axis, which win over the file's.

    Raises:
        ReadError: If it is not C3D, is cut, or contradicts itself.
        NotMotion: If no table knows the markers.
        MissingExtra: If c3d is not installed.
    """
    try:
        import c3d
    except ImportError as error:
        raise MissingExtra.of(f"{name}: C3D needs the package c3d", "formats") from error
    data = stream.read()
    if len(data) < 1024 or data[1] != 0x50:
        raise ReadError(f"{name}: begins with {data[:2]!r}, expected a block number and 'P'; is it C3D?")
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            reader = c3d.Reader(io.BytesIO(data))
            names = [label.strip() for label in reader.point_labels]
            fps, unit, up = float(reader.point_rate), _text(reader, "UNITS"), _text(reader, "Y_SCREEN")
            positions = _points(reader, len(data), name)
    except ReadError:
        raise
    except _BROKEN as error:
        raise ReadError(f"{name}: cannot be read as C3D, broken or cut: {one_line(error)}") from error
    if not 0 < fps <= FASTEST:
        raise ReadError(f"{name}: POINT:RATE is {fps:g}, expected hertz above 0")
    names = names[: positions.shape[1]]
    yield from clips_of_markers(
        names,
        positions[:, : len(names)],
        name,
        fps=hints.fps or whole_rate(fps),
        unit=hints.unit or UNITS.get(unit),
        skeletons=skeletons,
        up=hints.up or _UPS.get(up),
    )


def _text(reader: Any, parameter: str) -> str:
    """A text of the group POINT, in lower case; "" if the file has none."""
    found = reader.get(f"POINT:{parameter}")
    return "" if found is None else str(found.string_value).strip().strip("\0").lower()


def _points(reader: Any, size: int, name: str) -> Float64[Array, "frames points 3"]:
    """Positions, not a number where a point is out of sight; memory grows with the frames that exist."""
    if reader.point_used <= 0:
        raise ReadError(f"{name}: no points, expected markers")
    frames = [points[:, :4].astype(np.float32) for _, points, _ in reader.read_frames(analog_transform=False)]
    expected = reader.last_frame - reader.first_frame + 1
    if len(frames) != expected or not frames:
        raise ReadError(f"{name}: {len(frames)} frames in {size} bytes, expected {expected}; was it cut?")
    stack = np.stack(frames)
    positions = stack[..., :3].astype(np.float64)
    # Many programs write the origin where a marker is hidden.
    positions[(stack[..., 3] < 0) | (positions == 0).all(axis=-1)] = np.nan
    return positions
