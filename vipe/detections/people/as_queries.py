"""People of a file as keypoints of coco13: whose joints, which were found, pixels, what looks wrong (numpy)."""

__all__ = ["MAX_PIXEL", "OCCLUDED_CONFIDENCE", "Reading", "check_confidence", "settle"]

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64, UInt32

from vipe.arrays import Array, blocks
from vipe.detections.keypoints import MIN_CONFIDENCE, Keypoints
from vipe.detections.people.as_found import Id, People
from vipe.detections.people.joint_order import COUNTS, skeleton_of
from vipe.detections.people.not_found import not_found
from vipe.detections.people.shares import are_shares, are_tiny, refuse_shares
from vipe.detections.people.suspicions import suspicions
from vipe.errors import ReadError, VipeError
from vipe.skeletons import Skeleton, load
from vipe.skeletons.joint_conventions import UNKNOWN, convention_of
from vipe.skeletons.working import COCO13

MAX_PIXEL = 1e6  # no image is that wide, and beyond it float32 cannot resolve a pixel
OCCLUDED_CONFIDENCE = 0.5  # v = 1: the annotator guessed where the joint is behind something
_BY_V = np.array([0.0, OCCLUDED_CONFIDENCE, 1.0], dtype=np.float32)
# Detectors that score a joint by the peak of its heatmap end a little outside 0 to 1 (reported: OpenPose 1.4, RSN 1.3,
# RTMPose 1.1). Others use another scale: Detectron2 goes beyond 5, AlphaPose's first version to 6, torchvision gives
# logits, some give percents; and 2 is what COCO's annotations call visible.
_SCORES = (-1.0, 2.0)
_MOST_SCORE = 20.0  # of Detectron2, the density of a softmax at its peak; percents lie beyond
_WITH_DEPTH = "mediapipe33"
_TINY = (
    "all coordinates lie within -2 to 2, which is no image: if x was divided by the width and y by the height, this is "
    "another pose; multiply them back"
)
_BLOCK = 2**14  # rows at once
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a file is to be read, as its user says."""

    min_confidence: float = MIN_CONFIDENCE
    skeleton: Skeleton | None = None
    image_size: tuple[float | int, float | int] | None = None  # pixels


def settle(parts: Sequence[People], reading: Reading, name: str) -> Keypoints:
    """Keypoints of coco13 from the people of a file or folder.

    Not seen is: a joint without numbers, at exactly 0, 0 or at a negative sentinel, whatever its score; of score 0 or
    below `min_confidence`; of v = 0. Coordinates that are shares of the image's size are multiplied by it. People
    without any seen joint stay rows, with a note, and so do people with the same keypoints as an earlier one of the
    image.

    Args:
        parts: People with equally many joints each; rows come in their common order.
        reading: What the user says.
        name: Of the file, for errors.

    Raises:
        ReadError: If the skeleton cannot be told, a number is none that an image holds, scores are of another scale,
            or coordinates are shares of an image of unknown size.
    """
    shares = are_shares([part.numbers for part in parts])
    done = [_of_part(part, reading, name, shares=shares) for part in parts]
    keypoints = Keypoints.concat([keypoints for keypoints, _ in done]) if len(done) > 1 else done[0][0]
    called = [part.called for part in parts]
    owners = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    places = np.concatenate([np.arange(len(part)) for part in parts])
    if all(part.order is not None for part in parts):
        order = np.argsort(np.concatenate([part.order for part in parts if part.order is not None]), kind="stable")
        keypoints, owners, places = keypoints[order], owners[order], places[order]
    remarks = dict.fromkeys(
        line for part, (_, said) in zip(parts, done, strict=True) for line in (*part.remarks, *said)
    )
    keypoints = _without_repeats(replace(keypoints, remarks=()), called, owners, places)
    if not shares and are_tiny([part.numbers for part in parts]):
        remarks[_TINY] = None
    said = (*remarks, *suspicions(keypoints))
    return replace(keypoints, person=count_people(keypoints.image_id), remarks=tuple(dict.fromkeys(said)))


def check_confidence(min_confidence: float) -> None:
    """Refuse a threshold outside 0 to 1."""
    if not 0 <= min_confidence <= 1:
        raise VipeError(f"min_confidence must be from 0 to 1, got {min_confidence}")


def count_people(image_ids: Sequence[Id]) -> Int64[Array, " N"]:
    """Number the people of each image from 0, in the order given."""
    people: dict[Id, int] = {}
    person = np.empty(len(image_ids), dtype=np.int64)
    for i, image_id in enumerate(image_ids):
        person[i] = people.get(image_id, 0)
        people[image_id] = int(person[i]) + 1
    return person


def _of_part(part: People, reading: Reading, name: str, *, shares: bool) -> tuple[Keypoints, list[str]]:
    """Keypoints of people with equally many joints, and what is to be said of them."""
    unfound = not_found(part.numbers[..., :2]) | _scored_as_unfound(part)
    body, said = _body(part, unfound, reading, name)
    part, depth = _without_depth(part, body, unfound)
    numbers, unfound = part.numbers[:, : len(body)], unfound[:, : len(body)]
    remarks = [line for line in (said, depth) if line]
    matrix, _ = body.weights(COCO13)
    used = np.flatnonzero(matrix.any(axis=0))
    _check_pixels(numbers, body, part)
    beyond = _check_thirds(numbers, unfound, body, used, part)
    if beyond:
        remarks.append(beyond)
    size = _sizes(part, reading)
    if shares:
        numbers = _scaled(numbers, size, name)
        remarks.append("coordinates from 0 to 1 are shares of the image's width and height: multiplied by its size")
    mask = np.zeros((len(part), len(COCO13)), dtype=bool)
    xy = np.zeros((len(part), len(COCO13), 2), dtype=np.float32)
    confidence = np.zeros((len(part), len(COCO13)), dtype=np.float32)
    for block in blocks(len(part), _BLOCK):  # what is large on the way stays small
        some = _on_coco13(numbers[block], unfound[block], body, part, reading)
        mask[block], xy[block], confidence[block] = some.mask, some.xy, some.confidence
    if part.third == "v":
        unseen = "no body keypoint is labelled" + (" visible" if reading.min_confidence > OCCLUDED_CONFIDENCE else "")
    elif part.third == "nothing":
        unseen = "no body keypoint is found"
    else:
        unseen = f"no body keypoint scores at least {reading.min_confidence:g}"
    notes = part.note or ("",) * len(part)
    if part.note:
        mask[np.array([note != "" for note in notes], dtype=bool)] = False
    for array in (mask, xy, confidence):
        array.flags.writeable = False  # so that `Keypoints` need not copy it
    keypoints = Keypoints(
        xy=xy,
        mask=mask,
        confidence=confidence,
        image_id=part.image_id,
        person=np.zeros(len(part), dtype=np.int64),
        frame=part.frame,
        track=part.track,
        video=part.video,
        image_size=size,
        # Files that name their joints are read onto coco13; who marked them, nobody says.
        convention=UNKNOWN if body.name == COCO13.name else convention_of(body.name),
        note=tuple(
            note or ("" if seen else unseen) for note, seen in zip(notes, np.any(mask, axis=1).tolist(), strict=True)
        ),
    )
    return keypoints, remarks


def _scored_as_unfound(part: People) -> Bool[Array, "N joints"]:
    """Joints whose score is exactly -1, a sentinel where all other scores are confidences."""
    third = part.numbers[..., 2]
    unfound = third == -1
    if part.third == "score" and unfound.any():
        with np.errstate(invalid="ignore"):
            others = unfound | np.isnan(third) | ((third >= 0) & (third <= 1))
        if others.all():
            return np.asarray(unfound)
    return np.zeros(third.shape, dtype=bool)


def _without_depth(part: People, body: Skeleton, unfound: Bool[Array, "N joints"]) -> tuple[People, str]:
    """MediaPipe's landmarks without their z, which where visibility is missing stands in the place of a score."""
    third = part.numbers[..., 2]
    if body.name != _WITH_DEPTH or part.third != "score" or not (third[~unfound] < 0).any():
        return part, ""
    flat = part.numbers.copy()
    flat[..., 2] = np.nan
    said = "the third number of a joint is MediaPipe's z, which is not used: every joint counts as found"
    return replace(part, numbers=flat, third="nothing"), said


