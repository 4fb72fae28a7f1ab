"""Stages that refine belief maps in turn, each fused with what a prior of 3D poses makes of its maps (torch).

Tome et al. 2017, "Lifting from the Deep: Convolutional 3D Pose Estimation from a Single Image", sec. 5.1 to 5.6.
"""

__all__ = ["STAGES", "BeliefStages", "StageBeliefs", "StageNetwork", "fuse", "stage_loss"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vipe.errors import ShapeError, VipeError
from vipe.lift.stages.beliefs import peaks
from vipe.lift.stages.prior import ProjectedBeliefs

STAGES = 6
"""The paper's."""


class StageNetwork(Protocol):
    """What a stage needs: belief maps from the image's features and the fused maps of the stage before.

    The first stage gets None in place of maps. Maps are one a joint of the prior, in its order; more maps may follow,
    such as one of the background, which no prior touches.
    """

    def __call__(
        self, features: Float[Tensor, "batch channels height width"], previous: Float[Tensor, "batch maps h w"] | None
    ) -> Float[Tensor, "batch maps h w"]:
        """Predict belief maps."""


@dataclass(frozen=True)
class StageBeliefs:
    """Belief maps of all stages, from the first to the last."""

    own: Float[Tensor, "batch stages maps h w"]  # of the stage's network
    projected: Float[Tensor, "batch stages joints h w"] | None  # of the prior
    fused: Float[Tensor, "batch stages maps h w"]  # of both; those of the network where there is no prior
    pose: Float[Tensor, "batch stages 17 3"] | None  # that each stage lifted; camera space, torso lengths

    def landmarks(self) -> Float[Tensor, "batch stages maps 2"]:
        """The most confident pixels of the fused maps."""
        return peaks(self.fused)


def fuse(
    own: Float[Tensor, "batch maps h w"],
    projected: Float[Tensor, "batch joints h w"],
    weight: Float[Tensor, "*#joints"],
) -> Float[Tensor, "batch maps h w"]:
    """Weigh maps of a network against those of the prior: w own + (1 - w) projected; further maps stay.

    Args:
        own: Of the network; the joints first.
        projected: Of the prior.
        weight: One for all joints, or one a joint. With 1 the network alone counts, with 0 the prior.

    Reference:
        Tome et al. 2017, sec. 5.5.
    """
    joints = projected.shape[1]
    weight = weight.reshape(-1, 1, 1)
    fused = weight * own[:, :joints] + (1 - weight) * projected
    return torch.cat([fused, own[:, joints:]], dim=1)


class BeliefStages(nn.Module):
    """A network of several stages; without a prior, that of convolutional pose machines.

    Each stage predicts belief maps, lifts their landmarks by the prior, and fuses its maps with those of the lifted
    pose. The weights of the fusion, one a stage, are trained with the networks.

    Args:
        backbone: From images to features, which all stages share.
        stages: Any networks that keep to `StageNetwork`.
        prior: None for a network without one, else the maps' prior. It is not trained.
        weight: Of the network's own maps in the fusion, at the start.
        each: Whether each joint has a weight of its own; the paper has one a stage.

    Raises:
        VipeError: If there is no stage.

    Reference:
        Tome et al. 2017, fig. 1; Wei et al. 2016 for stages without the prior.
    """

    def __init__(
        self,
        backbone: nn.Module,
        stages: Sequence[nn.Module],
        prior: ProjectedBeliefs | None = None,
        *,
        weight: float = 0.5,
        each: bool = False,
    ) -> None:
        super().__init__()
        if not stages:
            raise VipeError("belief stages: at least one stage is needed, got none")
        self.backbone, self.stages, self.prior = backbone, nn.ModuleList(stages), prior
        self.weights: nn.Parameter | None = None
        if prior is not None:
            prior.requires_grad_(False)
            self.weights = nn.Parameter(torch.full((len(stages), len(prior.joints) if each else 1), weight))

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> StageBeliefs:
        """Belief maps of all stages."""
        features = self.backbone(images)
        previous: Tensor | None = None
        own, projected, fused, poses = [], [], [], []
        for number, stage in enumerate(self.stages):
            maps = stage(features, previous)
            own.append(maps)
            if self.prior is not None and self.weights is not None:
                said = self.prior(maps[:, : len(self.prior.joints)])
                projected.append(said.beliefs)
                poses.append(said.pose)
                maps = fuse(maps, said.beliefs, self.weights[number])
            fused.append(maps)
            previous = maps
        return StageBeliefs(
            torch.stack(own, 1),
            torch.stack(projected, 1) if projected else None,
            torch.stack(fused, 1),
            torch.stack(poses, 1) if poses else None,
        )


def stage_loss(
    fused: Float[Tensor, "batch stages maps h w"], target: Float[Tensor, "batch maps h w"]
) -> Float[Tensor, ""]:
    """The squared distance of each stage's maps from the true ones, summed over stages and maps; mean over the batch.

    Args:
        fused: `StageBeliefs.fused`.
        target: Such as `gaussian_beliefs` of the true landmarks.

    Raises:
        ShapeError: If the target is of other maps.

    Reference:
        Tome et al. 2017, sec. 5.6, eq. 8.
    """
    if fused[:, 0].shape != target.shape:
        raise ShapeError(f"belief maps to train on must be {tuple(fused[:, 0].shape)}, got {tuple(target.shape)}")
    return (fused - target[:, None]).square().sum((1, 2, 3, 4)).mean()
