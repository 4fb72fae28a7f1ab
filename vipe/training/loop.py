"""The steps of a training, whatever is trained: rate, seeds, history, checkpoints (torch)."""

__all__ = ["History", "TrainingProgress", "Schedule", "Stage", "run_stages"]

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from vipe.errors import ReadError, VipeError
from vipe.training.average import WeightAverage
from vipe.training.checkpoint import Checkpoint, CheckpointFolder, restore_state, state_tensors

_CHECKPOINT_EVERY = 60.0  # seconds: after these, the next line of the history comes with a checkpoint

TrainingProgress = Callable[[str, int, int, Mapping[str, float]], None]
"""Called every few steps with (stage, steps done, steps of the stage, latest metrics)."""

History = list[Mapping[str, Any]]
"""A line every few steps: stage, step, mean losses since the line before, and validation figures."""


class Schedule:
    """The settings that every training has: its configuration is a dataclass with these fields."""

    batch: int  # poses a step
    learning_rate: float  # its largest value
    warmup: float  # share of a stage's steps over which the rate rises; then it falls to 0 as a cosine
    weight_decay: float  # of AdamW
    record_every: int  # steps from one line of the history to the next
    validate_every: int  # steps from one validation, and checkpoint, to the next
    validation_rows: int  # evenly spaced among the validation poses, at most
    precision: Literal["float32", "bfloat16"]  # of matrix products; a CPU without bfloat16 emulates it, slowly
    averaging: float = 0.0  # decay of a `WeightAverage`, which is validated and saved; 0: the last step's weights are

    def check(self, *, steps: Sequence[str], least: int, holds: str) -> None:
        """Refuse settings that no training can run with.

        Args:
            steps: Names of the settings that count steps.
            least: Poses that a batch needs.
            holds: What these poses make up; for the message.

        Raises:
            VipeError: If one is out of its range; names it.
        """
        for name in (*steps, "record_every", "validate_every", "validation_rows"):
            if getattr(self, name) < 1:
                raise VipeError(f"training: {name} must be at least 1, got {getattr(self, name)}")
        if self.batch < least:
            raise VipeError(f"training: batch must be at least {least} ({holds}), got {self.batch}")
        if not self.learning_rate > 0 or not 0 <= self.warmup <= 1:
            rate = f"{self.learning_rate}, {self.warmup}"
            raise VipeError(f"training: learning_rate must be above 0 and warmup 0 to 1, got {rate}")
        if self.precision not in ("float32", "bfloat16"):
            raise VipeError(f"training: precision must be float32 or bfloat16, got {self.precision!r}")
        if not 0 <= self.averaging < 1:
            raise VipeError(f"training: averaging must be at least 0 and below 1, got {self.averaging}")


@dataclass(frozen=True)
class Stage:
    """A part of a training with an optimizer of its own; all other weights stay as they are."""

    name: str
    steps: int
    trained: tuple[nn.Module, ...]
    losses: Callable[[torch.Generator], dict[str, Tensor]]  # of one batch; "loss" is minimized
    validate: Callable[[], dict[str, float]]  # called without gradients, with the model in evaluation mode


