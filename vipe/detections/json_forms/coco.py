"""COCO keypoint annotations: people labelled by hand, as COCO, CVAT, coco-annotator, Halpe and Human-Art write them."""

__all__ = ["read"]

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.detections.json_forms.decode import decode
from vipe.detections.json_forms.points import parse_points
from vipe.detections.json_forms.records import UNSET, Text, track_of
from vipe.detections.people.as_found import Id, NoPerson, People, tracks
from vipe.detections.people.as_queries import MAX_PIXEL
from vipe.detections.people.joint_names import joint_places, skeleton_named
from vipe.errors import ReadError
from vipe.skeletons import Skeleton
from vipe.skeletons.working import COCO13

_AnyId = int | float | str


class _Image(msgspec.Struct, gc=False):
    id: _AnyId
    width: float | None = None
    height: float | None = None


class _Category(msgspec.Struct, gc=False):
    id: _AnyId
    name: str | None = ""
    keypoints: list[str] | None = None


class _Attributes(msgspec.Struct, gc=False):
    track_id: Text = UNSET  # of CVAT, for videos


class _Annotation(msgspec.Struct, gc=False):
    image_id: _AnyId | None = None
    image_name: _AnyId | None = None
    file_name: _AnyId | None = None
    id: _AnyId | None = None
    category_id: _AnyId | None = None
    track_id: Text = UNSET
    attributes: _Attributes | None = None
    keypoints: Text = UNSET
    score: float | None = None
    iscrowd: int | float | bool | None = 0


class _AnnotationFile(msgspec.Struct, gc=False):
    annotations: list[_Annotation]
    images: list[_Image] | None = None
    categories: list[_Category] | None = None


_ANNOTATIONS = msgspec.json.Decoder(_AnnotationFile)
_CROWD = "a crowd region, not one person"


def read(data: bytes | msgspec.Raw, name: str) -> list[People]:
    """Read COCO annotation JSON: `{"images", "annotations", "categories"}`, (x, y, v) a keypoint.

    The annotation's category names the joints, in any spelling; where names are numbers, or there are none, the number
    of joints says whose they are. Annotations of a category without keypoints are ignored. Every person stays a row, in
    file order; crowds (`iscrowd`, a region of many people) have a note. In a file of predictions, where each annotation
    has a score, the third number may be a score too.

    Args:
        data: JSON.
        name: What to call it in errors.

    Returns:
        The people of each category with keypoints.

    Raises:
        ReadError: If it is not such a file, holds no person, a person is broken, or two people of one image have the
            same id; names the annotation.
    """
    file = decode(data, _ANNOTATIONS, name)
    categories = {_plain(category.id): category for category in file.categories or []}
    bodies = {key: _body(category, name) for key, category in categories.items() if category.keypoints}
    named = categories if bodies else {}  # some tools leave the names out
    people = [(i, row) for i, row in enumerate(file.annotations) if _is_person(row, named, name, i)]
    if not people:
        raise NoPerson(
            f"{name}: no person in it: none of its {len(file.annotations)} annotations has keypoints; "
            "give COCO's keypoint annotations (person_keypoints_*.json) or a detector's results"
        )
    _refuse_ids_given_twice(people, name)
    images = [_image(row, name, i) for i, row in people]
    sizes = _sizes(file.images or [], images, name)
    groups: dict[Id, list[int]] = {}
    for row, (_, annotation) in enumerate(people):
        category = annotation.category_id
        groups.setdefault(0 if category is None or not named else _plain(category), []).append(row)
    with_people = {str(image) for image in images}
    empty = tuple(_plain(image.id) for image in file.images or [] if str(_plain(image.id)) not in with_people)
    parts: list[People] = []
    for category, rows in groups.items():
        some = [people[row] for row in rows]
        part = _of_category(some, named.get(category), bodies.get(category), name)
        parts.append(
            replace(
                part,
                image_id=tuple(images[row] for row in rows),
                image_size=None if sizes is None else sizes[rows],
                order=np.array(rows, dtype=np.int64),
                empty=empty if not parts else (),
            )
        )
    return parts


def _of_category(
    people: Sequence[tuple[int, _Annotation]], category: _Category | None, body: Skeleton | None, name: str
) -> People:
    """People whose joints are those of one category; their images are added later."""

    def where(row: int) -> str:
        return _place(name, *people[row])

    def called(row: int) -> str:
        return _called(*people[row])

    usual = 17 if body is None else len(body)
    points = parse_points([_given(row.keypoints) for _, row in people], None, where, meaning="x, y, v", usual=(usual,))
    numbers = points.numbers
    empty = np.isnan(numbers).all(axis=(1, 2))
    scored = all(row.score is not None for _, row in people)
    third = numbers[..., 2]
    scores = points.third and scored and not (np.isin(third, (0, 1, 2)) | np.isnan(third)).all()
    skeleton = body
    remarks: tuple[str, ...] = ()
    if points.names:
        skeleton = COCO13
    elif empty.all():
        skeleton = COCO13
        numbers = np.full((len(people), len(COCO13), 3), np.nan, dtype=np.float32)
    elif body is not None and len(body) != numbers.shape[1]:
        if body.name != "coco17" or numbers.shape[1] <= len(body):
            first = int(np.argmin(empty))
            raise ReadError(
                f"{where(first)}: {3 * numbers.shape[1]} numbers, expected {3 * len(body)} = {len(body)} x (x, y, v)"
            )
        skeleton = None  # Halpe: 136 joints, of which the category names COCO's
    elif body is None and category is not None:
        remarks = (
            f"the keypoints of category {category.id!r} have no joints' names; read by their number, "
            f"{numbers.shape[1]}",
        )
    given = [_tracked(row) for _, row in people]
    return People(
        numbers=numbers,
        third="score" if scores else "v",
        image_id=(0,) * len(people),
        where=where,
        called=called,
        skeleton=skeleton,
        track=tracks([track_of(text, where(row)) for row, text in enumerate(given)]),
        note=tuple(_CROWD if row.iscrowd else "" for _, row in people) if any(r.iscrowd for _, r in people) else (),
        remarks=remarks,
    )


