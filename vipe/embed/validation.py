"""How a training of V-VIPE does on poses it does not learn from (torch)."""

__all__ = ["first_hits", "validate_keypoints", "validate_poses"]

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from vipe.embed.losses import reconstruction
from vipe.embed.views import ViewConfig, see
from vipe.embed.vvipe import VVIPE
from vipe.geometry.procrustes import procrustes_mpjpe

_HIT = 0.1  # torso lengths (levy2024, sec. 4.2)
_SEED = 20240709  # the views are the same for every training, so that trainings compare


@torch.no_grad()
def validate_poses(model: VVIPE, canonical: Float[Tensor, "M 17 3"]) -> dict[str, float]:
    """Error of poses decoded from their own embedding: MSE, and mean joint distance in torso lengths."""
    return _errors(model, model.pose_encoder(canonical)[0], canonical)


@torch.no_grad()
def validate_keypoints(
    model: VVIPE,
    recorded: Float[Tensor, "M 17 3"],
    canonical: Float[Tensor, "M 17 3"],
    rig: Float[Tensor, "views 3"],
    views: ViewConfig,
) -> dict[str, float]:
    """Error of poses decoded from one view each, and Hit@1 of searching for these views.

    `val_hit1` searches among the 3D embeddings, `val_view_hit1` among those of another view of every pose. The views
    are random, with all joints seen and the middle of the training's noise. A hit lies within 0.1 torso of the truth
    after similarity alignment.
    """
    middle = sum(views.noise) / 2
    views = replace(views, random_share=1.0, noise=(middle, middle), missing_share=0.0)
    generator = torch.Generator(recorded.device).manual_seed(_SEED)
    queries, others = (model.keypoint_encoder(*see(recorded, rig, views, generator)) for _ in range(2))
    return {
        **_errors(model, queries, canonical),
        "val_hit1": first_hits(queries, model.pose_encoder(canonical)[0], canonical),
        "val_view_hit1": first_hits(queries, others, canonical),
    }


def first_hits(
    queries: Float[Tensor, "M D"], gallery: Float[Tensor, "M D"], canonical: Float[Tensor, "M 17 3"]
) -> float:
    """Share of queries whose nearest row of the gallery is of a pose within 0.1 torso of their own."""
    nearest = torch.cdist(queries, gallery).argmin(1)
    return float((procrustes_mpjpe(canonical[nearest], canonical) < _HIT).float().mean())


def _errors(model: VVIPE, z: Float[Tensor, "M D"], canonical: Float[Tensor, "M 17 3"]) -> dict[str, float]:
    decoded = model.pose_decoder(z)
    return {
        "val_reconstruction": float(reconstruction(decoded, canonical)),
        "val_mpjpe": float((decoded - canonical).norm(dim=-1).mean()),
    }
