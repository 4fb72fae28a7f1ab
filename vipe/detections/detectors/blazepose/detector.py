"""BlazePose finds people in an image, and 33 landmarks of each, with two small networks on a CPU (numpy)."""

__all__ = ["BlazePose", "Network"]

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8

from vipe.arrays import Array
from vipe.detections.detectors.blazepose import boxes, files, regions
from vipe.errors import MissingExtra, VipeError
from vipe.skeletons import load

if TYPE_CHECKING:
    from PIL import Image

_BOX, _BOXES = 12, 2254 * 12  # numbers of a box, and of all
_NUMBERS, _HEATS = 195, 64 * 64 * 39  # of the second network's outputs
_PRESENT = 0.5  # probability below which the second network saw no person
_LIKELY, _SURELY_PRESENT = 0.4, 0.9  # of a box and of its person, where no box is sure
_APART = 0.15  # of the larger square's side: people whose landmarks are nearer on average are one person
_MOST = 20  # people of an image


@runtime_checkable
class Network(Protocol):
    """A network with one image as input: its outputs, by how many numbers they hold."""

    def __call__(self, image: Float32[Array, "side side 3"]) -> dict[int, Array]:
        """Run it."""
        ...


class BlazePose:
    """People with 33 landmarks, of which coco13 takes 13; the confidence is what the network calls visibility.

    It finds people whose head and trunk are in the image and not small: from about a quarter of its longer side. Of
    people close together it may find one. Where no box is sure, likely ones count if the second network is sure.

    Args:
        detection: The network that finds people: pixels from -1 to 1; 2254 x 12 numbers and 2254 logits.
        landmark: The network that finds landmarks: pixels from 0 to 1; 195 numbers, a probability, 64 x 64 x 39 logits.

    Reference:
        Bazarevsky et al. 2020 (BlazePose). Without its tracking: each frame of a video is an image of its own.
    """

    def __init__(self, detection: Network, landmark: Network) -> None:
        self.skeleton = load("mediapipe33")
        self._detection = detection
        self._landmark = landmark

    @classmethod
    def load(cls, folder: Path | None = None, threads: int = 1) -> "BlazePose":
        """Load the weights from a folder, by default from the user's cache.

        Args:
            folder: Holds `pose_detection.tflite` and `pose_landmark_full.tflite`.
            threads: Of each network. More than one hardly helps networks as small as these.

        Raises:
            MissingExtra: If ai-edge-litert is not installed.
            ReadError: If a file is not there or is not the published one.
        """
        try:
            import PIL  # noqa: F401
        except ImportError as error:
            raise MissingExtra.of("detectors need pillow", "detect") from error
        weights = files.find(folder)
        return cls(*(_TFLite(weights[name], threads) for name in (files.DETECTION, files.LANDMARK)))

    def __call__(self, image: UInt8[Array, "height width 3"]) -> Float32[Array, "people 33 3"]:
        """Find the people of one RGB image: x, y in pixels and visibility of each landmark; the surest person first."""
        from PIL import Image

        picture = Image.fromarray(image)
        width, height = picture.size
        longer = max(width, height)
        offset = np.array([width - longer, height - longer]) / 2  # of the square that holds the image
        whole = np.column_stack([np.eye(2) * longer / boxes.INPUT, offset])
        out = self._detection(_look(picture, whole, boxes.INPUT) / np.float32(127.5) - 1)
        numbers, logits = out[_BOXES].reshape(-1, _BOX), out[_BOXES // _BOX].reshape(-1)
        found, enough = boxes.decode(numbers, logits), _PRESENT
        if not len(found):
            found, enough = boxes.decode(numbers, logits, _LIKELY), _SURELY_PRESENT
        people: list[Float32[Array, "33 3"]] = []
        sides: list[float] = []
        for hip, rim in list(zip(found.hip, found.rim, strict=True))[:_MOST]:
            where = regions.square(hip * longer + offset, rim * longer + offset)
            if where is None:
                continue
            out = self._landmark(_look(picture, where.to_image, regions.INPUT) / np.float32(255))
            heatmaps = out[_HEATS].reshape(64, 64, -1)
            one = regions.decode(out[_NUMBERS].reshape(-1), float(out[1].reshape(())), heatmaps, where)
            if one.presence >= enough and not _again(one.points, where.side, people, sides):
                people.append(one.points)
                sides.append(where.side)
        return np.array(people, dtype=np.float32).reshape(-1, regions.LANDMARKS, 3)


def _look(picture: "Image.Image", to_image: Float64[Array, "2 3"], side: int) -> Float32[Array, "side side 3"]:
    """The pixels that a square network sees; black outside the image."""
    from PIL import Image

    seen = picture.transform(
        (side, side), Image.Transform.AFFINE, tuple(to_image.ravel().tolist()), Image.Resampling.BILINEAR
    )
    return np.asarray(seen, dtype=np.float32)


def _again(
    points: Float32[Array, "33 3"], side: float, people: list[Float32[Array, "33 3"]], sides: list[float]
) -> bool:
    """Whether these are the landmarks of a person who was found before."""
    return any(
        float(np.linalg.norm(points[:, :2] - other[:, :2], axis=1).mean()) < _APART / 2 * max(side, wide)
        for other, wide in zip(people, sides, strict=True)
    )


class _TFLite:
    """A network in TensorFlow Lite's form."""

    def __init__(self, model: bytes, threads: int) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise MissingExtra.of("BlazePose needs ai-edge-litert", "detect") from error
        try:
            with _silent():
                self._interpreter = Interpreter(model_content=model, num_threads=threads)
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise VipeError(f"BlazePose's weights cannot be loaded: {' '.join(str(error).split())}") from error
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [one["index"] for one in self._interpreter.get_output_details()]

    def __call__(self, image: Float[Array, "side side 3"]) -> dict[int, Array]:
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(image[None], dtype=np.float32))
        self._interpreter.invoke()
        outputs = [self._interpreter.get_tensor(index) for index in self._outputs]
        return {output.size: output for output in outputs}


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what a library prints past Python off standard error: it tells how it runs, which is no news to a user."""
    kept = None
    with suppress(OSError):  # standard error is closed
        kept = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
    try:
        yield
    finally:
        if kept is not None:
            os.dup2(kept, 2)
            os.close(kept)
