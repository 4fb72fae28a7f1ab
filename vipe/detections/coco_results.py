"""COCO keypoint results: the output of a detector or a tracker."""

__all__ = ["read", "write"]

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from vipe.atomic_write import atomic_write
from vipe.detections.decode import decode
from vipe.detections.keypoints import Keypoints
from vipe.detections.rows import (
    MIN_CONFIDENCE,
    Id,
    Track,
    check_confidence,
    check_scores,
    given_tracks,
    to_coco13,
    triples,
    without_repeats,
)
from vipe.errors import ReadError
from vipe.skeletons import load


class _Result(msgspec.Struct, gc=False):
    image_id: Id
    keypoints: list[float]
    track_id: Track | None = None


_RESULTS = msgspec.json.Decoder(list[_Result])


def read(data: bytes, name: str, *, min_confidence: float = MIN_CONFIDENCE) -> Keypoints:
    """Read COCO results JSON: a list of `{"image_id", "category_id", "keypoints", "score"}`, (x, y, score) a keypoint.

    Joints are COCO's 17; `track_id` is read if a tracker wrote it. The format has no image size. Two kinds of people
    stay rows with nothing seen and a note: those whose every score is too low, and those with the same keypoints as an
    earlier one of the image.

    Args:
        data: The file's bytes.
        name: What to call it in errors.
        min_confidence: Joints that score below, or 0, are not seen. A score a little above 1, as the peak of a heatmap
            may be, counts as 1.

    Raises:
        ReadError: If it is not such a file, holds no person, or a person is broken; names the result.
    """
    check_confidence(min_confidence)
    rows = decode(data, _RESULTS, name)
    if not rows:
        raise ReadError(f"{name}: no person in it: the list of results is empty; nothing to search with")
    body = load("coco17")

    def where(row: int) -> str:
        return f"{name}: result {row} (image_id {rows[row].image_id!r})"

    table = triples([row.keypoints for row in rows], (len(body),), "x, y, score", where)
    score = table[..., 2]
    check_scores(score, body, where, flags=True)
    keypoints = to_coco13(
        table,
        (score >= min_confidence) & (score > 0),
        body,
        [row.image_id for row in rows],
        f"no body keypoint scores at least {min_confidence:g}",
    )
    return without_repeats(
        replace(keypoints, track=given_tracks([row.track_id for row in rows])),
        [f"result {i}" for i in range(len(rows))],
    )


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
