"""Training V-VIPE: first the VAE of 3D poses, then the 2D encoder with the decoder frozen (torch; numpy in)."""

__all__ = ["TrainingConfig", "settings", "train"]

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from vipe.arrays import Array
from vipe.embed.embedder import Embedder
from vipe.embed.validation import hit_at_1, two_views, validation_generator
from vipe.embed.vvipe.losses import kl_to_standard_normal, mine, mpjpe, pairwise_mpjpe, reconstruction, triplet
from vipe.embed.vvipe.network import VVIPE, VVIPEConfig
from vipe.geometry.canonical import canonicalize
from vipe.training.loop import History, Progress, Schedule, Stage
from vipe.training.resume import train_or_resume
from vipe.training.views import ViewConfig, random_views

# Settings that trainings of earlier versions lack, and how these trained: so they are found again and go on.
_LATER = {
    "alignment": True,
    "pretraining": True,
    "paired": False,
    "universal": False,
    "variational": True,
    "precision": "float32",
}


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Schedule):
    """How V-VIPE is trained; the paper's values where it states them (sec. 3.2, 4.1, 4.4).

    The paper gives all losses weight 1 and states neither batch, rate nor steps. The weights here were chosen by view
    invariance: Hit@1 over 20 camera pairs of the 3DHP rig, exact keypoints, of (a) validation clips of real motion
    capture, (b) ten actions left out of the training, (c) procedural motion, which is other poses on other bodies.
    After 800 and 1,200 steps at width 1024, without `universal`:

    - KL: a sum over dimensions beside a mean over coordinates, so weight 1 would collapse the posterior onto the prior.
      1e-3, 2e-4, 5e-5 gave (a) 85.4, 86.7, 87.1, (b) 74.4, 76.2, 76.2 (triplet weight 0.005, no pairs). In longer
      trainings more of the 32 dimensions die: after 6,400 steps 14, 23, 32 of them are left with 2e-4, 5e-5, 2e-5, the
      VAE's error is 0.051, 0.030, 0.024 torso lengths, and after 3,000 more, with pairs and `universal`, (a) is 90.1,
      90.9, 90.7 and (c) 47.3, 48.9, 50.6.
    - Triplet: a margin of 1 in the embedding outweighs errors of 0.01 torso squared. For the 2D encoder 0.005, 0.01,
      0.05 gave (a) 88.3, 87.8, 83.0, (b) 77.3, 76.3, 69.5; (c) 40.3 at 0.01, 38.1 at 0.05 and twice the rate. That of
      the VAE hardly matters.
    - `paired`: (a) 88.3 instead of 86.7, (b) 77.3 instead of 76.2; (a) on other bodies 84.7 instead of 81.8.
    - `universal`, 3,000 steps: (c) 47.3 instead of 43.3, (a) 90.1 instead of 91.1.

    More steps of the 2D encoder are not better where poses are few: 16,800 instead of 3,000 gave (a) 94.4 instead of
    91.1, but (c) 41.5 instead of 43.3.

    The paper's ablations are settings: `triplet_weight` 0, `alignment`, `pretraining`, `variational`, and
    `views.random_share` 0 (see `vipe.embed.presets.ABLATIONS`).

    Raises:
        VipeError: If a number is out of its range.
    """

    pose_steps: int = 30_000
    keypoint_steps: int = 60_000
    batch: int = 256
    learning_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 0.0
    reconstruction_weight: float = 1.0
    kl_weight: float = 2e-5
    triplet_weight: float = 1e-2
    margin: float = 1.0
    gap: float = 0.1  # torso lengths: how much farther than the positive a negative is at least
    views: ViewConfig = field(default_factory=ViewConfig)
    record_every: int = 50
    validate_every: int = 1000
    validation_rows: int = 1000
    alignment: bool = True
    """Targets are canonical. If not, they have the canonical body but stay turned as they were recorded."""
    pretraining: bool = True
    """The VAE comes first and its decoder is frozen. If not, the 2D encoder and the decoder are trained together, and
    the 3D encoder afterwards into their space."""
    paired: bool = True
    """A batch holds half as many poses, each twice: where `views.random_share` is a half, as the rig sees it and from
    anywhere. They are each other's positive. If not, every row is a pose of its own."""
    universal: bool = True
    """Cameras from anywhere see poses on the universal skeleton, with the person's torso: the paper turns and projects
    its ground truth, which has these bones (sec. 3.1, 4.4). If not, all cameras see the person as recorded."""
    variational: bool = True
    """If not, the 3D encoder and decoder are an autoencoder: no sampling, no KL divergence."""
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        self.check(steps=("pose_steps", "keypoint_steps"), least=3, holds="a triplet")


