"""Tables of keypoints: CSV, and JSON lines with a value a column, told by the names of their columns (numpy)."""

__all__ = ["read_csv", "read_json_lines"]

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.detections.people.as_found import Id, NoPerson, People
from vipe.detections.people.joint_names import joint_of
from vipe.detections.tables.table_columns import Columns, columns_of, skeleton_order
from vipe.errors import ReadError
from vipe.skeletons.working import COCO13

_SEPARATORS = (b",", b";", b"\t", b"|")
_LONGEST_HEAD = 2**20
_NULLS = ["", "null", "NULL", "None", "nan", "NaN", "NA", "N/A", "-nan", "none"]
_BROKEN = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, pa.ArrowKeyError)


def read_csv(data: bytes, name: str) -> People:
    """Read a table with a row a person, and columns x, y and perhaps a score of each joint, told by their names.

    Columns are separated by comma, semicolon, tab or bar. Where the semicolon separates, the decimal point may be a
    comma. Also read: a table with a row a joint (`frame`, `joint`, `x`, `y`), and DeepLabCut's three head lines.

    Args:
        data: UTF-8.
        name: What to call it in errors.

    Raises:
        ReadError: If the columns have no names, or not those of a body's joints, or a value is no number.
    """
    head, _, rest = data.lstrip(b"\r\n").partition(b"\n")
    if len(head) > _LONGEST_HEAD:
        raise ReadError(f"{name}: the first line is longer than {_LONGEST_HEAD} bytes; expected names of columns")
    separator = max(_SEPARATORS, key=head.count)
    names = _split(head, separator)
    if names[0].casefold() in ("scorer", "bodyparts"):
        names, rest = _deeplabcut(names, rest, separator, name)
    columns = columns_of(names)
    if not columns.complete:
        _refuse(names, name)
    options = pyarrow.csv.ConvertOptions(null_values=_NULLS, strings_can_be_null=True)
    if separator == b";" and b"," in rest[:_LONGEST_HEAD]:
        options.decimal_point = ","
    unique = [str(place) for place in range(len(names))]
    try:
        table = pyarrow.csv.read_csv(
            pa.py_buffer(rest),
            read_options=pyarrow.csv.ReadOptions(column_names=unique, use_threads=False, block_size=2**24),
            parse_options=pyarrow.csv.ParseOptions(delimiter=separator.decode()),
            convert_options=options,
        )
    except _BROKEN as error:
        first = str(error).splitlines()[0]
        raise ReadError(f"{name}: not a table that can be read: {first[:200]}") from error
    return _people(table, names, columns, name)


def read_json_lines(data: bytes, name: str) -> People:
    """Read JSON lines with a value a column: `{"frame": 3, "nose_x": 12.5, "nose_y": 30}` each.

    Raises:
        ReadError: As `read_csv`.
    """
    try:
        table = pyarrow.json.read_json(
            pa.py_buffer(data), read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=2**24)
        )
    except _BROKEN as error:
        first = str(error).splitlines()[0]
        raise ReadError(f"{name}: JSON lines that cannot be read: {first[:200]}") from error
    names = table.column_names
    columns = columns_of(names)
    if not columns.complete:
        _refuse(names, name)
    return _people(table, names, columns, name)


def _split(line: bytes, separator: bytes) -> list[str]:
    return [part.strip(b' "\r\t').decode("utf-8", "replace") for part in line.split(separator)]


def _deeplabcut(names: list[str], rest: bytes, separator: bytes, name: str) -> tuple[list[str], bytes]:
    """Names of columns from DeepLabCut's head lines: scorer, bodyparts, coords."""
    lines = {names[0].casefold(): names}
    for _ in range(3):
        line, _, after = rest.partition(b"\n")
        parts = _split(line[:_LONGEST_HEAD], separator)
        if parts[0].casefold() not in ("scorer", "individuals", "bodyparts", "coords"):
            break
        lines[parts[0].casefold()], rest = parts, after
    if not {"bodyparts", "coords"} <= set(lines) or len(lines["bodyparts"]) != len(lines["coords"]):
        raise ReadError(f"{name}: begins as a table of DeepLabCut's, but lacks the lines bodyparts and coords")
    pairs = zip(lines["bodyparts"][1:], lines["coords"][1:], strict=True)
    return ["frame", *(f"{joint} {axis}" for joint, axis in pairs)], rest


