"""Training V-VIPE: first the VAE of 3D poses, then the 2D encoder with the decoder frozen (torch; numpy in)."""

__all__ = ["Progress", "TrainingConfig", "digest", "held_out", "recorded", "settings", "silent", "train"]

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from vipe.embed.checkpoint import CheckpointFolder, refuse_other_origin
from vipe.embed.loop import Progress, Stage, run_stages
from vipe.embed.losses import kl_to_standard_normal, mine, pairwise_mpjpe, reconstruction, triplet
from vipe.embed.validation import validate_keypoints, validate_poses
from vipe.embed.views import ViewConfig, see
from vipe.embed.vvipe import VVIPE, Embedder, VVIPEConfig, check_device
from vipe.errors import ShapeError, VipeError
from vipe.geometry.canonical import canonicalize
from vipe.simulate.rigs import CameraRig

Array = np.ndarray[Any, np.dtype[Any]]

_TORSO = (0.05, 5.0)  # metres; outside, the poses are in another unit, and cameras at some metres make no sense


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How V-VIPE is trained; the paper's values where it states them (sec. 3.2, 4.1, 4.4).

    The paper gives all losses weight 1 and states neither batch, rate nor steps. The weights here were chosen on
    validation clips of real motion capture, by search Hit@1 after 500 and 700 steps at width 384:

    - KL: a sum over dimensions beside a mean over coordinates, so weight 1 would collapse the posterior onto the prior.
      3e-3, 1e-3, 3e-4 gave 63, 70, 76 (triplet weight 0.01).
    - Triplet: 1, 0.1, 0.01, 0 gave 21, 54, 70, 72 (KL weight 1e-3): a margin of 1 in the embedding outweighs errors of
      0.01 torso squared, and 2D embeddings then leave their 3D ones behind. Without it, one view finds another view
      less often (68 instead of 77), so it stays, at 0.005.

    The paper's ablations are settings: `triplet_weight` 0, `alignment`, `pretraining`, `variational`, and
    `views.random_share` 0 (see `vipe.embed.presets.ABLATIONS`).

    Raises:
        VipeError: If a number is out of its range.
    """

    pose_steps: int = 30_000
    keypoint_steps: int = 60_000
    batch: int = 256
    learning_rate: float = 1e-3
    warmup: float = 0.05  # share of a stage's steps over which the rate rises; then it falls to 0 as a cosine
    weight_decay: float = 0.0
    reconstruction_weight: float = 1.0
    kl_weight: float = 2e-4
    triplet_weight: float = 5e-3
    margin: float = 1.0
    gap: float = 0.1  # torso lengths: how much farther than the positive a negative is at least
    views: ViewConfig = field(default_factory=ViewConfig)
    record_every: int = 50  # steps from one line of the history to the next
    validate_every: int = 1000  # steps from one validation, and checkpoint, to the next
    validation_rows: int = 1000  # evenly spaced among the validation poses
    alignment: bool = True
    """Targets are canonical. If not, they have the canonical body but stay turned as they were recorded."""
    pretraining: bool = True
    """The VAE comes first and its decoder is frozen. If not, the 2D encoder and the decoder are trained together, and
    the 3D encoder afterwards into their space."""
    variational: bool = True
    """If not, the 3D encoder and decoder are an autoencoder: no sampling, no KL divergence."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of matrix products. bfloat16 is faster on a GPU, and on CPUs that have it; others emulate it, slowly."""

    def __post_init__(self) -> None:
        for name in ("pose_steps", "keypoint_steps", "record_every", "validate_every", "validation_rows"):
            if getattr(self, name) < 1:
                raise VipeError(f"training: {name} must be at least 1, got {getattr(self, name)}")
        if self.batch < 3:
            raise VipeError(f"training: batch must be at least 3 (a triplet), got {self.batch}")
        if not self.learning_rate > 0 or not 0 <= self.warmup <= 1:
            raise VipeError(
                f"training: learning_rate must be above 0 and warmup 0 to 1, got {self.learning_rate}, {self.warmup}"
            )
        if self.precision not in ("float32", "bfloat16"):
            raise VipeError(f"training: precision must be float32 or bfloat16, got {self.precision!r}")


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
    folder, network, config = Path(folder), network or VVIPEConfig(), config or TrainingConfig()
    if seed < 0:
        raise VipeError(f"training: seed must not be negative, got {seed}")
    check_device(device)
    origin = {
        "network": asdict(network),
        "training": settings(config),
        "seed": seed,
        "poses": digest(poses),
        "validation": digest(validation),
    }
    if (folder / "config.json").is_file():
        embedder = Embedder.from_pretrained(folder, device=device)
        refuse_other_origin(folder, embedder.origin, origin)
        return embedder
    run = _Run(
        model=VVIPE.untrained(network, seed).to(device),
        config=config,
        recorded=recorded("poses", poses, device),
        held_out=held_out(validation, config.validation_rows, device),
    )
    history = run_stages(
        run.model,
        run.stages,
        config,
        seed=seed,
        device=run.recorded.device,
        folder=CheckpointFolder(folder, origin),
        progress=progress or silent,
    )
    card = _card(data, len(poses), config, seed, history)
    embedder = Embedder(run.model, card=card, origin=origin)
    lines = "".join(json.dumps(line) + "\n" for line in history)
    embedder.save(folder, files={"history.jsonl": lines}, replace=True)
    return embedder


