"""Training the two towers: search itself is the objective, on poses nobody performed (torch; numpy in)."""

__all__ = ["TowersTrainingConfig", "train_towers"]

from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from vipe.arrays import Array
from vipe.embed.embedder import Embedder
from vipe.embed.towers.network import Towers, TowersConfig
from vipe.embed.validation import hit_at_1, two_views, validation_generator
from vipe.embed.vvipe.losses import mpjpe
from vipe.errors import VipeError
from vipe.geometry.canonical import canonicalize
from vipe.training.augment import AugmentConfig, PosePool, draw_poses
from vipe.training.loop import History, Progress, Schedule, Stage
from vipe.training.resume import train_or_resume
from vipe.training.views import ViewConfig, normalize, random_views

_STANDARD_ROWS = 4096  # poses, enough for a mean and a variance
_ELSEWHERE = 0.5  # RMS radii: spread of a joint that is found elsewhere
_VIEWS = ViewConfig(random_share=1.0, elevation=(-0.4, 0.8), noise=(0.0, 0.06), missing_share=0.4, missing_most=4)


@dataclass(frozen=True, kw_only=True)
class TowersTrainingConfig(Schedule):
    """How the towers are trained; the defaults are those of the model that comes with the library.

    Chosen by search and view invariance at rank 1 on clips and actions of real motion capture that no training saw,
    after 500 to 1,500 steps: docs/embedding.md has the table.

    Raises:
        VipeError: If a number is out of its range.
    """

    steps: int = 7_000
    batch: int = 768
    learning_rate: float = 2e-3
    warmup: float = 0.03
    weight_decay: float = 1e-4
    near: float = 0.05  # torso lengths: how fast a pose stops being an answer as it differs from the asked one
    views_weight: float = 1.0  # of one view finding another, beside views finding poses and poses finding views
    decoder_weight: float = 2.0  # of the mean joint distance of what is decoded, torso lengths
    outlier: float = 0.05  # share of people of whom one joint is found elsewhere
    precision: Literal["bfloat16", "float32"] = "bfloat16"  # of the products inside the networks, while training
    views: ViewConfig = _VIEWS
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    record_every: int = 50
    validate_every: int = 500
    validation_rows: int = 1000

    def __post_init__(self) -> None:
        self.check(steps=("steps",), least=2, holds="a pose and another")
        if not self.near > 0:
            raise VipeError(f"training: near must be above 0, got {self.near}")


