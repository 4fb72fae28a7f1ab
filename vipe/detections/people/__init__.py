"""From the numbers of a file to keypoints of coco13: whose joints, which were found, what looks wrong."""
