"""The contract of all lifters: from keypoints of people to 3D poses and how likely they are (numpy at its edge)."""

__all__ = ["Lifter", "TrainedLifter"]

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from vipe import pretrained
from vipe.arrays import Array, blocks
from vipe.detections import Keypoints
from vipe.errors import ArgumentError, ReadError, ShapeError, VipeError
from vipe.geometry.bones import bone_lengths
from vipe.geometry.canonical import REFERENCE_TORSO
from vipe.lift.condition import Condition
from vipe.lift.hypotheses import Hypotheses
from vipe.lift.network import LiftNetwork, Samples
from vipe.skeletons.working import BONES, H36M17
from vipe.training.resume import TrainedModel

SHELF = "lifters"
"""The folder of the lifters that come with the library."""

_MOST_POSES = 16_384  # drawn at a time: their coordinates take 3 MB
_TORSO = [BONES.index("spine"), BONES.index("thorax")]


class Lifter(ABC):
    """Which 3D poses do these keypoints allow?

    Every lifter takes `Keypoints` of any skeleton that converts to coco13, with joints missing, and gives poses in the
    space of the camera that looks at the person, of a person of reference size (see `Hypotheses`).
    """

    kind: str
    """Its name in tables and files."""

    has_density: bool = False
    """Whether `log_prob` is tractable."""

    @abstractmethod
    def sample(self, keypoints: Keypoints, n: int, generator: torch.Generator) -> Hypotheses:
        """Draw `n` poses for each person; they depend on keypoints and generator alone.

        A generator of the CPU gives the same poses, but for rounding, wherever the lifter runs.

        Raises:
            ShapeError: If a person has fewer than four seen keypoints, or all at one place; names the row.
            SkeletonError: If the skeleton does not convert to coco13.
            VipeError: If `n` is below 1.
        """

    @abstractmethod
    def predict(self, keypoints: Keypoints) -> Float32[Array, "N 17 3"]:
        """One pose for each person, without a draw and without ground truth; raises as `sample`.

        The lifter's best single answer: camera space, pelvis at the origin, metres of a person of reference size.
        """

    def kernels(self, keypoints: Keypoints) -> Hypotheses:
        """The means of a mixture's kernels, weighted by their mixing coefficients; the likeliest first, without a draw.

        Raises:
            VipeError: If the lifter is no mixture of a few kernels; or as `sample`.
        """
        what = f"kernels for {len(keypoints)} people"
        raise VipeError(f"lifter {self.kind!r} cannot give {what}: it is no mixture of a few kernels; use sample")

    def log_prob(self, keypoints: Keypoints, poses: Float[Array, "N M 17 3"]) -> Float32[Array, "N M"]:
        """Log density of poses given the keypoints, nats, in the lifter's own measure.

        Args:
            keypoints: N people.
            poses: M for each of them, camera space, metres; place and size do not matter.

        Raises:
            ShapeError: If the poses are not (N, M, 17, 3); or as `sample`.
            VipeError: If the lifter has no tractable density.
        """
        what = f"the density of {len(poses)} poses given {len(keypoints)} people"
        raise VipeError(f"lifter {self.kind!r} cannot give {what}: it has no tractable density")

    @classmethod
    def from_pretrained(cls, source: str | Path, *, device: str = "cpu") -> "Lifter":
        """Load a lifter from its folder, or by the name of one that comes with the library.

        Raises:
            ReadError: If it does not exist, is broken, or is no lifter of this class.
            VipeError: If the device cannot be used.
        """
        from vipe.lift.registry import load_lifter

        lifter = load_lifter(source, device=device)
        if not isinstance(lifter, cls):
            raise ReadError(f"{source}: is a lifter of kind {lifter.kind!r}, which is no {cls.__name__}")
        return lifter

    @abstractmethod
    def save(self, path: str | Path, *, files: Mapping[str, str] | None = None, replace: bool = False) -> None:
        """Write the lifter as a folder that `from_pretrained` reads; an earlier model there is replaced.

        Args:
            path: The folder.
            files: More text files for it, by name.
            replace: Replace whatever folder is there, not only an earlier model.

        Raises:
            VipeError: If something else is there, or the folder cannot be written.
        """


