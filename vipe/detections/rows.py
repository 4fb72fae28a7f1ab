"""People from flat rows of numbers, (x, y, score) a joint; errors name the place in the file (numpy)."""

__all__ = [
    "Id",
    "MAX_PIXEL",
    "MIN_CONFIDENCE",
    "Track",
    "check_confidence",
    "check_scores",
    "count_people",
    "given_tracks",
    "to_coco13",
    "triples",
    "without_repeats",
]

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated

import msgspec
import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64

from vipe.arrays import Array
from vipe.detections.keypoints import MIN_CONFIDENCE, Keypoints
from vipe.errors import ReadError, VipeError
from vipe.skeletons import Skeleton
from vipe.skeletons.working import COCO13

Id = int | str  # of an image, as the file has it
Track = Annotated[int, msgspec.Meta(ge=-1, lt=2**53)]  # as in PoseTrack's files

MAX_PIXEL = 1e6  # no image is that wide, and beyond it float32 cannot resolve a pixel
# Detectors that score a joint by the peak of its heatmap end a little outside 0 to 1 (reported: OpenPose 1.4, RSN 1.3,
# RTMPose 1.1). Others use another scale: Detectron2 goes beyond 5, AlphaPose's first version to 6, torchvision gives
# logits, some give percents; and 2 is what COCO's annotations call visible.
_SCORES = (-1.0, 2.0)


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


def check_scores(
    score: Float[Array, "N joints"], body: Skeleton, where: Callable[[int], str], *, flags: bool = False
) -> None:
    """Refuse scores of another scale than 0 to 1. Scores a little outside, as heatmap peaks may be, are accepted.

    Args:
        score: Of each joint of each person.
        body: Whose joints they are.
        where: Gives the place of a row for errors.
        flags: Whether the format is one where visibility flags (0, 1, 2) are mistaken for scores.

    Raises:
        ReadError: If a score is of another scale; names the joint and the remedy.
    """
    wrong = (score <= _SCORES[0]) | (score >= _SCORES[1])
    if not wrong.any():
        return
    row, joint = (int(index) for index in np.argwhere(wrong)[0])
    if flags and np.isin(score, (0, 1, 2)).all():
        advice = "0, 1 and 2 look like visibility flags: give the file as COCO annotations, or write 1 for joints found"
    else:
        advice = "divide percents by 100, turn logits into probabilities, or write 1 for joints found and 0 for others"
    raise ReadError(
        f"{where(row)}: score of {body.joints[joint]} is {score[row, joint]:g}, expected a confidence from 0 to 1; "
        f"{advice}"
    )


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
        table: Pixels and confidence; a confidence above 1 counts as 1, one below 0 as 0.
        seen: Which joints count as seen.
        source: The skeleton of the rows.
        image_ids: One a row.
        unseen: The note on a row in which no joint of coco13 is seen.
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
    ).to(COCO13)
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


def given_tracks(numbers: Sequence[int | None]) -> Int64[Array, " N"] | None:
    """Track numbers as a file gives them, -1 where it does not; None if it gives none at all."""
    given = np.array([-1 if number is None else number for number in numbers], dtype=np.int64)
    return None if all(number is None for number in numbers) else given


def without_repeats(people: Keypoints, called: Sequence[str]) -> Keypoints:
    """Count people listed twice in one image once: the later row gets an all-False mask and a note.

    Args:
        people: On coco13.
        called: What the note calls each of them, such as "annotation 3".
    """
    first: dict[tuple[str | int, bytes], int] = {}
    mask, note = people.mask.copy(), list(people.note)
    for row in np.flatnonzero(people.mask.any(axis=1)).tolist():
        what = people.mask[row].tobytes() + people.xy[row].tobytes() + people.confidence[row].tobytes()
        before = first.setdefault((people.image_id[row], what), row)
        if before != row:
            mask[row], note[row] = False, f"the same keypoints as {called[before]}"
    return people if len(first) == people.mask.any(axis=1).sum() else replace(people, mask=mask, note=tuple(note))


def check_confidence(min_confidence: float) -> None:
    """Refuse a threshold outside 0 to 1."""
    if not 0 <= min_confidence <= 1:
        raise VipeError(f"min_confidence must be from 0 to 1, got {min_confidence}")
