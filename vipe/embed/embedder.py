"""Embedder: a learned embedding, V-VIPE or the towers, as everybody else meets it (numpy; torch inside)."""

__all__ = ["Embedder", "check_device"]

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from vipe import pretrained
from vipe.detections import Keypoints, normalize_keypoints
from vipe.embed.encoder import Metric
from vipe.embed.towers import Towers, TowersConfig
from vipe.embed.vvipe import VVIPE, VVIPEConfig
from vipe.errors import ReadError, ShapeError, VipeError
from vipe.geometry.canonical import REFERENCE_LENGTHS, canonicalize
from vipe.skeletons import load

Array = np.ndarray[Any, np.dtype[Any]]

_MAP_VERSION = 1  # part of the fingerprint: raise it when the same weights start to mean another map
_JOINTS = len(load("h36m17"))
_COCO13 = load("coco13")
_ROWS = 512  # a block of work: what a layer makes of it stays near the core
_DEGENERATE = "its hips and spine span no plane, a bone has no length, or a value is not finite"

_MODELS: dict[str, tuple[Callable[[Any], VVIPE | Towers], type[VVIPEConfig | TowersConfig]]] = {
    VVIPE.kind: (VVIPE, VVIPEConfig),
    Towers.kind: (Towers, TowersConfig),
}


