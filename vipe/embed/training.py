"""Training V-VIPE: first the VAE of 3D poses, then the 2D encoder with the decoder frozen (torch; numpy in)."""

__all__ = ["Progress", "TrainingConfig", "train"]

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from vipe.embed.checkpoint import Checkpoint, CheckpointFolder, refuse_other_origin, restore_state, state_tensors
from vipe.embed.losses import kl_to_standard_normal, mine, pairwise_mpjpe, reconstruction, triplet
from vipe.embed.validation import validate_keypoints, validate_poses
from vipe.embed.views import ViewConfig, see
from vipe.embed.vvipe import VVIPE, Embedder, VVIPEConfig, check_device
from vipe.errors import ReadError, ShapeError, VipeError
from vipe.geometry.canonical import canonicalize
from vipe.simulate.rigs import CameraRig

Array = np.ndarray[Any, np.dtype[Any]]

Progress = Callable[[str, int, int, Mapping[str, float]], None]
"""Told of (stage, steps done, steps of the stage, latest metrics) every few steps."""

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
        "training": asdict(config),
        "seed": seed,
        "poses": _digest(poses),
        "validation": _digest(validation),
    }
    if (folder / "config.json").is_file():
        embedder = Embedder.from_pretrained(folder, device=device)
        refuse_other_origin(folder, embedder.origin, origin)
        return embedder
    run = _Run(
        model=VVIPE.untrained(network, seed).to(device),
        config=config,
        seed=seed,
        recorded=_recorded("poses", poses, device),
        held_out=_recorded("validation poses", validation, device)[_spread(len(validation), config.validation_rows)],
        folder=CheckpointFolder(folder, origin),
        progress=progress or _silent,
    )
    history = run.to_end()
    card = _card(data, len(poses), config, seed, history)
    embedder = Embedder(run.model, card=card, origin=origin)
    lines = "".join(json.dumps(line) + "\n" for line in history)
    embedder.save(folder, files={"history.jsonl": lines}, replace=True)
    return embedder


