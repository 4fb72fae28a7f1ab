"""What a detector is: people's joints from the pixels of an image (numpy)."""

__all__ = ["DETECTORS", "Detector", "DetectorName", "load_detector"]

from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float32, UInt8

from vipe.arrays import Array
from vipe.errors import VipeError
from vipe.skeletons import Skeleton

DetectorName = Literal["blazepose", "rtmlib"]
DETECTORS: tuple[DetectorName, ...] = ("blazepose", "rtmlib")


@runtime_checkable
class Detector(Protocol):
    """Anything that finds people in an image; a function with a `skeleton` is one.

    Example:
        >>> from vipe.skeletons import load
        >>> class OneInTheMiddle:
        ...     skeleton = load("coco17")
        ...
        ...     def __call__(self, image):
        ...         height, width = image.shape[:2]
        ...         return np.full((1, 17, 3), (width / 2, height / 2, 0.9), dtype=np.float32)
        >>> isinstance(OneInTheMiddle(), Detector)
        True
    """

    skeleton: Skeleton
    """Whose joints it marks; convertible to coco13."""

    def __call__(self, image: UInt8[Array, "height width 3"]) -> Float32[Array, "people joints 3"]:
        """Find the people of one image.

        Args:
            image: RGB.

        Returns:
            x and y of each joint in pixels, x right, y down, origin top left, and its score from 0 to 1; NaN where it
            has none. No rows if nobody is found.
        """
        ...


def load_detector(name: DetectorName = "blazepose", weights: Path | None = None) -> Detector:
    """The detector of a name.

    Args:
        name: "blazepose", or "rtmlib" (RTMPose, if rtmlib is installed).
        weights: Folder of its weights. By default BlazePose's are those in the user's cache, where `vipe detector fetch
            blazepose` keeps them, and rtmlib fetches its own.

    Raises:
        VipeError: If there is no such detector, or its weights are not there or are altered.
        MissingExtra: If what runs it is not installed.
    """
    if name == "blazepose":
        from vipe.detections.detectors.blazepose.detector import BlazePose

        return BlazePose.load(weights)
    if name == "rtmlib":
        from vipe.detections.detectors.rtmlib import RTMPose

        return RTMPose.load(weights)
    raise VipeError(f"there is no detector {name}; known are {', '.join(DETECTORS)}")
