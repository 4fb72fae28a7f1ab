"""A stretch of a clip as COCO keypoint annotations: what a camera in front of the person sees (numpy)."""

__all__ = ["encode"]

import json
import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.errors import SkeletonError
from vipe.geometry.cameras import look_at, project
from vipe.skeletons import load
from vipe.skeletons.working import COCO13, COCO13_IN_H36M17, H36M17
from vipe.store.moments import Moment

_SIDE = 1000  # pixels, width and height
_FOCAL = 1200.0  # pixels: an angle of view of 45 degrees
_MARGIN = 1.1  # of the distance from which the whole motion just fits
_NEAREST = 3.0  # metres


def encode(moment: Moment, azimuth: float = 0.0) -> bytes:
    """COCO annotations of a moment, one image and one annotation a frame, without noise.

    One camera that stands still sees the whole motion, at the height of its middle. Every joint counts as visible (2),
    also one behind the body; eyes and ears, which h36m17 lacks, are not labelled (0). The id of an image is its frame
    in the source clip. `info` holds the camera: `R_cam_world`, `t_cam` (metres), `focal` and `center` (pixels).

    Args:
        moment: On h36m17.
        azimuth: Where the camera stands, radians: from the front of the person in the first frame to their left.

    Raises:
        SkeletonError: If the moment is not on h36m17.
    """
    clip = moment.clip
    if clip.skeleton.joints != H36M17.joints:
        raise SkeletonError(
            f"clip {clip.name}: keypoints are seen of h36m17, got {clip.skeleton.name}, which has no conversion to it"
        )
    body, positions = load("coco17"), clip.positions.astype(np.float64)
    rotation, shift = _camera(positions, azimuth)
    points = torch.from_numpy(positions[:, list(COCO13_IN_H36M17)])
    centre = torch.full((2,), _SIDE / 2, dtype=torch.float64)
    xy = project(points, rotation, shift, torch.tensor(_FOCAL, dtype=torch.float64), centre).numpy()
    marks = np.zeros((len(moment), len(body), 3))
    marks[:, [body.index(joint) for joint in COCO13.joints]] = np.concatenate(
        [xy.round(3), np.full((*xy.shape[:2], 1), 2.0)], axis=-1
    )
    low, size = xy.min(axis=1), np.ptp(xy, axis=1)
    images, annotations = [], []
    for row, (frame, time) in enumerate(zip(moment.frame.tolist(), moment.time.tolist(), strict=True)):
        images.append(
            {
                "id": frame,
                "file_name": f"{frame:06d}.jpg",
                "width": _SIDE,
                "height": _SIDE,
                "frame": frame,
                "time": round(time, 6),
            }
        )
        annotations.append(
            {
                "id": row + 1,
                "image_id": frame,
                "category_id": 1,
                "track_id": 1,
                "iscrowd": 0,
                "num_keypoints": len(COCO13),
                "keypoints": marks[row].reshape(-1).tolist(),
                "bbox": np.concatenate([low[row], size[row]]).round(3).tolist(),
                "area": round(float(size[row].prod()), 3),
            }
        )
    camera = {
        "R_cam_world": rotation.tolist(),
        "t_cam": shift.tolist(),
        "focal": _FOCAL,
        "center": centre.tolist(),
        "fps": clip.fps,
    }
    category = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(body.joints),
        "skeleton": [[a + 1, b + 1] for a, b in body.bones],
    }
    file: dict[str, Any] = {
        "info": {"description": f"{clip.name}, seen by a simulated camera", "camera": camera},
        "licenses": [{"id": 1, "name": clip.licence, "url": ""}] if clip.licence else [],
        "images": images,
        "annotations": annotations,
        "categories": [category],
    }
    return json.dumps(file, allow_nan=False).encode("utf-8")


def _camera(positions: Float64[Array, "frames 17 3"], azimuth: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A camera that sees all positions: `R_cam_world` and `t_cam`."""
    left = sum(
        positions[0, H36M17.index(f"left_{joint}")] - positions[0, H36M17.index(f"right_{joint}")]
        for joint in ("hip", "shoulder")
    )
    front = math.atan2(-float(left[0]), float(left[1]))  # across the line from right to left, and level
    flat = positions.reshape(-1, 3)
    middle = (flat.min(axis=0) + flat.max(axis=0)) / 2
    radius = float(np.linalg.norm(flat - middle, axis=1).max())
    distance = max(_NEAREST, _MARGIN * radius / math.sin(math.atan(_SIDE / 2 / _FOCAL)))
    around, level, away = (torch.tensor(value, dtype=torch.float64) for value in (front + azimuth, 0.0, distance))
    return look_at(around, level, away, level, torch.from_numpy(middle))
