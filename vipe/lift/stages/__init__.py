"""Belief maps refined in six stages, each fused with what a prior of 3D poses makes of them (Tome et al. 2017)."""

from vipe.lift.stages.network import SmallStagesConfig, small_stages
from vipe.lift.stages.prior import PriorConfig, ProjectedBeliefs
from vipe.lift.stages.stages import BeliefStages, StageBeliefs, StageNetwork, fuse, stage_loss

__all__ = [
    "BeliefStages",
    "PriorConfig",
    "ProjectedBeliefs",
    "SmallStagesConfig",
    "StageBeliefs",
    "StageNetwork",
    "fuse",
    "small_stages",
    "stage_loss",
]
