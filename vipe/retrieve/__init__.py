"""From keypoints to ranked hits: candidates from the index, checked by geometry."""

from vipe.retrieve.camera import AffineCamera, affine_camera
from vipe.retrieve.query import query

__all__ = ["AffineCamera", "affine_camera", "query"]
