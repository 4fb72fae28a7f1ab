"""A training that can be interrupted: called again, it continues at its last checkpoint, or loads the finished model.

`ResumableTraining.train` is the one call of every training. It finds its folder in one of three states:

1. finished (there is a `config.json`): load the model;
2. interrupted (there is a checkpoint): restore weights and optimizer, and run the steps that are left;
3. new: run all steps.

In the first two the folder's origin (settings, seed, digests of the data) must equal that of the call.
"""

__all__ = ["ResumableTraining", "TrainedModel"]

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from jaxtyping import Float, Float32
from torch import Tensor

from vipe.arrays import Array
from vipe.errors import VipeError
from vipe.networks.residual import Network
from vipe.pretrained import check_device
from vipe.training.card import Told
from vipe.training.checkpoint import CheckpointFolder, refuse_other_origin
from vipe.training.loop import History, Schedule, Stage, TrainingProgress, run_stages
from vipe.training.poses import checked_poses, digest, validation_poses

Model = TypeVar("Model", bound="TrainedModel")
NetworkConfig = TypeVar("NetworkConfig")
Config = TypeVar("Config", bound=Schedule)


class TrainedModel(ABC):
    """The result of a training: a trained network with a card and an origin, saved as a folder."""

    origin: dict[str, Any]

    @abstractmethod
    def __init__(self, model: Any, *, card: str = "", origin: Mapping[str, Any] | None = None) -> None: ...

    @classmethod
    @abstractmethod
    def from_pretrained(cls: type[Model], source: str | Path, *, device: str = "cpu") -> Model:
        """Load it from its folder."""

    @abstractmethod
    def save(self, path: str | Path, *, files: Mapping[str, str] | None = None, replace: bool = False) -> None:
        """Write its folder, with more text files by name."""


class ResumableTraining(ABC, Generic[Model, NetworkConfig, Config]):
    """One training of one method: its data, its network, and the stages in which it is trained.

    A method is a subclass: it names its types, and defines `stages` and `card`. Its public function is
    `train_method = MethodTraining.train`.
    """

    model_type: type[Model]
    network_type: type[Network]
    config_type: type[Config]
    legacy_values: ClassVar[Mapping[str, Any]] = {}
    """Values of settings in trainings from before the settings existed. The origin leaves a setting out where it has
    this value, or None, so that those trainings are recognized and continue."""

    def __init__(
        self,
        network: NetworkConfig,
        config: Config,
        *,
        seed: int,
        data: str | Told,
        poses: Float32[Tensor, "N 17 3"],
        validation: Float32[Tensor, "M 17 3"],
    ) -> None:
        self.config, self.seed, self.told = config, seed, Told.of(data)
        self.poses, self.validation, self.device = poses, validation, poses.device
        self.model = self.network_type.untrained(network, seed).to(self.device)
        self.prepare()

    @classmethod
    def train(
        cls,
        poses: Float[Array, "N 17 3"],
        validation: Float[Array, "M 17 3"],
        folder: str | Path,
        *,
        network: NetworkConfig | None = None,
        config: Config | None = None,
        seed: int = 0,
        device: str = "cpu",
        progress: TrainingProgress | None = None,
        data: str | Told = "",
    ) -> Model:
        """Train a model and leave it in `folder`, as `from_pretrained` reads it, with its `history.jsonl`.

        Interrupted, and called again with the same arguments, it continues at the last checkpoint and ends with the
        weights of an uninterrupted training. Finished, it only loads. Each step draws from generators seeded by
        (seed, stage, step), so on one machine, with one number of threads, the same seed gives the same weights.

        Args:
            poses: Joint positions to train on: metres, world space, z up, own proportions.
            validation: Likewise, of other clips. They influence no weight; their figures go into the history.
            folder: For the checkpoints, and then for the model. Made if it does not exist.
            network: Sizes of the network; the method's defaults if not given.
            config: Losses and schedule; the method's defaults if not given.
            seed: Determines initial weights, batches, views and dropout.
            device: Where to train, as torch names it.
            progress: Called every `config.record_every` steps.
            data: Name of the data, for the model card; or a `Told` with its licence and the command as well.

        Raises:
            ShapeError: If poses are not (N, 17, 3) with N at least 3, in metres, each with a canonical form.
            VipeError: If the device cannot be used, the seed is negative, a loss is not finite, or the folder cannot
                be written, holds something else, holds a training of another origin, or another process trains there.
        """
        sizes: Any = network or cls.network_type.config_type()
        config = config or cls.config_type()
        check_device(device)
        if seed < 0:
            raise VipeError(f"training: seed must not be negative, got {seed}")
        folder = Path(folder)
        # Saved with checkpoints and model, and compared when they are met again: its keys are a file format.
        origin = {
            "network": cls.settings(sizes),
            "training": cls.settings(config),
            "seed": seed,
            "poses": digest(poses),
            "validation": digest(validation),
        }
        if (model := cls._finished(folder, origin, device)) is not None:
            return model
        checkpoints = CheckpointFolder(folder, origin)
        with checkpoints.held():
            if (model := cls._finished(folder, origin, device)) is not None:  # by another process, just now
                return model
            training = cls(
                sizes,
                config,
                seed=seed,
                data=data,
                poses=checked_poses("poses", poses, device),
                validation=validation_poses(validation, config.validation_rows, device),
            )
            history = run_stages(
                training.model, training.stages, config, seed=seed, folder=checkpoints, progress=progress
            )
            training.finalize()
            model = cls.model_type(training.model, card=training.card(history), origin=origin)
            lines = "".join(json.dumps(line) + "\n" for line in history)
            model.save(folder, files={"history.jsonl": lines}, replace=True)
            return model

    @classmethod
    def _finished(cls, folder: Path, origin: Mapping[str, Any], device: str) -> Model | None:
        """The model of a training that has ended, or None."""
        if not (folder / "config.json").is_file():
            return None
        finished = cls.model_type.from_pretrained(folder, device=device)
        refuse_other_origin(folder, finished.origin, origin)
        return finished

    @classmethod
    def settings(cls, config: Any) -> dict[str, Any]:
        """Settings of network or training as the origin holds them: JSON values, without those at legacy values."""
        given = asdict(config, dict_factory=lambda fields: {name: value for name, value in fields if value is not None})
        return {name: value for name, value in given.items() if (name, value) not in cls.legacy_values.items()}

    def prepare(self) -> None:
        """Compute what all steps share; called once, before the first step. Nothing by default."""
        return

    @property
    @abstractmethod
    def stages(self) -> Sequence[Stage]:
        """What is trained, in order."""

    def finalize(self) -> None:
        """Change the trained network once more, after the last step. Nothing by default."""
        return

    @abstractmethod
    def card(self, history: History) -> str:
        """The model card: Markdown for readers."""
