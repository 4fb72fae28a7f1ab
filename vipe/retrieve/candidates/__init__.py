"""Which poses of an index may be the ones in the image: an affine scan, an embedding, completed keypoints."""