def _body(part: People, unfound: Bool[Array, "N joints"], reading: Reading, name: str) -> tuple[Skeleton, str]:
    """The skeleton of the numbers, and what is to be said of the choice."""
    count = part.numbers.shape[1]
    given = reading.skeleton or (load(part.skeleton) if isinstance(part.skeleton, str) else part.skeleton)
    if given is None:
        return skeleton_of(part.numbers, ~unfound, name)
    if len(given) > count or (len(given) < count and given.name not in COUNTS.get(count, ())):
        raise ReadError(f"{part.where(0)}: {count} joints a person, but {given.name} has {len(given)}")
    return given, ""


def _check_pixels(numbers: Float32[Array, "N joints 3"], body: Skeleton, part: People) -> None:
    for block in blocks(len(numbers), _BLOCK):
        with np.errstate(invalid="ignore"):
            wrong = np.abs(numbers[block]) > MAX_PIXEL
        if not wrong.any():
            continue
        row, joint, axis = (int(index) for index in np.argwhere(wrong)[0])
        row += block.start
        what = ("x", "y", "v" if part.third == "v" else "score")[axis]
        raise ReadError(
            f"{part.where(row)}: {what} of keypoint {joint} ({body.joints[joint]}) is {numbers[row, joint, axis]:g}, "
            f"expected a number within {MAX_PIXEL:g}"
        )


