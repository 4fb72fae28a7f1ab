"""COCO keypoint results, a list of people: of AlphaPose, Detectron2, OpenPifPaf, Ultralytics and many others."""

__all__ = ["read", "write"]

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from vipe.atomic_write import atomic_write
from vipe.detections.json_forms.decode import decode
from vipe.detections.json_forms.records import Record, apart, people_of
from vipe.detections.keypoints import Keypoints
from vipe.detections.people.as_found import NoPerson, People
from vipe.skeletons import load

_RESULTS = msgspec.json.Decoder(list[Record])
_DETECTRON = frozenset({"bbox", "score", "category_id"})  # beside the keypoints, in each row


def read(data: bytes | msgspec.Raw, name: str, *, keys: frozenset[str] = frozenset()) -> People:
    """Read a list of people: `{"image_id", "category_id", "keypoints", "score"}` each, (x, y, score) a keypoint.

    Without an image, all people are in one: the file's (MMPose's and OpenPifPaf's file of an image, Ultralytics'
    `tojson`). Keypoints come in all forms of `parse_points`. `track_id`, and `idx` of AlphaPose, say who is who over
    frames. The format has no image size.

    Args:
        data: JSON.
        name: What to call it in errors.
        keys: Of the first person, from which Detectron2's scores beyond 1 are told.

    Raises:
        ReadError: If it is not such a list, is empty, or a person is broken; names the result.
    """
    records = decode(data, _RESULTS, name)
    if not records:
        raise NoPerson(f"{name}: no person in it: the list of results is empty; nothing to search with")
    if (first := records[0].points) is not None and bytes(memoryview(first)[:20]).startswith(b"[["):
        records = apart(records, name)
    if not records:
        raise NoPerson(f"{name}: no person in it: all its lists of keypoints are empty; nothing to search with")
    return replace(people_of(records, name, required=True), scores_beyond_1=keys >= _DETECTRON)


def write(path: str | Path, people: Keypoints) -> None:
    """Write people as COCO results JSON, 17 keypoints each; joints that coco13 lacks have score 0.

    Args:
        path: The file; it is replaced whole or not at all.
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
    with atomic_write(Path(path), replace=True) as file:
        file.write_bytes(msgspec.json.encode(results))
