"""2D keypoints of people in images; one detector's file format a module."""

from vipe.detections.coco import write_results as write_coco_results
from vipe.detections.files import read_keypoints
from vipe.detections.keypoints import Keypoints
from vipe.detections.normalize import normalize_keypoints

__all__ = ["Keypoints", "normalize_keypoints", "read_keypoints", "write_coco_results"]
