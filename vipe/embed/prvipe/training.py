"""Training Pr-VIPE: pairs of views of one pose, told from views of other poses (torch; numpy in)."""

__all__ = ["PrVIPETrainingConfig", "train_prvipe"]

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vipe.arrays import Array
from vipe.embed.prvipe.network import PrVIPE, PrVIPEConfig, PrVIPENetwork, match_probability
from vipe.embed.validation import hit_at_1, two_views, validation_generator
from vipe.embed.vvipe.losses import kl_to_standard_normal
from vipe.errors import VipeError
from vipe.geometry.canonical import canonicalize
from vipe.geometry.procrustes import procrustes_mpjpe
from vipe.training.loop import History, Progress, Schedule, Stage
from vipe.training.resume import train_or_resume
from vipe.training.views import ViewConfig, random_views

_LOOKED_AT = 16  # nearest possible negatives of an anchor whose 3D distance is asked


@dataclass(frozen=True, kw_only=True)
class PrVIPETrainingConfig(Schedule):
    """How Pr-VIPE is trained: losses and weights are the paper's (sec. 4.2, 4.3, and its code).

    The paper's optimizer is Adagrad for millions of steps. Here it is that of V-VIPE, for as long, with V-VIPE's
    views, so that the two can be compared.

    Raises:
        VipeError: If a number is out of its range.
    """

    steps: int = 60_000
    batch: int = 256  # poses; each is seen twice
    learning_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 0.0
    ratio: float = 2.0  # beta: a match must be so many times as probable as the nearest mismatch
    pairwise_weight: float = 0.005
    prior_weight: float = 0.001
    match: float = 0.1  # kappa, torso lengths: poses nearer than this are no mismatch
    views: ViewConfig = field(default_factory=ViewConfig)
    precision: Literal["float32", "bfloat16"] = "float32"
    record_every: int = 50
    validate_every: int = 1000
    validation_rows: int = 1000

    def __post_init__(self) -> None:
        self.check(steps=("steps",), least=3, holds="a triplet")
        if not self.ratio > 1:
            raise VipeError(f"training: ratio must be above 1, got {self.ratio}")


def train_prvipe(
    poses: Float[Array, "N 17 3"],
    validation: Float[Array, "M 17 3"],
    folder: str | Path,
    *,
    network: PrVIPEConfig | None = None,
    config: PrVIPETrainingConfig | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
    data: str = "",
) -> PrVIPE:
    """Train Pr-VIPE and leave it in `folder`, as `PrVIPE.from_pretrained` reads it, with its `history.jsonl`.

    Args, resuming and errors are those of `vipe.embed.vvipe.training.train`.
    """
    network, config = network or PrVIPEConfig(), config or PrVIPETrainingConfig()
    return train_or_resume(
        PrVIPE,
        partial(_Run, network, config, seed, data),
        poses,
        validation,
        folder,
        network=asdict(network),
        training=asdict(config),
        schedule=config,
        seed=seed,
        device=device,
        progress=progress,
    )


