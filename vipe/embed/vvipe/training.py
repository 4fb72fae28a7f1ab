"""Training V-VIPE: first the VAE of 3D poses, then the 2D encoder with the decoder frozen (torch; numpy in)."""

__all__ = ["TrainingConfig", "VVIPETraining", "train_vvipe"]

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from vipe.embed.embedder import Embedder
from vipe.embed.validation import hit_at_1, two_views, validation_generator
from vipe.embed.vvipe.losses import (
    TripletNegative,
    Weights,
    keypoint_losses,
    reconstruction,
    reparametrize,
    vae_losses,
)
from vipe.embed.vvipe.network import VVIPE, VVIPEConfig
from vipe.errors import VipeError
from vipe.geometry.canonical import canonicalize
from vipe.training.card import Told, model_card
from vipe.training.loop import History, Schedule, Stage
from vipe.training.losses import mpjpe
from vipe.training.people import People
from vipe.training.resume import ResumableTraining
from vipe.training.views import ViewConfig, simulate_views


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Schedule):
    """How V-VIPE is trained; the paper's values where it states them (sec. 3.2, 4.1, 4.4).

    The paper gives all losses weight 1 and states neither batch, rate nor steps. The weights here were chosen by view
    invariance: Hit@1 over 20 camera pairs of the 3DHP rig, exact keypoints. It was measured on (a) validation clips of
    real motion capture, (b) ten actions left out of the training, (c) synthetic motion, whose poses and bodies differ
    from the recorded ones. After 800 and 1,200 steps at width 1024, without `universal`:

    - KL: summed over dimensions, where the error is averaged over coordinates. Weight 1 would collapse the posterior.
      1e-3, 2e-4, 5e-5 gave (a) 85.4, 86.7, 87.1, (b) 74.4, 76.2, 76.2 (triplet weight 0.005, no pairs). In longer
      trainings more of the 32 dimensions collapse. After 6,400 steps with 2e-4, 5e-5, 2e-5, 14, 23, 32 of them are in
      use, and the VAE's error is 0.051, 0.030, 0.024 torso lengths. After 3,000 more, with pairs and `universal`, (a)
      is 90.1, 90.9, 90.7 and (c) 47.3, 48.9, 50.6.
    - Triplet: a margin of 1 in the embedding outweighs errors of 0.01 torso squared. For the 2D encoder 0.005, 0.01,
      0.05 gave (a) 88.3, 87.8, 83.0, (b) 77.3, 76.3, 69.5; (c) 40.3 at 0.01, 38.1 at 0.05 and twice the rate. That of
      the VAE hardly matters.
    - `paired`: (a) 88.3 instead of 86.7, (b) 77.3 instead of 76.2; (a) on other bodies 84.7 instead of 81.8.
    - `universal`, 3,000 steps: (c) 47.3 instead of 43.3, (a) 90.1 instead of 91.1.

    More steps of the 2D encoder are not better where poses are few: 16,800 instead of 3,000 gave (a) 94.4 instead of
    91.1, but (c) 41.5 instead of 43.3.

    Ablations are settings, named in `vipe.embed.presets.ABLATIONS`: the paper's (`triplet_weight` 0, `alignment`,
    `pretraining`) and three of ours (`variational`, `views.random_share` 0, `universal`).

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
    gap: float = 0.1  # torso lengths, of `triplet_negative`
    triplet_negative: TripletNegative = "farther"
    """A negative is at least `gap` farther from the anchor than the positive; or, as the paper words it, `gap` "apart"
    from the positive (`mine`). The 2D encoder has hardly a difference where `paired`, since the positive is the
    anchor's own pose."""
    views: ViewConfig = field(default_factory=ViewConfig)
    record_every: int = 50
    validate_every: int = 1000
    validation_rows: int = 1000
    alignment: bool = True
    """Targets are canonical poses. If not, they keep their recorded rotation, on the canonical body."""
    pretraining: bool = True
    """The VAE comes first and its decoder is frozen. If not, the 2D encoder and the decoder are trained together, and
    the 3D encoder afterwards into their space."""
    paired: bool = True
    """A batch holds half as many poses, each twice, as each other's positive. Where `views.random_share` is a half, one
    view is of the rig and one of a random camera. If not, every row is another draw of a pose."""
    universal: bool = True
    """A part of each batch, `universal_share`, is on the universal skeleton (`vipe.training.people`). If not, all
    cameras see the person as recorded."""
    universal_share: float | None = None
    """The part, from the end of the batch. None: that of the random cameras, so that these see the universal skeleton
    and the rig's cameras the recorded proportions."""
    variational: bool = True
    """If not, 3D encoder and decoder are a plain autoencoder: no sampling, no KL divergence."""
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        self.check(steps=("pose_steps", "keypoint_steps"), least=3, holds="a triplet")
        if self.triplet_negative not in get_args(TripletNegative):
            rules = " or ".join(get_args(TripletNegative))
            raise VipeError(f"training: triplet_negative must be {rules}, got {self.triplet_negative!r}")
        if not 0 <= (self.universal_share or 0) <= 1:
            raise VipeError(f"training: universal_share must be 0 to 1, got {self.universal_share}")

    @property
    def on_universal(self) -> float:
        """Share of each batch on the universal skeleton."""
        if not self.universal:
            return 0.0
        return self.views.random_share if self.universal_share is None else self.universal_share

    @property
    def weights(self) -> Weights:
        """Weights of the losses, and the settings of the triplet loss."""
        return Weights(
            reconstruction=self.reconstruction_weight,
            kl=self.kl_weight,
            triplet=self.triplet_weight,
            gap=self.gap,
            negative=self.triplet_negative,
            margin=self.margin,
        )


