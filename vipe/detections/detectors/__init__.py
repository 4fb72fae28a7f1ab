"""Detectors: what finds people in images, and their joints."""

from vipe.detections.detectors.detector import DETECTORS, Detector, DetectorName, load_detector
from vipe.detections.detectors.found import VideoPeople, detect_images, detect_video

__all__ = [
    "DETECTORS",
    "Detector",
    "DetectorName",
    "VideoPeople",
    "detect_images",
    "detect_video",
    "load_detector",
]
