"""Validation of an encoder in training: Hit@1 with simulated views of validation poses (torch)."""

__all__ = ["hit_at_1", "two_views", "validation_generator"]

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vipe.geometry.procrustes import HIT_THRESHOLD, procrustes_mpjpe
from vipe.training.views import ViewConfig, simulate_views

_SEED = 20240709


def validation_generator(device: torch.device) -> torch.Generator:
    """A generator with one seed for all trainings: all validate on the same views, and their figures compare."""
    return torch.Generator(device).manual_seed(_SEED)


def two_views(
    poses: Float[Tensor, "M 17 3"], views: ViewConfig, noise: float, generator: torch.Generator
) -> list[tuple[Float[Tensor, "M 13 2"], Bool[Tensor, "M 13"]]]:
    """Project each pose into two random views, as `simulate_views`, with every joint seen.

    Args:
        poses: Metres, world space.
        views: The training's; ranges of the random cameras.
        noise: Of all keypoints, RMS radii.
        generator: For every draw.
    """
    views = replace(views, random_share=1.0, noise=(noise, noise), missing_share=0.0)
    rig = views.rig_views(poses.device)
    return [simulate_views(poses, rig, views, generator) for _ in range(2)]


def hit_at_1(queries: Float[Tensor, "M D"], gallery: Float[Tensor, "M D"], canonical: Float[Tensor, "M 17 3"]) -> float:
    """Hit@1: share of queries for which the nearest gallery row is a pose within 0.1 torso lengths of the query's.

    The distance of poses is the mean joint distance after similarity alignment (levy2024, sec. 4.2).

    Args:
        queries: Embeddings of the poses.
        gallery: Other embeddings of the same poses, row by row.
        canonical: The poses.
    """
    nearest = torch.cdist(queries, gallery).argmin(1)
    return float((procrustes_mpjpe(canonical[nearest], canonical) < HIT_THRESHOLD).float().mean())