def train(
    poses: Float[Array, "N 17 3"],
    validation: Float[Array, "M 17 3"],
    folder: str | Path,
    *,
    network: VVIPEConfig | None = None,
    config: TrainingConfig | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
    data: str = "",
) -> Embedder:
    """Train V-VIPE and leave it in `folder`, as `Embedder.from_pretrained` reads it, with its `history.jsonl`.

    While it runs the folder holds checkpoints; called again with the same arguments after an interrupt it goes on
    from the last one and ends with the very weights of a run without interrupt, and once it is done it only loads.
    Every step draws from generators seeded by (seed, stage, step), so a step does not depend on what ran before it
    in the process; on one machine, with one number of threads, the same seed gives the same weights.

    Args:
        poses: As recorded: metres, world space, z up, own proportions. Cameras see these; targets are canonical.
        validation: Likewise, of other clips. They decide nothing here; their figures go into the history.
        folder: Made if it is not there.
        network: Sizes; the paper's by default.
        config: The paper's losses by default, for a long training.
        seed: Decides initial weights, batches, views and dropout.
        device: Where to train, as torch names it.
        progress: Called every `record_every` steps.
        data: What the poses are, in words, for the model card.

    Raises:
        ShapeError: If poses are not (N, 17, 3) with N at least 3, in metres, each with a canonical form.
        VipeError: If the folder holds something else, or a training with other settings or data; if the device is not
            there, or the loss is not finite.
    """
    network, config = network or VVIPEConfig(), config or TrainingConfig()
    return train_or_resume(
        Embedder,
        partial(_Run, network, config, seed, data),
        poses,
        validation,
        folder,
        network=asdict(network),
        training=settings(config),
        schedule=config,
        seed=seed,
        device=device,
        progress=progress,
    )


def settings(config: TrainingConfig) -> dict[str, Any]:
    """What the origin of a training says of its settings: later ones only where they are not as before they existed."""
    fields = asdict(config)
    return {name: value for name, value in fields.items() if name not in _LATER or value != _LATER[name]}


class _Run:
    """One training: its data and its networks."""

    def __init__(
        self,
        network: VVIPEConfig,
        config: TrainingConfig,
        seed: int,
        data: str,
        recorded: Float32[Tensor, "N 17 3"],
        held_out: Float32[Tensor, "M 17 3"],
    ) -> None:
        self.model = VVIPE.untrained(network, seed).to(recorded.device)
        self.config, self.seed, self.data = config, seed, data
        self.recorded, self.targets = recorded, self._targets(recorded)
        self.universal = _on_universal_skeleton(recorded) if config.universal else recorded
        self.held_out, self.held_out_targets = held_out, self._targets(held_out)
        self.rig = config.views.rig_views(recorded.device)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The VAE first, then the 2D encoder into its space; without pretraining the other way round."""
        model, config = self.model, self.config
        decoder, neither = (model.pose_decoder,), ()
        first, last = (decoder, neither) if config.pretraining else (neither, decoder)
        poses = Stage(
            name="poses",
            steps=config.pose_steps,
            trained=(model.pose_encoder, *first),
            losses=self._pose_losses,
            validate=self._validate_poses if config.pretraining else self._validate_all,
        )
        keypoints = Stage(
            name="keypoints",
            steps=config.keypoint_steps,
            trained=(model.keypoint_encoder, *last),
            losses=self._keypoint_losses,
            validate=self._validate_keypoints,
        )
        return (poses, keypoints) if config.pretraining else (keypoints, poses)

    def finish(self, history: History) -> str:
        """The model card; nothing is left to do."""
        return _card(self.data, len(self.recorded), self.config, self.seed, history)

    def _targets(self, recorded: Float32[Tensor, "N 17 3"]) -> Float32[Tensor, "N 17 3"]:
        canonical = canonicalize(recorded)
        # Back as they stood in the world: (R pose)ᵀ = poseᵀ Rᵀ, so rows times R undo it.
        return canonical.poses if self.config.alignment else canonical.poses @ canonical.rotation

    def _pose_losses(self, generator: torch.Generator) -> dict[str, Tensor]:
        """One batch of the VAE (levy2024, eq. 2); triplets are of the means."""
        target = self.targets[self._draw(generator)]
        with self._precision():
            mean, log_variance = self.model.pose_encoder(target)
            mean, log_variance = mean.float(), log_variance.float()
            z = mean
            if self.config.variational:
                noise = torch.randn(mean.shape, generator=generator, device=mean.device)
                z = mean + (log_variance / 2).exp() * noise
            decoded = self.model.pose_decoder(z).float()
        losses = {"reconstruction": reconstruction(decoded, target)}
        if self.config.variational:
            losses["kl"] = kl_to_standard_normal(mean, log_variance)
        losses["triplet"] = self._triplet(mean, target)
        return {"loss": self._weigh(losses), **losses}

    def _keypoint_losses(self, generator: torch.Generator) -> dict[str, Tensor]:
        """One batch of the 2D encoder (levy2024, sec. 3.3)."""
        rows = self._draw(generator)
        if self.config.paired:
            rows = rows[: math.ceil(len(rows) / 2)].repeat(2)[: len(rows)]
        target = self.targets[rows]
        xy, seen = random_views(self._people(rows), self.rig, self.config.views, generator)
        with self._precision():
            embedding = self.model.keypoint_encoder(xy, seen).float()
            decoded = self.model.pose_decoder(embedding).float()
        losses = {"reconstruction": reconstruction(decoded, target), "triplet": self._triplet(embedding, target)}
        return {"loss": self._weigh(losses), **losses}

    def _people(self, rows: Tensor) -> Float32[Tensor, "batch 17 3"]:
        """Whom `random_views` sees: first those for the rig's cameras, then those for cameras anywhere."""
        seen_by_rig = round((1 - self.config.views.random_share) * len(rows))
        return torch.cat([self.recorded[rows[:seen_by_rig]], self.universal[rows[seen_by_rig:]]])

    def _validate_poses(self) -> dict[str, float]:
        """Error of poses decoded from their own embedding."""
        return self._errors(self.model.encode_poses(self.held_out_targets))

    def _validate_keypoints(self) -> dict[str, float]:
        """Error of poses decoded from one view each, and Hit@1 of searching for these views.

        `val_hit1` searches among the 3D embeddings, `val_view_hit1` among those of another view of every pose; with the
        middle of the training's noise.
        """
        views, canonical = self.config.views, self.held_out_targets
        generator = validation_generator(canonical.device)
        both = two_views(self.held_out, views, sum(views.noise) / 2, generator)
        queries, others = (self.model.encode_keypoints(xy, seen) for xy, seen in both)
        return {
            **self._errors(queries),
            "val_hit1": hit_at_1(queries, self.model.encode_poses(canonical), canonical),
            "val_view_hit1": hit_at_1(queries, others, canonical),
        }

    def _validate_all(self) -> dict[str, float]:
        return {**self._validate_keypoints(), "val_pose_mpjpe": self._validate_poses()["val_mpjpe"]}

    def _errors(self, z: Float[Tensor, "M D"]) -> dict[str, float]:
        decoded, target = self.model.decode(z), self.held_out_targets
        return {
            "val_reconstruction": float(reconstruction(decoded, target)),
            "val_mpjpe": float(mpjpe(decoded, target)),
        }

    def _precision(self) -> AbstractContextManager[Any]:
        """Matrix products in the chosen precision; weights, losses and all that is summed stay float32."""
        enabled = self.config.precision == "bfloat16"
        return torch.autocast(self.recorded.device.type, torch.bfloat16, enabled=enabled)

    def _draw(self, generator: torch.Generator) -> Tensor:
        n = len(self.recorded)
        return torch.randint(n, (self.config.batch,), generator=generator, device=self.recorded.device)

    def _triplet(self, embedding: Tensor, target: Tensor) -> Tensor:
        return triplet(embedding, mine(pairwise_mpjpe(target), self.config.gap), self.config.margin)

    def _weigh(self, losses: Mapping[str, Tensor]) -> Tensor:
        config = self.config
        weights = {
            "reconstruction": config.reconstruction_weight,
            "kl": config.kl_weight,
            "triplet": config.triplet_weight,
        }
        return torch.stack([weights[key] * loss for key, loss in losses.items()]).sum()


