"""The one training of all lifters: augmented poses in random views, each network's own losses (torch; numpy in)."""

__all__ = ["LifterTraining", "LifterTrainingConfig", "card_figures", "train_lifter", "validation_figures"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from vipe.arrays import Array
from vipe.errors import VipeError
from vipe.geometry.canonical import REFERENCE_TORSO
from vipe.lift.lifter import TrainedLifter
from vipe.lift.network import LiftNetwork, LiftStage
from vipe.lift.views import LiftViewConfig, LiftViews, simulate_lift_views
from vipe.training.augment import AugmentConfig, PosePool, draw_poses
from vipe.training.card import Told, model_card
from vipe.training.loop import History, Schedule, Stage, TrainingProgress
from vipe.training.losses import mpjpe
from vipe.training.resume import ResumableTraining

_SAMPLES = 20  # drawn of each validation view
_FIGURES = {
    "val_mpjpe": "single pose",
    "val_random": "any hypothesis",
    "val_best": f"best of {_SAMPLES}",
    "val_energy": "energy score of whole poses",
}


@dataclass(frozen=True, kw_only=True)
class LifterTrainingConfig(Schedule):
    """How a lifter is trained; the same for every kind, so that kinds can be compared.

    Raises:
        VipeError: If a number is out of its range.
    """

    steps: int = 10_000  # of all stages together
    batch: int = 256
    learning_rate: float = 1e-3
    warmup: float = 0.03
    weight_decay: float = 1e-4
    precision: Literal["float32", "bfloat16"] = "float32"
    views: LiftViewConfig = field(default_factory=LiftViewConfig)
    augment: AugmentConfig = field(default_factory=lambda: AugmentConfig(familiar=0.0))
    record_every: int = 50
    validate_every: int = 500
    validation_rows: int = 500

    def __post_init__(self) -> None:
        self.check(steps=("steps",), least=4, holds="views and their mirror images")


class LifterTraining(ResumableTraining[TrainedLifter, Any, LifterTrainingConfig]):
    """Training of a lifter. Half of each batch is the mirror image of the other half."""

    model_type = TrainedLifter
    config_type = LifterTrainingConfig
    model: LiftNetwork

    def prepare(self) -> None:
        """Decompose the poses for augmentation, and draw the views to validate on."""
        self.pool = PosePool.of(self.poses)
        self.rig = self.config.views.rig_views(self.device)
        generator = torch.Generator(self.device).manual_seed(0)
        self.held_out = simulate_lift_views(self.validation, self.rig, self.config.views, generator)

    @property
    def stages(self) -> Sequence[Stage]:
        """The network's own, with their shares of the steps."""
        parts = self.model.stages()
        steps = [max(1, round(self.config.steps * part.share)) for part in parts]
        return [
            Stage(part.name, count, part.trained, partial(self._losses, part), self._validate)
            for part, count in zip(parts, steps, strict=True)
        ]

    def draw(self, generator: torch.Generator) -> LiftViews:
        """A batch of views: augmented poses, and the mirror image of each view."""
        half = self.config.batch // 2
        rows = torch.randint(len(self.pool), (half,), generator=generator, device=self.device)
        people, _ = draw_poses(self.pool, rows, self.config.augment, generator)
        views = simulate_lift_views(people, self.rig, self.config.views, generator)
        return views.joined(views.mirrored())

    def finalize(self) -> None:
        """Calibrate on the validation views, and on as many of the same people augmented.

        Augmented people stand for those that no training has seen: on the validation's alone a lifter becomes as sure
        as it may be of people like these, and too sure of all others.
        """
        self.model.eval()
        generator = torch.Generator(self.device).manual_seed(1)
        pool = PosePool.of(self.validation)
        rows = torch.arange(len(pool), device=self.device)
        unlike, _ = draw_poses(pool, rows, self.config.augment, generator)
        views = simulate_lift_views(unlike, self.rig, self.config.views, generator)
        self.model.calibrate(self.held_out.joined(views), generator)

    def card(self, history: History) -> str:
        """The model card."""
        last = history[-1]
        return model_card(
            f"Lifter {self.model.kind}",
            "From 13 keypoints of one person to 3D poses in camera space.",
            self.told,
            data=f"{len(self.pool)} poses, augmented, bent and seen by simulated cameras,",
            protocol=f"{self.config.steps} steps of {self.config.batch} views, seed {self.seed}",
            measured=f"on validation views, mm of a person with a torso of {1000 * REFERENCE_TORSO:.0f} mm",
            figures=card_figures(last),
            limits="one person, 13 COCO keypoints. Views are simulated, so a detector's own mistakes were not seen in "
            "training. Size cannot be told from one image.",
        )

    def _losses(self, part: LiftStage, generator: torch.Generator) -> dict[str, Tensor]:
        return part.losses(self.draw(generator), generator)

    def _validate(self) -> dict[str, float]:
        return validation_figures(self.model, self.held_out)


def card_figures(measured: Mapping[str, Any]) -> dict[str, str]:
    """The figures of `validation_figures` as a card names them."""
    return {name: f"{measured[key]:.1f}" for key, name in _FIGURES.items() if key in measured}


def validation_figures(model: LiftNetwork, views: LiftViews) -> dict[str, float]:
    """Errors in mm: of the single pose, of a random sample, of the best of some samples; and the energy score."""
    truth, condition = views.poses, views.condition
    millimetres = 1000 * REFERENCE_TORSO
    metrics = {"val_mpjpe": float(mpjpe(model.predict(condition), truth)) * millimetres}
    samples = model.sample(condition, _SAMPLES, torch.Generator(truth.device).manual_seed(0)).poses
    error = (samples - truth[:, None]).norm(dim=-1).mean(-1)
    metrics["val_random"] = float(error[:, 0].mean()) * millimetres
    metrics["val_best"] = float(error.amin(1).mean()) * millimetres
    flat = samples.flatten(2)
    apart = torch.cdist(flat, flat).sum((1, 2)) / (_SAMPLES * (_SAMPLES - 1))
    score = (flat - truth.flatten(1)[:, None]).norm(dim=-1).mean(1) - apart / 2
    metrics["val_energy"] = float(score.mean()) * millimetres
    return metrics


def train_lifter(
    poses: Float[Array, "N 17 3"],
    validation: Float[Array, "M 17 3"],
    folder: str | Path,
    *,
    network: Any,
    config: LifterTrainingConfig | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: TrainingProgress | None = None,
    data: str | Told = "",
) -> TrainedLifter:
    """Train the lifter whose network configuration is given, such as `MDNConfig()`, and leave it in `folder`.

    Arguments and errors are those of `vipe.training.resume.ResumableTraining.train`: interrupted, and called again with
    the same arguments, it goes on where it stopped.

    Raises:
        VipeError: If the configuration is of no lifter.
    """
    from vipe.lift.registry import NETWORKS

    chosen = [kind for kind in NETWORKS.values() if type(network) is kind.config_type]
    if not chosen:
        raise VipeError(f"no lifter has a configuration of type {type(network).__name__}; see vipe.lift.registry")
    training: Any = type("LifterTraining", (LifterTraining,), {"network_type": chosen[0]})
    lifter: TrainedLifter = training.train(
        poses,
        validation,
        folder,
        network=network,
        config=config,
        seed=seed,
        device=device,
        progress=progress,
        data=data,
    )
    return lifter