class _Run:
    """One training: its data and its networks."""

    def __init__(
        self,
        *,
        model: VVIPE,
        config: TrainingConfig,
        recorded: Float32[Tensor, "N 17 3"],
        held_out: Float32[Tensor, "M 17 3"],
    ) -> None:
        self.model, self.config = model, config
        self.recorded, self.targets = recorded, self._targets(recorded)
        self.held_out, self.held_out_targets = held_out, self._targets(held_out)
        rig = [[view.azimuth, view.elevation, view.roll] for view in CameraRig.load(config.views.rig).cameras]
        self.rig = torch.tensor(rig, dtype=torch.float32, device=recorded.device)

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
        target = self.targets[rows]
        xy, seen = see(self.recorded[rows], self.rig, self.config.views, generator)
        with self._precision():
            embedding = self.model.keypoint_encoder(xy, seen).float()
            decoded = self.model.pose_decoder(embedding).float()
        losses = {"reconstruction": reconstruction(decoded, target), "triplet": self._triplet(embedding, target)}
        return {"loss": self._weigh(losses), **losses}

    def _validate_poses(self) -> dict[str, float]:
        return validate_poses(self.model, self.held_out_targets)

    def _validate_keypoints(self) -> dict[str, float]:
        return validate_keypoints(self.model, self.held_out, self.held_out_targets, self.rig, self.config.views)

    def _validate_all(self) -> dict[str, float]:
        return {**self._validate_keypoints(), "val_pose_mpjpe": self._validate_poses()["val_mpjpe"]}

    def _precision(self) -> torch.autocast:
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


def silent(stage: str, step: int, steps: int, metrics: Mapping[str, float]) -> None:
    """Progress that nobody watches."""


def settings(config: TrainingConfig) -> dict[str, Any]:
    """What the origin of a training says of its settings: later ones only where they are not as before they existed."""
    fields = asdict(config)
    return {name: value for name, value in fields.items() if name not in _LATER or value != _LATER[name]}


_LATER = {"alignment": True, "pretraining": True, "variational": True, "precision": "float32"}


def recorded(what: str, poses: Float[Array, "N 17 3"], device: str) -> Float32[Tensor, "N 17 3"]:
    """Poses as a training takes them.

    Raises:
        ShapeError: If they are not (N, 17, 3) with N at least 3, in metres, each with a canonical form.
    """
    if poses.ndim != 3 or poses.shape[1:] != (17, 3) or len(poses) < 3:
        raise ShapeError(f"{what} must be (N, 17, 3) with N at least 3, got shape {poses.shape}")
    tensor = torch.tensor(poses, dtype=torch.float32, device=device)
    canonical = canonicalize(tensor)
    bad = canonical.degenerate | ~torch.isfinite(canonical.poses).flatten(1).all(1)
    if bad.any():
        row = int(bad.to(torch.uint8).argmax())
        raise ShapeError(
            f"{what}: row {row} has no canonical form (hips and spine on one line, or not finite); leave it out"
        )
    wrong = (canonical.scale < _TORSO[0]) | (canonical.scale > _TORSO[1])
    if wrong.any():
        row = int(wrong.to(torch.uint8).argmax())
        raise ShapeError(f"{what}: row {row} has a torso of {float(canonical.scale[row]):.3g} m; expected metres")
    return tensor


def held_out(validation: Float[Array, "M 17 3"], most: int, device: str) -> Float32[Tensor, "rows 17 3"]:
    """At most so many of the validation poses, evenly spaced; raises as `recorded`."""
    poses = recorded("validation poses", validation, device)
    return poses[torch.linspace(0, len(poses) - 1, min(len(poses), most)).round().long()]


def digest(poses: Float[Array, "N 17 3"]) -> str:
    """16 hex digits that tell data from other data."""
    return hashlib.sha256(f"{poses.shape}".encode() + np.ascontiguousarray(poses, np.float32).tobytes()).hexdigest()[
        :16
    ]


def _card(data: str, n: int, config: TrainingConfig, seed: int, history: list[Mapping[str, Any]]) -> str:
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
