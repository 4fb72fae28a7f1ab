"""A training that can be called again: it goes on where it was interrupted, or loads what it made."""

__all__ = ["Run", "Trainable", "train_or_resume"]

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from jaxtyping import Float, Float32
from torch import Tensor

from vipe.arrays import Array
from vipe.errors import VipeError
from vipe.networks.residual import Network
from vipe.pretrained import check_device
from vipe.training.checkpoint import CheckpointFolder, refuse_other_origin
from vipe.training.loop import History, Progress, Schedule, Stage, run_stages
from vipe.training.poses import checked_poses, digest, held_out

T = TypeVar("T", bound="Trainable")


class Trainable(Protocol):
    """What a training makes: trained networks with a card and an origin, kept as a folder."""

    origin: dict[str, Any]

    def __init__(self, model: Any, *, card: str = "", origin: Mapping[str, Any] | None = None) -> None: ...

    @classmethod
    def from_pretrained(cls: type[T], source: str | Path, *, device: str = "cpu") -> T:
        """Load it from its folder."""

    def save(self, path: str | Path, *, files: Mapping[str, str] | None = None, replace: bool = False) -> None:
        """Write its folder, with more text files by name."""


@runtime_checkable
class Run(Protocol):
    """One training: its data and its networks."""

    @property
    def model(self) -> Network:
        """The networks, on the device of the data."""

    @property
    def stages(self) -> Sequence[Stage]:
        """What is trained, in order."""

    def finish(self, history: History) -> str:
        """What is left to do after the last step; the model card."""


def train_or_resume(
    kind: type[T],
    begin: Callable[[Float32[Tensor, "N 17 3"], Float32[Tensor, "M 17 3"]], Run],
    poses: Float[Array, "N 17 3"],
    validation: Float[Array, "M 17 3"],
    folder: str | Path,
    *,
    network: Mapping[str, Any],
    training: Mapping[str, Any],
    schedule: Schedule,
    seed: int,
    device: str,
    progress: Progress | None,
) -> T:
    """Run a training unless its folder is finished, and leave what it made there with its `history.jsonl`.

    Args:
        kind: What is made of the trained networks.
        begin: Makes the training of the poses and of those that validate, which are on the device.
        poses: As recorded, metres.
        validation: Likewise.
        folder: Of the checkpoints, and of what is made.
        network: Settings of the networks, as JSON values. With `training`, the seed and hashes of the data they are the
            origin, which decides how a training ends. It is saved with checkpoints and with what was made, and
            compared when they are met again, so its keys stay.
        training: Settings of the training, likewise.
        schedule: What of them the steps need.
        seed: Decides every draw.
        device: Where to train, as torch names it.
        progress: Called every few steps.

    Raises:
        ShapeError: If poses are not (N, 17, 3) with N at least 3, in metres, each with a canonical form.
        VipeError: If the device is not there, the seed is negative, a loss is not finite, or the folder cannot be
            written, holds something else, or a training of another origin.
    """
    check_device(device)
    if seed < 0:
        raise VipeError(f"training: seed must not be negative, got {seed}")
    data = {"poses": digest(poses), "validation": digest(validation)}
    origin = {"network": network, "training": training, "seed": seed, **data}
    folder = Path(folder)
    if (folder / "config.json").is_file():
        made = kind.from_pretrained(folder, device=device)
        refuse_other_origin(folder, made.origin, origin)
        return made
    checkpoints = CheckpointFolder(folder, origin)
    run = begin(checked_poses("poses", poses, device), held_out(validation, schedule.validation_rows, device))
    history = run_stages(run.model, run.stages, schedule, seed=seed, folder=checkpoints, progress=progress)
    made = kind(run.model, card=run.finish(history), origin=origin)
    lines = "".join(json.dumps(line) + "\n" for line in history)
    made.save(folder, files={"history.jsonl": lines}, replace=True)
    return made
