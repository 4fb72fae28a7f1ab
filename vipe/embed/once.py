"""A training that is done once: called again it goes on where it was interrupted, or only loads what it made."""

__all__ = ["origin_of", "train_once"]

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float

from vipe.embed.checkpoint import CheckpointFolder, refuse_other_origin
from vipe.embed.loop import History
from vipe.embed.recorded import digest
from vipe.errors import VipeError

Array = np.ndarray[Any, np.dtype[Any]]


@runtime_checkable
class Trained(Protocol):
    """What a training makes."""

    origin: dict[str, Any]

    def save(self, path: str | Path, *, files: Mapping[str, str] | None = None, replace: bool = False) -> None:
        """Write it as a folder."""


M = TypeVar("M", bound=Trained)


def origin_of(
    network: Mapping[str, Any],
    training: Mapping[str, Any],
    seed: int,
    poses: Float[Array, "N 17 3"],
    validation: Float[Array, "M 17 3"],
) -> dict[str, Any]:
    """What decides how a training ends: settings, seed, and what its data are told by.

    It is saved with checkpoints and with what was trained, and compared when they are met again, so its keys stay.

    Raises:
        VipeError: If the seed is negative.
    """
    if seed < 0:
        raise VipeError(f"training: seed must not be negative, got {seed}")
    return {
        "network": network,
        "training": training,
        "seed": seed,
        "poses": digest(poses),
        "validation": digest(validation),
    }


def train_once(
    folder: str | Path,
    origin: Mapping[str, Any],
    load: Callable[[Path], M],
    run: Callable[[CheckpointFolder], tuple[M, History]],
) -> M:
    """Run a training unless its folder is finished, and leave what it made there with its `history.jsonl`.

    Args:
        folder: Of the training, and of what it makes.
        origin: As `origin_of` gives it.
        load: Reads what was made.
        run: Trains, with checkpoints in the folder.

    Raises:
        VipeError: If the folder cannot be written, holds something else, or a training of another origin.
    """
    folder = Path(folder)
    if (folder / "config.json").is_file():
        made = load(folder)
        refuse_other_origin(folder, made.origin, origin)
        return made
    made, history = run(CheckpointFolder(folder, origin))
    lines = "".join(json.dumps(line) + "\n" for line in history)
    made.save(folder, files={"history.jsonl": lines}, replace=True)
    return made
