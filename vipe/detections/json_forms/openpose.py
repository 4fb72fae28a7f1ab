"""OpenPose JSON, one file a frame: BODY_25, BODY_25B, its older 18 and 15 joints, and what others write like it."""

__all__ = ["read"]

from dataclasses import replace

import msgspec

from vipe.detections.json_forms.decode import decode
from vipe.detections.json_forms.records import Record, people_of
from vipe.detections.people.as_found import People
from vipe.errors import ReadError

_USUAL = (25, 18)


class _Frame(msgspec.Struct):
    people: list[Record]


_FRAME_FILE = msgspec.json.Decoder(_Frame)


def read(data: bytes | msgspec.Raw, name: str) -> People | None:
    """Read one frame: the people of an image, (x, y, score) a joint, zeros where none was found; None if it has none.

    Such a file holds neither the image's name nor its size. 75 numbers may be BODY_25 or BODY_25B: which, is told from
    how the joints lie.

    Args:
        data: JSON.
        name: What to call it in errors.

    Raises:
        ReadError: If it is not such a file, or a person is broken; names the person.
    """
    records = decode(data, _FRAME_FILE, name).people
    if not records:
        return None
    for row, record in enumerate(records):
        if record.points is None:
            raise ReadError(f"{name}: person {row} has no pose_keypoints_2d")
    people = people_of(records, name, called=lambda row: f"person {row}", usual=_USUAL)
    return replace(people, track=None)
