"""Convolutional pose machines of the published layout, as stages; weights that a user has are loaded (torch).

The layout is that of the networks of Wei et al. 2016 whose layers are named conv1_1 to conv4_7_CPM (features),
conv5_1_CPM and conv5_2_CPM (first stage), Mconv1_stage2 to Mconv7_stage6 (the others). `published_names` lists them.
Here conv1_1 is `backbone.convolutions.conv1_1`, and Mconv1_stage2 is `stages.1.convolutions.Mconv1_stage2`.
No weights come with the library.
"""

__all__ = ["CPM_JOINTS", "CPMBackbone", "CPMStage", "center_map", "cpm_image", "load_cpm", "published_names"]

import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vipe.errors import ReadError
from vipe.lift.stages.prior import ProjectedBeliefs
from vipe.lift.stages.stages import BeliefStages

CPM_JOINTS: tuple[str, ...] = (
    "head",
    "thorax",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
)
"""Of the published maps, by the names of h36m17: the neck is the thorax. The 15th map is that of the background."""

CPM_STRIDE = 8
"""Pixels of a picture in one of the maps."""

_BLOCKS = (2, 2, 4)  # convolutions before each halving
_SHARED = ("conv4_1", "conv4_2", *(f"conv4_{number}_CPM" for number in range(3, 8)))
_FEATURES = tuple(f"conv{block}_{number}" for block, count in enumerate(_BLOCKS, 1) for number in range(1, count + 1))
_FEATURES += _SHARED
_FIRST = ("conv5_1_CPM", "conv5_2_CPM")
_LAST = 7  # convolutions of a later stage
_CENTER_SIGMA = 21.0  # pixels of the picture


class CPMBackbone(nn.Module):
    """Features of pictures at an eighth of their resolution: a VGG network, continued."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleDict({name: _convolution(name, tensors) for name in _FEATURES})

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features h w"]:
        """Features of pictures as `cpm_image` makes them; sides are multiples of 8."""
        inside = images
        for block, count in enumerate(_BLOCKS, 1):
            for number in range(1, count + 1):
                inside = self.convolutions[f"conv{block}_{number}"](inside).relu()
            inside = nn.functional.max_pool2d(inside, 2)
        for name in _SHARED:
            inside = self.convolutions[name](inside).relu()
        return inside


class CPMStage(nn.Module):
    """A stage of the published layout: from features, and beyond the first from maps and the centre's map too."""

    def __init__(self, names: tuple[str, ...], tensors: Mapping[str, Tensor], first: bool) -> None:
        super().__init__()
        self.names, self.first = names, first
        self.convolutions = nn.ModuleDict({name: _convolution(name, tensors) for name in names})

    def forward(
        self, features: Float[Tensor, "batch features h w"], previous: Float[Tensor, "batch maps h w"] | None
    ) -> Float[Tensor, "batch maps h w"]:
        """See `StageNetwork`."""
        inside = features
        if not self.first and previous is not None:
            center = center_map((features.shape[-1], features.shape[-2])).to(features)
            inside = torch.cat([previous, features, center.expand(len(features), 1, -1, -1)], dim=1)
        for name in self.names[:-1]:
            inside = self.convolutions[name](inside).relu()
        maps: Tensor = self.convolutions[self.names[-1]](inside)
        return maps


def center_map(size: tuple[int, int]) -> Float[Tensor, "1 1 height width"]:
    """Where the person's middle is said to be: a Gaussian in the middle of the picture, as maps of (width, height)."""
    along = [(torch.arange(count) - (count - 1) / 2) * (CPM_STRIDE / _CENTER_SIGMA) for count in size]
    columns, rows = ((-0.5 * part.square()).exp() for part in along)
    return (rows[:, None] * columns)[None, None]


