"""JSON of keypoints: one form a module."""
