"""JSON of keypoints: which of its forms a file has, told from its keys."""

__all__ = ["is_json", "read_json"]

import json
from collections.abc import Collection, Mapping
from dataclasses import replace

import msgspec
import numpy as np

from vipe.detections.json_forms import coco, coco_results, frames, openpose
from vipe.detections.json_forms.decode import decode
from vipe.detections.json_forms.records import Record, apart, image_of, people_of
from vipe.detections.people.as_found import NoPerson, People
from vipe.detections.people.joint_names import joint_places
from vipe.detections.tables import table
from vipe.errors import ReadError

_KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_RECORD = msgspec.json.Decoder(Record)
_RECORDS = msgspec.json.Decoder(list[Record])
_JOINTS = frozenset({"keypoints", "pose_keypoints_2d", "pose_keypoints", "joints", "pred_keypoints", "keypoints_2d",
                     "kpts"})  # fmt: skip
_LANDMARKS = frozenset({"landmarks", "pose_landmarks", "poseLandmarks"})
_IMAGES = frozenset({"image_id", "image_name", "file_name", "filename", "image_path", "image"})
_LISTS = ("predictions", "results", "detections", "persons", "poses", "instances", "bodies", "data", "objects",
          "people", "keypoints", "frames", "images")  # fmt: skip
_KINDS: dict[str, str] = {  # keys of other formats
    "shapes": "seems to be LabelMe's; convert it to COCO's keypoint annotations",
    "_via_img_metadata": "seems to be VIA's; export it as COCO",
    "pose_world_landmarks": "holds MediaPipe's world landmarks, which are 3D; give pose_landmarks and the image's size",
    "skeleton_info": "seems to be NTU's or Kinetics' 3D skeletons; a search needs 2D keypoints",
}
_FEWEST_NAMES, _MOST_NAMES = 4, 1000  # of joints, for an object to be a person
_PREFIX = 2**20  # bytes in which the first person of a list ends
_EXPECTED = (
    "expected COCO annotations (with 'annotations'), COCO results (a list), OpenPose (with 'people'), MMPose (with "
    "'instance_info'), or keypoints by image"
)


def is_json(text: bytes) -> bool:
    """Whether a text begins as JSON does."""
    start = text[:2000].lstrip()[:1] or text.lstrip()[:1]
    return start in (b"{", b"[", b'"') or text[:2000].strip() in (b"null", b"true", b"false") or _number(text)


def _number(text: bytes) -> bool:
    return len(text) < 40 and text.strip().replace(b".", b"").lstrip(b"-").isdigit()


def read_json(text: bytes, name: str) -> list[People]:
    """The people of a JSON file, or of JSON lines.

    Raises:
        ReadError: If it is broken, or of a form that is not read.
    """
    if _are_lines(text):
        return _lines(text, name)
    return _value(text, name)


def _value(text: bytes | msgspec.Raw, name: str) -> list[People]:
    start = bytes(memoryview(text)[:2000]).lstrip()[:1]
    if start == b"[":
        return _list(text, name)
    if start == b'"':
        inside = decode(text, _TEXT, name).strip().encode("utf-8", "replace")  # JSON that was written as JSON again
        if inside[:1] in (b"[", b"{"):
            return _value(inside, name)
        raise ReadError(f"{name}: JSON of another kind, a text: {_EXPECTED}")
    return _object(decode(text, _KEYS, name), text, name)


