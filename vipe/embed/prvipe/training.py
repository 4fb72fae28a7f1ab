"""Training Pr-VIPE: two views of each pose, matched against views of other poses (torch; numpy in)."""

__all__ = ["PrVIPETraining", "PrVIPETrainingConfig", "train_prvipe"]

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vipe.embed.prvipe.losses import Weights, prvipe_losses
from vipe.embed.prvipe.network import PrVIPE, PrVIPEConfig, PrVIPENetwork
from vipe.embed.validation import hit_at_1, two_views, validation_generator
from vipe.errors import VipeError
from vipe.geometry.canonical import canonicalize
from vipe.training.card import Told, model_card
from vipe.training.draws import Draws
from vipe.training.loop import History, Schedule, Stage
from vipe.training.people import People
from vipe.training.resume import ResumableTraining
from vipe.training.views import ViewConfig, simulate_views

_Views = tuple[Float[Tensor, "batch 13 2"], Bool[Tensor, "batch 13"]]


@dataclass(frozen=True, kw_only=True)
class PrVIPETrainingConfig(Schedule):
    """How Pr-VIPE is trained.

    The paper's, or its code's (Sun et al. 2020, sec. 4, 5.1):

    - losses, their weights, beta 2 and kappa 0.1; probabilities smoothed as 0.9 p + 0.05; slope and offset started at
      the code's values; 20 samples a view, 16 dimensions
    - semi-hard negatives by the means, among the second views of the batch; batches of 256 pairs of views
    - about half of the views by random cameras

    The paper's as settings, which `vipe.embed.presets.prvipe_paper` has:

    - dropout 0.3 and the input centred between the hips (`PrVIPEConfig`); `seen` stays beside the coordinates
    - weights averaged over steps, with decay 0.9999 (`averaging`)
    - random cameras elevated and rolled by up to 30 degrees, 2 torso lengths from the pelvis (`views`)

    Not the paper's, so figures of this training are not the paper's method at its best:

    - optimizer and length: AdamW with warm-up and a cosine, for as many steps as V-VIPE's 2D encoder. The paper's is
      Adagrad at 0.02 for 5 million steps
    - tuning: none. Learning rate and batch are those chosen for V-VIPE
    - views that are not of random cameras are simulated as well. The paper's are detected in images

    Raises:
        VipeError: If a number is out of its range.
    """

    steps: int = 60_000
    batch: int = 256  # poses; two views of each
    learning_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 0.0
    ratio: float = 2.0  # beta: a match is to be so many times as probable as a mismatch
    pairwise_weight: float = 0.005
    prior_weight: float = 0.001
    match: float = 0.1  # kappa, torso lengths: poses nearer than this are no negatives of each other
    views: ViewConfig = field(default_factory=ViewConfig)
    universal: bool = False
    """Random cameras see poses on the universal skeleton (`vipe.training.people`), the rig's cameras the recorded
    proportions, as for V-VIPE. If not, all cameras see the recorded proportions."""
    mixed: bool = False
    """Which second views are by random cameras is drawn anew, so a pose's two views may be of both kinds, as V-VIPE's
    pairs are. If not, both are by the rig or both by random cameras."""
    averaging: float = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"
    record_every: int = 50
    validate_every: int = 1000
    validation_rows: int = 1000

    def __post_init__(self) -> None:
        self.check(steps=("steps",), least=3, holds="a triplet")
        if not self.ratio > 1:
            raise VipeError(f"training: ratio must be above 1, got {self.ratio}")

    @property
    def weights(self) -> Weights:
        """Weights of the losses, and the settings of the triplet ratio loss."""
        return Weights(pairwise=self.pairwise_weight, prior=self.prior_weight, ratio=self.ratio, match=self.match)