class TrainedLifter(Lifter, TrainedModel):
    """A trained network as a lifter.

    Args:
        model: The network; put into evaluation mode, without gradients.
        card: Markdown for readers: data, licence, figures, limits.
        origin: How it was trained: settings, seed, hashes of the data.
    """

    def __init__(self, model: LiftNetwork, *, card: str = "", origin: Mapping[str, Any] | None = None) -> None:
        self.model = model.eval().requires_grad_(False)
        self.card = card
        self.origin = dict(origin or {})
        self.kind = model.kind
        self.has_density = model.has_density

    @classmethod
    def from_pretrained(cls, source: str | Path, *, device: str = "cpu") -> "TrainedLifter":
        """Load a lifter that is a trained network; see `Lifter.from_pretrained`."""
        lifter = super().from_pretrained(source, device=device)
        assert isinstance(lifter, TrainedLifter)  # checked there
        return lifter

    @classmethod
    def of(cls, trained: pretrained.Trained, network: type[LiftNetwork], device: str = "cpu") -> "TrainedLifter":
        """Build the lifter whose folder was read.

        Raises:
            ReadError: If configuration or weights do not fit the network.
        """
        file = trained.where / "config.json"
        if unknown := sorted(trained.config.keys() - {field.name for field in fields(network.config_type)}):
            raise ReadError(f"{file}: unknown setting {unknown[0]!r}; was it saved by a later version of vipe?")
        try:
            config: Any = msgspec.convert(trained.config, network.config_type)
        except (msgspec.ValidationError, VipeError) as error:
            raise ReadError(f"{file}: config: {error}") from error
        with torch.device("meta"):
            model = network(config)
        trained.fill(model)
        return cls(model.to(device), card=trained.card, origin=trained.origin)

    def rounded(self) -> "TrainedLifter":
        """This lifter with weights rounded to float16, whose folder has half the size."""
        model = copy.deepcopy(self.model)
        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(weight.half())
        return TrainedLifter(model, card=self.card, origin=self.origin)

    def sample(self, keypoints: Keypoints, n: int, generator: torch.Generator) -> Hypotheses:
        """Draw `n` poses for each person; see `Lifter.sample`."""
        if n < 1:
            raise VipeError(f"n must be at least 1, got {n}")
        if not isinstance(generator, torch.Generator):
            raise ArgumentError(f"generator must be a torch.Generator, got {type(generator).__name__}")
        condition = Condition.of(keypoints, self._device)
        each = max(1, _MOST_POSES // n)
        with torch.inference_mode():
            parts = [self.model.sample(condition[rows], n, generator) for rows in blocks(len(condition), each)]
        return _hypotheses(parts or [Samples.equal(condition.xy.new_zeros(0, n, 17, 3))])

    def kernels(self, keypoints: Keypoints) -> Hypotheses:
        """The means of a mixture's kernels; see `Lifter.kernels`."""
        condition = Condition.of(keypoints, self._device)
        with torch.inference_mode():
            parts = [self.model.kernels(condition[rows]) for rows in blocks(len(condition), 512)]
            return _hypotheses(parts or [self.model.kernels(condition)])

    def predict(self, keypoints: Keypoints) -> Float32[Array, "N 17 3"]:
        """One pose for each person; see `Lifter.predict`."""
        condition = Condition.of(keypoints, self._device)
        with torch.inference_mode():
            parts = [self.model.predict(condition[rows]) for rows in blocks(len(condition), 512)]
            return _metres(torch.cat(parts or [condition.xy.new_zeros(0, 17, 3)]))

    def log_prob(self, keypoints: Keypoints, poses: Float[Array, "N M 17 3"]) -> Float32[Array, "N M"]:
        """Log density of poses given the keypoints; see `Lifter.log_prob`."""
        condition = Condition.of(keypoints, self._device)
        if poses.ndim != 4 or len(poses) != len(condition) or poses.shape[2:] != (17, 3):
            raise ShapeError(f"poses must be ({len(condition)}, M, 17, 3), got shape {poses.shape}")
        unit = of_unit_torso(torch.tensor(poses, dtype=torch.float32, device=self._device))
        with torch.inference_mode():
            parts = [
                self.model.log_prob(condition[rows], unit[rows])
                for rows in blocks(len(condition), max(1, _MOST_POSES // max(1, poses.shape[1])))
            ]
        return _array(torch.cat(parts or [unit.new_zeros(poses.shape[:2])]))

    def save(self, path: str | Path, *, files: Mapping[str, str] | None = None, replace: bool = False) -> None:
        """Write the lifter as a folder; see `Lifter.save`."""
        tensors = self.model.state_dict()
        config: dict[str, Any] = asdict(self.model.config)
        pretrained.save(path, self.kind, config, tensors, self.card, origin=self.origin, files=files, replace=replace)

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device


def of_unit_torso(poses: Float[Tensor, "*batch 17 3"]) -> Float[Tensor, "*batch 17 3"]:
    """Poses with the pelvis at the origin and a torso (pelvis, spine, thorax) of length one."""
    lengths = bone_lengths(poses, H36M17.parents)[..., _TORSO].sum(-1)
    return (poses - poses[..., :1, :]) / lengths.clamp(min=torch.finfo(poses.dtype).tiny)[..., None, None]


def _hypotheses(parts: Sequence[Samples]) -> Hypotheses:
    densities = [part.log_density for part in parts if part.log_density is not None]
    return Hypotheses(
        poses=_metres(torch.cat([part.poses for part in parts])),
        log_weight=_array(torch.cat([part.log_weight for part in parts])),
        log_density=_array(torch.cat(densities)) if densities else None,
    )


def _metres(poses: Tensor) -> Float32[Array, "*batch 17 3"]:
    return _array(poses * REFERENCE_TORSO)


def _array(tensor: Tensor) -> Float32[Array, "*shape"]:
    array: Float32[Array, "*shape"] = np.asarray(tensor.cpu().numpy(), dtype=np.float32)
    return array
