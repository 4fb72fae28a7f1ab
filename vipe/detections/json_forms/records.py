"""People in JSON, one object a person: the names under which detectors write joints, scores, images and tracks."""

__all__ = ["UNSET", "Record", "Text", "apart", "image_of", "people_of", "track_of"]

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from vipe.detections.json_forms.decode import decode
from vipe.detections.json_forms.points import parse_points
from vipe.detections.people.as_found import Id, People, tracks
from vipe.detections.people.joint_names import skeleton_named
from vipe.errors import ReadError
from vipe.skeletons import Skeleton
from vipe.skeletons.working import COCO13

_IdOrNone = int | float | str | None
_MOST_TRACK = 2**53
UNSET = msgspec.UNSET
Text = msgspec.Raw | msgspec.UnsetType  # JSON that is parsed later
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])


class Record(msgspec.Struct, gc=False):
    """One person, as detectors write them. Which keys are there differs; their values are parsed later, in bulk."""

    image_id: _IdOrNone = None
    image_name: _IdOrNone = None
    file_name: _IdOrNone = None
    filename: _IdOrNone = None
    image_path: _IdOrNone = None
    image: int | float | str | dict[str, msgspec.Raw] | list[msgspec.Raw] | None = None
    frame_id: int | float | str | None = None
    frame: int | float | str | None = None
    image_width: float | None = None
    image_height: float | None = None
    keypoints: Text = UNSET
    pose_keypoints_2d: Text = UNSET
    pose_keypoints: Text = UNSET  # OpenPose before version 1.2
    joints: Text = UNSET  # AlphaPose's "cmu" format, MPII
    pred_keypoints: Text = UNSET
    landmarks: Text = UNSET
    keypoints_2d: Text = UNSET
    kpts: Text = UNSET
    keypoint_scores: Text = UNSET  # MMPose
    keypoints_score: Text = UNSET
    scores: Text = UNSET
    joints_vis: Text = UNSET
    track_id: Text = UNSET
    idx: Text = UNSET  # AlphaPose's trackers

    @property
    def points(self) -> msgspec.Raw | None:
        """The JSON of the joints."""
        if self.keypoints is not UNSET:
            return self.keypoints
        for text in (
            self.pose_keypoints_2d,
            self.pose_keypoints,
            self.joints,
            self.pred_keypoints,
            self.landmarks,
            self.keypoints_2d,
            self.kpts,
        ):
            if text is not UNSET:
                return text
        return None

    @property
    def scored(self) -> msgspec.Raw | None:
        """The JSON of scores that stand apart from the joints."""
        text = next((one for one in (self.keypoint_scores, self.keypoints_score) if one is not UNSET), self.joints_vis)
        if text is UNSET and self.scores is not UNSET and (points := self.points) is not None:
            # Beside a flat list there may be one score of the person.
            text = self.scores if _brackets(points) > 1 or _commas(self.scores) >= _commas(points) // 2 > 0 else UNSET
        return None if text is UNSET else text

    @property
    def tracked(self) -> msgspec.Raw | None:
        """The JSON of a tracker's number."""
        text = self.track_id if self.track_id is not UNSET else self.idx
        return None if text is UNSET else text


def apart(records: Sequence[Record], where: str) -> list[Record]:
    """One record a person, where a record holds all people of its image: keypoints (people, joints, 2 or 3).

    Scores beside them, (people, joints), go with their people. Other records stay as they are.

    Raises:
        ReadError: If there are not as many rows of scores as of keypoints.
    """
    several = []
    for record in records:
        text, scores = record.points, record.keypoint_scores if record.keypoint_scores is not UNSET else record.scores
        if text is None or _brackets(text) < 3:
            several.append(record)
            continue
        people = decode(text, _RAWS, where)
        beside: list[Text] = [UNSET] * len(people)
        if scores is not UNSET and _brackets(scores) == 2:
            rows = decode(scores, _RAWS, where)
            if len(rows) != len(people):
                raise ReadError(f"{where}: keypoints of {len(people)} people, but scores of {len(rows)}")
            beside = list(rows)
        several += [
            msgspec.structs.replace(record, keypoints=one, keypoint_scores=score, scores=UNSET)
            for one, score in zip(people, beside, strict=True)
        ]
    return several


