"""From keypoints to ranked hits: candidates from the index, checked by geometry."""

from vipe.retrieve.camera import AffineCamera, affine_camera
from vipe.retrieve.fit import BONE_GROUPS, Build, FitConfig, Fits, fit_cameras
from vipe.retrieve.offsets import fit_offsets
from vipe.retrieve.person import shared_build
from vipe.retrieve.search import CANDIDATES, Mode, query
from vipe.retrieve.sequence import TrackConfig
from vipe.retrieve.tracks import middle_rows, query_tracks, query_views

__all__ = [
    "BONE_GROUPS",
    "CANDIDATES",
    "AffineCamera",
    "Build",
    "FitConfig",
    "Fits",
    "Mode",
    "TrackConfig",
    "affine_camera",
    "fit_cameras",
    "fit_offsets",
    "middle_rows",
    "query",
    "query_tracks",
    "query_views",
    "shared_build",
]
