"""Presets: named settings of the three trainings, ablations of V-VIPE, and the papers' own settings."""

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
    "paper_triplet",
    "prvipe_like",
    "prvipe_paper",
]

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from vipe.embed.embedder import Embedder
from vipe.embed.prvipe.network import PrVIPE, PrVIPEConfig
from vipe.embed.prvipe.training import PrVIPETrainingConfig, train_prvipe
from vipe.embed.towers.network import TowersConfig
from vipe.embed.towers.training import TowersTrainingConfig, train_towers
from vipe.embed.vvipe.network import VVIPEConfig
from vipe.embed.vvipe.training import TrainingConfig, train_vvipe
from vipe.errors import VipeError
from vipe.geometry.canonical import REFERENCE_TORSO


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


def _without_random_cameras(training: TrainingConfig) -> TrainingConfig:
    """The rig's cameras see the whole batch, with as much of it on the universal skeleton as before."""
    views = replace(training.views, random_share=0.0)
    return replace(training, views=views, universal_share=training.on_universal)


ABLATIONS: dict[str, Callable[[TrainingConfig], TrainingConfig]] = {
    "no-triplet": lambda training: replace(training, triplet_weight=0.0),
    "no-alignment": lambda training: replace(training, alignment=False),
    "no-pretraining": lambda training: replace(training, pretraining=False),
    "autoencoder": lambda training: replace(training, variational=False),
    "no-augmentation": _without_random_cameras,
    "no-universal": lambda training: replace(training, universal=False),
}
"""V-VIPE without one of its parts: the first three are levy2024's (sec. 5), the last three are ours.

The camera augmentation has two parts, and each is removed alone. `no-augmentation`: the rig's cameras see the half of
each batch that random cameras saw, on the universal skeleton as before. `no-universal`: random cameras see the person
as recorded. In `tiny`, which has no universal skeleton, the first removes the random cameras and the second is refused.
"""

TRAIN: dict[str, Callable[..., Embedder | PrVIPE]] = {
    "v-vipe": train_vvipe,
    "towers": train_towers,
    "pr-vipe": train_prvipe,
}
"""The training of each method; all have the arguments of `vipe.training.resume.ResumableTraining.train`."""


def configurations(
    method: str,
    preset: str,
    ablation: str | None = None,
    *,
    variant: Literal["paper"] | None = None,
    keypoints: str = "noisy",
) -> tuple[Any, Any]:
    """Network and training of a method under a preset's name.

    Args:
        method: A key of `TRAIN`.
        preset: A key of `PRESETS`.
        ablation: A key of `ABLATIONS`, for V-VIPE.
        variant: "paper" for what the method's paper has otherwise: `paper_triplet`, `prvipe_paper`.
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
        if variant is not None:
            raise VipeError(f"variant {variant} is of v-vipe and pr-vipe; towers have no paper")
        if keypoints != "noisy":
            raise VipeError(
                f"keypoints {keypoints} are a setting of v-vipe and pr-vipe; towers are trained on noisy ones"
            )
        return TowersConfig(), TOWERS[preset]
    chosen = PRESETS[preset] if ablation is None else ablate(PRESETS[preset], ablation)
    if keypoints == "exact":
        chosen = exact(chosen)
    if method == "pr-vipe":
        return prvipe_like(chosen) if variant is None else prvipe_paper(chosen)
    if variant is not None:
        chosen = paper_triplet(chosen)
    return chosen.network, chosen.training


def ablate(preset: Preset, ablation: str) -> Preset:
    """The preset without one part of the method.

    Raises:
        VipeError: If there is no such ablation, or the preset does not have the part.
    """
    if ablation not in ABLATIONS:
        raise VipeError(f"no ablation {ablation!r}; expected one of {', '.join(ABLATIONS)}")
    training = ABLATIONS[ablation](preset.training)
    if training == preset.training:
        raise VipeError(f"ablation {ablation} removes a part that this preset does not have; choose another preset")
    return replace(preset, training=training)


def exact(preset: Preset) -> Preset:
    """The preset with exact keypoints of all joints in training, as for the papers' ground-truth figures."""
    views = replace(preset.training.views, noise=(0.0, 0.0), missing_share=0.0)
    return replace(preset, training=replace(preset.training, views=views))


def paper_triplet(preset: Preset) -> Preset:
    """The preset with V-VIPE's negatives as the paper words them (levy2024, sec. 3.2): apart from the positive."""
    return replace(preset, training=replace(preset.training, triplet_negative="apart"))


def prvipe_like(preset: Preset) -> tuple[PrVIPEConfig, PrVIPETrainingConfig]:
    """Pr-VIPE of a V-VIPE's width, blocks and dropout, trained like its 2D encoder: steps, batch, rate, views.

    Random cameras see the universal skeleton where V-VIPE's do, and a pose's two views may be of the rig and of a
    random camera where V-VIPE's are (`paired`). A step has two views of each pose and costs about twice as much. The
    dropout is V-VIPE's: 0 in `tiny` and 0.1 else. `PrVIPETrainingConfig` lists what is not the paper's, and
    `prvipe_paper` has its settings. Nothing is tuned for Pr-VIPE.
    """
    training = preset.training
    network = PrVIPEConfig(width=preset.network.width, blocks=preset.network.blocks, dropout=preset.network.dropout)
    return network, PrVIPETrainingConfig(
        steps=training.keypoint_steps,
        batch=training.batch,
        learning_rate=training.learning_rate,
        warmup=training.warmup,
        views=training.views,
        universal=training.universal,
        mixed=training.paired,
        precision=training.precision,
        record_every=training.record_every,
        validate_every=training.validate_every,
        validation_rows=training.validation_rows,
    )


def prvipe_paper(preset: Preset) -> tuple[PrVIPEConfig, PrVIPETrainingConfig]:
    """`prvipe_like` with the settings of its own paper and code (Sun et al. 2020, sec. 5.1).

    Dropout 0.3, weights averaged over steps with decay 0.9999, keypoints normalized by the trunk (`by_trunk`), random
    cameras elevated and rolled by up to 30 degrees, 2 torso lengths (of a torso of usual size) from the pelvis. Steps,
    batch, rate, optimizer and skeleton stay those of `prvipe_like`: the paper does not say on which skeleton its
    cameras see poses.
    """
    network, training = prvipe_like(preset)
    distance, tilt = 2 * REFERENCE_TORSO, math.radians(30)
    views = replace(training.views, elevation=(-tilt, tilt), roll=tilt, random_distance=(distance, distance))
    return (
        replace(network, dropout=0.3, normalization="trunk"),
        replace(training, averaging=0.9999, views=views),
    )
