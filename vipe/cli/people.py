"""Options of commands that read keypoint files, and the reading itself."""

__all__ = ["KEYPOINTS", "ImageSize", "MinConfidence", "SkeletonName", "read_people"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from vipe import Keypoints

KEYPOINTS = "Keypoints: COCO, OpenPose, MMPose and others as JSON, a table, arrays; or a folder of a video's files."
MinConfidence = Annotated[float, Parameter(help="Joints of a lower score are not seen.")]
SkeletonName = Annotated[
    str | None, Parameter(help="Whose joints the file has, if it cannot be told: a name, or your own .toml file.")
]
ImageSize = Annotated[
    str | None, Parameter(help="WIDTHxHEIGHT of the images in pixels, if coordinates are from 0 to 1.")
]


def read_people(
    path: Path,
    min_confidence: float,
    skeleton: str | None,
    image_size: str | None,
    empty: list[str | int],
) -> "Keypoints":
    """The people of a keypoint file; ids of images without people are added to `empty`."""
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
