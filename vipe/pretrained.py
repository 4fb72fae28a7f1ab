"""A trained model as a folder: config.json (its kind and sizes), weights.safetensors, card.md (for readers)."""

__all__ = ["FORMAT", "MOST_WEIGHTS", "Trained", "check_device", "load", "names", "save"]

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from vipe.atomic_write import atomic_write
from vipe.errors import ReadError, VipeError
from vipe.files.regular_file import read_regular
from vipe.similar_names import did_you_mean

FORMAT = 1  # of the folder; the content of `config` belongs to each kind

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

MOST_WEIGHTS = 16 << 30
"""Bytes of a file of weights."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The content of a model's folder; the module of its `kind` builds the model from it.

    `origin` holds settings, seed and digests of the data of its training, if `save` was given them.
    """

    kind: str
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    card: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)
    where: Path = Path()

    def fill(self, module: nn.Module) -> None:
        """Load the weights into a module; floating point weights become float32.

        The module may be on the meta device. Nothing is allocated before names and shapes agree, so a configuration of
        a huge network costs nothing.

        Raises:
            ReadError: If a tensor is missing, unknown, of another shape, or not finite; names file and tensor.
        """
        file = self.where / "weights.safetensors"
        expected = module.state_dict()
        if missing := sorted(expected.keys() - self.tensors.keys()):
            raise ReadError(
                f"{file}: lacks tensor {missing[0]!r} ({len(missing)} in all) that its config.json asks for"
            )
        if unknown := sorted(self.tensors.keys() - expected.keys()):
            raise ReadError(
                f"{file}: has tensor {unknown[0]!r} ({len(unknown)} in all) that its config.json has no use for"
            )
        for name, tensor in self.tensors.items():
            if tensor.shape != expected[name].shape:
                shapes = f"{tuple(tensor.shape)}; its config.json asks for {tuple(expected[name].shape)}"
                raise ReadError(f"{file}: tensor {name!r} has shape {shapes}")
            wanted = expected[name].dtype
            if tensor.dtype not in (_FLOATS if wanted.is_floating_point else (wanted,)):
                raise ReadError(f"{file}: tensor {name!r} is {tensor.dtype}, expected {wanted}")
        # Copies, so that the module shares no memory with this object.
        tensors = {name: tensor.to(expected[name].dtype, copy=True) for name, tensor in self.tensors.items()}
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                raise ReadError(f"{file}: tensor {name!r} has values that are not finite, or not in float32")
        module.load_state_dict(tensors, assign=True)


def names(shelf: str = "") -> tuple[str, ...]:
    """Names of the models that come with the library.

    Args:
        shelf: "" for embedders, "lifters" for lifters.

    >>> names()
    ('default',)
    """
    folder = resources.files("vipe").joinpath("models", shelf)
    if not folder.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in folder.iterdir() if entry.joinpath("config.json").is_file()))


def save(
    path: str | Path,
    kind: str,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    card: str = "",
    *,
    origin: Mapping[str, Any] | None = None,
    files: Mapping[str, str] | None = None,
    replace: bool = False,
) -> None:
    """Write the folder completely or not at all: under another name first, then renamed.

    Args:
        path: The folder; an earlier model there is replaced.
        kind: Kind of model, such as "v-vipe".
        config: All settings of the untrained model, as JSON values.
        tensors: Weights by name; may be empty. Those that float16 holds exactly are stored as float16.
        card: Markdown for readers: data, licence, figures, limits.
        origin: Settings, seed and digests of the data of its training, as JSON values.
        files: More text files by name, such as a training's history.
        replace: Replace any folder there, not only an earlier model.

    Raises:
        VipeError: If `path` is something else than a model, or cannot be written.
    """
    path = Path(path)
    if not replace and path.exists() and not _replaceable(path):
        raise VipeError(f"{path}: is there and is no trained model; give another path or remove it")
    weights = save_tensors({name: _smallest(tensor).cpu().contiguous() for name, tensor in tensors.items()})
    header = {"format": FORMAT, "kind": kind, "config": config, "origin": origin or {}, "weights": _digest(weights)}
    header["settings"] = _settings_digest(header)
    contents = {
        "config.json": (json.dumps(header, indent=2) + "\n").encode(),
        "weights.safetensors": weights,
        "card.md": (card.rstrip() + "\n").encode(),
        **{name: text.encode() for name, text in (files or {}).items()},
    }
    try:
        with atomic_write(path, replace=True) as folder:
            folder.mkdir()
            for name, data in contents.items():
                (folder / name).write_bytes(data)
    except OSError as error:
        raise VipeError(f"{path}: cannot be written: {error.strerror or error}") from error