def train_towers(
    poses: Float[Array, "N 17 3"],
    validation: Float[Array, "M 17 3"],
    folder: str | Path,
    *,
    network: TowersConfig | None = None,
    config: TowersTrainingConfig | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
    data: str = "",
) -> Embedder:
    """Train the towers and leave them in `folder`, as `Embedder.from_pretrained` reads it, with its `history.jsonl`.

    Each step makes a batch of poses that nobody performed (`draw_poses`), has two cameras see each (`views`), and asks
    every view for its pose among the batch's, every pose for its views, and every view for the other view of its
    pose. Poses that are almost the same count as answers too, by their 3D distance. The decoder learns beside them.

    Args, resuming and errors are those of `vipe.embed.vvipe.training.train`. Poses may be synthetic.
    """
    network, config = network or TowersConfig(), config or TowersTrainingConfig()
    return train_or_resume(
        Embedder,
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
    """One training: its data and its networks."""

    def __init__(
        self,
        network: TowersConfig,
        config: TowersTrainingConfig,
        seed: int,
        data: str,
        recorded: Float32[Tensor, "N 17 3"],
        held_out: Float32[Tensor, "M 17 3"],
    ) -> None:
        self.model = Towers.untrained(network, seed).to(recorded.device)
        for mlp in self.model.mlps:
            mlp.precision = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
        self.config, self.seed, self.data = config, seed, data
        self.pool, self.held_out, self.device = PosePool.of(recorded), held_out, held_out.device
        self.rig = config.views.rig_views(self.device)

    @property
    def stages(self) -> tuple[Stage]:
        """All networks at once."""
        steps = self.config.steps
        return (Stage("towers", steps, trained=(self.model,), losses=self._losses, validate=self._validate),)

    def finish(self, history: History) -> str:
        """Bring embeddings of the recorded poses to mean 0 and unit variance on average; the model card."""
        rows = torch.linspace(0, len(self.pool) - 1, min(len(self.pool), _STANDARD_ROWS)).round().long()
        self.model.eval()
        with torch.no_grad():
            self.model.standardize(self.model.encode_poses(self.pool.canonical(rows)))
        return _card(self.data, len(self.pool), self.config, self.seed, history)

    def _losses(self, generator: torch.Generator) -> dict[str, Tensor]:
        """One batch of new poses in two views each: who finds whom, and how far decoded poses are off."""
        config, n = self.config, self.config.batch
        rows = torch.randint(len(self.pool), (n,), generator=generator, device=self.device)
        people, canonical = draw_poses(self.pool, rows, config.augment, generator)
        xy, seen = self._see(people.repeat(2, 1, 1), generator)  # two views of each
        poses = self.model.encode_poses(canonical)
        views = self.model.encode_keypoints(xy, seen)
        decoded = self.model.decode(torch.cat([views, poses]))
        likeness = _likeness(canonical, config.near)
        one, other = views.chunk(2)
        search, answer = _contrast(views, poses, likeness.repeat(2, 1))
        forth, back = _contrast(one, other, likeness)
        losses = {
            "search": search,
            "answer": answer,
            "views": (forth + back) / 2,
            "decoded": mpjpe(decoded, canonical.repeat(3, 1, 1)),
        }
        loss = losses["search"] + losses["answer"] + 2 * config.views_weight * losses["views"]
        return {"loss": loss + config.decoder_weight * losses["decoded"], **losses}

    def _see(self, people: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One view of each person, from `random_views`, some with one joint found elsewhere."""
        xy, seen = random_views(people, self.rig, self.config.views, generator)
        batch, joints = seen.shape
        off = torch.rand(batch, 1, generator=generator, device=self.device) < self.config.outlier
        which = torch.randint(joints, (batch, 1), generator=generator, device=self.device)
        wrong = off & (torch.arange(joints, device=self.device) == which)
        shift = _ELSEWHERE * torch.randn(batch, 1, 2, generator=generator, device=self.device)
        return normalize(xy + shift * wrong[..., None], seen), seen

    def _validate(self) -> dict[str, float]:
        """Hit@1 of search and of one view for another, and the decoder's error, with exact and with noisy keypoints."""
        canonical = canonicalize(self.held_out).poses
        poses = self.model.encode_poses(canonical)
        generator = validation_generator(self.device)
        metrics = {}
        for name, noise in (("clean", 0.0), ("noisy", 0.03)):
            both = two_views(self.held_out, self.config.views, noise, generator)
            one, other = (self.model.encode_keypoints(xy, seen) for xy, seen in both)
            metrics[f"val_search_{name}"] = hit_at_1(one, poses, canonical)
            metrics[f"val_views_{name}"] = hit_at_1(one, other, canonical)
            metrics[f"val_mpjpe_{name}"] = float(mpjpe(self.model.decode(one), canonical))
        return metrics


def _squared(a: Float[Tensor, "n D"], b: Float[Tensor, "m D"]) -> Float[Tensor, "n m"]:
    return a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * a @ b.T


def _likeness(canonical: Float[Tensor, "batch 17 3"], near: float) -> Float[Tensor, "batch batch"]:
    """How much of an answer each pose is to each other: exp(-d² / 2 near²), d their RMS joint distance; 1 to itself."""
    flat = canonical.flatten(1)
    squared = _squared(flat, flat).clamp(min=0) / canonical.shape[1]
    return (-squared / (2 * near**2)).exp()


def _contrast(
    a: Float[Tensor, "n D"], b: Float[Tensor, "m D"], likeness: Float[Tensor, "n m"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Cross entropy of finding b from a, and a from b; scores are negative squared distances.

    InfoNCE (van den Oord et al. 2018) both ways, with answers that are right in part.
    The answers' shares of a row are its likenesses, scaled to sum to 1. With shares q and scores s a row's loss is
    logsumexp(s) - <q, s>, and <q, s> needs no matrix of its own: sum_j q_j |a - b_j|^2 is
    |a|^2 + sum_j q_j |b_j|^2 - 2 a . (sum_j q_j b_j).
    """
    scores = -_squared(a, b)
    losses = []
    for dim, (x, y, share) in enumerate(((a, b, likeness), (b, a, likeness.T))):
        share = share / share.sum(1, keepdim=True)
        away = x.square().sum(1) + share @ y.square().sum(1) - 2 * (x * (share @ y)).sum(1)
        losses.append((scores.logsumexp(1 - dim) + away).mean())
    return losses[0], losses[1]


def _card(data: str, n: int, config: TowersTrainingConfig, seed: int, history: History) -> str:
    last = history[-1]
    return f"""# Towers

A view-invariant embedding of human pose: two networks, one for 3D poses and one for 2D keypoints, whose outputs lie near
each other where the keypoints may be a view of the pose. Mirroring a person negates the second half of the embedding.

- Trained on poses made from {n} poses{f" ({data})" if data else ""}: {config.steps} steps of {config.batch}, seed {seed}.
- On validation poses, keypoints with noise 0.03: search Hit@1 {last["val_search_noisy"]:.1%}, from one view to another
  {last["val_views_noisy"]:.1%}; poses decoded from one view within {last["val_mpjpe_noisy"]:.3f} torso lengths (mean joint distance).
- Limits: one person, 13 COCO keypoints, of which some limb joints may be missing; views are simulated, so a
  detector's own mistakes were not seen in training. The licence of the weights follows from that of the data.
"""  # noqa: E501
