"""2D keypoints of people in images; one form of file a module."""

from vipe.detections.cameras.calibration import CalibratedCamera, read_calibration
from vipe.detections.cameras.known_cameras import in_perspective_crops, with_cameras
from vipe.detections.cameras.lens import Lens
from vipe.detections.files import read_keypoints
from vipe.detections.following import follow, frame_numbers, pieces, together
from vipe.detections.heatmaps import HeatmapGaussians, fit_gaussians, to_keypoints
from vipe.detections.json_forms.coco_results import write as write_coco_results
from vipe.detections.keypoints import Keypoints
from vipe.detections.normalize import normalize_keypoints

__all__ = [
    "CalibratedCamera",
    "HeatmapGaussians",
    "Keypoints",
    "Lens",
    "fit_gaussians",
    "follow",
    "frame_numbers",
    "in_perspective_crops",
    "normalize_keypoints",
    "pieces",
    "read_calibration",
    "read_keypoints",
    "to_keypoints",
    "together",
    "with_cameras",
    "write_coco_results",
]
