"""Tables of keypoints: CSV, and JSON lines with a value a column, told by the names of their columns (numpy)."""

__all__ = ["read_csv", "read_json_lines"]

import csv
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
from jaxtyping import Float64, Int64

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
    comma. Also read: a table with a row a joint (`frame`, `joint`, `x`, `y`), whose joints may be numbers, and
    DeepLabCut's, whose head lines may name several individuals.

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
    people: list[list[str]] = []
    if names[0].casefold() in ("scorer", "bodyparts"):
        people, rest = _deeplabcut(names, rest, separator, name)
        names = people[0]
    if not any(columns_of(one).complete for one in people or [names]):
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
    if len(people) < 2:
        return _people(table, names, columns_of(names), name)
    return _of_individuals(table, people, name)


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
    text = line.decode("utf-8", "replace").strip("\r")
    try:
        parts = next(csv.reader([text], delimiter=separator.decode(), skipinitialspace=True), None) or [""]
    except csv.Error:  # a name of 100,000 letters
        parts = text.split(separator.decode())
    return [part.strip(' "\t') for part in parts]


def _deeplabcut(names: list[str], rest: bytes, separator: bytes, name: str) -> tuple[list[list[str]], bytes]:
    """Names of columns for each individual, from DeepLabCut's head lines: scorer, individuals, bodyparts, coords.

    Columns of others have no name. What comes before the joints is the frame, or the path of the image.
    """
    lines = {names[0].casefold(): names}
    for _ in range(3):
        line, _, after = rest.partition(b"\n")
        parts = _split(line[:_LONGEST_HEAD], separator)
        if parts[0].casefold() not in ("scorer", "individuals", "bodyparts", "coords"):
            break
        lines[parts[0].casefold()], rest = parts, after
    joints, coords = lines.get("bodyparts", []), lines.get("coords", [])
    if len(joints) < 2 or len(joints) != len(coords):
        raise ReadError(f"{name}: begins as a table of DeepLabCut's, but lacks the lines bodyparts and coords")
    before = next((at for at in range(1, len(joints)) if joints[at]), 1)  # 3 where a path is in parts
    cells = _split(rest.partition(b"\n")[0][:_LONGEST_HEAD], separator)
    first = [""] * (before - 1) + ["frame" if _is_number(cells[min(before, len(cells)) - 1] or "0") else "image"]
    owners = lines.get("individuals", [])
    if len(owners) != len(joints):
        owners = [""] * len(joints)
    return [
        [
            *first,
            *(
                f"{joint} {axis}" if own == owner else ""
                for joint, axis, own in zip(joints[before:], coords[before:], owners[before:], strict=True)
            ),
        ]
        for owner in dict.fromkeys(owners[before:])
    ], rest


def _of_individuals(table: pa.Table, people: list[list[str]], name: str) -> People:
    """The people of a table that has columns for each of several; who is not there in a row is nobody."""
    parts = []
    for which, names in enumerate(people):
        columns = columns_of(names)
        if not columns.complete:
            continue  # DeepLabCut's "single" has points that belong to nobody
        part = _people(table, names, columns, name)
        there = np.flatnonzero(np.isfinite(part.numbers[..., :2]).any(axis=(1, 2)))
        parts.append(
            replace(
                part,
                numbers=part.numbers[there],
                image_id=tuple(part.image_id[row] for row in there.tolist()),
                frame=None if part.frame is None else part.frame[there],
                track=np.full(len(there), which, dtype=np.int64),
                order=there * len(people) + which,
            )
        )
    if not any(len(part) for part in parts):
        raise NoPerson(f"{name}: no person in it: no joint of any individual is found")
    return People.concat([part for part in parts if len(part)])


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
    joint, count, named = _joints(table, columns.joint, name)
    images, own, frame = _images(table, columns, column)
    if columns.image is None and frame is None:
        images, own = (0,) * len(table), False  # rows are joints of one image
    track = _whole(column(columns.track)) if columns.track is not None else None
    who = np.zeros(len(table), dtype=np.int64) if track is None else track
    if track is None and columns.person is not None:
        texts = pc.cast(table.column(columns.person), pa.string()).combine_chunks().dictionary_encode()
        who = np.nan_to_num(np.asarray(texts.indices.to_numpy(zero_copy_only=False), dtype=np.float64), nan=-1)
    known: dict[tuple[Id, int, int], int] = {}
    frames = np.zeros(len(table), dtype=np.int64) if frame is None else frame
    row = np.array(
        [known.setdefault(key, len(known)) for key in zip(images, frames.tolist(), who.tolist(), strict=True)],
        dtype=np.int64,
    )
    numbers = np.full((len(known), count, 3), np.nan, dtype=np.float32)
    some = joint >= 0
    given = row[some] * count + joint[some]
    unlike, first = np.unique(given, return_index=True)
    if len(unlike) < len(given):
        again = int(np.flatnonzero(some)[np.setdiff1d(np.arange(len(given)), first)[0]])
        raise ReadError(
            f"{name}: row {again} gives a joint that its person has already; a column track_id or person_id must tell "
            "the people of one frame apart, a column frame or image the frames"
        )
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
        skeleton=COCO13 if named else None,
        frame=None if frame is None else frame[first],
        track=None if track is None else track[first],
    )


def _joints(table: pa.Table, column: int, name: str) -> tuple[Int64[Array, " rows"], int, bool]:
    """The joint of each row, -1 if it is none that is needed; how many joints there are; whether they have names."""
    texts = pc.cast(table.column(column), pa.string()).combine_chunks().dictionary_encode()
    words = [text or "" for text in texts.dictionary.to_pylist()]
    codes = np.nan_to_num(np.asarray(texts.indices.to_numpy(zero_copy_only=False), dtype=np.float64), nan=-1)
    numbers = [int(word) if word.isascii() and word.isdigit() and len(word) < 4 else -1 for word in words]
    if numbers and min(numbers) in (0, 1):
        place = np.array([number - min(numbers) for number in numbers] + [-1], dtype=np.int64)
        return place[codes.astype(np.int64)], max(numbers) - min(numbers) + 1, False
    meant = [joint_of(word) for word in words]
    if len({one for one in meant if one is not None}) < 6:
        raise ReadError(f"{name}: a table with a row a joint, but its joints are not those of a body")
    place = np.array([-1 if joint is None else COCO13.index(joint) for joint in meant] + [-1], dtype=np.int64)
    return place[codes.astype(np.int64)], len(COCO13), True


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
