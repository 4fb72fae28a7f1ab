"""Base of learned encoders: a trained network with a card and an origin, saved as a folder (numpy; torch inside)."""

__all__ = ["BLOCK", "LearnedEncoder", "refuse_rows"]

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from vipe import pretrained
from vipe.arrays import Array, blocks
from vipe.detections import Keypoints, normalize_keypoints
from vipe.embed.encoder import Metric, check_people
from vipe.errors import ReadError, ShapeError, VipeError
from vipe.networks.residual import Network
from vipe.skeletons.working import COCO13
from vipe.training.resume import TrainedModel

N = TypeVar("N", bound=Network)
E = TypeVar("E", bound="LearnedEncoder[Any]")

_NOBODY = "seen joints are fewer than two or all at one place"
BLOCK = 512
"""Rows encoded at a time: the output of a layer stays in the cache."""


class LearnedEncoder(TrainedModel, Generic[N]):
    """A trained network as an encoder: the base of `Embedder` and `PrVIPE`.

    Args:
        model: The network; put into evaluation mode, without gradients.
        card: Markdown for readers: data, licence, figures, limits.
        origin: How it was trained: settings, seed, hashes of the data.
    """

    metric: Metric = "l2"
    networks: ClassVar[tuple[type[Network], ...]]  # types of `model`
    constants: ClassVar[tuple[Any, ...]]  # JSON values that change embeddings, besides configuration and weights

    def __init__(self, model: N, *, card: str = "", origin: Mapping[str, Any] | None = None) -> None:
        self.model = model.eval().requires_grad_(False)
        self.card = card
        self.origin = dict(origin or {})

    @classmethod
    def from_pretrained(cls: type[E], source: str | Path, *, device: str = "cpu") -> E:
        """Load a trained encoder from its folder, or by the name of one that comes with the library.

        Raises:
            ReadError: If it does not exist, is broken, or is a model of another kind.
            VipeError: If the device cannot be used.
        """
        pretrained.check_device(device)
        trained = pretrained.load(source)
        file = trained.where / "config.json"
        kinds: dict[str, Any] = {network.kind: network for network in cls.networks}
        if trained.kind not in kinds:
            raise ReadError(f"{file}: is a {trained.kind!r}, expected a {' or '.join(map(repr, kinds))}")
        build = kinds[trained.kind]
        if unknown := sorted(trained.config.keys() - {field.name for field in fields(build.config_type)}):
            raise ReadError(f"{file}: unknown setting {unknown[0]!r}; was it saved by a later version of vipe?")
        try:
            config = msgspec.convert(trained.config, build.config_type)
        except (msgspec.ValidationError, VipeError) as error:
            raise ReadError(f"{file}: config: {error}") from error
        with torch.device("meta"):
            model = build(config)
        trained.fill(model)
        return cls(model.to(device), card=trained.card, origin=trained.origin)

    @property
    def name(self) -> str:
        """Its kind, for tables: "v-vipe", "towers", "pr-vipe"."""
        return self.model.kind

    @property
    def config(self) -> Any:
        """The configuration of the network."""
        return self.model.config

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return int(self.config.dim)

    @cached_property
    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of configuration, weights and constants."""
        around = [self.name, *self.constants]
        digest = hashlib.sha256(json.dumps([around, asdict(self.config)], sort_keys=True).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def save(self, path: str | Path, *, files: Mapping[str, str] | None = None, replace: bool = False) -> None:
        """Write the encoder as a folder that `from_pretrained` reads; an earlier model there is replaced.

        Args:
            path: The folder.
            files: More text files for it, by name.
            replace: Replace whatever folder is there, not only an earlier model.

        Raises:
            VipeError: If something else is there, or the folder cannot be written.
        """
        pretrained.save(
            path,
            self.name,
            asdict(self.config),
            self.model.state_dict(),
            self.card,
            origin=self.origin,
            files=files,
            replace=replace,
        )

    def _of_people(
        self, keypoints: Keypoints, describe: Callable[[Tensor, Tensor], Tensor], *row: int
    ) -> Float32[Array, " N *row"]:
        """Apply a network to the normalized keypoints of all people, in blocks.

        Raises:
            ArgumentError: If they are no `Keypoints`.
            ShapeError: If a person's seen joints are fewer than two or all at one place; names the row.
            SkeletonError: If the skeleton does not convert to coco13.
        """
        check_people(keypoints)
        keypoints = keypoints.to(COCO13)
        found = np.empty((len(keypoints), *row), dtype=np.float32)
        with torch.inference_mode():
            for rows in blocks(len(keypoints), BLOCK):
                part = keypoints[rows]
                xy, _, radius = normalize_keypoints(part)
                refuse_rows(radius == 0, rows.start, "person", _NOBODY, ": keypoints[keypoints.mask.sum(axis=1) >= 6]")
                seen = torch.tensor(part.mask, device=self._device)
                found[rows] = describe(self._tensor(xy), seen).cpu().numpy()
        return found

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _tensor(self, array: Array) -> Tensor:
        return torch.tensor(array, dtype=torch.float32, device=self._device)


def refuse_rows(bad: Bool[Array, " batch"], start: int, what: str, why: str, how: str = "") -> None:
    """Refuse a block of rows if one cannot be embedded; names the first.

    Args:
        bad: Rows of the block that cannot be embedded.
        start: The block's first row, as the caller counts.
        what: Noun for a row: "pose", "person".
        why: Reason why such rows cannot be embedded.
        how: Code that leaves them out, after a colon.

    Raises:
        ShapeError: If any is bad.

    >>> refuse_rows(np.array([False, True]), 10, "pose", "a bone has no length")
    Traceback (most recent call last):
    ...
    vipe.errors.ShapeError: pose 11 cannot be embedded: a bone has no length; leave it out
    """
    if bad.any():
        row = start + int(bad.argmax())
        raise ShapeError(f"{what} {row} cannot be embedded: {why}; leave it out{how}")
