"""The joints of people in JSON text, in every form that detectors write them (numpy)."""

__all__ = ["Points", "parse_points"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import numpy as np
from jaxtyping import Float32

from vipe.arrays import Array
from vipe.detections.json_forms.numbers import parse_numbers
from vipe.detections.people.as_found import positions
from vipe.detections.people.joint_names import joint_places
from vipe.errors import ReadError
from vipe.skeletons.working import COCO13

T = TypeVar("T")
UNSET = msgspec.UNSET
Text = msgspec.Raw | msgspec.UnsetType

_BLANK = b" \t\r\n"
_FLAT_LANDMARKS = 33 * 4  # MediaPipe's x, y, z, visibility
_FLAT_XY = 17 * 2  # COCO's joints without scores; other even counts may be lists that were cut
_FEWEST_NAMES = 4  # joints of coco13 that a dict must name to be one of joints


@dataclass(frozen=True, kw_only=True)
class Points:
    """The joints of each person: x, y, score, NaN where the file does not give it."""

    numbers: Float32[Array, "N joints 3"]
    third: bool  # whether the file gives a third number
    names: tuple[str, ...] = ()  # of the joints, where the file has them


class _Place(msgspec.Struct, gc=False):
    x: float | None = None
    y: float | None = None


class _Point(msgspec.Struct, gc=False):
    x: float | None = None
    y: float | None = None
    position: _Place | None = None
    score: float | None = None
    confidence: float | None = None
    conf: float | None = None
    visibility: float | None = None
    visible: float | bool | None = None
    name: str | None = None
    part: str | None = None
    label: str | None = None
    kind: str | None = msgspec.field(default=None, name="class")


class _Columns(msgspec.Struct, gc=False):
    x: Text = UNSET
    y: Text = UNSET
    visible: Text = UNSET
    visibility: Text = UNSET
    confidence: Text = UNSET
    conf: Text = UNSET
    score: Text = UNSET
    scores: Text = UNSET


_POINTS = msgspec.json.Decoder(list[_Point])
_POINT = msgspec.json.Decoder(_Point)
_COLUMNS = msgspec.json.Decoder(_Columns)
_FLOATS = msgspec.json.Decoder(list[float | None])
_NAMED = msgspec.json.Decoder(dict[str, msgspec.Raw])


def parse_points(
    given: Sequence[msgspec.Raw | None],
    scores: Sequence[msgspec.Raw | None] | None,
    where: Callable[[int], str],
    *,
    meaning: str = "x, y, score",
    usual: Sequence[int] = (17,),
) -> Points:
    """Parse the joints of people, one JSON value a row; all rows must have equally many joints.

    Read are: flat lists (x, y, score, x, y, ...); lists of (x, y), (x, y, score) or (x, y, z, visibility) a joint;
    lists of objects with x and y, and perhaps names; objects of lists x and y; objects of joints by name. Rows of None,
    null or an empty list are all NaN.

    Args:
        given: JSON text that is valid.
        scores: One list of scores a row, where they stand apart from the positions.
        where: Gives the place of a row for errors.
        meaning: What the numbers of a flat list are called in errors.
        usual: Numbers of joints that the format has, for errors.

    Raises:
        ReadError: If a row is in none of these forms, or has another number of joints than the first one.
    """
    given = [None if text is None or _nothing(text) else text for text in given]
    at = next((row for row, text in enumerate(given) if text is not None), None)
    if at is None:
        return Points(numbers=np.full((len(given), len(COCO13), 3), np.nan, dtype=np.float32), third=False)
    first = given[at]
    start = bytes(memoryview(first or b"")[:200]).translate(None, _BLANK)
    if start.startswith(b"[{"):
        return _objects(given, where)
    if start.startswith(b"{"):
        columns = _decoded(_COLUMNS, first, where, at) or _Columns()
        return _of_names(given, where) if columns.x is UNSET else _columns(given, where)
    return _lists(given, scores, where, meaning, usual)


def _decoded(
    decoder: msgspec.json.Decoder[T], text: msgspec.Raw | None, where: Callable[[int], str], row: int
) -> T | None:
    """A row as typed values; None if it has none."""
    if text is None or _nothing(text):
        return None
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise ReadError(f"{where(row)}: {error}") from error


def _nothing(text: msgspec.Raw) -> bool:
    return len(memoryview(text)) < 16 and bytes(text).translate(None, _BLANK) in (b"null", b"[]", b"{}")


def _lists(
    given: Sequence[msgspec.Raw | None],
    scores: Sequence[msgspec.Raw | None] | None,
    where: Callable[[int], str],
    meaning: str,
    usual: Sequence[int],
) -> Points:
    apart = None if scores is None else _one_shape(scores, where, "scores")
    counts: dict[int, Array] = {}
    for part in parse_numbers(given, where):
        values = part.values
        if values.size == 0:
            continue
        if values.ndim == 2:
            width = _width(values.shape[1], None if apart is None else apart.shape[1])
            if values.shape[1] % width:
                expected = " or ".join(f"{3 * count} = {count} x ({meaning})" for count in usual)
                raise ReadError(f"{where(int(part.rows[0]))}: {values.shape[1]} numbers, expected {expected}")
            values = values.reshape(len(values), -1, width)
        if values.shape[2] not in (2, 3, 4):
            raise ReadError(
                f"{where(int(part.rows[0]))}: {values.shape[1]} x {values.shape[2]} numbers, expected (x, y) or "
                f"({meaning}) of each joint"
            )
        if values.shape[2] == 4:
            values = values[..., [0, 1, 3]]
        elif apart is not None and values.shape[2] == 3:
            _refuse_3d(values, apart[part.rows], where(int(part.rows[0])))
        counts.setdefault(values.shape[1], np.full((len(given), values.shape[1], 3), np.nan, dtype=np.float32))
        if len(counts) > 1:
            few, many = list(counts)
            raise ReadError(
                f"{where(int(part.rows[0]))}: {3 * many} numbers, expected {3 * few} = {few} x ({meaning}) as before it"
            )
        score = None if apart is None else apart[part.rows][:, : values.shape[1]]
        if score is not None and score.shape[1] != values.shape[1]:
            raise ReadError(
                f"{where(int(part.rows[0]))}: {score.shape[1]} scores of {values.shape[1]} joints; one each is needed"
            )
        counts[values.shape[1]][part.rows] = positions(values, score)
        third = score is not None or values.shape[2] > 2
    if not counts:
        return Points(numbers=np.full((len(given), len(COCO13), 3), np.nan, dtype=np.float32), third=False)
    return Points(numbers=next(iter(counts.values())), third=third)


def _width(count: int, scores: int | None) -> int:
    """How many numbers of a flat list are those of one joint."""
    if scores is not None and count == 2 * scores:
        return 2
    if count == _FLAT_LANDMARKS:
        return 4
    return 2 if count == _FLAT_XY else 3


def _refuse_3d(values: Array, scores: Array, place: str) -> None:
    """Refuse (x, y, z) with scores beside it: a search takes what a camera sees."""
    if not np.allclose(values[..., 2], scores[:, : values.shape[1]], atol=1e-3, equal_nan=True):
        raise ReadError(
            f"{place}: three numbers a joint and a score: 3D poses; give the 2D keypoints of the same frames"
        )


def _one_shape(scores: Sequence[msgspec.Raw | None], where: Callable[[int], str], what: str) -> Array:
    """Rows of equally many scores; rows that have none are NaN."""
    parts = [part for part in parse_numbers(scores, where) if part.values.size]
    longest = max((part.values[0].size for part in parts), default=0)
    whole = np.full((len(scores), longest), np.nan, dtype=np.float32)
    for part in parts:
        flat = part.values.reshape(len(part.values), -1)
        if flat.shape[1] != longest:
            raise ReadError(f"{where(int(part.rows[0]))}: {flat.shape[1]} {what}, expected {longest} as of the others")
        whole[part.rows] = flat
    return whole


def _columns(given: Sequence[msgspec.Raw | None], where: Callable[[int], str]) -> Points:
    """Objects of lists: {"x": [...], "y": [...], "visible": [...]}."""
    rows = [_decoded(_COLUMNS, text, where, row) or _Columns() for row, text in enumerate(given)]
    x, y = (_one_shape([_given(getattr(row, axis)) for row in rows], where, f"{axis} of joints") for axis in "xy")
    if x.shape != y.shape:
        raise ReadError(f"{where(0)}: {x.shape[1]} x of joints but {y.shape[1]} y")
    third = [
        next((s for s in (r.visible, r.visibility, r.confidence, r.conf, r.score, r.scores) if s is not UNSET), UNSET)
        for r in rows
    ]
    score = _one_shape([_given(text) for text in third], where, "scores")
    if score.shape[1] not in (0, x.shape[1]):
        raise ReadError(f"{where(0)}: {x.shape[1]} joints but {score.shape[1]} scores")
    return Points(
        numbers=positions(np.stack([x, y], axis=-1), score if score.shape[1] else None), third=bool(score.shape[1])
    )


def _given(text: Text) -> msgspec.Raw | None:
    return None if text is UNSET else text


def _objects(given: Sequence[msgspec.Raw | None], where: Callable[[int], str]) -> Points:
    """Lists of objects: [{"x", "y", "score", "name"}, ...]."""
    people = [_decoded(_POINTS, text, where, row) or [] for row, text in enumerate(given)]
    first = next(person for person in people if person)
    named = [_name(point) for point in first]
    if len(joint_places([name for name in named if name])) >= _FEWEST_NAMES:
        return _by_name([{_name(point) or "": point for point in person} for person in people])
    if all(point.x is None and point.position is None for point in first):
        at = people.index(first)
        raise ReadError(f"{where(at)}: a list of objects without x and y; expected those of each joint")
    numbers = np.full((len(people), len(first), 3), np.nan, dtype=np.float64)
    for row, person in enumerate(people):
        if person and len(person) != len(first):
            raise ReadError(f"{where(row)}: {len(person)} joints, expected {len(first)} as of the others")
        for joint, point in enumerate(person):
            numbers[row, joint] = _numbers(point)
    return Points(numbers=_narrow(numbers), third=bool(np.isfinite(numbers[..., 2]).any()))


def _of_names(given: Sequence[msgspec.Raw | None], where: Callable[[int], str]) -> Points:
    """Objects of joints by name: {"nose": [x, y, score], ...} or {"nose": {"x": ..., "y": ...}}."""
    people: list[dict[str, _Point]] = []
    numbered = True
    for row, text in enumerate(given):
        person: dict[str, _Point] = {}
        for name, value in (_decoded(_NAMED, text, where, row) or {}).items():
            kind = bytes(memoryview(value)[:1])
            if kind == b"{":
                person[name] = _decoded(_POINT, value, where, row) or _Point()
            elif kind == b"[":
                numbers = _decoded(_FLOATS, value, where, row) or []
                x, y, score = (*numbers, None, None, None)[:3]
                person[name] = _Point(x=x, y=y, score=score)
        people.append(person)
        numbered = numbered and all(name.isascii() and name.isdigit() and len(name) < 4 for name in person)
        if person and not numbered and len(joint_places(list(person))) < _FEWEST_NAMES:
            some = ", ".join(list(person)[:6])
            raise ReadError(f"{where(row)}: keypoints by name, but these are not those of a body's joints: {some}")
    return _by_number(people) if numbered and any(people) else _by_name(people)


def _by_number(people: Sequence[dict[str, _Point]]) -> Points:
    """Joints by their numbers, which begin at the lowest one of all people; gaps are joints that were not found."""
    lowest = min(int(name) for person in people for name in person)
    count = max(int(name) for person in people for name in person) - min(lowest, 1) + 1
    numbers = np.full((len(people), count, 3), np.nan, dtype=np.float64)
    for row, person in enumerate(people):
        for name, point in person.items():
            numbers[row, int(name) - min(lowest, 1)] = _numbers(point)
    return Points(numbers=_narrow(numbers), third=bool(np.isfinite(numbers[..., 2]).any()))


def _by_name(people: Sequence[dict[str, _Point]]) -> Points:
    """Joints by their names, as those of coco13."""
    numbers = np.full((len(people), len(COCO13), 3), np.nan, dtype=np.float64)
    for row, person in enumerate(people):
        points = list(person.values())
        for joint, place in joint_places(list(person)).items():
            numbers[row, COCO13.index(joint)] = _numbers(points[place])
    return Points(numbers=_narrow(numbers), third=bool(np.isfinite(numbers[..., 2]).any()), names=COCO13.joints)


def _name(point: _Point) -> str | None:
    return point.name or point.part or point.kind or point.label


def _numbers(point: _Point) -> tuple[float, float, float]:
    place = point if point.position is None else point.position
    score = next(
        (s for s in (point.score, point.confidence, point.conf, point.visibility, point.visible) if s is not None),
        None,
    )
    x, y = place.x, place.y
    if x is None or y is None:
        return np.nan, np.nan, np.nan
    return x, y, np.nan if score is None else float(score)


def _narrow(numbers: Array) -> Float32[Array, "N joints 3"]:
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32)
