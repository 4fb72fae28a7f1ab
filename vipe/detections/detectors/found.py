"""A detector's people in photos and videos, as keypoints (numpy)."""

__all__ = ["VideoPeople", "called", "detect_images", "detect_video"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from vipe.arrays import Array
from vipe.detections.detectors.detector import Detector
from vipe.detections.images import read_image
from vipe.detections.keypoints import MIN_CONFIDENCE, Keypoints
from vipe.detections.people.as_found import Id, People
from vipe.detections.people.as_queries import Reading, check_confidence, settle
from vipe.detections.videos import Video
from vipe.errors import ReadError, ShapeError, VipeError


@dataclass(frozen=True, kw_only=True)
class VideoPeople:
    """The people of a video. `people.image_id` is the frame in the video, `people.frame` counts frames looked at."""

    people: Keypoints
    time: Float64[Array, " N"]  # of each person's frame: seconds since the first one
    rate: float  # frames a second that were looked at; people.frame / rate is the time, but for irregular frames
    looked_at: int  # frames


def detect_images(
    paths: Sequence[Path],
    detector: Detector,
    *,
    min_confidence: float = MIN_CONFIDENCE,
    on_empty: Callable[[Id], None] | None = None,
    on_image: Callable[[int, int], None] | None = None,
) -> Keypoints:
    """The people of photos on coco13. A photo is called by its file's name, or by its path where two have one name.

    Args:
        paths: One or more photos.
        detector: What finds people.
        min_confidence: Joints below are not seen.
        on_empty: Called with the name of each photo without people.
        on_image: Called after each photo with how many are done, and how many there are.

    Raises:
        ReadError: If a photo cannot be read, or nobody is found in any.
        ShapeError: If the detector gives other arrays than it should.
    """
    check_confidence(min_confidence)
    gathered = _Gathered(detector)
    for done, (path, name) in enumerate(zip(paths, called(paths), strict=True), 1):
        gathered.look(read_image(path), name, None)
        if on_image is not None:
            on_image(done, len(paths))
    whole = str(paths[0]) if len(paths) == 1 else f"{len(paths)} photos"
    return gathered.settled(whole, min_confidence, on_empty)


def detect_video(
    video: Video,
    detector: Detector,
    *,
    min_confidence: float = MIN_CONFIDENCE,
    on_empty: Callable[[Id], None] | None = None,
    on_frame: Callable[[int, int], None] | None = None,
) -> VideoPeople:
    """The people of a video on coco13, frame by frame; only one frame is in memory at a time.

    Args:
        video: Of which the frames that it looks at are searched for people.
        detector: What finds people.
        min_confidence: Joints below are not seen.
        on_empty: Called with the number of each frame without people.
        on_frame: Called after each frame with how many are done, and how many there may be.

    Raises:
        ReadError: If the video cannot be decoded, or nobody is found in it.
        ShapeError: If the detector gives other arrays than it should.
    """
    check_confidence(min_confidence)
    gathered = _Gathered(detector)
    expected = round(video.frame_count * video.rate / video.source_rate)
    times: dict[int, float] = {}
    done = 0
    for done, frame in enumerate(video.frames(), 1):
        gathered.look(frame.image, frame.number, frame.slot)
        times[frame.slot] = frame.time
        if on_frame is not None:
            on_frame(done, max(expected, done))
    people = gathered.settled(str(video.path), min_confidence, on_empty)
    if video.broken:
        said = f"{video.path}: {video.broken} broken {'frame' if video.broken == 1 else 'frames'} passed over"
        people = replace(people, remarks=(*people.remarks, said))
    assert people.frame is not None
    time = np.array([times[slot] for slot in people.frame.tolist()], dtype=np.float64)
    return VideoPeople(people=people, time=time, rate=video.rate, looked_at=done)


def called(paths: Sequence[Path]) -> list[str]:
    """What photos are called: their files' names, or their paths where two have one name.

    Raises:
        VipeError: If one file is given twice.
    """
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    names = [str(path) for path in paths]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise VipeError(f"{twice}: the same photo is given twice")
    return names


class _Gathered:
    """What a detector finds, image by image."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._numbers: list[Float32[Array, "people joints 3"]] = []
        self._images: list[Id] = []
        self._frames: list[int | None] = []
        self._sizes: list[tuple[int, int]] = []
        self._empty: list[Id] = []

    def look(self, image: UInt8[Array, "height width 3"], name: Id, slot: int | None) -> None:
        """Find the people of one more image."""
        found = np.asarray(self._detector(image), dtype=np.float32)
        joints = len(self._detector.skeleton)
        if found.shape[1:] != (joints, 3):
            raise ShapeError(
                f"a detector on {self._detector.skeleton.name} gives (people, {joints}, 3) numbers, got {found.shape}"
            )
        if not len(found):
            self._empty.append(name)
            return
        height, width = image.shape[:2]
        with np.errstate(invalid="ignore"):
            outside = np.any((found[..., :2] < 0) | (found[..., :2] > (width, height)), axis=-1)
        # What lies outside the image is a guess, whatever its score.
        self._numbers.append(
            np.where(np.asarray(outside)[..., None] & (np.arange(3) == 2), 0, found).astype(np.float32)
        )
        self._images += [name] * len(found)
        self._frames += [slot] * len(found)
        self._sizes += [(width, height)] * len(found)

    def settled(self, whole: str, min_confidence: float, on_empty: Callable[[Id], None] | None) -> Keypoints:
        """All of them as keypoints."""
        if on_empty is not None:
            for name in self._empty:
                on_empty(name)
        if not self._numbers:
            many = f" in its {len(self._empty)} frames" if len(self._empty) > 1 else ""
            raise ReadError(
                f"{whole}: the detector finds nobody{many}; are people whole and large enough in it? keypoints of "
                "another detector can be given as --keypoints FILE"
            )
        frames = [slot for slot in self._frames if slot is not None]

        def named(row: int) -> str:
            before = self._images[:row].count(self._images[row])
            return f"person {before} of image {self._images[row]}"

        part = People(
            numbers=np.concatenate(self._numbers),
            third="score",
            image_id=tuple(self._images),
            where=lambda row: f"{whole}: {named(row)}",
            called=named,
            skeleton=self._detector.skeleton,
            frame=np.array(frames, dtype=np.int64) if len(frames) == len(self._images) else None,
            image_size=np.array(self._sizes, dtype=np.float64),
        )
        return settle([part], Reading(min_confidence=min_confidence), whole)
