"""Known cameras: calibration files, lenses, and keypoints freed from them."""
