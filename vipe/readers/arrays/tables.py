"""What tables of joint positions share, as text or Parquet: columns of joints, rows of clips (numpy, pyarrow)."""

__all__ = ["COLUMNS", "MOST_COLUMNS", "POSE", "joint_columns", "listed", "table_clips"]

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.clips import Clip
from vipe.errors import ReadError
from vipe.readers.arrays.positions import ADVICE, placed, rate_of, skeleton_of
from vipe.readers.contract import Hints, NotMotion, as_float64, clip_of, one_line, pieces
from vipe.skeletons import Skeleton, load

POSE = "pose"
"""The column of whole poses."""

_CLIP, _TIME, _FPS = "clip", "time", "fps"
_LABELS = ("subject", "action")
COLUMNS = (_CLIP, _TIME, _FPS, POSE, *_LABELS)
"""Columns that are read beside those of joints."""

MOST_COLUMNS = 4096
"""How many columns a table may have."""

_AXIS = re.compile(r"(?P<joint>.+?)[ _.:/-]?(?P<axis>[xyzXYZ])")


def joint_columns(columns: Sequence[str]) -> dict[str, list[str]] | None:
    """Columns x, y, z of each joint; None if there are none."""
    axes: dict[str, dict[str, str]] = {}
    for column in columns:
        match = _AXIS.fullmatch(column.strip()[:200])
        if match:
            axes.setdefault(match["joint"], {}).setdefault(match["axis"].lower(), column)
    whole = {joint: [found[axis] for axis in "xyz"] for joint, found in axes.items() if len(found) == 3}
    return whole or None


def table_clips(table: pa.Table, name: str, skeletons: Sequence[Skeleton], hints: Hints) -> Iterator[Clip]:
    """The clips of a table with columns of joints, or a column of poses.

    Raises:
        NotMotion: If the joints are of no known skeleton, nor of the one that the user names.
        ReadError: If a column is not of numbers, the rate is not given, or the positions are those of no person.
    """
    columns = table.column_names
    if len(set(columns)) != len(columns):
        raise ReadError(f"{name}: a column is named twice")
    known = {column: column.strip().casefold() for column in columns if column.strip().casefold() in COLUMNS}
    if len(set(known.values())) == len(known):  # "Time", " fps"
        columns = [known.get(column, column) for column in columns]
        table = table.rename_columns(columns)
    joints = joint_columns(columns)
    if POSE in columns and not joints:
        skeleton, positions = _poses(table, name, hints)
    else:
        if joints is None:
            raise NotMotion(f"{name}: columns {listed(columns)}; expected such as left_hip_x")
        named = list(joints)
        skeleton, chosen = skeleton_of(named, [hints.skeleton] if hints.skeleton else skeletons, name)
        flat = [_numbers(table, column, name) for i in chosen for column in joints[named[i]]]
        positions = np.stack(flat, axis=1).reshape(table.num_rows, len(skeleton), 3)
    times = _numbers(table, _TIME, name) if _TIME in columns else None
    rates = _numbers(table, _FPS, name) if _FPS in columns else None
    for title, rows, labels in _groups(table, name):
        part = positions[rows].copy()
        fps = rate_of(hints.fps or _stated_rate(times, rates, rows), f"{name}: {title}")
        valid = np.asarray(np.isfinite(part).all(axis=(1, 2)))
        if valid.any():
            part[valid] = placed(part[valid], skeleton, hints, f"{name}: {title}")
        for clip, stretch in pieces(title, valid, f"{name}: {title}"):
            yield clip_of(clip, skeleton, part[stretch], fps, where=f"{name}: {clip}", **labels)


def _poses(table: pa.Table, name: str, hints: Hints) -> tuple[Skeleton, Float64[Array, "rows joints 3"]]:
    """A column `pose`: x, y, z of each joint in one list. Beside columns `clip` and `fps` it is that of a store."""
    column = table[POSE]
    skeleton = hints.skeleton
    if skeleton is None and _CLIP in table.column_names and _FPS in table.column_names:
        skeleton = load("h36m17")
    if skeleton is None:
        raise NotMotion(f"{name}: poses without names of joints; {ADVICE}")
    if not (pa.types.is_fixed_size_list(column.type) or pa.types.is_list(column.type)) or column.null_count:
        raise ReadError(f"{name}: pose is a column of {column.type}, expected lists of numbers")
    values = pa.chunked_array([chunk.flatten() for chunk in column.chunks], type=column.type.value_type)
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)) or values.null_count:
        raise ReadError(f"{name}: pose is a column of {column.type}, expected lists of numbers")
    if len(values) != table.num_rows * 3 * len(skeleton):
        raise ReadError(f"{name}: {len(values)} numbers in {table.num_rows} poses, expected {3 * len(skeleton)} each")
    return skeleton, as_float64(values.to_numpy()).reshape(-1, len(skeleton), 3)


def _numbers(table: pa.Table, column: str, name: str) -> Float64[Array, " rows"]:
    try:
        return np.asarray(table[column].cast(pa.float64()).to_numpy(), dtype=np.float64)
    except pa.ArrowException as error:
        raise ReadError(f"{name}: column {column[:40]!r} is not of numbers: {one_line(error)}") from error


def _groups(table: pa.Table, name: str) -> Iterator[tuple[str, slice, dict[str, str]]]:
    """Rows of each clip, which must lie together, with subject and action."""
    stem = PurePosixPath(name).stem
    if _CLIP not in table.column_names or table.num_rows == 0:
        yield stem, slice(0, table.num_rows), {}
        return
    try:
        clips = [str(one) for one in table[_CLIP].to_pylist()]
        labels = {key: table[key].to_pylist() for key in _LABELS if key in table.column_names}
    except (UnicodeDecodeError, pa.ArrowException) as error:
        raise ReadError(f"{name}: a clip's name or label is not text: {one_line(error)}") from error
    start, seen = 0, set()
    for i in range(1, len(clips) + 1):
        if i < len(clips) and clips[i] == clips[start]:
            continue
        title = clips[start] if clips[start].isprintable() else clips[start].encode("unicode_escape").decode("ascii")
        if title in seen:
            raise ReadError(f"{name}: rows of clip {title[:40]!r} do not lie together")
        seen.add(title)
        yield title, slice(start, i), {key: str(rows[start] or "") for key, rows in labels.items()}
        start = i


def _stated_rate(
    times: Float64[Array, " rows"] | None, rates: Float64[Array, " rows"] | None, rows: slice
) -> float | None:
    """The usual distance of two times of a clip; without them its column `fps`."""
    if times is not None and rows.stop - rows.start > 1:
        step = float(np.median(np.diff(times[rows])))
        return 1 / step if np.isfinite(step) and step > 0 else None
    return float(rates[rows.start]) if rates is not None and rows.stop > rows.start else None


def listed(columns: Sequence[str]) -> str:
    """The first names of columns, for errors."""
    shown = ", ".join(columns[:8])[:160]
    return shown if shown.isprintable() else shown.encode("unicode_escape").decode("ascii")
