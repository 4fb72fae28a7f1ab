"""2D keypoints of people in images; one detector's file format a module."""

from vipe.detections.keypoints import Keypoints

__all__ = ["Keypoints"]