def _check_thirds(
    numbers: Float32[Array, "N joints 3"],
    unfound: Bool[Array, "N joints"],
    body: Skeleton,
    used: Int64[Array, " used"],
    part: People,
) -> str:
    """Refuse visibilities and scores that are none; a line if scores go beyond 1 as Detectron2's do."""
    third = numbers[..., 2]
    if part.third == "v":
        wrong = ~(np.isin(third[:, used], (0, 1, 2)) | np.isnan(third[:, used]))
        if wrong.any():
            row, place = (int(index) for index in np.argwhere(wrong)[0])
            joint = int(used[place])
            raise ReadError(
                f"{part.where(row)}: v of {body.joints[joint]} is {third[row, joint]:g}, expected 0 (not labelled), "
                "1 (occluded) or 2 (visible)"
            )
        return ""
    if part.third == "nothing":
        return ""
    with np.errstate(invalid="ignore"):
        wrong = ~unfound & ((third <= _SCORES[0]) | (third >= _SCORES[1]))
    if not wrong.any():
        return ""
    found = third[~unfound & ~np.isnan(third)]
    flags = bool(np.isin(found, (0, 1, 2)).all())
    if part.scores_beyond_1 and not flags and found.min() >= 0 and found.max() <= _MOST_SCORE:
        return f"scores go up to {found.max():.1f}, as Detectron2's do; those above 1 count as 1"
    row, joint = (int(index) for index in np.argwhere(wrong)[0])
    if flags:
        advice = "0, 1 and 2 look like visibility flags: give the file as COCO annotations, or write 1 for joints found"
    else:
        advice = "divide percents by 100, turn logits into probabilities, or write 1 for joints found and 0 for others"
    raise ReadError(
        f"{part.where(row)}: score of {body.joints[joint]} is {third[row, joint]:g}, expected a confidence from 0 to "
        f"1; {advice}"
    )


