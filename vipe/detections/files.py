"""Any keypoint file: its content shows its format."""

__all__ = ["read_keypoints"]

from collections.abc import Callable
from pathlib import Path

import msgspec

from vipe.detections import coco, coco_results, openpose
from vipe.detections.decode import decode
from vipe.detections.keypoints import Keypoints
from vipe.detections.rows import MIN_CONFIDENCE
from vipe.errors import ReadError


class _Keys(msgspec.Struct):
    """The keys by which the formats differ; their values are not parsed."""

    annotations: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    people: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_PICTURES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM")  # the last two: WebP, BMP
_KEYS = msgspec.json.Decoder(_Keys)


def read_keypoints(
    path: str | Path,
    *,
    min_confidence: float = MIN_CONFIDENCE,
    on_empty: Callable[[str | int], None] | None = None,
) -> Keypoints:
    """Read the people of a keypoint file on coco13: COCO annotations, COCO results, or OpenPose.

    A folder is read as the frames of one video, one OpenPose file each. People without any seen joint stay rows with an
    all-False mask, and `note` gives the reason. Image ids are those of the file, numbers or text.

    Args:
        path: A .json file, or a folder of OpenPose files.
        min_confidence: Joints below are not seen. Hand-marked joints have confidence 1, or 0.5 where occluded.
        on_empty: Called with the id of each image without people: empty frames of a folder, and images that COCO
            annotations list without a person. COCO results do not list such images.

    Raises:
        ReadError: If the file cannot be read, has none of these formats, holds no person, or is broken; names the file
            and the place, and says what was found and what was expected.

    Example:
        >>> import json, tempfile
        >>> person = {"image_id": 7, "category_id": 1, "keypoints": [10, 20, 0.9] * 17, "score": 0.9}
        >>> with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        ...     json.dump([person], file)
        ...     file.flush()
        ...     people = read_keypoints(file.name)
        >>> people.image_id, int(people.mask.sum())
        ((7,), 13)
    """
    path = Path(path)
    try:
        if path.is_dir():
            return openpose.read_folder(path, min_confidence=min_confidence, on_empty=on_empty)
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {error.strerror}") from error
    name = str(path)
    if data.startswith(_PICTURES):
        raise ReadError(f"{name}: is a picture; run a 2D pose detector on it, and give the JSON that it writes")
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        return coco_results.read(data, name, min_confidence=min_confidence)
    keys = decode(data, _KEYS, name)
    if keys.annotations is not msgspec.UNSET:
        return coco.read(data, name, min_confidence=min_confidence, on_empty=on_empty)
    if keys.people is not msgspec.UNSET:
        return openpose.read(data, name, min_confidence=min_confidence)
    raise ReadError(
        f"{name}: JSON of another kind: expected COCO annotations (with 'annotations'), COCO results (a list) or "
        "OpenPose (with 'people')"
    )
