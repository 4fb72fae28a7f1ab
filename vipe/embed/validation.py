"""How an encoder in training does on poses it does not learn from (torch)."""

__all__ = ["hit_at_1", "two_views", "validation_generator"]

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vipe.geometry.procrustes import procrustes_mpjpe
from vipe.training.views import ViewConfig, random_views

_HIT = 0.1  # torso lengths (levy2024, sec. 4.2)
_SEED = 20240709


def validation_generator(device: torch.device) -> torch.Generator:
    """Draws the same views for every training, so that trainings compare."""
    return torch.Generator(device).manual_seed(_SEED)


def two_views(
    recorded: Float[Tensor, "M 17 3"], views: ViewConfig, noise: float, generator: torch.Generator
) -> list[tuple[Float[Tensor, "M 13 2"], Bool[Tensor, "M 13"]]]:
    """Each pose as two cameras from anywhere see it: keypoints as `random_views` gives them, every joint seen.

    Args:
        recorded: Poses, metres, world space.
        views: Of the training.
        noise: Of all keypoints, RMS radii.
        generator: Every draw.
    """
    views = replace(views, random_share=1.0, noise=(noise, noise), missing_share=0.0)
    rig = views.rig_views(recorded.device)
    return [random_views(recorded, rig, views, generator) for _ in range(2)]


def hit_at_1(queries: Float[Tensor, "M D"], gallery: Float[Tensor, "M D"], canonical: Float[Tensor, "M 17 3"]) -> float:
    """Hit@1: share of queries whose nearest row of the gallery is of a pose within 0.1 torso of their own.

    Distances of poses are those after similarity alignment (levy2024, sec. 4.2).
    """
    nearest = torch.cdist(queries, gallery).argmin(1)
    return float((procrustes_mpjpe(canonical[nearest], canonical) < _HIT).float().mean())
