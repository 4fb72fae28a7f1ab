"""The steps of a training, whatever is trained: rate, seeds, history, checkpoints (torch)."""

__all__ = ["History", "Progress", "Schedule", "Stage", "check_schedule", "run_stages"]

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from vipe.embed.checkpoint import Checkpoint, CheckpointFolder, restore_state, state_tensors
from vipe.errors import ReadError, VipeError

Progress = Callable[[str, int, int, Mapping[str, float]], None]
"""Told of (stage, steps done, steps of the stage, latest metrics) every few steps."""

History = list[Mapping[str, Any]]
"""A line every few steps: stage, step, losses, and what validation found."""


@runtime_checkable
class Schedule(Protocol):
    """The settings of a training that its steps need."""

    @property
    def batch(self) -> int:
        """Poses a step."""

    @property
    def learning_rate(self) -> float:
        """Its largest value."""

    @property
    def warmup(self) -> float:
        """Share of a stage's steps over which the rate rises; then it falls to 0 as a cosine."""

    @property
    def weight_decay(self) -> float:
        """Of AdamW."""

    @property
    def record_every(self) -> int:
        """Steps from one line of the history to the next."""

    @property
    def validate_every(self) -> int:
        """Steps from one validation, and checkpoint, to the next."""

    @property
    def validation_rows(self) -> int:
        """Poses that validate, at most."""

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """Of matrix products."""


def check_schedule(schedule: Schedule, *, steps: Sequence[str], least: int, holds: str) -> None:
    """Refuse settings that no training can run with.

    Args:
        schedule: The settings.
        steps: Names of the settings that count steps.
        least: Poses that a batch needs.
        holds: What it needs them for.

    Raises:
        VipeError: If one is out of its range; names it.
    """
    for name in (*steps, "record_every", "validate_every", "validation_rows"):
        if getattr(schedule, name) < 1:
            raise VipeError(f"training: {name} must be at least 1, got {getattr(schedule, name)}")
    if schedule.batch < least:
        raise VipeError(f"training: batch must be at least {least} ({holds}), got {schedule.batch}")
    if not schedule.learning_rate > 0 or not 0 <= schedule.warmup <= 1:
        rate = f"{schedule.learning_rate}, {schedule.warmup}"
        raise VipeError(f"training: learning_rate must be above 0 and warmup 0 to 1, got {rate}")
    if schedule.precision not in ("float32", "bfloat16"):
        raise VipeError(f"training: precision must be float32 or bfloat16, got {schedule.precision!r}")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of a training with an optimizer of its own; what is not trained in it stays as it is."""

    name: str
    steps: int
    trained: tuple[nn.Module, ...]
    losses: Callable[[torch.Generator], dict[str, Tensor]]  # of one batch; "loss" is what is made small
    validate: Callable[[], dict[str, float]]  # called with the model in evaluation mode


def run_stages(
    model: nn.Module,
    stages: Sequence[Stage],
    schedule: Schedule,
    *,
    seed: int,
    device: torch.device,
    folder: CheckpointFolder,
    progress: Progress | None,
) -> History:
    """Run what is left of all stages, from the last checkpoint of the folder on; the history of all of it.

    Every step draws from generators seeded by (seed, number of the stage, step).

    Raises:
        ReadError: If the checkpoint is of another model.
        VipeError: If a loss is not finite.
    """
    checkpoint = folder.read()
    history = list(checkpoint.history) if checkpoint else []
    for number, stage in enumerate(stages):
        if checkpoint is not None and checkpoint.stage > number:
            continue
        model.eval().requires_grad_(False)  # what is not trained stays so: no dropout, no new statistics
        for module in stage.trained:
            module.requires_grad_(True)
        optimizer = torch.optim.AdamW(
            [weight for weight in model.parameters() if weight.requires_grad],
            lr=schedule.learning_rate,
            weight_decay=schedule.weight_decay,
            fused=True,
        )
        done = 0
        if checkpoint is not None and checkpoint.stage == number:
            try:
                restore_state(checkpoint.tensors, model, optimizer)
            except (KeyError, ValueError, RuntimeError) as error:
                where = folder.path
                raise ReadError(f"{where}: its checkpoint does not fit; remove the folder to start anew") from error
            done = checkpoint.step
        loop = _Loop(model, stage, number, schedule, seed, device, folder, progress)
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):  # dropout takes no generator: it has the global one, lent
            loop.run(done, optimizer, history)
    return history


@dataclass
class _Loop:
    """One stage under way."""

    model: nn.Module
    stage: Stage
    number: int
    schedule: Schedule
    seed: int
    device: torch.device
    folder: CheckpointFolder
    progress: Progress | None

    def run(self, done: int, optimizer: torch.optim.Optimizer, history: History) -> None:
        stage, schedule = self.stage, self.schedule
        generator = torch.Generator(self.device)
        sums: dict[str, Tensor] = {}
        summed = 0
        self._train()
        for step in range(done, stage.steps):
            for group in optimizer.param_groups:
                group["lr"] = schedule.learning_rate * _rate(step, stage.steps, schedule.warmup)
            draws, dropout = np.random.SeedSequence((self.seed, self.number, step)).generate_state(2, np.uint64)
            generator.manual_seed(int(draws >> np.uint64(1)))
            self._lend_dropout(int(dropout >> np.uint64(1)))
            losses = stage.losses(generator)
            optimizer.zero_grad(set_to_none=True)
            losses["loss"].backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            sums = {key: sums.get(key, 0) + value.detach() for key, value in losses.items()}
            summed += 1

            last = step + 1 == stage.steps
            check = last or (step + 1) % schedule.validate_every == 0
            if check or (step + 1) % schedule.record_every == 0:
                metrics = {key: float(value) / summed for key, value in sums.items()}
                if not math.isfinite(metrics["loss"]):
                    raise VipeError(
                        f"training: loss {metrics['loss']} at step {step + 1} of {stage.name}; lower learning_rate"
                    )
                sums, summed = {}, 0
                if check:
                    self.model.eval()
                    metrics |= stage.validate()
                    self._train()
                history.append({"stage": stage.name, "step": step + 1, **metrics})
                if self.progress is not None:
                    self.progress(stage.name, step + 1, stage.steps, metrics)
                if check:
                    tensors = state_tensors(self.model, optimizer)
                    self.folder.write(
                        Checkpoint(stage=self.number, step=step + 1, tensors=tensors, history=tuple(history))
                    )

    def _train(self) -> None:
        for module in self.stage.trained:
            module.train()

    def _lend_dropout(self, seed: int) -> None:
        """Seed the global generator of the one device that dropout runs on; the caller has put it aside."""
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
