"""COCO keypoint annotations: people labelled by hand."""

__all__ = ["OCCLUDED_CONFIDENCE", "read"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np
from jaxtyping import Bool, Float64

from vipe.arrays import Array
from vipe.detections.decode import decode
from vipe.detections.keypoints import Keypoints
from vipe.detections.rows import (
    MAX_PIXEL,
    MIN_CONFIDENCE,
    Id,
    Track,
    check_confidence,
    count_people,
    given_tracks,
    to_coco13,
    triples,
    without_repeats,
)
from vipe.errors import ReadError
from vipe.skeletons import Skeleton, load
from vipe.skeletons.working import COCO13

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


_ANNOTATIONS = msgspec.json.Decoder(_AnnotationFile)


def read(
    data: bytes,
    name: str,
    *,
    min_confidence: float = MIN_CONFIDENCE,
    on_empty: Callable[[Id], None] | None = None,
) -> Keypoints:
    """Read COCO annotation JSON: `{"images", "annotations", "categories"}`, (x, y, v) a keypoint.

    v = 2 (visible) is confidence 1, v = 1 (occluded) is `OCCLUDED_CONFIDENCE`, v = 0 is not seen. The annotation's
    category names the joints; a file without categories has COCO's 17. Annotations of a category without keypoints are
    ignored. Every person stays a row, in file order. Three kinds of rows have nothing seen, and a note with the reason:
    people without keypoints, crowds (`iscrowd`, a region of many people), and people with the same keypoints as an
    earlier one of the image.

    Args:
        data: The file's bytes.
        name: What to call it in errors.
        min_confidence: Joints below are not seen. Above `OCCLUDED_CONFIDENCE` only visible joints remain.
        on_empty: Called with the id of each listed image without a person, in order.

    Raises:
        ReadError: If it is not such a file, holds no person, a person is broken, or two people of one image have the
            same id; names the annotation.
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
    _refuse_ids_given_twice(people, name)
    image_ids = [annotation.image_id for _, annotation in people]
    if on_empty is not None:
        with_people = {str(image_id) for image_id in image_ids}
        for image in file.images:
            if str(image.id) not in with_people:
                on_empty(image.id)
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
    keypoints = replace(
        keypoints,
        track=given_tracks([row.track_id for _, row in people]),
        note=tuple(crowd if row.iscrowd else note for (_, row), note in zip(people, keypoints.note, strict=True)),
    )
    return without_repeats(keypoints, [_called(i, row) for i, row in people])


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
    missing = [joint for joint in COCO13.joints if joint not in joints]
    if set(missing) - {"nose"}:
        raise ReadError(
            f"{where}: no conversion to coco13: its keypoints lack {', '.join(missing)}; it has {', '.join(joints)}"
        )
    table = {joint: None if joint in missing else {joint: 1.0} for joint in COCO13.joints}
    parents = (-1,) * len(joints)
    return Skeleton(name=f"category {category.id}", joints=joints, parents=parents, conversions={COCO13.name: table})


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


def _refuse_ids_given_twice(people: Sequence[tuple[int, _Annotation]], name: str) -> None:
    """Refuse two people of one image with the same id: it could not name one of them."""
    first: dict[tuple[Id, Id], tuple[int, _Annotation]] = {}
    for i, row in people:
        if row.id is None:
            continue
        before, other = first.setdefault((row.image_id, row.id), (i, row))
        if other.keypoints != row.keypoints:
            raise ReadError(
                f"{_place(name, i, row)}: image {row.image_id!r} has annotation {before} of this id already, with "
                "other keypoints; give each its own id, or take one out"
            )


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
    return f"{name}: {_called(i, annotation)}"


def _called(i: int, annotation: _Annotation) -> str:
    return f"annotation {i}" + ("" if annotation.id is None else f" (id {annotation.id!r})")
