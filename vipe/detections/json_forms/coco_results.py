"""COCO keypoint results, a list of people: of AlphaPose, Detectron2, OpenPifPaf, Ultralytics and many others."""

__all__ = ["read", "write"]

from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from vipe.arrays import Array, blocks
from vipe.detections.json_forms.decode import decode
from vipe.detections.json_forms.records import Record, apart, people_of
from vipe.detections.keypoints import Keypoints
from vipe.detections.people.as_found import NoPerson, People
from vipe.errors import ReadError
from vipe.files.output_file import output_file
from vipe.skeletons import load

_RESULTS = msgspec.json.Decoder(list[Record])
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_MOST = 1_000_000  # people of a file: nine hours of one person at 30 Hz
_BLOCK = 2**14  # people whose records lie in memory together
_DETECTRON = frozenset({"bbox", "score", "category_id"})  # beside the keypoints, in each row


def read(data: bytes | msgspec.Raw, name: str, *, keys: frozenset[str] = frozenset()) -> People:
    """Read a list of people: `{"image_id", "category_id", "keypoints", "score"}` each, (x, y, score) a keypoint.

    Without an image, all people are in one: the file's (MMPose's and OpenPifPaf's file of an image, Ultralytics'
    `tojson`). Keypoints come in all forms of `parse_points`. `track_id`, and `idx` of AlphaPose, say who is who over
    frames. The format has no image size.

    Long lists are decoded a block of people at a time: beside the text, memory grows by the array of their numbers and
    by some hundred bytes a person.

    Args:
        data: JSON.
        name: What to call it in errors.
        keys: Of the first person, from which Detectron2's scores beyond 1 are told.

    Raises:
        ReadError: If it is not such a list, is empty, holds more than 1,000,000 people, or a person is broken; names
            the result.
    """
    rows = decode(data, _ROWS, name)
    if not rows:
        raise NoPerson(f"{name}: no person in it: the list of results is empty; nothing to search with")
    if len(rows) > _MOST:
        raise ReadError(f"{name}: {len(rows):,} people, expected at most {_MOST:,}; split the file by images or frames")
    parts: list[People] = []
    whole: Array | None = None
    for block in blocks(len(rows), _BLOCK):
        # A file that is one block is decoded as it is, so that errors give the place in it.
        text = data if len(rows) <= _BLOCK else b"[" + b",".join(rows[block]) + b"]"
        where = name if len(rows) <= _BLOCK else f"{name}: results from {block.start}"
        records = decode(text, _RESULTS, where)
        rows[block] = [_EMPTY] * len(records)
        if (first := records[0].points) is not None and bytes(memoryview(first)[:20]).startswith(b"[["):
            records = apart(records, name)
        if records:
            before = sum(map(len, parts))
            called = partial(_called, before)
            part = people_of(records, name, called=called, required=True)
            if whole is None and _some(part):
                whole = np.full((len(rows), *part.numbers.shape[1:]), np.nan, dtype=np.float32)
            parts.append(_within(part, whole, before))
    if not parts:
        raise NoPerson(f"{name}: no person in it: all its lists of keypoints are empty; nothing to search with")
    return replace(_joined(parts, whole), scores_beyond_1=keys >= _DETECTRON)


_EMPTY = msgspec.Raw()


def _called(before: int, row: int) -> str:
    return f"result {before + row}"


def _some(part: People) -> bool:
    return bool(np.isfinite(part.numbers).any())


def _within(part: People, whole: Array | None, start: int) -> People:
    """The same people, whose numbers lie in the array of all people if they fit: so they are joined without a copy."""
    numbers = part.numbers
    if whole is None or numbers.shape[1:] != whole.shape[1:] or start + len(numbers) > len(whole):
        return part
    rows = whole[start : start + len(numbers)]
    rows[:] = numbers
    return replace(part, numbers=rows)


def _joined(parts: list[People], whole: Array | None) -> People:
    """People of all blocks, which must agree as those of one block do."""
    if len(parts) == 1:
        return parts[0]
    seen = [_some(part) for part in parts]
    first = parts[seen.index(True)] if any(seen) else parts[0]
    joints = first.numbers.shape[1]
    for number, (part, some) in enumerate(zip(parts, seen, strict=True)):
        if part.own_images != parts[0].own_images:
            without = part if parts[0].own_images else parts[0]
            raise ReadError(f"{without.where(0)} has no image_id, but others have")
        if part.numbers.shape[1] != joints:
            if some:
                raise ReadError(f"{part.where(0)}: {part.numbers.shape[1]} joints, expected {joints} as of the others")
            nobody = np.full((len(part), joints, 3), np.nan, dtype=np.float32)
            parts[number] = replace(part, numbers=nobody, skeleton=first.skeleton)
    scored = next((part for part in parts if part.third == "score"), first)
    inside = all(part.numbers.base is whole for part, some in zip(parts, seen, strict=True) if some)
    numbers = whole[: sum(map(len, parts))] if whole is not None and inside else None
    return replace(People.concat(parts, numbers=numbers), third=scored.third, skeleton=first.skeleton)


def write(path: str | Path, people: Keypoints) -> None:
    """Write people as COCO results JSON, 17 keypoints each; joints that coco13 lacks have score 0.

    Args:
        path: The file; it is replaced whole or not at all.
        people: On coco13.

    Raises:
        VipeError: If it cannot be written; an existing file stays as it is.
    """
    matrix, _ = load("coco17").weights(people.skeleton)
    place = matrix.argmax(axis=1)  # coco13 picks joints of coco17 one by one
    values = np.zeros((len(people), matrix.shape[1], 3))
    values[:, place] = np.concatenate([people.xy, people.confidence[..., None]], axis=-1)
    results = [
        {"image_id": image, "category_id": 1, "keypoints": row.ravel().tolist(), "score": float(row[:, 2].mean())}
        for image, row in zip(people.image_id, values, strict=True)
    ]
    with output_file(Path(path), "keypoints") as file:
        file.write_bytes(msgspec.json.encode(results))
