"""What every learned encoder is: a network with a card and an origin, kept as a folder (numpy; torch inside)."""

__all__ = ["LearnedEncoder", "blocks", "refuse_rows"]

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
from vipe.arrays import Array
from vipe.detections import Keypoints, normalize_keypoints
from vipe.embed.encoder import Metric, check_people
from vipe.errors import ReadError, ShapeError, VipeError
from vipe.networks.residual import Network
from vipe.skeletons import load

N = TypeVar("N", bound=Network)
E = TypeVar("E", bound="LearnedEncoder[Any]")

_COCO13 = load("coco13")
_NOBODY = "seen joints are fewer than two or all at one place"
_ROWS = 512  # a block of work: what a layer makes of it stays near the core


class LearnedEncoder(Generic[N]):
    """What `Embedder` and `PrVIPE` are: a trained network, and what it means to everybody else.

    Args:
        model: The network; from here on it is only evaluated.
        card: Markdown for readers: data, licence, figures, limits.
        origin: How it was trained: settings, seed, hashes of the data.
    """

    metric: Metric = "l2"
    networks: ClassVar[tuple[type[Network], ...]]  # what `model` may be
    constants: ClassVar[tuple[Any, ...]]  # JSON values; what besides configuration and weights decides the map

    def __init__(self, model: N, *, card: str = "", origin: Mapping[str, Any] | None = None) -> None:
        self.model = model.eval().requires_grad_(False)
        self.card = card
        self.origin = dict(origin or {})

    @classmethod
    def from_pretrained(cls: type[E], source: str | Path, *, device: str = "cpu") -> E:
        """Load a trained encoder from its folder, or by the name of one that comes with the library.

        Raises:
            ReadError: If there is none, it is broken, or it is another kind of trained thing.
            VipeError: If the device is not there.
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
        """What to call it in tables: "v-vipe", "towers", "pr-vipe"."""
        return self.model.kind

    @property
    def config(self) -> Any:
        """What the network was built from."""
        return self.model.config

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return int(self.config.dim)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of configuration, weights, and what the library puts before them."""
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
            {name: _smallest(tensor) for name, tensor in self.model.state_dict().items()},
            self.card,
            origin=self.origin,
            files=files,
            replace=replace,
        )

    def _of_people(
        self, keypoints: Keypoints, describe: Callable[[Tensor, Tensor], Tensor], *row: int
    ) -> Float32[Array, " N *row"]:
        """What a network makes of everybody's normalized keypoints and of which of them are seen.

        Raises:
            ArgumentError: If they are no `Keypoints`.
            ShapeError: If a person's seen joints are fewer than two or all at one place; names the row.
            SkeletonError: If the skeleton does not convert to coco13.
        """
        check_people(keypoints)
        keypoints = keypoints.to(_COCO13)
        found = np.empty((len(keypoints), *row), dtype=np.float32)
        with torch.inference_mode():
            for rows in blocks(len(keypoints)):
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


def blocks(n: int) -> list[slice]:
    """Slices that cover `n` rows."""
    return [slice(start, min(start + _ROWS, n)) for start in range(0, n, _ROWS)]


def refuse_rows(bad: Bool[Array, " batch"], start: int, what: str, why: str, how: str = "") -> None:
    """Refuse a block, whose first row is `start`, for the first of its rows that has no embedding.

    Args:
        bad: Which rows.
        start: The block's first row, as the caller counts.
        what: A row of them is.
        why: They have none.
        how: To leave them out, after a colon.

    Raises:
        ShapeError: If any is bad; names the row.
    """
    if bad.any():
        row = start + int(bad.argmax())
        raise ShapeError(f"{what} {row} cannot be embedded: {why}; leave it out{how}")


def _smallest(tensor: Tensor) -> Tensor:
    """In float16 where that changes no number."""
    half = tensor.half() if tensor.dtype == torch.float32 else tensor
    return half if torch.equal(half.to(tensor.dtype), tensor) else tensor
