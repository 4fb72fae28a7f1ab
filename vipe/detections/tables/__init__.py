"""Tables and arrays of keypoints."""