def _refuse(names: list[str], name: str) -> None:
    if all(_is_number(one) for one in names if one):
        raise ReadError(
            f"{name}: a table of numbers without names of columns; name them in the first line, such as nose_x, "
            "nose_y, nose_score, or give the numbers as .npy"
        )
    shown = ", ".join(names[:6])[:160]
    raise ReadError(
        f"{name}: a table, but its columns are not those of a body's joints ({shown}); expected columns such as "
        "nose_x, nose_y, nose_score, left_shoulder_x, or frame, joint, x, y"
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _people(table: pa.Table, names: list[str], columns: Columns, name: str) -> People:
    if len(table) == 0:
        raise NoPerson(f"{name}: no person in it: a table without rows")

    def column(place: int | None) -> Float64[Array, " rows"]:
        assert place is not None
        try:
            return np.asarray(pc.cast(table.column(place), pa.float64()).to_numpy(zero_copy_only=False))
        except _BROKEN as error:
            raise ReadError(f"{name}: column {names[place]!r} holds something else than numbers") from error

    if columns.joint is not None and {"x", "y"} <= set(columns.axes):
        return _of_long(table, columns, column, name)
    joints = skeleton_order(columns)
    numbers = np.full((len(table), len(joints), 3), np.nan, dtype=np.float32)
    for at, joint in enumerate(joints):
        for axis, place in columns.joints.get(joint, {}).items():
            numbers[:, at, ("x", "y", "score").index(axis)] = _narrow(column(place))
    images, own, frame = _images(table, columns, column)
    return People(
        numbers=numbers,
        third="score" if any("score" in axes for axes in columns.joints.values()) else "nothing",
        image_id=images,
        own_images=own,
        where=lambda row: f"{name}: row {row}",
        called=lambda row: f"row {row}",
        skeleton=COCO13 if columns.named else None,
        frame=frame,
        track=_whole(column(columns.track)) if columns.track is not None else None,
        image_size=None
        if columns.width is None or columns.height is None
        else np.stack([column(columns.width), column(columns.height)], axis=-1),
    )


def _of_long(table: pa.Table, columns: Columns, column: Callable[[int | None], Array], name: str) -> People:
    """People of a table with a row a joint: a person is an image, frame and track."""
    if columns.joint is None:
        raise ReadError(f"{name}: a table with a row a joint needs a column that names it")
    texts = pc.cast(table.column(columns.joint), pa.string()).combine_chunks().dictionary_encode()
    meant = [joint_of(text or "") for text in texts.dictionary.to_pylist()]
    place = np.array([-1 if joint is None else COCO13.index(joint) for joint in meant] + [-1], dtype=np.int64)
    codes = np.nan_to_num(np.asarray(texts.indices.to_numpy(zero_copy_only=False), dtype=np.float64), nan=-1)
    joint = place[codes.astype(np.int64)]
    if len({one for one in meant if one is not None}) < 6:
        raise ReadError(f"{name}: a table with a row a joint, but its joints are not those of a body")
    images, own, frame = _images(table, columns, column)
    track = _whole(column(columns.track)) if columns.track is not None else None
    known: dict[tuple[Id, int, int], int] = {}
    frames = np.zeros(len(table), dtype=np.int64) if frame is None else frame
    who = np.zeros(len(table), dtype=np.int64) if track is None else track
    row = np.array(
        [known.setdefault(key, len(known)) for key in zip(images, frames.tolist(), who.tolist(), strict=True)],
        dtype=np.int64,
    )
    numbers = np.full((len(known), len(COCO13), 3), np.nan, dtype=np.float32)
    some = joint >= 0
    for axis, at in columns.axes.items():
        numbers[row[some], joint[some], ("x", "y", "score").index(axis)] = _narrow(column(at))[some]
    _, first = np.unique(row, return_index=True)
    return People(
        numbers=numbers,
        third="score" if "score" in columns.axes else "nothing",
        image_id=tuple(images[i] for i in first.tolist()),
        own_images=own,
        where=lambda person: f"{name}: row {first[person]}",
        called=lambda person: f"row {first[person]}",
        skeleton=COCO13,
        frame=None if frame is None else frame[first],
        track=None if track is None else track[first],
    )


def _images(
    table: pa.Table, columns: Columns, column: Callable[[int | None], Array]
) -> tuple[tuple[Id, ...], bool, Array | None]:
    """What the table calls images, whether it names them at all, and the numbers of frames."""
    frame = None if columns.frame is None else _whole(column(columns.frame))
    if columns.image is not None:
        values = table.column(columns.image).to_pylist()
        ids = tuple(
            int(one) if isinstance(one, float) and one.is_integer() else one if isinstance(one, int) else str(one)
            for one in values
        )
        return ids, True, frame
    if frame is not None:
        return tuple(frame.tolist()), True, frame
    return tuple(range(len(table))), True, None


def _whole(values: Float64[Array, " rows"]) -> Array:
    """Whole numbers; -1 where there is none."""
    usable = np.isfinite(values) & (np.abs(values) < 2**53)
    return np.where(usable, values, -1).astype(np.int64)


def _narrow(values: Float64[Array, " rows"]) -> Array:
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
