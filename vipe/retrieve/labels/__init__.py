"""Labels of keypoints that may be wrong: what they may mean instead, and how much that is trusted."""
