"""Sizes of V-VIPE and Pr-VIPE to train: named settings, and what of V-VIPE can be left out."""

__all__ = ["ABLATIONS", "BASE", "FAITHFUL", "PRESETS", "TINY", "Preset", "TOWERS", "ablate", "exact", "prvipe_like"]

from collections.abc import Callable
from dataclasses import dataclass, replace

from vipe.embed.prvipe.network import PrVIPEConfig
from vipe.embed.prvipe.training import PrVIPETrainingConfig
from vipe.embed.towers.training import TowersTrainingConfig
from vipe.embed.vvipe.network import VVIPEConfig
from vipe.embed.vvipe.training import TrainingConfig
from vipe.errors import VipeError


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Networks and how they are trained."""

    network: VVIPEConfig
    training: TrainingConfig


TINY = Preset(
    network=VVIPEConfig(width=384, dropout=0.0),  # so short a training does not overfit
    training=TrainingConfig(
        pose_steps=1200,
        keypoint_steps=3200,
        learning_rate=4e-3,
        kl_weight=2e-4,
        triplet_weight=5e-3,
        paired=False,
        universal=False,
        record_every=25,
        validate_every=200,
    ),
)
"""About 90 seconds on two cores. Without pairs and the universal skeleton, by which so short a training gains nothing:
with pairs Hit@1 on validation clips is 85.2 and 89.4 instead of 85.1 and 89.0 (search, views; one training each)."""

FAITHFUL = Preset(
    network=VVIPEConfig(),
    training=TrainingConfig(
        pose_steps=6400, keypoint_steps=7000, learning_rate=3e-3, precision="bfloat16", validate_every=400
    ),
)
"""The paper's networks, trained as long as it helps with some ten thousand poses: 0.07 and 0.055 seconds a step on one
core that has bfloat16 make 14 minutes there; without, about 35."""

BASE = Preset(network=VVIPEConfig(), training=TrainingConfig())
"""The paper's networks, for many more poses: 0.19 and 0.14 seconds a step on one core make about four hours there."""

TOWERS = {
    "tiny": TowersTrainingConfig(steps=600, validate_every=200),
    "faithful": TowersTrainingConfig(),
    "base": TowersTrainingConfig(steps=30_000, validate_every=2_000),
}
"""How long the towers are trained under each preset's name: 0.19 seconds a step on one core that has bfloat16."""

PRESETS = {"tiny": TINY, "faithful": FAITHFUL, "base": BASE}

ABLATIONS: dict[str, Callable[[TrainingConfig], TrainingConfig]] = {
    "no-triplet": lambda training: replace(training, triplet_weight=0.0),
    "no-alignment": lambda training: replace(training, alignment=False),
    "no-pretraining": lambda training: replace(training, pretraining=False),
    "autoencoder": lambda training: replace(training, variational=False),
    "no-augmentation": lambda training: replace(training, views=replace(training.views, random_share=0.0)),
}
"""What levy2024 (sec. 5) leaves out to see what it is good for, and two of ours."""


def ablate(preset: Preset, ablation: str) -> Preset:
    """The preset without a part of the method.

    Raises:
        VipeError: If there is no such ablation.
    """
    if ablation not in ABLATIONS:
        raise VipeError(f"no ablation {ablation!r}; expected one of {', '.join(ABLATIONS)}")
    return replace(preset, training=ABLATIONS[ablation](preset.training))


def exact(preset: Preset) -> Preset:
    """The preset with training views that show every joint where it is, as for the papers' ground-truth figures."""
    views = replace(preset.training.views, noise=(0.0, 0.0), missing_share=0.0)
    return replace(preset, training=replace(preset.training, views=views))


def prvipe_like(preset: Preset) -> tuple[PrVIPEConfig, PrVIPETrainingConfig]:
    """Pr-VIPE of a V-VIPE's width, trained for as many steps as its 2D encoder, on the same cameras at the same rate.

    They see the person as recorded. A step sees two views of each pose of its batch and costs about twice as much.
    """
    training = preset.training
    network = PrVIPEConfig(width=preset.network.width, blocks=preset.network.blocks, dropout=preset.network.dropout)
    return network, PrVIPETrainingConfig(
        steps=training.keypoint_steps,
        batch=training.batch,
        learning_rate=training.learning_rate,
        warmup=training.warmup,
        views=training.views,
        precision=training.precision,
        record_every=training.record_every,
        validate_every=training.validate_every,
        validation_rows=training.validation_rows,
    )