def _object(keys: dict[str, msgspec.Raw], text: bytes | msgspec.Raw, name: str) -> list[People]:
    if "annotations" in keys:
        return coco.read(text, name)
    if "people" in keys:
        people = openpose.read(text, name)
        return [_nobody(name) if people is None else _sized(replace(people, own_images=False), keys)]
    if "instance_info" in keys:
        first = _first(keys["instance_info"])
        if isinstance(first, dict) and not _JOINTS.isdisjoint(first):
            return _list(keys["instance_info"], name)
        return [frames.read_video(text, name)]
    if not _LANDMARKS.isdisjoint(keys):
        landmarks = _bare(keys[next(key for key in keys if key in _LANDMARKS)])
        inside = decode(landmarks, _ROWS, name) if _begins(landmarks) == b"[" else []
        return [_sized(part, keys) for part in _one_frame(inside, landmarks, name)]
    if not _JOINTS.isdisjoint(keys) and _is_person(keys):
        records = apart([decode(text, _RECORD, name)], name)
        if not records:
            _nobody(name)
        person = people_of(records, name, called=lambda row: "the person" if len(records) == 1 else f"person {row}")
        return [_sized(person, keys)]
    if len(joint_places(list(keys)[:_MOST_NAMES])) >= _FEWEST_NAMES:
        whole = Record(keypoints=msgspec.Raw(bytes(memoryview(text))))
        return [_sized(people_of([whole], name, called=lambda _: "the person"), keys)]
    for key in _LISTS:
        if key in keys and _begins(keys[key]) == b"[":
            return [_sized(part, keys) for part in _list(keys[key], f"{name}: {key}")]
    for key in _LISTS:
        within = decode(keys[key], _KEYS, name) if key in keys and _begins(keys[key]) == b"{" else {}
        if not _JOINTS.isdisjoint(within):
            return [_sized(part, keys) for part in _value(keys[key], f"{name}: {key}")]
    _refuse_kinds(keys, name)
    if keys and all(_begins(value) in (b"{", b"[") for value in keys.values()):
        try:
            return [frames.read_by_image(text, name)]
        except ReadError as error:
            some = ", ".join(list(keys)[:6])[:120]
            raise ReadError(
                f"{name}: JSON of another kind, with {some}: {_EXPECTED} ({_short(error, name)})"
            ) from error
    some = ", ".join(list(keys)[:6])[:120] or "nothing"
    raise ReadError(f"{name}: JSON of another kind, with {some}: {_EXPECTED}")


def _refuse_kinds(keys: Collection[str], name: str) -> None:
    for key, what in _KINDS.items():
        if key in keys:
            raise ReadError(f"{name}: JSON that {what}")


def _list(text: bytes | msgspec.Raw, name: str) -> list[People]:
    first = _first(text)
    if first is None:
        rows = decode(text, _ROWS, name)
        if not rows:
            return [coco_results.read(text, name)]  # says that it is empty
        first = _decoded(rows[0])
    if isinstance(first, dict):
        keys = frozenset(first)
        if not _JOINTS.isdisjoint(keys) or (not _IMAGES.isdisjoint(keys) and not keys & set(frames.FRAME_KEYS)):
            return [coco_results.read(text, name, keys=keys)]
        if (
            keys & {"instances", "predictions", "people", "bodies", "persons", "poses", "detections"}
            | keys & _LANDMARKS
        ):
            return [frames.read_frames(text, name)]
        if len(joint_places(list(first)[:_MOST_NAMES])) >= _FEWEST_NAMES:
            rows = decode(text, _ROWS, name)
            records = decode(text, _RECORDS, name)
            images = [image_of(record) for record in records]
            people = _of_rows(rows, name)
            if all(image is not None for image in images):
                people = replace(people, own_images=True, image_id=tuple(i for i in images if i is not None))
            return [people]
        if {"x", "y"} <= keys or "position" in keys:
            return _one_frame([], text, name)
        if "annotations" in keys:
            what = (
                "seems to be Label Studio's; export it as COCO" if "images" not in keys else "is a list of COCO files"
            )
            raise ReadError(f"{name}: JSON that {what}; give COCO's files one by one")
        _refuse_kinds(keys, name)
        return [coco_results.read(text, name, keys=keys)]
    return _nested(text, name) if isinstance(first, list | int | float) else [coco_results.read(text, name)]


def _nested(text: bytes | msgspec.Raw, name: str) -> list[People]:
    """Lists of lists: frames of people, people of landmarks, or plain numbers of one person, people or frames."""
    start = bytes(memoryview(text)[:2000]).translate(None, b" \t\r\n")
    depth = len(start) - len(start.lstrip(b"["))
    rows = decode(text, _ROWS, name)
    if start[depth : depth + 1] == b"{":
        records = depth == 2 and any(
            isinstance(one := _first(row), dict) and not _JOINTS.isdisjoint(one) for row in rows
        )
        if records:
            return [frames.read_frames(text, name)]
        if depth == 2:
            return [_of_rows(rows, name)]
    one = start[: depth + 200].split(b"]")[0].count(b",") + 1  # numbers in the first list
    if depth == 1 or (depth == 2 and one in (2, 3, 4)):
        return [_of_rows([msgspec.Raw(bytes(memoryview(text)))], name)]
    if depth in (2, 3):
        return [_of_rows(rows, name)]
    if depth == 4 or (depth == 3 and start[depth : depth + 1] == b"{"):
        return [frames.read_nested(rows, name)]
    raise ReadError(f"{name}: lists within lists, {depth} deep; expected [people][joints][x, y, score]")