class Embedder:
    """A learned encoder: 3D poses and 2D keypoints become 32 numbers whose distance says how alike the poses are.

    The map does not depend on the batch: a row alone and the same row among others have the same embedding, up to
    the rounding of float32.
    """

    metric: Metric = "l2"

    def __init__(self, model: VVIPE | Towers, *, card: str = "", origin: Mapping[str, Any] | None = None) -> None:
        self.model = model.eval().requires_grad_(False)
        self.card = card
        self.origin = dict(origin or {})  # how it was trained: settings, seed, hashes of the data

    @classmethod
    def from_pretrained(cls, source: str | Path, *, device: str = "cpu") -> "Embedder":
        """Load a trained embedding from its folder, or by the name of one that comes with the library.

        Raises:
            ReadError: If there is none, it is broken, or it is another kind of trained thing.
            VipeError: If the device is not there.
        """
        check_device(device)
        trained = pretrained.load(source)
        file = trained.where / "config.json"
        if trained.kind not in _MODELS:
            known = " or ".join(repr(kind) for kind in _MODELS)
            raise ReadError(f"{file}: is a {trained.kind!r}, expected a {known}")
        model_type, config_type = _MODELS[trained.kind]
        if unknown := sorted(trained.config.keys() - {field.name for field in fields(config_type)}):
            raise ReadError(f"{file}: unknown setting {unknown[0]!r}; was it saved by a later version of vipe?")
        try:
            config = msgspec.convert(trained.config, config_type)
        except (msgspec.ValidationError, VipeError) as error:
            raise ReadError(f"{file}: config: {error}") from error
        with torch.device("meta"):
            model = model_type(config)
        trained.fill(model)
        return cls(model.to(device), card=trained.card, origin=trained.origin)

    @property
    def name(self) -> str:
        """What to call it in tables: "v-vipe", or "towers"."""
        return self.model.kind

    @property
    def config(self) -> VVIPEConfig | TowersConfig:
        """What the networks were built from."""
        return self.model.config

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self.config.dim

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of configuration, weights, and what the library puts before them."""
        around = [self.name, _MAP_VERSION, _COCO13.joints, [round(length, 6) for length in REFERENCE_LENGTHS]]
        digest = hashlib.sha256(json.dumps([around, asdict(self.config)], sort_keys=True).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def save(self, path: str | Path, *, files: Mapping[str, str] | None = None, replace: bool = False) -> None:
        """Write the embedding as a folder that `from_pretrained` reads; an earlier model there is replaced.

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

    def rounded(self) -> "Embedder":
        """The same embedding with weights rounded to what float16 holds: its folder has half the size.

        Embeddings change in their fourth digit, so it is another encoder, with a fingerprint of its own.
        """
        model = copy.deepcopy(self.model)
        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(weight.half())
        return Embedder(model, card=self.card, origin=self.origin)

    def encode_poses(self, poses: Float[Array, "N 17 3"]) -> Float32[Array, "N D"]:
        """Embed poses on the working skeleton, metres, any root, rotation and body size.

        Args:
            poses: Joint positions; canonicalized inside (levy2024, sec. 3.1), in blocks of bounded memory.

        Raises:
            ShapeError: If they are not (N, 17, 3), or one has no canonical form (hips and spine on one line, a bone
                of no length, a value that is not finite); names the row.
        """
        _expect_shape("poses", poses.shape, (_JOINTS, 3))
        embeddings = np.empty((len(poses), self.dim), dtype=np.float32)
        with torch.inference_mode():
            for rows in _blocks(len(poses)):
                canonical = canonicalize(self._tensor(poses[rows]))
                bad = canonical.degenerate | ~torch.isfinite(canonical.poses).flatten(1).all(1)
                _refuse(bad.cpu().numpy(), rows.start, "pose", _DEGENERATE)
                embeddings[rows] = self.model.encode_poses(canonical.poses).cpu().numpy()
        return embeddings

    def encode_keypoints(self, keypoints: Keypoints) -> Float32[Array, "N D"]:
        """Embed 2D keypoints; position and size in the image do not matter.

        Args:
            keypoints: People on coco13, or on a skeleton that converts to it.

        Raises:
            ShapeError: If a person's seen joints are fewer than two or all at one place; names the row.
            SkeletonError: If the skeleton does not convert.
        """
        keypoints = keypoints.to(_COCO13)
        embeddings = np.empty((len(keypoints), self.dim), dtype=np.float32)
        with torch.inference_mode():
            for rows in _blocks(len(keypoints)):
                part = keypoints[rows]
                xy, _, radius = normalize_keypoints(part)
                _refuse(radius == 0, rows.start, "person", "seen joints are fewer than two or all at one place")
                seen = torch.tensor(part.mask, device=self._device)
                embeddings[rows] = self.model.encode_keypoints(self._tensor(xy), seen).cpu().numpy()
        return embeddings

    def decode(self, z: Float[Array, "N D"]) -> Float32[Array, "N 17 3"]:
        """Canonical poses of latents: pelvis at the origin, torso about 1, bones about the reference skeleton's.

        Raises:
            ShapeError: If they are not (N, dim).
        """
        _expect_shape("latents", z.shape, (self.dim,))
        poses = np.empty((len(z), _JOINTS, 3), dtype=np.float32)
        with torch.inference_mode():
            for rows in _blocks(len(z)):
                poses[rows] = self.model.decode(self._tensor(z[rows])).cpu().numpy()
        return poses

    def generate(
        self,
        source: Float[Array, "17 3"],
        alphas: Sequence[float] = (0.2, 0.3, 0.4, 0.5),
        count: int = 8,
        *,
        generator: np.random.Generator,
        **options: Any,
    ) -> Float32[Array, "count alphas 17 3"]:
        """Variations of a pose along `count` directions, on its body and at its place, metres.

        Args and errors are those of `vipe.embed.generate.vary`; ways between poses and samples are made beside it.
        """
        from vipe.embed.generate import vary

        return vary(self, source, alphas, count, generator=generator, **options)

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _tensor(self, array: Array) -> Tensor:
        return torch.tensor(array, dtype=torch.float32, device=self._device)


def check_device(device: str) -> None:
    """Refuse a device that is not there.

    Raises:
        VipeError: If torch cannot use it; says why.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise VipeError(f"device {device!r} cannot be used: {reason}") from error


def _expect_shape(what: str, shape: tuple[int, ...], row: tuple[int, ...]) -> None:
    if shape[1:] != row or not shape:
        expected = ", ".join(str(length) for length in row)
        raise ShapeError(f"{what} must be (N, {expected}), got shape {shape}; one alone is (1, {expected})")


def _smallest(tensor: Tensor) -> Tensor:
    """In float16 where that changes no number."""
    half = tensor.half() if tensor.dtype == torch.float32 else tensor
    return half if torch.equal(half.to(tensor.dtype), tensor) else tensor


def _blocks(n: int) -> list[slice]:
    return [slice(start, min(start + _ROWS, n)) for start in range(0, n, _ROWS)]


def _refuse(bad: Bool[Array, " batch"], start: int, what: str, why: str) -> None:
    if bad.any():
        row = start + int(bad.argmax())
        raise ShapeError(f"{what} {row} cannot be embedded: {why}; leave it out")