def run_stages(
    model: nn.Module,
    stages: Sequence[Stage],
    schedule: Schedule,
    *,
    seed: int,
    folder: CheckpointFolder,
    progress: TrainingProgress | None,
) -> History:
    """Run the steps that are left after the folder's last checkpoint, and return the history of all steps.

    Every step draws from generators seeded by (seed, number of the stage, step). With `schedule.averaging` each stage
    ends with the averaged weights of its steps.

    Raises:
        ReadError: If the checkpoint is of another model.
        VipeError: If a loss is not finite.
    """
    device = next(model.parameters()).device
    checkpoint = folder.read()
    history = list(checkpoint.history) if checkpoint else []
    for number, stage in enumerate(stages):
        if checkpoint is not None and checkpoint.stage > number:
            continue
        model.eval().requires_grad_(False)  # untrained parts: no dropout, no new statistics
        for module in stage.trained:
            module.requires_grad_(True)
        optimizer = torch.optim.AdamW(
            [weight for weight in model.parameters() if weight.requires_grad],
            lr=schedule.learning_rate,
            weight_decay=schedule.weight_decay,
            fused=True,
        )
        average = WeightAverage(model, schedule.averaging) if schedule.averaging else None
        done = 0
        if checkpoint is not None and checkpoint.stage == number:
            try:
                restore_state(checkpoint.tensors, model, optimizer, average)
            except (KeyError, ValueError, RuntimeError) as error:
                where = folder.path
                raise ReadError(f"{where}: its checkpoint does not fit; remove the folder to start anew") from error
            done = checkpoint.step
        loop = _Loop(model, stage, number, schedule, seed, device, folder, progress, optimizer, average)
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):  # dropout takes no generator, only the global one
            loop.run(done, history)
        if average is not None:
            average.apply()
    return history


@dataclass
class _Loop:
    """The loop over the steps of one stage."""

    model: nn.Module
    stage: Stage
    number: int
    schedule: Schedule
    seed: int
    device: torch.device
    folder: CheckpointFolder
    progress: TrainingProgress | None
    optimizer: torch.optim.Optimizer
    average: WeightAverage | None

    def run(self, done: int, history: History) -> None:
        """Run the steps after the first `done`, and append to `history`."""
        stage, schedule = self.stage, self.schedule
        generator = torch.Generator(self.device)
        sums: dict[str, Tensor] = {}
        counts: dict[str, int] = {}  # a loss may belong to some steps only
        written = time.monotonic()
        self._train()
        for step in range(done + 1, stage.steps + 1):
            losses = self._step(step, generator)
            for key, value in losses.items():
                sums[key] = sums.get(key, 0) + value.detach()
                counts[key] = counts.get(key, 0) + 1
            check = step == stage.steps or step % schedule.validate_every == 0
            if not check and step % schedule.record_every:
                continue
            metrics = {key: float(value) / counts[key] for key, value in sums.items()}
            if not math.isfinite(metrics["loss"]):
                raise VipeError(f"training: loss {metrics['loss']} at step {step} of {stage.name}; lower learning_rate")
            sums, counts = {}, {}
            if check:
                self.model.eval()
                with torch.no_grad(), nullcontext() if self.average is None else self.average.applied():
                    metrics |= stage.validate()
                self._train()
            history.append({"stage": stage.name, "step": step, **metrics})
            if self.progress is not None:
                self.progress(stage.name, step, stage.steps, metrics)
            if check or time.monotonic() - written > _CHECKPOINT_EVERY:
                tensors = state_tensors(self.model, self.optimizer, self.average)
                self.folder.write(Checkpoint(stage=self.number, step=step, tensors=tensors, history=tuple(history)))
                written = time.monotonic()

    def _step(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Change the weights by the gradient of one batch, and return its losses; steps count from 1."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate * _rate(step - 1, self.stage.steps, self.schedule.warmup)
        # Two seeds a step, for the batch and for dropout: a resumed training draws what an uninterrupted one draws.
        draws, dropout = np.random.SeedSequence((self.seed, self.number, step - 1)).generate_state(2, np.uint64)
        generator.manual_seed(int(draws >> np.uint64(1)))
        self._seed_dropout(int(dropout >> np.uint64(1)))
        losses = self.stage.losses(generator)
        self.optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        return losses

    def _train(self) -> None:
        for module in self.stage.trained:
            module.train()

    def _seed_dropout(self, seed: int) -> None:
        """Seed the global generator of the device that dropout runs on; `run_stages` restores it."""
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        else:
            torch.default_generator.manual_seed(seed)


def _rate(step: int, steps: int, warmup: float) -> float:
    """Share of the full learning rate: a line up over the warm-up, then half a cosine down to 0."""
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
