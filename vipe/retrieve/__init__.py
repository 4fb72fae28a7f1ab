"""From keypoints to ranked hits: candidates from the index, checked by geometry."""

from vipe.retrieve.camera import AffineCamera, affine_camera
from vipe.retrieve.fit import BONE_GROUPS, FitConfig, Fits, fit_cameras
from vipe.retrieve.search import CANDIDATES, Mode, query

__all__ = [
    "BONE_GROUPS",
    "CANDIDATES",
    "AffineCamera",
    "FitConfig",
    "Fits",
    "Mode",
    "affine_camera",
    "fit_cameras",
    "query",
]