def _sizes(part: People, reading: Reading) -> Float[Array, "N 2"] | None:
    """Width and height of each person's image, as far as file and user say; None if not for all."""
    given = None if reading.image_size is None else np.array(reading.image_size, dtype=np.float64)
    if part.image_size is None:
        return None if given is None else np.tile(given, (len(part), 1))
    wrong = ~(np.isnan(part.image_size) | ((part.image_size > 0) & (part.image_size <= MAX_PIXEL))).all(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        width, height = part.image_size[row]
        raise ReadError(f"{part.where(row)}: its image is {width:g} x {height:g}, expected pixels above 0")
    size = part.image_size if given is None else np.where(np.isnan(part.image_size), given, part.image_size)
    return None if np.isnan(size).any() else size


def _scaled(
    numbers: Float32[Array, "N joints 3"], size: Float[Array, "N 2"] | None, name: str
) -> Float32[Array, "N joints 3"]:
    if size is None:
        refuse_shares(name)
    scaled = numbers.copy()
    scaled[..., :2] *= np.asarray(size, dtype=np.float32)[:, None]
    return scaled


def _on_coco13(
    numbers: Float32[Array, "N joints 3"],
    unfound: Bool[Array, "N joints"],
    body: Skeleton,
    part: People,
    reading: Reading,
) -> Keypoints:
    """A block of people, from the joints of their own skeleton."""
    third = numbers[..., 2]
    given = ~np.isnan(third)
    filled = np.where(given, third, 0)
    lowest = np.float32(reading.min_confidence)
    if part.third == "v":
        # A keypoint with coordinates but without v is one that a tool exported without visibility.
        confidence = np.where(given, _BY_V[np.clip(filled, 0, 2).astype(np.int64)], np.float32(OCCLUDED_CONFIDENCE))
        seen = (confidence > 0) & (confidence >= lowest)
    elif part.third == "score":
        confidence = np.clip(np.where(given, filled, 0), 0, 1)
        seen = given & (filled >= lowest) & (filled > 0)
    else:
        confidence = np.ones_like(filled)
        seen = np.ones(filled.shape, dtype=bool)
    return Keypoints(
        xy=np.nan_to_num(numbers[..., :2]),
        mask=seen & ~unfound,
        confidence=confidence.astype(np.float32),
        image_id=(0,) * len(numbers),
        person=np.zeros(len(numbers), dtype=np.int64),
        skeleton=body,
    ).to(COCO13)


def _without_repeats(
    people: Keypoints, called: Sequence[object], owners: Int64[Array, " N"], places: Int64[Array, " N"]
) -> Keypoints:
    """Count people listed twice in one image once: the later row gets an all-False mask and a note."""
    names: dict[Id, int] = {}
    image = np.array([names.setdefault(one, len(names)) for one in people.image_id], dtype=np.uint64)
    columns = 3 * people.xy.shape[1]
    odd = np.random.default_rng(0).integers(1, 2**63, columns + 1, dtype=np.uint64) | np.uint64(1)
    marks = image * odd[-1]
    for block in blocks(len(people), _BLOCK):
        words = _words(people, block)
        for column in range(columns):
            marks[block] = (marks[block] ^ words[:, column]) * odd[column]
    rows = np.flatnonzero(people.mask.any(axis=1))
    order = rows[np.argsort(marks[rows], kind="stable")]
    again = np.flatnonzero(marks[order][1:] == marks[order][:-1]) + 1
    if len(again) == 0:
        return people
    mask, note = people.mask.copy(), list(people.note)
    first: dict[tuple[int, bytes], int] = {}
    for row in np.unique(np.concatenate([order[again - 1], order[again]])).tolist():
        same = _words(people, slice(row, row + 1)).tobytes() + people.mask[row].tobytes()
        before = first.setdefault((int(image[row]), same), row)
        if before != row:
            name = called[int(owners[before])]
            assert callable(name)
            mask[row], note[row] = False, f"the same keypoints as {name(int(places[before]))}"
    return replace(people, mask=mask, note=tuple(note))


def _words(people: Keypoints, rows: slice) -> UInt32[Array, "N numbers"]:
    """The bits of the numbers of some people."""
    xy, confidence = people.xy[rows], people.confidence[rows]
    return np.concatenate([xy.reshape(len(xy), -1), confidence], axis=1).view(np.uint32)
