"""Options of commands that take people: as keypoint files, or found in photos and videos; and the reading itself."""

__all__ = [
    "KEYPOINTS",
    "Convention",
    "DetectorOption",
    "Given",
    "ImageFiles",
    "ImageSize",
    "KeypointFile",
    "MinConfidence",
    "SkeletonName",
    "VideoFile",
    "VideoRate",
    "Weights",
    "read_people",
    "with_convention",
]

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from vipe.cli.output import progress

if TYPE_CHECKING:
    from vipe import Keypoints
    from vipe.arrays import Array
    from vipe.detections.videos import Video

KEYPOINTS = "Keypoints: COCO, OpenPose, MMPose and others as JSON, a table, arrays; or a folder of a video's files."
KeypointFile = Annotated[Path | None, Parameter(help=KEYPOINTS)]
MinConfidence = Annotated[float, Parameter(help="Joints of a lower score are not seen.")]
SkeletonName = Annotated[
    str | None, Parameter(help="Whose joints the file has, if it cannot be told: a name, or your own .toml file.")
]
ImageSize = Annotated[
    str | None, Parameter(help="WIDTHxHEIGHT of the images in pixels, if coordinates are from 0 to 1.")
]
Convention = Annotated[
    Literal["archive", "blazepose", "coco", "h36m", "openpose", "unknown"] | None,
    Parameter(help="Who marked the joints, if not who writes such files; `archive`: they lie where the archive's do."),
]
ImageFiles = Annotated[
    tuple[Path, ...],
    Parameter(help="Photos in place of keypoints: a detector finds their people.", consume_multiple=True),
]
VideoFile = Annotated[
    Path | None, Parameter(help="A video in place of keypoints: a detector finds its people, who are followed.")
]
VideoRate = Annotated[
    float | None,
    Parameter(help="Frames a second of that video; with --video at most so many are looked at, 15 by default."),
]
DetectorOption = Annotated[
    Literal["blazepose", "rtmlib"] | None,
    Parameter(help="What finds people in photos and videos: `blazepose` (the default), or `rtmlib` if installed."),
]
Weights = Annotated[Path | None, Parameter(help="Folder of the detector's weights, if they are not in the cache.")]

_SUGGESTED = "give --keypoints FILE, --image FILE or --video FILE"


@dataclass(frozen=True, kw_only=True)
class Given:
    """The people that a command is asked about."""

    people: "Keypoints"
    time: "Array | None" = None  # of each person, seconds: of a video
    rate: float | None = None  # frames a second that were looked at: of a video
    # RGB pixels of the images with these ids, one after the other: of photos and videos
    pictures: "Callable[[Collection[int | str]], Iterable[tuple[int | str, Array]]] | None" = None


def read_people(
    path: Path | None,
    min_confidence: float,
    skeleton: str | None,
    image_size: str | None,
    empty: list[str | int],
    *,
    image: Sequence[Path] = (),
    video: Path | None = None,
    fps: float | None = None,
    detector: Literal["blazepose", "rtmlib"] | None = None,
    weights: Path | None = None,
) -> Given:
    """The people of a keypoint file, of photos or of a video; ids of images without people are added to `empty`.

    Args:
        path: The keypoint file.
        min_confidence: Joints below are not seen.
        skeleton: Of a keypoint file.
        image_size: Of a keypoint file.
        empty: Where ids of images without people go.
        image: The photos.
        video: The video.
        fps: Frames a second of a video to look at.
        detector: What finds people in photos and videos.
        weights: Folder of its weights.
    """
    from vipe.errors import VipeError

    given = [name for name, one in (("--keypoints", path), ("--image", image), ("--video", video)) if one]
    if len(given) != 1:
        raise VipeError(f"{' and '.join(given)} were given: expected one of them" if given else _SUGGESTED)
    if path is not None:
        if detector is not None or weights is not None:
            raise VipeError("--detector and --weights go with --image and --video: a keypoint file needs no detector")
        return Given(people=_of_file(path, min_confidence, skeleton, image_size, empty))
    if skeleton is not None or image_size is not None:
        raise VipeError(f"--skeleton and --image-size go with --keypoints: {given[0]} tells both")
    return _found(image, video, fps, detector or "blazepose", weights, min_confidence, empty)


def with_convention(people: "Keypoints", convention: str | None) -> "Keypoints":
    """The people with joints marked as the user says, if the user says it."""
    return people if convention is None else replace(people, convention=convention)


def _found(
    image: Sequence[Path],
    video: Path | None,
    fps: float | None,
    detector: Literal["blazepose", "rtmlib"],
    weights: Path | None,
    min_confidence: float,
    empty: list[str | int],
) -> Given:
    """The people that a detector finds."""
    from vipe.detections.detectors import detect_images, detect_video, load_detector
    from vipe.detections.videos import FPS, Video

    opened = None if video is None else Video(video, FPS if fps is None else fps)  # refused before anything is loaded
    finder = load_detector(detector, weights)
    with progress() as advance:
        if opened is not None:
            seen = detect_video(
                opened,
                finder,
                min_confidence=min_confidence,
                on_empty=empty.append,
                on_frame=partial(advance, "frames"),
            )
            return Given(people=seen.people, time=seen.time, rate=seen.rate, pictures=lambda ids: _frames(opened, ids))
        people = detect_images(
            image,
            finder,
            min_confidence=min_confidence,
            on_empty=empty.append,
            on_image=partial(advance, "photos") if len(image) > 1 else None,
        )
    return Given(people=people, pictures=lambda ids: _photos(image, ids))


def _frames(video: "Video", ids: Collection[int | str]) -> "Iterable[tuple[int | str, Array]]":
    for frame in video.frames({int(one) for one in ids}):
        yield frame.number, frame.image


def _photos(paths: Sequence[Path], ids: Collection[int | str]) -> "Iterable[tuple[int | str, Array]]":
    from vipe.detections.detectors.found import called
    from vipe.detections.images import read_image

    for path, name in zip(paths, called(paths), strict=True):
        if name in ids:
            yield name, read_image(path)


def _of_file(
    path: Path, min_confidence: float, skeleton: str | None, image_size: str | None, empty: list[str | int]
) -> "Keypoints":
    from vipe import read_keypoints
    from vipe.errors import VipeError

    size = None
    if image_size is not None:
        sides = image_size.casefold().replace("*", "x").split("x")
        if len(sides) != 2 or not all(side.strip().isdigit() and 0 < int(side) < 10**6 for side in sides):
            raise VipeError(f"--image-size is WIDTHxHEIGHT in pixels, such as 1920x1080, got {image_size}")
        size = (float(sides[0]), float(sides[1]))
    return read_keypoints(
        path, min_confidence=min_confidence, skeleton=skeleton, image_size=size, on_empty=empty.append
    )
