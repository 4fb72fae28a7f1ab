"""COCO keypoint files: annotations (people marked by hand) and results (what a detector found)."""

__all__ = ["OCCLUDED_CONFIDENCE", "read_annotations", "read_results", "write_results"]

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from jaxtyping import Bool, Float64, Int64

from vipe.appearing import appearing
from vipe.detections.decode import (
    MAX_PIXEL,
    MIN_CONFIDENCE,
    check_confidence,
    count_people,
    decode,
    to_coco13,
    triples,
)
from vipe.detections.keypoints import Keypoints
from vipe.errors import ReadError
from vipe.skeletons import Skeleton, load

Array = np.ndarray[Any, np.dtype[Any]]
Id = int | str
Track = Annotated[int, msgspec.Meta(ge=-1, lt=2**53)]  # as in PoseTrack's files

OCCLUDED_CONFIDENCE = 0.5  # v = 1: the annotator guessed where the joint is behind something
_VISIBLE_CONFIDENCE = np.array([0.0, OCCLUDED_CONFIDENCE, 1.0])  # by v


class _Image(msgspec.Struct, gc=False):
    id: Id
    width: float | None = None
    height: float | None = None


class _Category(msgspec.Struct, gc=False):
    id: Id
    name: str = ""
    keypoints: list[str] | None = None


class _Annotation(msgspec.Struct, gc=False):
    image_id: Id
    id: Id | None = None
    category_id: Id | None = None
    track_id: Track | None = None
    keypoints: list[float] | None = None
    iscrowd: int | bool = 0


class _AnnotationFile(msgspec.Struct, gc=False):
    annotations: list[_Annotation]
    images: list[_Image] = []
    categories: list[_Category] = []


class _Result(msgspec.Struct, gc=False):
    image_id: Id
    keypoints: list[float]
    track_id: Track | None = None


_ANNOTATIONS = msgspec.json.Decoder(_AnnotationFile)
_RESULTS = msgspec.json.Decoder(list[_Result])


def read_annotations(data: bytes, name: str, *, min_confidence: float = MIN_CONFIDENCE) -> Keypoints:
    """Read COCO annotation JSON: `{"images", "annotations", "categories"}`, (x, y, v) a keypoint.

    v = 2 (visible) is confidence 1, v = 1 (occluded) is `OCCLUDED_CONFIDENCE`, v = 0 is not seen. Joints come by the
    names of the annotation's category, COCO's 17 where the file lists no categories; what is not of a category with
    keypoints is passed over. Every person stays a row, in file order: people with no keypoint, and crowds (`iscrowd`,
    a region of many people), with nothing seen and a note that says so.

    Args:
        data: The file's bytes.
        name: What to call it in errors.
        min_confidence: Joints below are not seen; above `OCCLUDED_CONFIDENCE` it leaves the visible ones.

    Raises:
        ReadError: If it is not such a file, holds no person, or a person is broken; gives the annotation's place.
    """
    check_confidence(min_confidence)
    file = decode(data, _ANNOTATIONS, name)
    bodies = {category.id: _body(category, name) for category in file.categories}
    people = [(i, row) for i, row in enumerate(file.annotations) if _is_person(row, bodies, name, i)]
    if not people:
        raise ReadError(
            f"{name}: no person in it: none of its {len(file.annotations)} annotations has keypoints; "
            "give COCO's keypoint annotations (person_keypoints_*.json) or a detector's results"
        )
    image_ids = [annotation.image_id for _, annotation in people]
    sizes, person = _sizes(file.images, image_ids, name), count_people(image_ids)
    groups: dict[Id, list[int]] = {}
    for row, (_, annotation) in enumerate(people):
        category = annotation.category_id
        groups.setdefault(0 if category is None or not bodies else category, []).append(row)
    parts = []
    for category, rows in groups.items():
        body = bodies.get(category) or load("coco17")
        table, labelled = _marked([people[row] for row in rows], body, name)
        parts.append(
            to_coco13(
                table,
                labelled & (table[..., 2] >= min_confidence),
                body,
                [image_ids[row] for row in rows],
                "no body keypoint is labelled" + (" visible" if min_confidence > OCCLUDED_CONFIDENCE else ""),
                person=person[rows],
                image_size=None if sizes is None else sizes[rows],
            )
        )
    order = np.argsort(np.concatenate([np.array(rows) for rows in groups.values()]), kind="stable")
    keypoints = Keypoints.concat(parts)[order]
    crowd = "a crowd region, not one person"
    return replace(
        keypoints,
        track=_tracks([row for _, row in people]),
        note=tuple(crowd if row.iscrowd else note for (_, row), note in zip(people, keypoints.note, strict=True)),
    )


def read_results(data: bytes, name: str, *, min_confidence: float = MIN_CONFIDENCE) -> Keypoints:
    """Read COCO results JSON: a list of `{"image_id", "category_id", "keypoints", "score"}`, (x, y, score) a keypoint.

    COCO's 17 joints, and `track_id` where a tracker wrote it; the image's size is not in such a file. People whose
    every score is too low stay rows, with a note.

    Args:
        data: The file's bytes.
        name: What to call it in errors.
        min_confidence: Joints that score below are not seen, nor those that score 0; a score above 1 counts as 1.

    Raises:
        ReadError: If it is not such a file, holds no person, or a person is broken; gives the result's place.
    """
    check_confidence(min_confidence)
    rows = decode(data, _RESULTS, name)
    if not rows:
        raise ReadError(f"{name}: no person in it: the list of results is empty; nothing to search with")
    body = load("coco17")
    table = triples(
        [row.keypoints for row in rows],
        (len(body),),
        "x, y, score",
        lambda i: f"{name}: result {i} (image_id {rows[i].image_id!r})",
    )
    score = table[..., 2]
    keypoints = to_coco13(
        table,
        (score >= min_confidence) & (score > 0),
        body,
        [row.image_id for row in rows],
        f"no body keypoint scores at least {min_confidence:g}",
    )
    return replace(keypoints, track=_tracks(rows))


