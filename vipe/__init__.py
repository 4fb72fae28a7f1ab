"""Search motion capture with the 2D keypoints of a photo."""

__version__ = "0.1.0.dev0"