def load(source: str | Path, *, shelf: str = "", also: Collection[str] = ()) -> Trained:
    """Read a model from its folder, or by the name of one that comes with the library.

    A folder is preferred to a name. Nothing in the files is executed: JSON and safetensors only.

    Args:
        source: The folder, or the name.
        shelf: As in `names`.
        also: Names of untrained ones that whoever asks takes too, told where there is no such name.

    Raises:
        ReadError: If there is no such folder or name, or a file in it is missing, cut, or of another format.
    """
    folder = _find(source, shelf, also)
    header = _read_header(folder / "config.json")
    if header.get("settings", (found := _settings_digest(header))) != found:  # models of earlier versions have none
        raise ReadError(f"{folder / 'config.json'}: altered: kind and config are not as saved; copy the folder again")
    file = folder / "weights.safetensors"
    weights = _read(file)
    try:
        tensors = load_tensors(weights)
    except SafetensorError as error:
        raise ReadError(f"{file}: cut, altered or not safetensors ({error}); expected as it was saved") from error
    # Without this check an altered weight would give other embeddings and no error.
    if header.get("weights") != _digest(weights):
        raise ReadError(f"{file}: altered: its SHA-256 is not the one in config.json; take it from where it was saved")
    card = folder / "card.md"
    return Trained(
        kind=header["kind"],
        config=header["config"],
        origin=header.get("origin", {}),
        tensors=tensors,
        card=card.read_text(encoding="utf-8", errors="replace") if card.is_file() else "",
        where=folder,
    )


def _smallest(tensor: Tensor) -> Tensor:
    """As float16 where that changes no number."""
    if tensor.dtype != torch.float32:
        return tensor
    half = tensor.half()
    return half if torch.equal(half.float(), tensor) else tensor


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _settings_digest(header: Mapping[str, Any]) -> str:
    return _digest(json.dumps([header["kind"], header["config"]], sort_keys=True).encode())


def _find(source: str | Path, shelf: str, also: Collection[str]) -> Path:
    folder = Path(source)
    if folder.is_dir():
        return folder
    if str(source) in names(shelf):
        return Path(str(resources.files("vipe").joinpath("models", shelf, str(source))))
    if folder.exists():
        raise ReadError(f"{source}: is a file; a trained model is a folder with config.json and weights.safetensors")
    known = (*names(shelf), *also)
    told = ", ".join(known) or "none in this version"
    raise ReadError(
        f"no trained model {str(source)!r}: no such folder; by name there is {told}{did_you_mean(str(source), known)}"
    )


def _read(file: Path) -> bytes:
    try:
        return read_regular(file, MOST_WEIGHTS)
    except FileNotFoundError as error:
        names = sorted(entry.name for entry in file.parent.iterdir())
        there = ", ".join(names[:8]) or "nothing"
        if any(name.startswith("checkpoint-") for name in names):
            raise ReadError(
                f"{file}: missing: its training is not finished; run the same `vipe train` again"
            ) from error
        raise ReadError(
            f"{file}: missing; a trained model is config.json and weights.safetensors, here is {there}"
        ) from error
    except OSError as error:
        raise ReadError(f"{file}: cannot be read: {error.strerror or error}") from error


def _read_header(file: Path) -> dict[str, Any]:
    content = _read(file)
    try:
        header = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{file}: not JSON ({error})") from error
    if not isinstance(header, dict) or not isinstance(header.get("kind"), str):
        raise ReadError(f"{file}: expected an object with format, kind and config; is this a trained model of vipe?")
    if header.get("format") != FORMAT:
        raise ReadError(f"{file}: format {header.get('format')!r}; this version of vipe reads format {FORMAT}")
    if not isinstance(header.get("config"), dict) or not isinstance(header.get("origin", {}), dict):
        raise ReadError(f"{file}: config and origin must be objects")
    return header


def _replaceable(path: Path) -> bool:
    """Whether the folder is empty or holds a model."""
    if not path.is_dir():
        return False
    if not any(path.iterdir()):
        return True
    try:
        _read_header(path / "config.json")
    except ReadError:
        return False
    return True


def check_device(device: str) -> None:
    """Refuse a device that torch cannot use.

    Raises:
        VipeError: With torch's reason.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise VipeError(f"device {device!r} cannot be used: {reason}") from error