def write_results(path: Path, people: Keypoints) -> None:
    """Write people as a detector would: COCO results JSON, 17 keypoints each; what coco13 lacks has score 0.

    Args:
        path: The file; replaced if it exists, whole or not at all.
        people: On coco13.
    """
    matrix, _ = load("coco17").weights(people.skeleton)
    place = matrix.argmax(axis=1)  # coco13 picks joints of coco17 one by one
    values = np.zeros((len(people), matrix.shape[1], 3))
    values[:, place] = np.concatenate([people.xy, people.confidence[..., None]], axis=-1)
    results = [
        {"image_id": image, "category_id": 1, "keypoints": row.ravel().tolist(), "score": float(row[:, 2].mean())}
        for image, row in zip(people.image_id, values, strict=True)
    ]
    with appearing(path, replace=True) as file:
        file.write_bytes(msgspec.json.encode(results))


def _body(category: _Category, name: str) -> Skeleton | None:
    """The skeleton of a category; None if it is a category of things without keypoints."""
    if category.keypoints is None:
        return None
    joints = tuple("_".join(joint.lower().replace("-", " ").split()) for joint in category.keypoints)
    if joints == load("coco17").joints:
        return load("coco17")
    where = f"{name}: category {category.id!r} ({category.name!r})"
    if twice := sorted({joint for joint in joints if joints.count(joint) > 1}):
        raise ReadError(f"{where}: keypoints named twice: {', '.join(twice)}")
    target = load("coco13")
    missing = [joint for joint in target.joints if joint not in joints]
    if set(missing) - {"nose"}:
        raise ReadError(
            f"{where}: no conversion to coco13: its keypoints lack {', '.join(missing)}; it has {', '.join(joints)}"
        )
    table = {joint: None if joint in missing else {joint: 1.0} for joint in target.joints}
    parents = (-1,) * len(joints)
    return Skeleton(name=f"category {category.id}", joints=joints, parents=parents, conversions={target.name: table})


def _is_person(annotation: _Annotation, bodies: Mapping[Id, Skeleton | None], name: str, i: int) -> bool:
    if not bodies:
        return annotation.keypoints is not None
    category = annotation.category_id
    if category is None or category not in bodies:
        listed = ", ".join(repr(category) for category in bodies)
        raise ReadError(
            f"{_place(name, i, annotation)}: category_id {category!r} is not among the file's categories: {listed}"
        )
    return bodies[category] is not None


def _marked(
    people: Sequence[tuple[int, _Annotation]], body: Skeleton, name: str
) -> tuple[Float64[Array, "N joints 3"], Bool[Array, "N joints"]]:
    """Keypoints of annotations as (x, y, confidence), and which are labelled."""
    empty = [0.0] * (3 * len(body))

    def where(row: int) -> str:
        return _place(name, *people[row])

    table = triples(
        [empty if row.keypoints is None else row.keypoints for _, row in people], (len(body),), "x, y, v", where
    )
    visibility = table[..., 2]
    wrong = ~np.isin(visibility, (0, 1, 2))
    if wrong.any():
        row, joint = (int(index) for index in np.argwhere(wrong)[0])
        raise ReadError(
            f"{where(row)}: v of {body.joints[joint]} is {visibility[row, joint]:g}, expected 0 (not labelled), "
            "1 (occluded) or 2 (visible)"
        )
    crowd = np.array([row.iscrowd != 0 for _, row in people])
    seen = (visibility > 0) & ~crowd[:, None]
    table[..., 2] = _VISIBLE_CONFIDENCE[visibility.astype(np.int64)]
    return table, seen


def _tracks(people: Sequence[_Annotation | _Result]) -> Int64[Array, " N"] | None:
    """Track numbers, if the file has any."""
    given = [-1 if row.track_id is None else row.track_id for row in people]
    return np.array(given, dtype=np.int64) if any(row.track_id is not None for row in people) else None


def _sizes(images: Sequence[_Image], image_ids: Sequence[Id], name: str) -> Float64[Array, "N 2"] | None:
    """Width and height of each person's image; None if the file does not say them for all of its images."""
    for image in images:
        for value in (image.width, image.height):
            if value is not None and not 0 < value <= MAX_PIXEL:
                raise ReadError(
                    f"{name}: image {image.id!r} is {image.width} x {image.height}, expected pixels above 0"
                )
    sizes = {str(image.id): (image.width, image.height) for image in images}
    if not sizes:
        return None
    for image_id in image_ids:
        if str(image_id) not in sizes:
            raise ReadError(
                f"{name}: an annotation is of image {image_id!r}, which is not among its {len(sizes)} images; list "
                "the image, or take the annotation out"
            )
    if any(None in size for size in sizes.values()):
        return None
    return np.array([sizes[str(image_id)] for image_id in image_ids], dtype=np.float64)


def _place(name: str, i: int, annotation: _Annotation) -> str:
    return f"{name}: annotation {i}" + ("" if annotation.id is None else f" (id {annotation.id!r})")