class VVIPETraining(ResumableTraining[Embedder, VVIPEConfig, TrainingConfig]):
    """Training of V-VIPE (levy2024): the 3D pose VAE, then the 2D encoder into its space."""

    model_type = Embedder
    network_type = VVIPE
    config_type = TrainingConfig
    model: VVIPE
    legacy_values: ClassVar[Mapping[str, Any]] = {
        "alignment": True,
        "pretraining": True,
        "paired": False,
        "universal": False,
        "variational": True,
        "precision": "float32",
        "triplet_negative": "farther",
    }

    def prepare(self) -> None:
        """Compute targets, who stands before the cameras, and the rig's views."""
        self.targets, self.validation_targets = self._targets(self.poses), self._targets(self.validation)
        self.people = People.of(self.poses, self.config.on_universal)
        self.rig = self.config.views.rig_views(self.device)

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
            losses=self._vae_batch,
            validate=self._validate_poses if config.pretraining else self._validate_all,
        )
        keypoints = Stage(
            name="keypoints",
            steps=config.keypoint_steps,
            trained=(model.keypoint_encoder, *last),
            losses=self._keypoint_batch,
            validate=self._validate_keypoints,
        )
        return (poses, keypoints) if config.pretraining else (keypoints, poses)

    def card(self, history: History) -> str:
        """The model card."""
        return _card(self.told, len(self.poses), self.config, self.seed, history)

    def _targets(self, poses: Float32[Tensor, "N 17 3"]) -> Float32[Tensor, "N 17 3"]:
        canonical = canonicalize(poses)
        # Back to their rotation in the world: (R pose)ᵀ = poseᵀ Rᵀ, and rows times R undo it.
        return canonical.poses if self.config.alignment else canonical.poses @ canonical.rotation

    def _vae_batch(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of the VAE for one batch."""
        target = self.targets[self._draw(generator)]
        with self._precision():
            mean, log_variance = self.model.pose_encoder(target)
            mean, log_variance = mean.float(), log_variance.float()
            z = mean
            if self.config.variational:
                noise = torch.randn(mean.shape, generator=generator, device=mean.device)
                z = reparametrize(mean, log_variance, noise)
            decoded = self.model.pose_decoder(z).float()
        return vae_losses(decoded, target, mean, log_variance if self.config.variational else None, self.config.weights)

    def _keypoint_batch(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of the 2D encoder for one batch."""
        rows = self._draw(generator)
        if self.config.paired:
            rows = rows[: math.ceil(len(rows) / 2)].repeat(2)[: len(rows)]
        target = self.targets[rows]
        xy, seen = simulate_views(self.people.batch(rows), self.rig, self.config.views, generator)
        with self._precision():
            embedding = self.model.keypoint_encoder(xy, seen).float()
            decoded = self.model.pose_decoder(embedding).float()
        return keypoint_losses(decoded, target, embedding, self.config.weights)

    def _validate_poses(self) -> dict[str, float]:
        """Error of poses decoded from their own embedding."""
        return self._errors(self.model.encode_poses(self.validation_targets))

    def _validate_keypoints(self) -> dict[str, float]:
        """Error of poses decoded from one view each, and Hit@1 of these views as queries.

        `val_hit1` searches the 3D embeddings, `val_view_hit1` the embeddings of another view of every pose. Keypoint
        noise is the middle of the training's range.
        """
        views, canonical = self.config.views, self.validation_targets
        generator = validation_generator(self.device)
        both = two_views(self.validation, views, sum(views.noise) / 2, generator)
        queries, others = (self.model.encode_keypoints(xy, seen) for xy, seen in both)
        return {
            **self._errors(queries),
            "val_hit1": hit_at_1(queries, self.model.encode_poses(canonical), canonical),
            "val_view_hit1": hit_at_1(queries, others, canonical),
        }

    def _validate_all(self) -> dict[str, float]:
        return {**self._validate_keypoints(), "val_pose_mpjpe": self._validate_poses()["val_mpjpe"]}

    def _errors(self, z: Float[Tensor, "M D"]) -> dict[str, float]:
        decoded, target = self.model.decode(z), self.validation_targets
        return {
            "val_reconstruction": float(reconstruction(decoded, target)),
            "val_mpjpe": float(mpjpe(decoded, target)),
        }

    def _precision(self) -> AbstractContextManager[Any]:
        """Matrix products in the chosen precision; weights, losses and sums stay float32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16")

    def _draw(self, generator: torch.Generator) -> Tensor:
        return torch.randint(len(self.poses), (self.config.batch,), generator=generator, device=self.device)


train_vvipe = VVIPETraining.train
"""Train V-VIPE; see `vipe.training.resume.ResumableTraining.train`."""


def _card(told: Told, n: int, config: TrainingConfig, seed: int, history: History) -> str:
    last = {line["stage"]: line for line in history}
    keypoints = last["keypoints" if config.pretraining else "poses"]
    pose_error = last["poses"]["val_mpjpe" if config.pretraining else "val_pose_mpjpe"]
    left_out = {
        "triplet loss": config.triplet_weight == 0,
        "rotation alignment": not config.alignment,
        "pretraining of the decoder": not config.pretraining,
        "variational sampling": not config.variational,
        "camera augmentation": config.views.random_share == 0,
        "universal skeleton": config.on_universal == 0,
    }
    without = ", ".join(name for name, gone in left_out.items() if gone)
    return model_card(
        "V-VIPE",
        "A view-invariant embedding of human pose (Levy & Shrivastava 2024): 3D poses and 2D keypoints of one pose "
        "land near each other.",
        told,
        data=f"{n} poses",
        protocol=f"{config.pose_steps} and {config.keypoint_steps} steps of {config.batch}, seed {seed}"
        + (f". Without {without}" if without else ""),
        measured="on validation poses, one simulated view of each",
        figures={
            "decoded from their 3D embedding within": f"{pose_error:.3f} torso lengths (mean joint distance)",
            "from a view within": f"{keypoints['val_mpjpe']:.3f}",
            "search Hit@1 among them": f"{keypoints['val_hit1']:.1%}",
        },
        limits="one person, 13 COCO keypoints. Views are simulated, so a detector's own mistakes were not seen in "
        "training.",
    )
