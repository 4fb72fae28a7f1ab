"""RTMPose after YOLOX, both as rtmlib runs them, for whom it is installed (numpy)."""

__all__ = ["RTMPose"]

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from vipe.arrays import Array
from vipe.errors import MissingExtra, ReadError, VipeError
from vipe.skeletons import load

_JOINTS = 17
_SIZES = {"yolox": (640, 640), "rtmpose": (192, 256)}  # width and height, where a model leaves its own open


class RTMPose:
    """People with COCO's 17 joints.

    Args:
        find: From an image, colours in the order blue, green, red, to boxes of people.
        mark: From that image and the boxes (`bboxes`) to x, y of joints, and to their scores.

    Reference:
        Jiang et al. 2023 (RTMPose), Ge et al. 2021 (YOLOX).
    """

    def __init__(self, find: Callable[..., Any], mark: Callable[..., Any]) -> None:
        self.skeleton = load("coco17")
        self._find = find
        self._mark = mark

    @classmethod
    def load(cls, folder: Path | None = None) -> "RTMPose":
        """Load the models: rtmlib's own choice, which it fetches, or those of a folder.

        Args:
            folder: Holds one `*yolox*.onnx` and one `*rtmpose*.onnx` for COCO's 17 joints.

        Raises:
            MissingExtra: If rtmlib is not installed.
            ReadError: If the folder does not hold the two.
            VipeError: If a model cannot be fetched or loaded.
        """
        try:
            import rtmlib
        except ImportError as error:
            raise MissingExtra("RTMPose needs rtmlib: pip install rtmlib onnxruntime") from error
        chosen = None if folder is None else {kind: _one(folder, kind) for kind in _SIZES}
        try:
            with redirect_stdout(sys.stderr):  # it says what it loads; standard output is the command's answer
                if chosen is None:
                    both = rtmlib.Body(mode="balanced", backend="onnxruntime", device="cpu")
                    return cls(both.det_model, both.pose_model)
                find = rtmlib.YOLOX(str(chosen["yolox"]), model_input_size=_SIZES["yolox"], backend="onnxruntime")
                mark = rtmlib.RTMPose(str(chosen["rtmpose"]), model_input_size=_SIZES["rtmpose"], backend="onnxruntime")
        except Exception as error:
            raise VipeError(
                f"rtmlib could not {'fetch' if chosen is None else 'load'} its models ({type(error).__name__}); give a "
                "folder that holds *yolox*.onnx and *rtmpose*.onnx as --weights FOLDER, take --detector blazepose, or "
                "pass keypoints: --keypoints FILE"
            ) from error
        for model, kind in ((find, "yolox"), (mark, "rtmpose")):
            model.model_input_size = _input_size(model, _SIZES[kind])
        return cls(find, mark)

    def __call__(self, image: UInt8[Array, "height width 3"]) -> Float32[Array, "people 17 3"]:
        """Find the people of one RGB image: x, y in pixels and score of each joint."""
        turned = np.ascontiguousarray(image[..., ::-1])
        boxes = self._find(turned)
        if len(boxes) == 0:  # without boxes it would take the whole image for a person
            return np.zeros((0, _JOINTS, 3), dtype=np.float32)
        xy, score = (np.asarray(one, dtype=np.float32) for one in self._mark(turned, bboxes=boxes))
        if xy.shape[1:] != (_JOINTS, 2) or score.shape != xy.shape[:2]:
            raise VipeError(
                f"rtmlib's model marks {xy.shape[1]} joints, expected COCO's {_JOINTS}; give it another one"
            )
        return np.concatenate([xy, np.clip(score, 0, 1)[..., None]], axis=-1)


def _one(folder: Path, kind: str) -> Path:
    """The one model of a kind in a folder."""
    found = sorted(path for path in folder.glob("*.onnx") if kind in path.name.casefold())
    if len(found) != 1:
        raise ReadError(f"{folder}: expected one file *{kind}*.onnx, found {len(found)}")
    return found[0]


def _input_size(model: Any, otherwise: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a model's input, if it has fixed ones."""
    shape = model.session.get_inputs()[0].shape
    height, width = shape[2:4]
    return (width, height) if isinstance(width, int) and isinstance(height, int) else otherwise
