"""Any keypoint file: its content shows its format."""

__all__ = ["read_keypoints", "read_people"]

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vipe.detections.folders import read_file, read_folder
from vipe.detections.json_forms.decode import utf8
from vipe.detections.json_forms.json_files import is_json, read_json
from vipe.detections.keypoints import MIN_CONFIDENCE, Keypoints
from vipe.detections.other_files import told
from vipe.detections.people.as_found import Id, NoPerson, People
from vipe.detections.people.as_queries import Reading, check_confidence, settle
from vipe.detections.tables import array_files, table
from vipe.errors import ReadError, VipeError
from vipe.skeletons import Skeleton, load
from vipe.skeletons.working import COCO13


def read_keypoints(
    path: str | Path,
    *,
    min_confidence: float = MIN_CONFIDENCE,
    skeleton: str | Skeleton | None = None,
    image_size: tuple[float | int, float | int] | None = None,
    on_empty: Callable[[Id], None] | None = None,
) -> Keypoints:
    """Read the people of a keypoint file on coco13; what it is, its content tells.

    Read are COCO annotations and results and what resembles them (AlphaPose, Detectron2, OpenPifPaf, Ultralytics,
    MMPose, MediaPipe), OpenPose, CSV and JSON lines, arrays (.npy, .npz, .pt) and VideoPose3D's data_2d_*.npz; the
    documentation lists them all. A folder is the frames of one video, a file each; a folder of such folders is one
    video each (`video`).

    Not seen are joints at exactly 0, 0 or at negative sentinels, and those below `min_confidence`. People without any
    seen joint stay rows with an all-False mask, and `note` gives the reason. Image ids are those of the file, numbers
    or text. `remarks` says what was noticed: a skeleton told from the joints, frames that could not be read, bodies
    upside down.

    Args:
        path: A file, or a folder of files.
        min_confidence: Joints below are not seen. Hand-marked joints have confidence 1, or 0.5 where occluded.
        skeleton: Whose joints they are, a name or a skeleton; told from the file, or from how many joints there are and
            how they lie, if not given.
        image_size: Width and height in pixels, for coordinates from 0 to 1 whose file does not say it.
        on_empty: Called with the id of each image without people: empty frames, and images that COCO annotations list
            without a person. COCO results do not list such images.

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
    check_confidence(min_confidence)
    if image_size is not None and not (len(image_size) == 2 and all(0 < side < 1e6 for side in image_size)):
        raise VipeError(f"image_size must be width and height in pixels, got {image_size}")
    body = load(skeleton) if isinstance(skeleton, str) else skeleton
    if body is not None and body.name != COCO13.name:
        body.weights(COCO13)  # raises if there is no conversion
    path = Path(path)
    name = str(path)
    try:
        parts = read_folder(path, read_people) if path.is_dir() else read_people(read_file(path), name)
    except NoPerson as error:
        raise ReadError(str(error)) from error
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {error.strerror}") from error
    if on_empty is not None:
        for image in dict.fromkeys(image for part in parts for image in part.empty):
            on_empty(image)
    return settle(parts, Reading(min_confidence=min_confidence, skeleton=body, image_size=image_size), name)


def read_people(data: bytes, name: str) -> list[People]:
    """The people of one file as it has them; the only place where formats are told apart.

    Args:
        data: The file's bytes.
        name: What to call it in errors; its last part names the image where the file does not.

    Raises:
        ReadError: As `read_keypoints`; what is not read is told in one line.
    """
    if data.startswith(b"\x93NUMPY"):
        return [array_files.read_npy_file(data, name)]
    if data.startswith(b"PK\x03\x04"):
        if b"data.pkl" in data[:300] or name.casefold().endswith((".pt", ".pth")):
            return [array_files.read_tensors(data, name)]
        if name.casefold().endswith(".npz") or b".npy" in data[:300]:
            return [array_files.read_npz_file(data, name)]
    what = told(data, name)
    if what:
        raise ReadError(f"{name}: {what}")
    text = utf8(data, name)
    if is_json(text):
        return [_with_image(part, name) for part in read_json(text, name)]
    return [_with_image(table.read_csv(text, name), name)]


def _with_image(part: People, name: str) -> People:
    """People of a file that is one image: it has the file's name."""
    if part.own_images:
        return part
    image = Path(name).name
    for end in (".json", ".predictions", "_keypoints"):
        image = image.removesuffix(end)
    return replace(part, image_id=(image,) * len(part))
