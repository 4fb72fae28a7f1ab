"""Training Pr-VIPE: two views of each pose, matched against views of other poses (torch; numpy in)."""

__all__ = ["PrVIPETraining", "PrVIPETrainingConfig", "train_prvipe"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from vipe.embed.prvipe.losses import Weights, prvipe_losses
from vipe.embed.prvipe.network import PrVIPE, PrVIPEConfig, PrVIPENetwork
from vipe.embed.validation import hit_at_1, two_views, validation_generator
from vipe.errors import VipeError
from vipe.geometry.canonical import canonicalize
from vipe.training.loop import History, Schedule, Stage
from vipe.training.resume import ResumableTraining
from vipe.training.views import ViewConfig, simulate_views


@dataclass(frozen=True, kw_only=True)
class PrVIPETrainingConfig(Schedule):
    """How Pr-VIPE is trained.

    The paper's, or its code's (Sun et al. 2020, sec. 4, 5.1):

    - losses, their weights, beta 2 and kappa 0.1; probabilities smoothed as 0.9 p + 0.05; slope and offset started at
      the code's values; 20 samples a view, 16 dimensions
    - semi-hard negatives by the means, among the second views of the batch; batches of 256 pairs of views
    - about half of the views by random cameras

    Not the paper's, so figures of this training are not the paper's method at its best:

    - optimizer and length: AdamW with warm-up and a cosine, for as many steps as V-VIPE's 2D encoder. The paper's is
      Adagrad at 0.02 for 5 million steps
    - tuning: none. Learning rate, batch and views are those chosen for V-VIPE
    - weights: those of the last step. The paper's are averaged over steps, with decay 0.9999
    - input: centred on the seen joints' mean and divided by their RMS radius, with `seen` beside the coordinates. The
      paper's is centred between the hips and divided by twice the greatest distance among shoulders and hips
    - random cameras: V-VIPE's ranges (`ViewConfig`), with roll to 0.15 rad and the person's own proportions. The
      paper's roll is up to 30 degrees, the camera 2 units from a pose of unit torso
    - poses: as recorded, for all cameras. V-VIPE's random cameras see the universal skeleton (`universal`), which this
      training does not have
    - dropout: 0.3 in the paper and in `PrVIPEConfig`, but `vipe.embed.presets.prvipe_like` takes V-VIPE's: 0 in
      `tiny`, 0.1 in `faithful` and `base`

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

    def prepare(self) -> None:
        """Compute canonical poses and the rig's views."""
        self.canonical = canonicalize(self.poses).poses
        self.rig = self.config.views.rig_views(self.device)

    @property
    def stages(self) -> tuple[Stage]:
        """The whole network at once."""
        steps = self.config.steps
        return (Stage("pairs", steps, trained=(self.model,), losses=self._batch, validate=self._validate),)

    def card(self, history: History) -> str:
        """The model card."""
        return _card(self.data, len(self.poses), self.config, self.seed, history[-1])

    def _batch(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of one batch: two views of each pose."""
        config, device = self.config, self.device
        rows = torch.randint(len(self.poses), (config.batch,), generator=generator, device=device)
        first, second = (simulate_views(self.poses[rows], self.rig, config.views, generator) for _ in range(2))
        xy, seen = (torch.cat(parts) for parts in zip(first, second, strict=True))
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            mean, scale = self.model(xy, seen)
        noise = torch.randn(self.model.config.samples, *mean.shape, generator=generator, device=device)
        slope, offset = self.model.slope, self.model.offset
        return prvipe_losses(mean, scale, noise, self.canonical[rows], slope, offset, config.weights)

    def _validate(self) -> dict[str, float]:
        """Hit@1 of one view of each validation pose among another view of every validation pose, by the means."""
        views, generator = self.config.views, validation_generator(self.device)
        both = two_views(self.validation, views, sum(views.noise) / 2, generator)
        queries, others = (self.model(xy, seen)[0] for xy, seen in both)
        return {"val_view_hit1": hit_at_1(queries, others, canonicalize(self.validation).poses)}


train_prvipe = PrVIPETraining.train
"""Train Pr-VIPE; see `vipe.training.resume.ResumableTraining.train`."""


def _card(data: str, n: int, config: PrVIPETrainingConfig, seed: int, last: Mapping[str, Any]) -> str:
    where = f" ({data})" if data else ""
    return f"""# Pr-VIPE

A probabilistic view-invariant embedding of 2D keypoints (Sun et al. 2020), a baseline: it embeds no 3D poses.

- Trained on {n} poses{where}: {config.steps} steps of {config.batch} pairs of views, seed {seed}.
- On validation poses: a view finds another view of its pose, or of one within 0.1 torso lengths, at Hit@1
  {last["val_view_hit1"]:.1%}.
- Limits: not trained as the authors did, who have another optimizer, more steps, averaged weights, another input
  normalization, more camera roll and detected keypoints.
  The licence of the weights follows from that of the data.
"""
