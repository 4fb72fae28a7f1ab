"""From keypoints to ranked hits: candidates from the index, checked by geometry."""

from vipe.retrieve.camera import AffineCamera, affine_camera
from vipe.retrieve.search import Mode, query

__all__ = ["AffineCamera", "Mode", "affine_camera", "query"]