class PrVIPETraining(ResumableTraining[PrVIPE, PrVIPEConfig, PrVIPETrainingConfig]):
    """Training of Pr-VIPE (Sun et al. 2020); `PrVIPETrainingConfig` lists the paper's settings it has and lacks."""

    model_type = PrVIPE
    network_type = PrVIPENetwork
    config_type = PrVIPETrainingConfig
    model: PrVIPENetwork
    legacy_values: ClassVar[Mapping[str, Any]] = {
        "normalization": "radius",
        "universal": False,
        "mixed": False,
        "averaging": 0.0,
    }

    def prepare(self) -> None:
        """Compute canonical poses, who stands before the cameras, and the rig's views."""
        self.canonical = canonicalize(self.poses).poses
        self.people = People.of(self.poses, self.config.views.random_share if self.config.universal else 0.0)
        self.rig = self.config.views.rig_views(self.device)

    @property
    def stages(self) -> tuple[Stage]:
        """The whole network at once."""
        steps = self.config.steps
        return (Stage("pairs", steps, trained=(self.model,), losses=self._batch, validate=self._validate),)

    def card(self, history: History) -> str:
        """The model card."""
        return _card(self.told, len(self.poses), self.model.config, self.config, self.seed, history[-1])

    def _batch(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of one batch: two views of each pose."""
        config, device = self.config, self.device
        rows = torch.randint(len(self.poses), (config.batch,), generator=generator, device=device)
        first, second = self._view(rows, generator), self._second(rows, generator)
        xy, seen = (torch.cat(parts) for parts in zip(first, second, strict=True))
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            mean, scale = self.model(xy, seen)
        noise = torch.randn(self.model.config.samples, *mean.shape, generator=generator, device=device)
        slope, offset = self.model.slope, self.model.offset
        return prvipe_losses(mean, scale, noise, self.canonical[rows], slope, offset, config.weights)

    def _view(self, rows: Int[Tensor, " batch"], generator: torch.Generator) -> _Views:
        """One view of each pose: by the rig first, then by random cameras."""
        return simulate_views(self.people.batch(rows), self.rig, self.config.views, generator)

    def _second(self, rows: Int[Tensor, " batch"], generator: torch.Generator) -> _Views:
        """Another view of each pose; where `mixed`, the poses come before the cameras in another order."""
        if not self.config.mixed:
            return self._view(rows, generator)
        order = Draws(self.poses, generator).uniform(len(rows)).argsort()
        xy, seen = self._view(rows[order], generator)
        back = order.argsort()
        return xy[back], seen[back]

    def _validate(self) -> dict[str, float]:
        """Hit@1 of one view of each validation pose among another view of every validation pose, by the means."""
        views, generator = self.config.views, validation_generator(self.device)
        both = two_views(self.validation, views, sum(views.noise) / 2, generator)
        queries, others = (self.model(xy, seen)[0] for xy, seen in both)
        return {"val_view_hit1": hit_at_1(queries, others, canonicalize(self.validation).poses)}


train_prvipe = PrVIPETraining.train
"""Train Pr-VIPE; see `vipe.training.resume.ResumableTraining.train`."""


def _card(
    told: Told, n: int, network: PrVIPEConfig, config: PrVIPETrainingConfig, seed: int, last: Mapping[str, Any]
) -> str:
    lacking = {
        "averaged weights": config.averaging == 0,
        "another input normalization": network.normalization != "trunk",
        "more camera roll": config.views.roll < math.radians(30),
        "detected keypoints": True,
    }
    theirs = ", ".join(name for name, lacks in lacking.items() if lacks)
    return model_card(
        "Pr-VIPE",
        "A probabilistic view-invariant embedding of 2D keypoints (Sun et al. 2020), a baseline: it embeds no 3D pose.",
        told,
        data=f"{n} poses",
        protocol=f"{config.steps} steps of {config.batch} pairs of views, seed {seed}",
        measured="on validation poses",
        figures={
            "a view finds another view of its pose, or of one within 0.1 torso lengths, at Hit@1": (
                f"{last['val_view_hit1']:.1%}"
            )
        },
        limits=f"not trained as the authors did, who have another optimizer, more steps, {theirs}. No index takes it.",
    )