class _Run:
    """One training: its data and its network."""

    def __init__(
        self,
        network: PrVIPEConfig,
        config: PrVIPETrainingConfig,
        seed: int,
        data: str,
        recorded: Float[Tensor, "N 17 3"],
        held_out: Float[Tensor, "M 17 3"],
    ) -> None:
        self.model = PrVIPENetwork.untrained(network, seed).to(recorded.device)
        self.config, self.seed, self.data = config, seed, data
        self.recorded, self.canonical = recorded, canonicalize(recorded).poses
        self.held_out, self.held_out_canonical = held_out, canonicalize(held_out).poses
        self.rig = config.views.rig_views(recorded.device)

    @property
    def stages(self) -> tuple[Stage]:
        """All at once."""
        steps = self.config.steps
        return (Stage("pairs", steps, trained=(self.model,), losses=self._losses, validate=self._validate),)

    def finish(self, history: History) -> str:
        """The model card; nothing is left to do."""
        return _card(self.data, len(self.recorded), self.config, self.seed, history[-1])

    def _losses(self, generator: torch.Generator) -> dict[str, Tensor]:
        """One batch: every pose in two views, the second a positive of the first (Sun et al. 2020, eq. 4 to 6)."""
        config, device = self.config, self.recorded.device
        rows = torch.randint(len(self.recorded), (config.batch,), generator=generator, device=device)
        first, second = (random_views(self.recorded[rows], self.rig, config.views, generator) for _ in range(2))
        xy, seen = (torch.cat(parts) for parts in zip(first, second, strict=True))
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            mean, scale = self.model(xy, seen)
        noise = torch.randn(self.model.config.samples, *mean.shape, generator=generator, device=device)
        anchor, positive = (mean + scale * noise).transpose(0, 1).chunk(2)
        means, others = mean.detach().chunk(2)
        negative, active = mine_negatives(means, others, self.canonical[rows], config.match)
        matching = self._log_probability(anchor, positive)
        hinge = math.log(config.ratio) - matching + self._log_probability(anchor, positive[negative])
        ratio = (hinge.clamp(min=0) * active).sum() / active.sum().clamp(min=1)
        losses = {
            "ratio": ratio,
            "pairwise": -matching.mean(),
            "prior": kl_to_standard_normal(mean, 2 * scale.log()),
        }
        loss = ratio + config.pairwise_weight * losses["pairwise"] + config.prior_weight * losses["prior"]
        return {"loss": loss, **losses, "active": active.float().mean()}

    def _validate(self) -> dict[str, float]:
        """Hit@1 of held-out views among another view of every held-out pose, by the means."""
        views, generator = self.config.views, validation_generator(self.held_out.device)
        both = two_views(self.held_out, views, sum(views.noise) / 2, generator)
        queries, others = (self.model(xy, seen)[0] for xy, seen in both)
        return {"val_view_hit1": hit_at_1(queries, others, self.held_out_canonical)}

    def _log_probability(self, a: Float[Tensor, "batch K D"], b: Float[Tensor, "batch K D"]) -> Float[Tensor, " batch"]:
        # Smoothed as in the paper's code: a pair given up for lost must keep a gradient and a finite logarithm.
        return (0.9 * match_probability(a, b, self.model.slope, self.model.offset) + 0.05).log()


def mine_negatives(
    anchor: Float[Tensor, "batch D"],
    positive: Float[Tensor, "batch D"],
    canonical: Float[Tensor, "batch 17 3"],
    match: float,
) -> tuple[Int[Tensor, " batch"], Bool[Tensor, " batch"]]:
    """For each anchor the row whose second view is its semi-hard negative, and whether it has one.

    Semi-hard: of all second views that are farther from the anchor than its own and are of another pose, the nearest.
    Another pose is one at least `match` away after similarity alignment. Only the nearest 16 views are compared in
    3D, which is all but never too few.
    """
    distance = torch.cdist(anchor, positive)
    own = distance.diagonal()
    farther = torch.where(distance > own[:, None], distance, torch.inf)
    nearest, rows = farther.topk(min(_LOOKED_AT, len(anchor)), dim=1, largest=False)
    other = procrustes_mpjpe(canonical[rows], canonical[:, None]) >= match
    usable = torch.where(other, nearest, torch.inf)
    best, place = usable.min(dim=1)
    return rows.gather(1, place[:, None])[:, 0], torch.isfinite(best)


def _card(data: str, n: int, config: PrVIPETrainingConfig, seed: int, last: Mapping[str, Any]) -> str:
    where = f" ({data})" if data else ""
    return f"""# Pr-VIPE

A probabilistic view-invariant embedding of 2D keypoints (Sun et al. 2020), a baseline: it embeds no 3D poses.

- Trained on {n} poses{where}: {config.steps} steps of {config.batch} pairs of views, seed {seed}.
- On validation poses: a view finds another view of its pose, or of one within 0.1 torso lengths, at Hit@1
  {last["val_view_hit1"]:.1%}.
- Limits: as trained here, not as the authors did (their optimizer, steps and detected keypoints are others).
  The licence of the weights follows from that of the data.
"""