def _of_rows(rows: list[msgspec.Raw], name: str) -> People:
    """A person a row."""
    return people_of([Record(keypoints=row) for row in rows], name, called=lambda row: f"person {row}")


def _one_frame(rows: list[msgspec.Raw], text: bytes | msgspec.Raw, name: str) -> list[People]:
    """MediaPipe's landmarks: of one person, or of each person of a list."""
    if rows and _begins(rows[0]) == b"[":
        return [_of_rows(rows, name)]
    whole = msgspec.Raw(bytes(memoryview(text)))
    return [people_of([Record(keypoints=whole)], name, called=lambda _: "the person")]


def _nobody(name: str) -> People:
    raise NoPerson(f"{name}: no person in it: its list of people is empty; nothing to search with")


def _is_person(keys: Mapping[str, msgspec.Raw]) -> bool:
    """Whether an object is a person, and not a file whose `keypoints` are people."""
    text = next(keys[key] for key in keys if key in _JOINTS)
    start = bytes(memoryview(text)[:200]).translate(None, b" \t\r\n")
    if not start.startswith(b"[{"):
        return True
    first = _first(text)
    return isinstance(first, dict) and _JOINTS.isdisjoint(first)


def _sized(part: People, keys: Mapping[str, msgspec.Raw]) -> People:
    """People with the size of the image, where the file says it."""
    if part.image_size is not None:
        return part
    inside = dict(keys)
    if "image" in keys and _begins(keys["image"]) == b"{":
        inside = decode(keys["image"], _KEYS, "")
    width, height = (_side(inside, axis) for axis in ("width", "height"))
    if not (width and height):
        return part
    return replace(part, image_size=np.tile(np.array([width, height]), (len(part), 1)))


def _side(keys: Mapping[str, msgspec.Raw], axis: str) -> float:
    for key in (axis, *(f"{what}_{axis}" for what in ("image", "img", "frame", "canvas")), f"image{axis.title()}"):
        if key in keys:
            value = _decoded(keys[key])
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e6:
                return float(value)
    return 0.0


def _are_lines(text: bytes) -> bool:
    """Whether a text is JSON lines: a whole object in the first line, and another after it."""
    start = text.lstrip()[:1] if text[:1].isspace() else text[:1]
    if start != b"{":
        return False
    body = text.strip() if text[:1].isspace() else text
    end = body.find(b"\n")
    if end < 0 or not body[end : end + 2000].lstrip().startswith(b"{"):
        return False
    try:
        _KEYS.decode(body[:end])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def _lines(text: bytes, name: str) -> list[People]:
    """JSON lines: people, frames or a value a column; a line that cannot be read costs that line."""
    lines = [line for line in text.splitlines() if line.strip()]
    first = _decoded(msgspec.Raw(lines[0]))
    keys = frozenset(first) if isinstance(first, dict) else frozenset()
    known = _JOINTS | _LANDMARKS | set(frames.FRAME_KEYS)
    if keys.isdisjoint(known):
        return [table.read_json_lines(text, name)]
    bad = [number for number, line in enumerate(lines) if not _whole(line)]
    left_out = set(bad)
    kept = [line for number, line in enumerate(lines) if number not in left_out]
    parts = _list(b"[" + b",".join(kept) + b"]", name)
    if not bad:
        return parts
    some = ", ".join(str(number + 1) for number in bad[:5])
    said = (
        f"{len(bad)} of {len(lines)} lines could not be read and are left out: {some}{' ...' if len(bad) > 5 else ''}"
    )
    return [replace(parts[0], remarks=(*parts[0].remarks, said)), *parts[1:]]


def _whole(line: bytes) -> bool:
    try:
        _KEYS.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def _first(text: bytes | msgspec.Raw) -> object:
    """The first value of a list, if it ends early in the text."""
    head = bytes(memoryview(text)[:_PREFIX]).lstrip()[1:].lstrip()
    if head[:1] in (b"", b"]"):
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(head.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value


def _decoded(text: msgspec.Raw) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _bare(text: msgspec.Raw) -> msgspec.Raw:
    """Landmarks without the object around them: {"landmark": [...]}."""
    if _begins(text) == b"{":
        try:
            keys = _KEYS.decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return text
        for key in ("landmark", "landmarks"):
            if key in keys:
                return keys[key]
    return text


def _begins(text: msgspec.Raw) -> bytes:
    return bytes(memoryview(text)[:200]).lstrip()[:1]


def _short(error: Exception, name: str) -> str:
    return str(error).removeprefix(f"{name}: ")[:160]
