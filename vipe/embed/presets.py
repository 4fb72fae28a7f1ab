"""Presets: named settings of the three trainings, and ablations of V-VIPE."""

__all__ = [
    "ABLATIONS",
    "BASE",
    "FAITHFUL",
    "PRESETS",
    "TINY",
    "TOWERS",
    "TRAIN",
    "Preset",
    "ablate",
    "configurations",
    "exact",
    "prvipe_like",
]

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from vipe.embed.embedder import Embedder
from vipe.embed.prvipe.network import PrVIPE, PrVIPEConfig
from vipe.embed.prvipe.training import PrVIPETrainingConfig, train_prvipe
from vipe.embed.towers.network import TowersConfig
from vipe.embed.towers.training import TowersTrainingConfig, train_towers
from vipe.embed.vvipe.network import VVIPEConfig
from vipe.embed.vvipe.training import TrainingConfig, train_vvipe
from vipe.errors import VipeError


@dataclass(frozen=True, kw_only=True)
class Preset:
    """V-VIPE's networks, and how they are trained."""

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
"""About 90 seconds on two cores. Without pairs and the universal skeleton: so short a training gains nothing from them.
With pairs, Hit@1 on validation clips is 85.2 and 89.4 instead of 85.1 and 89.0 (search, views; one training each)."""

FAITHFUL = Preset(
    network=VVIPEConfig(),
    training=TrainingConfig(
        pose_steps=6400, keypoint_steps=7000, learning_rate=3e-3, precision="bfloat16", validate_every=400
    ),
)
"""The paper's networks, for about ten thousand poses, where more steps do not help. 14 minutes on one core with
bfloat16 (0.07 and 0.055 seconds a step), about 35 without."""

BASE = Preset(network=VVIPEConfig(), training=TrainingConfig())
"""The paper's networks, for many more poses. About four hours on one core (0.19 and 0.14 seconds a step)."""

TOWERS = {
    "tiny": TowersTrainingConfig(steps=600, validate_every=200),
    "faithful": TowersTrainingConfig(),
    "base": TowersTrainingConfig(steps=30_000, validate_every=2_000),
}
"""Training of the towers under each preset's name: 0.19 seconds a step on one core with bfloat16."""

PRESETS = {"tiny": TINY, "faithful": FAITHFUL, "base": BASE}

ABLATIONS: dict[str, Callable[[TrainingConfig], TrainingConfig]] = {
    "no-triplet": lambda training: replace(training, triplet_weight=0.0),
    "no-alignment": lambda training: replace(training, alignment=False),
    "no-pretraining": lambda training: replace(training, pretraining=False),
    "autoencoder": lambda training: replace(training, variational=False),
    "no-augmentation": lambda training: replace(training, views=replace(training.views, random_share=0.0)),
}
"""V-VIPE without one of its parts: the first three are levy2024's (sec. 5), the last two are ours.

`no-augmentation` removes two parts at once: the random cameras, and with them the universal skeleton
(`TrainingConfig.universal`), since only random cameras see poses on it. In `tiny`, which has no universal skeleton, it
removes the random cameras alone.
"""

TRAIN: dict[str, Callable[..., Embedder | PrVIPE]] = {
    "v-vipe": train_vvipe,
    "towers": train_towers,
    "pr-vipe": train_prvipe,
}
"""The training of each method; all have the arguments of `vipe.training.resume.ResumableTraining.train`."""


def configurations(
    method: str, preset: str, ablation: str | None = None, *, keypoints: str = "noisy"
) -> tuple[Any, Any]:
    """Network and training of a method under a preset's name.

    Args:
        method: A key of `TRAIN`.
        preset: A key of `PRESETS`.
        ablation: A key of `ABLATIONS`, for V-VIPE.
        keypoints: "noisy" or "exact", of the training views; towers are trained on noisy ones.

    Raises:
        VipeError: If there is no such method, preset or ablation, or the method does not have the setting.
    """
    if method not in TRAIN or preset not in PRESETS:
        raise VipeError(
            f"no training {method!r} {preset!r}; methods are {', '.join(TRAIN)}, presets {', '.join(PRESETS)}"
        )
    if ablation is not None and method != "v-vipe":
        raise VipeError(f"ablation {ablation} is of a part of V-VIPE; method {method} does not have it")
    if method == "towers":
        if keypoints != "noisy":
            raise VipeError(
                f"keypoints {keypoints} are a setting of v-vipe and pr-vipe; towers are trained on noisy ones"
            )
        return TowersConfig(), TOWERS[preset]
    chosen = PRESETS[preset] if ablation is None else ablate(PRESETS[preset], ablation)
    if keypoints == "exact":
        chosen = exact(chosen)
    return prvipe_like(chosen) if method == "pr-vipe" else (chosen.network, chosen.training)


def ablate(preset: Preset, ablation: str) -> Preset:
    """The preset without one part of the method.

    Raises:
        VipeError: If there is no such ablation.
    """
    if ablation not in ABLATIONS:
        raise VipeError(f"no ablation {ablation!r}; expected one of {', '.join(ABLATIONS)}")
    return replace(preset, training=ABLATIONS[ablation](preset.training))


def exact(preset: Preset) -> Preset:
    """The preset with exact keypoints of all joints in training, as for the papers' ground-truth figures."""
    views = replace(preset.training.views, noise=(0.0, 0.0), missing_share=0.0)
    return replace(preset, training=replace(preset.training, views=views))


def prvipe_like(preset: Preset) -> tuple[PrVIPEConfig, PrVIPETrainingConfig]:
    """Pr-VIPE of a V-VIPE's width, blocks and dropout, trained like its 2D encoder: steps, batch, rate, cameras.

    A step has two views of each pose and costs about twice as much. All views are of the recorded proportions, where
    V-VIPE's random cameras see the universal skeleton. The dropout is V-VIPE's: 0 in `tiny` and 0.1 else, not the 0.3
    of Pr-VIPE's paper. `PrVIPETrainingConfig` lists what else is not the paper's. Nothing is tuned for Pr-VIPE.
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
