"""What the columns of a table of keypoints mean, told from their names."""

__all__ = ["Columns", "columns_of", "skeleton_order"]

from collections.abc import Sequence
from dataclasses import dataclass, field

from vipe.detections.people.joint_names import joint_of, words_of
from vipe.skeletons.working import COCO13

_AXES = {"x": "x", "y": "y", "z": "z"}
_SCORES = frozenset({"score", "conf", "confidence", "likelihood", "prob", "probability", "visibility", "visible", "v",
                     "vis", "c", "s", "p"})  # fmt: skip
_IMAGE = frozenset({"imageid", "image", "file", "filename", "imagename", "imagepath", "imgname", "path", "name"})
_FRAME = frozenset({"frame", "frameid", "frameindex", "frameidx", "framenumber", "framenum", "framenr"})
_TRACK = frozenset({"trackid", "track", "trackingid"})
_PERSON = frozenset({"personid", "person", "personindex", "personidx", "individual", "individuals", "instanceid"})
_WIDTH = frozenset({"imagewidth", "width", "imgwidth", "framewidth"})
_HEIGHT = frozenset({"imageheight", "height", "imgheight", "frameheight"})
_JOINT = frozenset({"joint", "keypoint", "bodypart", "part", "landmark", "jointname", "keypointname", "landmarkname",
                    "jointid", "keypointid", "landmarkid", "jointindex", "keypointindex", "landmarkindex",
                    "keypointidx", "jointidx"})  # fmt: skip
_FEWEST = 6  # joints with which a person can be searched for
_SAID_BEFORE = frozenset({"object", "part", "image", "center", "coords", "pose", "keypoints", "landmarks", "kp", "kpt",
                          "keypoint", "landmark", "joint", "point"})  # fmt: skip


@dataclass(kw_only=True)
class Columns:
    """Columns by what they mean; places count from 0."""

    joints: dict[str | int, dict[str, int]] = field(default_factory=dict)  # "x", "y", "score" of a joint or its number
    image: int | None = None
    frame: int | None = None
    track: int | None = None
    person: int | None = None  # who it is within a frame; not over frames, as a tracker says
    width: int | None = None
    height: int | None = None
    joint: int | None = None  # names the joint of the row, in a table with a row a joint
    axes: dict[str, int] = field(default_factory=dict)  # "x", "y", "score" of the row's joint

    @property
    def named(self) -> bool:
        """Whether joints have names; otherwise they have numbers."""
        return sum(isinstance(joint, str) for joint in self.joints) >= _FEWEST

    @property
    def complete(self) -> bool:
        """Whether there is enough of a body: x and y of six joints, or a row a joint."""
        if self.joint is not None and {"x", "y"} <= set(self.axes):
            return True
        kind = str if self.named else int
        whole = [one for joint, one in self.joints.items() if isinstance(joint, kind) and {"x", "y"} <= set(one)]
        return len(whole) >= _FEWEST


def columns_of(names: Sequence[str]) -> Columns:
    """Tell columns by their names.

    Read are x, y and a score of each joint, the axis before or after the joint (`nose_x`, `x_nose`, `LShoulder.y`,
    `image/object/part/NOSE/center/x`), joints by number (`x1`, `y1`, `v1`), and one row a joint (`joint`, `x`, `y`).

    Example:
        >>> columns_of(["frame", "nose_x", "nose_y", "LShoulder score"]).joints
        {'nose': {'x': 1, 'y': 2}, 'left_shoulder': {'score': 3}}
    """
    found = Columns()
    for place, name in enumerate(names):
        words = list(words_of(name))
        key = "".join(words)
        for wanted, attribute in (
            (_FRAME, "frame"),
            (_TRACK, "track"),
            (_PERSON, "person"),
            (_WIDTH, "width"),
            (_HEIGHT, "height"),
            (_JOINT, "joint"),
            (_IMAGE, "image"),
        ):
            if key in wanted and getattr(found, attribute) is None:
                setattr(found, attribute, place)
                break
        else:
            _add(found, words, place)
    return found


def _add(found: Columns, words: list[str], place: int) -> None:
    """A column of one axis of a joint, if it is one."""
    for at in (-1, 0):
        if not words:
            return
        axis = _AXES.get(words[at]) or ("score" if words[at] in _SCORES else None)
        if axis is None:
            continue
        rest = [word for word in (words[:-1] if at == -1 else words[1:]) if word not in _SAID_BEFORE]
        if axis == "z":
            return
        if not rest:
            found.axes.setdefault(axis, place)
            return
        joint: str | int | None = int(rest[0]) if len(rest) == 1 and rest[0].isdigit() and len(rest[0]) < 5 else None
        joint = joint_of(" ".join(rest)) if joint is None else joint
        if joint is not None:
            found.joints.setdefault(joint, {}).setdefault(axis, place)
            return


def skeleton_order(columns: Columns) -> list[str | int]:
    """The joints in the order of their numbers: coco13's if they have names."""
    if columns.named:
        return list(COCO13.joints)
    return sorted(joint for joint in columns.joints if isinstance(joint, int))
