"""JSON of many frames, people in each: MMPose's videos, OpenPifPaf's and OpenPose's frames, MediaPipe's landmarks."""

__all__ = ["FRAME_KEYS", "read_by_image", "read_frames", "read_nested", "read_video"]

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np

from vipe.detections.json_forms.decode import decode
from vipe.detections.json_forms.records import UNSET, Record, Text, image_of, people_of
from vipe.detections.people.as_found import Id, NoPerson, People
from vipe.errors import ReadError

FRAME_KEYS = ("instances", "predictions", "people", "bodies", "persons", "poses", "detections", "annotations")
"""Under these keys a frame holds its people."""
_LANDMARKS = ("pose_landmarks", "poseLandmarks", "landmarks")  # of MediaPipe: one person's, or a list of people's


class _Frame(msgspec.Struct, gc=False):
    image_id: int | float | str | None = None
    image_name: int | float | str | None = None
    file_name: int | float | str | None = None
    filename: int | float | str | None = None
    image: int | float | str | dict[str, msgspec.Raw] | None = None
    frame_id: int | float | str | None = None
    frame: int | float | str | None = None
    frame_index: int | float | str | None = None
    width: float | None = None
    height: float | None = None
    image_width: float | None = None
    image_height: float | None = None
    canvas_width: float | None = None
    canvas_height: float | None = None
    instances: list[Record] | None = None
    predictions: list[Record] | None = None
    people: list[Record] | None = None
    bodies: list[Record] | None = None
    persons: list[Record] | None = None
    poses: list[Record] | None = None
    detections: list[Record] | None = None
    annotations: list[Record] | None = None
    pose_landmarks: Text = UNSET
    poseLandmarks: Text = UNSET  # noqa: N815  # as it stands in the files
    landmarks: Text = UNSET


class _Meta(msgspec.Struct):
    dataset_name: str = ""
    keypoint_id2name: dict[str, str] = {}


class _Video(msgspec.Struct):
    instance_info: list[_Frame]
    meta_info: _Meta | None = None


_VIDEO = msgspec.json.Decoder(_Video)
_FRAMES = msgspec.json.Decoder(list[_Frame | list[Record]])
_BY_IMAGE = msgspec.json.Decoder(dict[str, _Frame | list[Record]])
_RECORD = msgspec.json.Decoder(Record)
_DATASETS = {"coco": "coco17", "h36m": "h36m17", "coco_wholebody": "coco133", "halpe26": "halpe26", "mpii": "mpii16",
             "aic": "aic14", "crowdpose": "crowdpose14", "halpe": "halpe136"}  # fmt: skip


def read_video(data: bytes | msgspec.Raw, name: str) -> People:
    """Read MMPose's results of a video: `{"meta_info", "instance_info": [{"frame_id", "instances"}]}`.

    `meta_info` names the joints. Frames without a person are told as empty.

    Raises:
        ReadError: If it is not such a file, holds no person, or a person is broken; names frame and person.
    """
    video = decode(data, _VIDEO, name)
    meta = video.meta_info or _Meta()
    named = meta.keypoint_id2name
    try:
        names = [named[key] for key in sorted(named, key=int)]
    except ValueError:
        names = list(named.values())
    return _people(video.instance_info, None, name, names=names, skeleton=_DATASETS.get(meta.dataset_name))


def read_frames(data: bytes | msgspec.Raw, name: str) -> People:
    """Read a list of frames, each an object with its people, or a list of people.

    Raises:
        ReadError: As `read_video`.
    """
    frames = decode(data, _FRAMES, name)
    return _people(frames, None, name)


def read_by_image(data: bytes | msgspec.Raw, name: str) -> People:
    """Read an object by image: `{"a.jpg": {"keypoints": ...}}`, or a list of people, or a frame, under each name.

    Raises:
        ReadError: As `read_video`.
    """
    by_image = decode(data, msgspec.json.Decoder(dict[str, msgspec.Raw]), name)
    frames: list[_Frame | list[Record]] = []
    for image, text in by_image.items():
        where = f"{name}: {image[:80]!r}"
        start = bytes(memoryview(text)[:40]).lstrip()
        if start.startswith(b"{"):
            record = decode(text, _RECORD, where)
            frames.append([record] if record.points is not None else decode(text, _ONE, where))
        elif start.startswith(b"["):
            inner = start[1:].lstrip()[:1]
            frames.append(_list(text, where) if inner in (b"{", b"]") else [Record(keypoints=text)])
        else:
            raise ReadError(f"{where}: expected keypoints, or a list of people with keypoints")
    return _people(frames, list(by_image), name)


