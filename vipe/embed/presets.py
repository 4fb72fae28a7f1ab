"""Sizes of V-VIPE to train: named settings."""

__all__ = ["BASE", "PRESETS", "TINY", "Preset"]

from dataclasses import dataclass

from vipe.embed.training import TrainingConfig
from vipe.embed.vvipe import VVIPEConfig


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Networks and how they are trained."""

    network: VVIPEConfig
    training: TrainingConfig


TINY = Preset(
    network=VVIPEConfig(width=384, dropout=0.0),  # so short a training does not overfit
    training=TrainingConfig(
        pose_steps=1200, keypoint_steps=3200, learning_rate=4e-3, record_every=25, validate_every=200
    ),
)
"""About 90 seconds on two cores."""

BASE = Preset(network=VVIPEConfig(), training=TrainingConfig())
"""The paper's networks, trained for long: 0.19 and 0.14 seconds a step on one core make about four hours there."""

PRESETS = {"tiny": TINY, "base": BASE}