def cpm_image(images: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch 3 height width"]:
    """Pictures (red, green, blue) as the published networks take them: blue first, from -0.5 to 0.5.

    >>> cpm_image(torch.tensor([[[[0, 64, 128]]]], dtype=torch.uint8)).flatten().tolist()
    [0.0, -0.25, -0.5]
    """
    return images.flip(-1).movedim(-1, 1).float() / 256 - 0.5


def published_names(stages: int = 6) -> tuple[str, ...]:
    """The convolutions of a network of so many stages.

    Each has a tensor `NAME.weight` (maps out, maps in, rows, columns) and one `NAME.bias` (maps out).

    >>> len(published_names()), published_names()[-1]
    (52, 'Mconv7_stage6')
    """
    return (*_FEATURES, *_FIRST, *(name for stage in range(2, stages + 1) for name in _later(stage)))


def load_cpm(path: str | Path, prior: ProjectedBeliefs | None = None, *, weight: float = 0.5) -> BeliefStages:
    """Read weights of the published layout, and add the prior's fusion to each stage.

    Sizes and the number of stages come from the file. Its tensors are called as in `published_names`, or the same
    after one common prefix, such as "module.". Published ones have six stages and 15 maps.

    Args:
        path: A .safetensors file, or a state dict that torch saved (.pt, .pth), which is read without running code.
        prior: Of the maps of `CPM_JOINTS`; None for the published network alone.
        weight: Of the network's own maps in the fusion, until it is trained.

    Returns:
        The network in evaluation mode. Pictures go through `cpm_image` first.

    Raises:
        ReadError: If the file cannot be read, or a tensor is missing, unknown, of another shape, or not finite.
    """
    path = Path(path)
    tensors = _without_prefix(_read(path), path)
    stages = [int(found[1]) for name in tensors if (found := re.fullmatch(r"Mconv1_stage(\d)\.weight", name))]
    count = max(stages, default=1)
    expected = {f"{name}.{kind}" for name in published_names(count) for kind in ("weight", "bias")}
    if missing := sorted(expected - tensors.keys()):
        raise ReadError(f"{path}: lacks {missing[0]!r} ({len(missing)} in all) of a pose machine of {count} stages")
    if unknown := sorted(tensors.keys() - expected):
        raise ReadError(f"{path}: has {unknown[0]!r} ({len(unknown)} in all), no tensor of a pose machine")
    _check(tensors, count, path)
    backbone = CPMBackbone(tensors)
    parts = [CPMStage(_FIRST, tensors, first=True)]
    parts += [CPMStage(_later(stage), tensors, first=False) for stage in range(2, count + 1)]
    maps = tensors[f"{_FIRST[-1]}.weight"].shape[0]
    if prior is not None and maps < len(prior.joints):
        raise ReadError(f"{path}: has {maps} maps, the prior wants one for each of {len(prior.joints)} joints")
    return BeliefStages(backbone, parts, prior, weight=weight).eval()


def _later(stage: int) -> tuple[str, ...]:
    return tuple(f"Mconv{number}_stage{stage}" for number in range(1, _LAST + 1))


def _convolution(name: str, tensors: Mapping[str, Tensor]) -> nn.Conv2d:
    weight = tensors[f"{name}.weight"]
    outside, inside, kernel, _ = weight.shape
    with torch.random.fork_rng(devices=[]):
        layer = nn.Conv2d(inside, outside, kernel, padding=kernel // 2)
    layer.load_state_dict({"weight": weight.float(), "bias": tensors[f"{name}.bias"].float()})
    return layer


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ReadError(f"{path}: no such file; expected weights of a pose machine") from error
    except (OSError, SafetensorError, UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ReadError(f"{path}: cannot be read as safetensors or a state dict of torch: {reason}") from error
    if not isinstance(found, Mapping) or not all(isinstance(part, Tensor) for part in found.values()):
        raise ReadError(f"{path}: holds a {type(found).__name__}, expected a state dict: names and tensors")
    return dict(found)


def _without_prefix(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors under their published names."""
    anchor = next((name for name in tensors if name.endswith("conv1_1.weight")), None)
    if anchor is None:
        raise ReadError(f"{path}: lacks 'conv1_1.weight'; expected the layout of a convolutional pose machine")
    prefix = anchor.removesuffix("conv1_1.weight")
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _check(tensors: Mapping[str, Tensor], stages: int, path: Path) -> None:
    """Refuse tensors that do not fit together."""
    features = tensors[f"{_SHARED[-1]}.weight"].shape[:1].numel()
    maps = tensors[f"{_FIRST[-1]}.weight"].shape[:1].numel()
    inside = 3
    for name in published_names(stages):
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        if name == _FIRST[0]:
            inside = features
        elif name.startswith("Mconv1_"):
            inside = maps + features + 1
        square = weight.ndim == 4 and weight.shape[2] == weight.shape[3] and weight.shape[2] % 2 == 1
        if not square or weight.shape[1] != inside or bias.shape != weight.shape[:1]:
            shapes = f"{tuple(weight.shape)} and bias {tuple(bias.shape)}"
            raise ReadError(f"{path}: {name} has weight {shapes}, expected (n, {inside}, k, k) and (n,) with odd k")
        inside = weight.shape[0]
        if name.startswith(f"Mconv{_LAST}_") and inside != maps:
            raise ReadError(f"{path}: {name} gives {inside} maps, the first stage {maps}")
        if not (weight.is_floating_point() and weight.isfinite().all() and bias.isfinite().all()):
            raise ReadError(f"{path}: {name} has values that are not finite numbers")