def read_nested(rows: Sequence[msgspec.Raw], name: str) -> People:
    """Read lists of people, one a frame, each person a list of joints.

    Raises:
        ReadError: As `read_video`.
    """
    each = msgspec.json.Decoder(list[msgspec.Raw])
    frames: list[_Frame | list[Record]] = [
        [Record(keypoints=one) for one in decode(row, each, f"{name}: frame {place}")] for place, row in enumerate(rows)
    ]
    return _people(frames, None, name)


def _list(text: msgspec.Raw, where: str) -> list[Record]:
    """A list of people, or of one person's landmarks."""
    records = decode(text, _PEOPLE, where)
    if records and all(record.points is None for record in records):
        return [Record(keypoints=text)]
    return records


_ONE = msgspec.json.Decoder(_Frame)
_PEOPLE = msgspec.json.Decoder(list[Record])


def _people(
    frames: Sequence[_Frame | list[Record]],
    images: Sequence[str] | None,
    name: str,
    *,
    names: Sequence[str] = (),
    skeleton: str | None = None,
) -> People:
    """The people of all frames, one after the other."""
    records: list[Record] = []
    places: list[tuple[int, int]] = []
    ids: list[Id] = []
    empty: list[Id] = []
    numbers: list[int | None] = []
    sizes: list[tuple[float, float]] = []
    for place, frame in enumerate(frames):
        given = None if isinstance(frame, list) else _image(frame)
        image: Id = images[place] if images is not None else place if given is None else given
        own = frame if isinstance(frame, list) else _of(frame)
        if not own:
            empty.append(image)
        records += own
        places += [(place, person) for person in range(len(own))]
        ids += [image] * len(own)
        sizes += [_size(frame)] * len(own)
        numbers += [image if isinstance(image, int) else None] * len(own)
    if not records:
        raise NoPerson(f"{name}: no person in any of its {len(frames)} frames; nothing to search with")
    for record, (place, person) in zip(records, places, strict=True):
        if record.points is None:
            raise ReadError(f"{name}: frame {place}, person {person} has no keypoints")

    def called(row: int) -> str:
        return f"person {places[row][1]} of frame {places[row][0]}"

    people = people_of(records, name, images=ids, names=names, skeleton=skeleton, called=called)
    frame_numbers = None
    if images is None and all(number is not None and abs(number) < 2**53 for number in numbers):
        frame_numbers = np.array(numbers, dtype=np.int64)
    elif images is None:
        frame_numbers = np.array([place for place, _ in places], dtype=np.int64)
    size = np.array(sizes, dtype=np.float64)
    return replace(
        people,
        empty=tuple(empty),
        frame=frame_numbers if people.frame is None else people.frame,
        image_size=people.image_size if np.isnan(size).all() else size,
    )


def _size(frame: _Frame | list[Record]) -> tuple[float, float]:
    """Width and height of a frame's image; NaN where it does not say them."""
    if isinstance(frame, list):
        return np.nan, np.nan
    width = frame.width or frame.image_width or frame.canvas_width or np.nan
    height = frame.height or frame.image_height or frame.canvas_height or np.nan
    return (width, height) if 0 < width < 1e6 and 0 < height < 1e6 else (np.nan, np.nan)


def _image(frame: _Frame) -> Id | None:
    record = Record(
        image_id=frame.image_id, image_name=frame.image_name, file_name=frame.file_name, filename=frame.filename,
        image=frame.image, frame_id=frame.frame_id,
        frame=frame.frame if frame.frame is not None else frame.frame_index,
    )  # fmt: skip
    return image_of(record)


def _of(frame: _Frame) -> list[Record]:
    for key in FRAME_KEYS:
        people: list[Record] | None = getattr(frame, key)
        if people is not None:
            return people
    for key in _LANDMARKS:
        text: Text = getattr(frame, key)
        if text is not UNSET:
            return [Record(keypoints=one) for one in _each(text)]
    return []


def _each(text: msgspec.Raw) -> list[msgspec.Raw]:
    """One person's landmarks, or those of each person of a list."""
    start = bytes(memoryview(text)[:200]).translate(None, b" \t\r\n")
    if start in (b"null", b"[]"):
        return []
    if start.startswith(b"[[{"):
        return msgspec.json.decode(text, type=list[msgspec.Raw])
    return [text]