def _body(category: _Category, name: str) -> Skeleton | None:
    """The skeleton of a category's joints; None if they are named by numbers."""
    names = category.keypoints or []
    where = f"{name}: category {category.id!r} ({category.name!r})"
    plain = Counter(joint.casefold() for joint in names)
    if twice := sorted(joint for joint, count in plain.items() if count > 1)[:8]:
        raise ReadError(f"{where}: keypoints named twice: {', '.join(twice)}")
    if all(joint.strip().isdigit() for joint in names):
        return None
    body = skeleton_named(names, f"category {category.id}")
    if body is None:
        places = joint_places(names)
        missing = [joint for joint in COCO13.joints if joint not in places and joint != "nose"]
        listed = ", ".join(names[:20])
        raise ReadError(f"{where}: no conversion to coco13: its keypoints lack {', '.join(missing)}; it has {listed}")
    return body


def _is_person(annotation: _Annotation, categories: Mapping[Id, _Category], name: str, i: int) -> bool:
    if not categories:
        return annotation.keypoints is not UNSET
    category = annotation.category_id
    if category is None or _plain(category) not in categories:
        listed = ", ".join(repr(category) for category in list(categories)[:20])
        raise ReadError(
            f"{_place(name, i, annotation)}: category_id {category!r} is not among the file's categories: {listed}"
        )
    return bool(categories[_plain(category)].keypoints)


def _image(annotation: _Annotation, name: str, i: int) -> Id:
    for given in (annotation.image_id, annotation.image_name, annotation.file_name):
        if given is not None:
            return _plain(given)
    raise ReadError(f"{_place(name, i, annotation)}: has no image_id")


def _plain(given: _AnyId) -> Id:
    """An id as it is meant: 7.0 is 7."""
    if isinstance(given, float):
        return int(given) if given.is_integer() else str(given)
    return given


def _refuse_ids_given_twice(people: Sequence[tuple[int, _Annotation]], name: str) -> None:
    """Refuse two people of one image with the same id: it could not name one of them."""
    first: dict[tuple[_AnyId | None, _AnyId], tuple[int, _Annotation]] = {}
    for i, row in people:
        if row.id is None:
            continue
        image = row.image_id if row.image_id is not None else row.image_name or row.file_name
        before, other = first.setdefault((image, row.id), (i, row))
        if before != i and _bytes(other) != _bytes(row):
            raise ReadError(
                f"{_place(name, i, row)}: image {image!r} has annotation {before} of this id already, with "
                "other keypoints; give each its own id, or take one out"
            )


def _sizes(images: Sequence[_Image], image_ids: Sequence[Id], name: str) -> Float64[Array, "N 2"] | None:
    """Width and height of each person's image, NaN where not known; None if the file lists no images."""
    for image in images:
        for value in (image.width, image.height):
            if value is not None and not 0 < value <= MAX_PIXEL:
                raise ReadError(
                    f"{name}: image {image.id!r} is {image.width} x {image.height}, expected pixels above 0"
                )
    sizes = {str(_plain(image.id)): (image.width or np.nan, image.height or np.nan) for image in images}
    if not sizes:
        return None
    for image_id in image_ids:
        if str(image_id) not in sizes:
            raise ReadError(
                f"{name}: an annotation is of image {image_id!r}, which is not among its {len(sizes)} images; list "
                "the image, or take the annotation out"
            )
    return np.array([sizes[str(image_id)] for image_id in image_ids], dtype=np.float64)


def _given(text: Text) -> msgspec.Raw | None:
    return None if text is UNSET else text


def _tracked(row: _Annotation) -> msgspec.Raw | None:
    text = row.track_id if row.track_id is not UNSET or row.attributes is None else row.attributes.track_id
    return _given(text)


def _bytes(row: _Annotation) -> bytes:
    return b"" if row.keypoints is UNSET else bytes(row.keypoints)


def _place(name: str, i: int, annotation: _Annotation) -> str:
    return f"{name}: {_called(i, annotation)}"


def _called(i: int, annotation: _Annotation) -> str:
    return f"annotation {i}" + ("" if annotation.id is None else f" (id {annotation.id!r})")