class _Run:
    """One training: its data, its networks, and where it stands."""

    def __init__(
        self,
        *,
        model: VVIPE,
        config: TrainingConfig,
        seed: int,
        recorded: Float32[Tensor, "N 17 3"],
        held_out: Float32[Tensor, "M 17 3"],
        folder: CheckpointFolder,
        progress: Progress,
    ) -> None:
        self.model, self.config, self.seed = model, config, seed
        self.recorded, self.canonical = recorded, canonicalize(recorded).poses
        self.held_out, self.held_out_canonical = held_out, canonicalize(held_out).poses
        self.folder, self.progress = folder, progress
        rig = [[view.azimuth, view.elevation, view.roll] for view in CameraRig.load(config.views.rig).cameras]
        self.rig = torch.tensor(rig, dtype=torch.float32, device=recorded.device)

    def to_end(self) -> list[Mapping[str, Any]]:
        """Run what is left of both stages; the history of all of it."""
        checkpoint = self.folder.read()
        history = list(checkpoint.history) if checkpoint else []
        stages: tuple[tuple[Literal["poses", "keypoints"], int, tuple[nn.Module, ...]], ...] = (
            ("poses", self.config.pose_steps, (self.model.pose_encoder, self.model.pose_decoder)),
            ("keypoints", self.config.keypoint_steps, (self.model.keypoint_encoder,)),
        )
        devices = [self.recorded.device] if self.recorded.device.type == "cuda" else []
        for number, (name, steps, trained) in enumerate(stages):
            if checkpoint is not None and checkpoint.stage > number:
                continue
            self.model.eval().requires_grad_(False)  # what is not trained stays so: no dropout, no new statistics
            for module in trained:
                module.requires_grad_(True)
            optimizer = torch.optim.AdamW(
                [weight for weight in self.model.parameters() if weight.requires_grad],
                lr=self.config.learning_rate,
                weight_decay=self.config.weight_decay,
                fused=True,
            )
            done = 0
            if checkpoint is not None and checkpoint.stage == number:
                try:
                    restore_state(checkpoint.tensors, self.model, optimizer)
                except (KeyError, ValueError, RuntimeError) as error:
                    where = self.folder.path
                    raise ReadError(f"{where}: its checkpoint does not fit; remove the folder to start anew") from error
                done = checkpoint.step
            with torch.random.fork_rng(devices=devices):  # dropout takes no generator: it has the global one, lent
                self._stage(number, name, done, steps, trained, optimizer, history)
        return history

    def _stage(
        self,
        number: int,
        name: Literal["poses", "keypoints"],
        done: int,
        steps: int,
        trained: tuple[nn.Module, ...],
        optimizer: torch.optim.Optimizer,
        history: list[Mapping[str, Any]],
    ) -> None:
        generator = torch.Generator(self.recorded.device)
        sums: dict[str, Tensor] = {}
        summed = 0
        for module in trained:
            module.train()
        for step in range(done, steps):
            for group in optimizer.param_groups:
                group["lr"] = self.config.learning_rate * _rate(step, steps, self.config.warmup)
            draws, dropout = np.random.SeedSequence((self.seed, number, step)).generate_state(2, np.uint64)
            generator.manual_seed(int(draws >> np.uint64(1)))
            self._lend_dropout(int(dropout >> np.uint64(1)))
            losses = self._pose_losses(generator) if name == "poses" else self._keypoint_losses(generator)
            optimizer.zero_grad(set_to_none=True)
            losses["loss"].backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            sums = {key: sums.get(key, 0) + value.detach() for key, value in losses.items()}
            summed += 1

            last = step + 1 == steps
            check = last or (step + 1) % self.config.validate_every == 0
            if check or (step + 1) % self.config.record_every == 0:
                metrics = {key: float(value) / summed for key, value in sums.items()}
                if not math.isfinite(metrics["loss"]):
                    raise VipeError(
                        f"training: loss {metrics['loss']} at step {step + 1} of {name}; lower learning_rate"
                    )
                sums, summed = {}, 0
                if check:
                    metrics |= self._validate(name)  # leaves all in evaluation mode
                    for module in trained:
                        module.train()
                history.append({"stage": name, "step": step + 1, **metrics})
                self.progress(name, step + 1, steps, metrics)
                if check:
                    tensors = state_tensors(self.model, optimizer)
                    self.folder.write(Checkpoint(stage=number, step=step + 1, tensors=tensors, history=tuple(history)))

    def _lend_dropout(self, seed: int) -> None:
        """Seed the global generator of the one device that dropout runs on; the caller has put it aside."""
        if self.recorded.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        else:
            torch.default_generator.manual_seed(seed)

    def _pose_losses(self, generator: torch.Generator) -> dict[str, Tensor]:
        """One batch of the VAE (levy2024, eq. 2); triplets are of the means."""
        rows = self._draw(generator)
        target = self.canonical[rows]
        mean, log_variance = self.model.pose_encoder(target)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        decoded = self.model.pose_decoder(mean + (log_variance / 2).exp() * noise)
        losses = {
            "reconstruction": reconstruction(decoded, target),
            "kl": kl_to_standard_normal(mean, log_variance),
            "triplet": self._triplet(mean, target),
        }
        return {"loss": self._weigh(losses), **losses}

    def _keypoint_losses(self, generator: torch.Generator) -> dict[str, Tensor]:
        """One batch of the 2D encoder (levy2024, sec. 3.3)."""
        rows = self._draw(generator)
        target = self.canonical[rows]
        embedding = self.model.keypoint_encoder(*see(self.recorded[rows], self.rig, self.config.views, generator))
        losses = {
            "reconstruction": reconstruction(self.model.pose_decoder(embedding), target),
            "triplet": self._triplet(embedding, target),
        }
        return {"loss": self._weigh(losses), **losses}

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

    def _validate(self, name: Literal["poses", "keypoints"]) -> dict[str, float]:
        self.model.eval()
        if name == "poses":
            return validate_poses(self.model, self.held_out_canonical)
        return validate_keypoints(self.model, self.held_out, self.held_out_canonical, self.rig, self.config.views)


def _silent(stage: str, step: int, steps: int, metrics: Mapping[str, float]) -> None:
    """Progress that nobody watches."""


def _rate(step: int, steps: int, warmup: float) -> float:
    """Share of the full learning rate: a line up over the warm-up, then half a cosine down to 0."""
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def _recorded(what: str, poses: Float[Array, "N 17 3"], device: str) -> Float32[Tensor, "N 17 3"]:
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


def _spread(n: int, most: int) -> Tensor:
    """At most so many row numbers, evenly spaced."""
    return torch.linspace(0, n - 1, min(n, most)).round().long()


def _digest(poses: Float[Array, "N 17 3"]) -> str:
    return hashlib.sha256(f"{poses.shape}".encode() + np.ascontiguousarray(poses, np.float32).tobytes()).hexdigest()[
        :16
    ]


def _card(data: str, n: int, config: TrainingConfig, seed: int, history: list[Mapping[str, Any]]) -> str:
    last = {line["stage"]: line for line in history}
    poses, keypoints = last["poses"], last["keypoints"]
    return f"""# V-VIPE

A view-invariant embedding of human pose (Levy & Shrivastava 2024): 3D poses and 2D keypoints of one pose land near
each other.

- Trained on {n} poses{f" ({data})" if data else ""}: {config.pose_steps} and {config.keypoint_steps} steps of {config.batch}, seed {seed}.
- On validation poses: decoded from their 3D embedding within {poses["val_mpjpe"]:.3f} torso lengths, from one simulated
  view within {keypoints["val_mpjpe"]:.3f} (mean joint distance); search Hit@1 among them {keypoints["val_hit1"]:.1%}.
- Limits: one person, 13 COCO keypoints; views are simulated, so a detector's own mistakes were not seen in training.
  The licence of the weights follows from that of the data.
"""  # noqa: E501