def _on_universal_skeleton(recorded: Float32[Tensor, "N 17 3"]) -> Float32[Tensor, "N 17 3"]:
    """The poses where and as they were recorded, with the universal skeleton's bones and the person's torso; metres."""
    canonical = canonicalize(recorded)
    return canonical.poses @ canonical.rotation * canonical.scale[:, None, None] + canonical.root[:, None]


def _card(data: str, n: int, config: TrainingConfig, seed: int, history: History) -> str:
    last = {line["stage"]: line for line in history}
    keypoints = last["keypoints" if config.pretraining else "poses"]
    pose_error = last["poses"]["val_mpjpe" if config.pretraining else "val_pose_mpjpe"]
    left_out = {
        "triplet loss": config.triplet_weight == 0,
        "rotation alignment": not config.alignment,
        "pretraining of the decoder": not config.pretraining,
        "variational sampling": not config.variational,
        "camera augmentation": config.views.random_share == 0,
    }
    without = ", ".join(name for name, gone in left_out.items() if gone)
    return f"""# V-VIPE

A view-invariant embedding of human pose (Levy & Shrivastava 2024): 3D poses and 2D keypoints of one pose land near
each other.

- Trained on {n} poses{f" ({data})" if data else ""}: {config.pose_steps} and {config.keypoint_steps} steps of {config.batch}, seed {seed}.{f" Without {without}." if without else ""}
- On validation poses: decoded from their 3D embedding within {pose_error:.3f} torso lengths, from one simulated
  view within {keypoints["val_mpjpe"]:.3f} (mean joint distance); search Hit@1 among them {keypoints["val_hit1"]:.1%}.
- Limits: one person, 13 COCO keypoints; views are simulated, so a detector's own mistakes were not seen in training.
  The licence of the weights follows from that of the data.
"""  # noqa: E501
