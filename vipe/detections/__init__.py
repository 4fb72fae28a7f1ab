"""2D keypoints of people in images; one form of file a module."""

from vipe.detections.files import read_keypoints
from vipe.detections.following import follow, frame_numbers, pieces, together
from vipe.detections.heatmaps import HeatmapGaussians, fit_gaussians, to_keypoints
from vipe.detections.json_forms.coco_results import write as write_coco_results
from vipe.detections.keypoints import Keypoints
from vipe.detections.normalize import normalize_keypoints

__all__ = [
    "HeatmapGaussians",
    "Keypoints",
    "fit_gaussians",
    "follow",
    "frame_numbers",
    "normalize_keypoints",
    "pieces",
    "read_keypoints",
    "to_keypoints",
    "together",
    "write_coco_results",
]
