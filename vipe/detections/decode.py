"""JSON from outside as typed values, and its flat rows of numbers as (x, y, score), with errors that say where."""

__all__ = ["MIN_CONFIDENCE", "check_confidence", "count_people", "decode", "to_coco13", "triples"]

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from vipe.detections.keypoints import Keypoints
from vipe.errors import ReadError, VipeError
from vipe.skeletons import Skeleton, load

Array = np.ndarray[Any, np.dtype[Any]]
T = TypeVar("T")

# A joint off by half a body costs a query more than a joint it lacks (35 against 54 hits of 100 at first place), so
# what a detector itself calls a guess is left out; HRNet's rescoring draws the line at the same score.
MIN_CONFIDENCE = 0.2
MAX_PIXEL = 1e6  # no image is that wide; beyond it float32 has no pixels left to tell apart


def decode(data: bytes, decoder: msgspec.json.Decoder[T], name: str) -> T:
    """Decode JSON and validate it against the decoder's type.

    Raises:
        ReadError: If it is empty, not UTF-8, not JSON, or not of that type; gives the place (`$.annotations[3].id`).
    """
    if not data.strip():
        raise ReadError(f"{name}: the file is empty; expected keypoints as JSON")
    try:
        # msgspec does not look into strings that it skips, so bytes that are not text could pass; look first.
        data.decode("utf-8")
        return decoder.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except UnicodeDecodeError as error:
        raise ReadError(f"{name}: not UTF-8 at byte {error.start}; expected keypoints as JSON") from error
    except msgspec.ValidationError as error:
        raise ReadError(f"{name}: {error}") from error
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        raise ReadError(f"{name}: broken JSON: {error}") from error
    except RecursionError as error:
        raise ReadError(f"{name}: broken JSON: nested too deeply") from error


def triples(
    rows: Sequence[Sequence[float]], joints: Sequence[int], meaning: str, where: Callable[[int], str]
) -> Float64[Array, "N joints 3"]:
    """Rows of flat numbers, (x, y, score) a joint, as one array.

    Args:
        rows: The numbers of one person each.
        joints: The numbers of joints that a row may have; all rows are of the first one's kind.
        meaning: What the three numbers are called in errors: "x, y, v".
        where: Gives the place of a row for errors: "file.json: annotation 3".

    Raises:
        ReadError: If a row has another length, or a number that no image holds.
    """
    allowed = [count for count in joints if rows and len(rows[0]) == 3 * count] or joints
    for i, row in enumerate(rows):
        if not any(len(row) == 3 * count for count in allowed):
            expected = " or ".join(f"{3 * count} = {count} x ({meaning})" for count in allowed)
            raise ReadError(f"{where(i)}: {len(row)} numbers, expected {expected}")
    table = np.array(rows, dtype=np.float64).reshape(len(rows), -1, 3)
    wrong = ~(np.isfinite(table) & (np.abs(table) <= MAX_PIXEL))
    if wrong.any():
        i, joint, part = (int(index) for index in np.argwhere(wrong)[0])
        name = meaning.split(", ")[part]
        raise ReadError(
            f"{where(i)}: {name} of keypoint {joint} is {table[i, joint, part]:g}, expected a number within "
            f"{MAX_PIXEL:g}"
        )
    return table


def to_coco13(
    table: Float[Array, "N joints 3"],
    seen: Bool[Array, "N joints"],
    source: Skeleton,
    image_ids: Sequence[str | int],
    unseen: str,
    *,
    person: Int[Array, " N"] | None = None,
    image_size: Float[Array, "N 2"] | None = None,
) -> Keypoints:
    """Rows of (x, y, confidence) as keypoints of coco13.

    Args:
        table: Pixels and confidence; a confidence above 1 counts as 1.
        seen: Which joints count as seen.
        source: The skeleton of the rows.
        image_ids: One a row.
        unseen: The note on a row of which coco13 sees nothing.
        person: The number of each person in their image; counted if not given.
        image_size: Width and height in pixels, one a row.
    """
    keypoints = Keypoints(
        xy=table[..., :2].astype(np.float32),
        mask=seen,
        confidence=np.clip(table[..., 2], 0, 1).astype(np.float32),
        image_id=tuple(image_ids),
        person=count_people(image_ids) if person is None else person,
        image_size=image_size,
        skeleton=source,
    ).to(load("coco13"))
    notes = tuple("" if any_seen else unseen for any_seen in np.any(keypoints.mask, axis=1).tolist())
    return replace(keypoints, note=notes)


def count_people(image_ids: Sequence[str | int]) -> Int[Array, " N"]:
    """Number the people of each image from 0, in the order given."""
    people: dict[str | int, int] = {}
    person = np.empty(len(image_ids), dtype=np.int64)
    for i, image_id in enumerate(image_ids):
        person[i] = people.get(image_id, 0)
        people[image_id] = int(person[i]) + 1
    return person


def check_confidence(min_confidence: float) -> None:
    """Refuse a threshold that is no probability."""
    if not 0 <= min_confidence <= 1:
        raise VipeError(f"min_confidence must be from 0 to 1, got {min_confidence}")