def _brackets(text: msgspec.Raw) -> int:
    """With how many brackets a value begins."""
    start = bytes(memoryview(text)[:200]).translate(None, b" \t\r\n")
    return len(start) - len(start.lstrip(b"["))


def _commas(text: msgspec.Raw) -> int:
    return bytes(text).count(b",")


def image_of(record: Record) -> Id | None:
    """What a record calls its image; None if it does not say. A whole number may be written as 7.0."""
    if isinstance(record.image_id, int | str):
        return record.image_id
    for given in (record.image_id, record.image_name, record.file_name, record.filename, record.image_path):
        if given is not None:
            return _plain(given)
    if isinstance(record.image, int | float | str):
        return _plain(record.image)
    given = record.frame_id if record.frame_id is not None else record.frame
    return None if given is None else _plain(given)


def _plain(given: int | float | str) -> Id:
    return (
        int(given)
        if isinstance(given, float) and given.is_integer()
        else given
        if not isinstance(given, float)
        else str(given)
    )


def track_of(text: msgspec.Raw | None, where: str) -> int | None:
    """A tracker's number, also as 3.0 or [3]; None if there is none, or it is no number.

    Raises:
        ReadError: If it is a number that no tracker gives.
    """
    if text is None:
        return None
    try:
        number: object = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError):
        return None
    if isinstance(number, list) and len(number) == 1:
        number = number[0]
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    if not -1 <= number < _MOST_TRACK:
        raise ReadError(f"{where}: track {number}, expected -1 (none) to {_MOST_TRACK - 1}")
    return number


def people_of(
    records: Sequence[Record],
    name: str,
    *,
    images: Sequence[Id | None] | None = None,
    names: Sequence[str] = (),
    skeleton: str | Skeleton | None = None,
    called: Callable[[int], str] = lambda row: f"result {row}",
    usual: Sequence[int] = (17,),
    own_images: bool | None = None,
    required: bool = False,
) -> People:
    """People of records, in their order.

    Args:
        records: One a person.
        name: Of the file, for errors.
        images: What the file calls the image of each record where the record itself does not say.
        names: Of the joints, where the file has them.
        skeleton: Of the joints, where the file says it.
        called: What a row is called in errors and notes.
        usual: Numbers of joints that the format has, for errors.
        own_images: Whether the file tells images apart; told from the records if not given.
        required: Whether each record must have keypoints.

    Raises:
        ReadError: As `parse_points`; or if some records name their image and others do not.
    """
    given = [image_of(record) for record in records]
    if images is not None:
        given = [mine if mine is not None else image for mine, image in zip(given, images, strict=True)]
    none = [row for row, image in enumerate(given) if image is None]
    if none and len(none) < len(given):
        raise ReadError(f"{name}: {called(none[0])} has no image_id, but others have")

    def where(row: int) -> str:
        image = "" if given[row] is None else f" (image_id {given[row]!r})"
        return f"{name}: {called(row)}{image}"

    texts = [record.points for record in records]
    if required and None in texts:
        raise ReadError(f"{where(texts.index(None))} has no keypoints; expected (x, y, score) of each joint")
    apart = [record.scored for record in records]
    points = parse_points(
        texts,
        None if all(text is None for text in apart) else apart,
        where,
        usual=usual,
    )
    whose: str | Skeleton | None = skeleton
    if points.names:
        whose = COCO13
    elif names and len(names) == points.numbers.shape[1]:
        whose = skeleton_named(names, "of the file") or whose
    tracked = [record.tracked for record in records]
    track = None
    if any(text is not None for text in tracked):
        track = tracks([track_of(text, where(row)) for row, text in enumerate(tracked)])
    frames = [record.frame_id if record.frame_id is not None else record.frame for record in records]
    frame = None
    if frames and all(isinstance(one, int) and abs(one) < _MOST_TRACK for one in frames):
        frame = np.array(frames, dtype=np.int64)
    size = np.array([(r.image_width or np.nan, r.image_height or np.nan) for r in records], dtype=np.float64)
    return People(
        numbers=points.numbers,
        third="score" if points.third else "nothing",
        image_id=tuple(0 if image is None else image for image in given),
        own_images=not none if own_images is None else own_images,
        where=where,
        called=called,
        skeleton=whose,
        frame=frame,
        track=track,
        image_size=None if np.isnan(size).all() or not (np.nan_to_num(size, nan=1) > 0).all() else size,
    )
