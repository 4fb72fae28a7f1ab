"""Checkpoints: weights, optimizer state and history of a training, written to its folder as it runs (torch).

`state.json` names the newest `checkpoint-*.safetensors` and is written after it. So the two belong together, whenever
the process ends. `history.jsonl` has a line of losses every few steps.
"""

__all__ = ["Checkpoint", "CheckpointFolder", "refuse_other_origin", "restore_state", "state_tensors"]

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from vipe.atomic_write import atomic_write, check_writable, locked
from vipe.errors import ReadError, VipeError
from vipe.files.regular_file import read_regular
from vipe.pretrained import MOST_WEIGHTS
from vipe.training.average import WeightAverage

_FORMAT = 1
# Names of a training's files, and the names that `atomic_write` gives them while they are written.
_OURS = re.compile(r"(\.?)(checkpoint-\d+-\d+\.safetensors|history\.jsonl|state\.json)(?(1)(-[0-9a-f]{8})?)$")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a training after `step` steps of stage `stage`."""

    stage: int
    step: int
    tensors: Mapping[str, Tensor]
    history: tuple[Mapping[str, Any], ...]


class CheckpointFolder:
    """The folder of one training, which holds its last checkpoint; `origin` identifies the training.

    Raises:
        VipeError: If the folder holds something else.
    """

    def __init__(self, path: Path, origin: Mapping[str, Any]) -> None:
        self.path = path
        self.origin = origin
        if path.exists() and not path.is_dir():
            raise VipeError(f"{path}: is a file; a training needs a folder")
        # The finished model replaces the folder, so it may hold no file of anybody else.
        others = [] if not path.is_dir() else [entry.name for entry in path.iterdir() if not _OURS.match(entry.name)]
        if others:
            raise VipeError(
                f"{path}: holds {others[0]!r}, which is no part of a training; give another path or move it"
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder and hold it while the training runs; without a checkpoint, one that was made is removed.

        A second training of one folder would write into the first one's, and its model replace the first one's.

        Raises:
            VipeError: If another process trains there, or the folder cannot be written.
        """
        made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        with ExitStack() as end:
            try:
                check_writable(self.path, folder=True)  # puts back what a killed process was about to replace
                self.path.mkdir(parents=True, exist_ok=True)
                end.enter_context(locked(self.path, self._refuse_second))
                # Only by the process that holds the folder; before, it may be another one's.
                end.callback(_remove_empty, made)
                check_writable(self._state_file)
            except OSError as error:
                raise VipeError(
                    f"{self.path}: cannot be written: {error.strerror or error}; a training needs a folder, and room "
                    "beside it"
                ) from error
            yield

    def _refuse_second(self) -> None:
        raise VipeError(f"{self.path}: another process trains there now; wait until it has ended, or give another path")

    def read(self) -> Checkpoint | None:
        """The last checkpoint, or None if none was written.

        Raises:
            ReadError: If its files are broken.
            VipeError: If its training has other settings or data; names the differences.
        """
        if not self._state_file.is_file():
            return None
        try:
            state = json.loads(read_regular(self._state_file))
            if state["format"] != _FORMAT:
                raise ReadError(f"{self._state_file}: format {state['format']!r}; this version reads format {_FORMAT}")
            refuse_other_origin(self.path, state["origin"], self.origin)
            tensors = load_tensors(read_regular(self.path / state["tensors"], MOST_WEIGHTS))
            lines = read_regular(self.path / "history.jsonl").decode().splitlines()[: state["history"]]
            return Checkpoint(
                stage=int(state["stage"]),
                step=int(state["step"]),
                tensors=tensors,
                history=tuple(json.loads(line) for line in lines),
            )
        except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
            if isinstance(error, VipeError):
                raise
            raise ReadError(
                f"{self.path}: its checkpoint is broken ({error}); remove the folder to start anew"
            ) from error

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint before by this one.

        Raises:
            VipeError: If the folder cannot be written.
        """
        name = f"checkpoint-{checkpoint.stage}-{checkpoint.step:07d}.safetensors"
        state = {
            "format": _FORMAT,
            "stage": checkpoint.stage,
            "step": checkpoint.step,
            "tensors": name,
            "history": len(checkpoint.history),
            "origin": self.origin,
        }
        lines = "".join(json.dumps(line) + "\n" for line in checkpoint.history)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._replace(name, save_tensors(dict(checkpoint.tensors)))
            self._replace("history.jsonl", lines.encode())
            self._replace("state.json", json.dumps(state, indent=2).encode())
            for old in self.path.glob("checkpoint-*"):
                if old.name != name:
                    old.unlink()
        except OSError as error:
            raise VipeError(f"{self.path}: cannot be written: {error.strerror or error}") from error

    @property
    def _state_file(self) -> Path:
        return self.path / "state.json"

    def _replace(self, name: str, data: bytes) -> None:
        with atomic_write(self.path / name, replace=True) as file:
            file.write_bytes(data)


def state_tensors(
    model: nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage | None = None
) -> dict[str, Tensor]:
    """Weights, their average and the optimizer's moments by name, for safetensors (no pickle)."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    if average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in average.state().items()}
    return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}


def restore_state(
    tensors: Mapping[str, Tensor],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None = None,
) -> None:
    """Load the tensors of `state_tensors` into model, optimizer and average."""
    weights: dict[str, Tensor] = {}
    averaged: dict[str, Tensor] = {}
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        kind, rest = name.split(".", 1)
        if kind == "model":
            weights[rest] = tensor
        elif kind == "average":
            averaged[rest] = tensor
        else:
            index, moment = rest.split(".")
            moments.setdefault(int(index), {})[moment] = tensor
    model.load_state_dict(weights)
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    if average is not None:
        average.restore(averaged)


def refuse_other_origin(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to continue, or to load, a training of other settings or data.

    Args:
        path: Its folder, for the message.
        found: Origin of the training in the folder.
        wanted: Origin of the call.

    Raises:
        VipeError: If the two differ; names the settings that do, with both values.
    """
    found, wanted = _flat(found), _flat(wanted)
    differing = [key for key in sorted(found.keys() | wanted.keys()) if found.get(key) != wanted.get(key)]
    if differing:
        shown = ", ".join(f"{key} {found.get(key)!r} (now {wanted.get(key)!r})" for key in differing[:4])
        raise VipeError(f"{path}: was trained with {shown}; give another path or remove it")


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # something is in it
            folder.rmdir()


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted names, with the values that JSON gives back (lists for tuples)."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            flat |= _flat(item, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.loads(json.dumps(item))
    return flat
