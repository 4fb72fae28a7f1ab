"""From keypoints to ranked hits: candidates from the index, checked by geometry."""

from vipe.retrieve.body import BONE_GROUPS, BodyProportions
from vipe.retrieve.camera.affine import AffineCamera, affine_camera
from vipe.retrieve.camera.conventions import fit_offsets
from vipe.retrieve.camera.perspective import Fits, fit_cameras
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.camera.shared_proportions import shared_proportions
from vipe.retrieve.candidates.affine import skip_reasons
from vipe.retrieve.candidates.body_parts import BODY_PARTS
from vipe.retrieve.pose_query import query_moments, query_poses
from vipe.retrieve.query import Mode, query
from vipe.retrieve.sequences.alignment import TrackConfig
from vipe.retrieve.sequences.tracks import middle_rows, query_tracks, query_views
from vipe.retrieve.session import CANDIDATES, Search, SearchSettings

__all__ = [
    "BODY_PARTS",
    "BONE_GROUPS",
    "CANDIDATES",
    "AffineCamera",
    "BodyProportions",
    "CameraPrior",
    "Fits",
    "Mode",
    "Search",
    "SearchSettings",
    "TrackConfig",
    "affine_camera",
    "fit_cameras",
    "fit_offsets",
    "middle_rows",
    "query",
    "query_moments",
    "query_poses",
    "query_tracks",
    "query_views",
    "shared_proportions",
    "skip_reasons",
]
