"""A small network of the library's own for belief stages: of pictures of 64 pixels, in minutes of one core (torch)."""

__all__ = ["SmallBackbone", "SmallStage", "SmallStagesConfig", "small_stages"]

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from vipe.errors import VipeError
from vipe.lift.stages.prior import ProjectedBeliefs
from vipe.lift.stages.stages import STAGES, BeliefStages

STRIDE = 2
"""Pixels of a picture in one of the maps."""

_OUTPUT_GAIN = 0.1  # all pixels are nearly as likely at the start
_FOLD = 2  # pixels of the maps in a cell that the layers work on


@dataclass(frozen=True, kw_only=True)
class SmallStagesConfig:
    """Sizes of the network.

    Raises:
        VipeError: If a size is below 1, or the width not above 0.
    """

    joints: int = 13
    stages: int = STAGES
    features: int = 48  # channels of the features
    width: int = 48  # channels of a stage
    sigma: float = 1.5  # pixels of the maps: the width of their Gaussians

    def __post_init__(self) -> None:
        for name in ("joints", "stages", "features", "width"):
            if getattr(self, name) < 1:
                raise VipeError(f"belief stages: {name} must be at least 1, got {getattr(self, name)}")
        if not self.sigma > 0:
            raise VipeError(f"belief stages: sigma must be above 0 pixels, got {self.sigma}")


class SmallBackbone(nn.Module):
    """Features of pictures, at a quarter of their resolution."""

    def __init__(self, features: int) -> None:
        super().__init__()
        half = max(1, features // 2)
        self.layers = nn.Sequential(
            *_layer(3, half, 5, stride=2),
            *_layer(half, features, 3, stride=2),
            *_layer(features, features, 3),
            *_layer(features, features, 3),
        )

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features h w"]:
        """Features; sides of pictures are multiples of 4."""
        features: Tensor = self.layers(images - 0.5)
        return features


class SmallStage(nn.Module):
    """Belief maps at half the pictures' resolution, by layers that see ever more around each cell.

    The layers give each joint's probability over the pixels (a softmax), and a belief map is its average of Gaussians
    of width `sigma`: what maps trained by squared error tend to, from the start, and never below 0.
    """

    def __init__(self, features: int, maps: int, width: int, first: bool, sigma: float) -> None:
        super().__init__()
        self.maps, self.first, self.sigma = maps, first, sigma
        inside = features if first else features + maps * _FOLD**2
        self.enter = nn.Sequential(*_layer(inside, width, 1))
        self.around = nn.ModuleList(nn.Sequential(*_layer(width, width, 3, dilation=step)) for step in (1, 2, 4))
        self.leave = nn.Conv2d(width, maps * _FOLD**2, 1)

    def forward(
        self, features: Float[Tensor, "batch features h w"], previous: Float[Tensor, "batch maps H W"] | None
    ) -> Float[Tensor, "batch maps H W"]:
        """See `StageNetwork`."""
        if previous is not None and not self.first:
            features = torch.cat([features, pixel_unshuffle(previous, _FOLD)], dim=1)
        inside = self.enter(features)
        for layer in self.around:
            inside = inside + layer(inside)
        scores = pixel_shuffle(self.leave(inside), _FOLD)
        with torch.autocast(scores.device.type, enabled=False):
            chance = scores.float().flatten(2).softmax(dim=2).view(scores.shape)
            return self._bells(scores.shape[2], chance) @ chance @ self._bells(scores.shape[3], chance)

    def _bells(self, side: int, like: Tensor) -> Float[Tensor, "side side"]:
        """Gaussians at each pixel of a row."""
        pixels = torch.arange(side, dtype=like.dtype, device=like.device)
        return (-0.5 * ((pixels[:, None] - pixels) / self.sigma).square()).exp()


def small_stages(
    config: SmallStagesConfig | None = None,
    prior: ProjectedBeliefs | None = None,
    *,
    generator: torch.Generator,
    weight: float = 0.5,
    each: bool = False,
) -> BeliefStages:
    """The small network with initial weights drawn from the generator, the same with and without a prior.

    Args:
        config: Sizes.
        prior: As of `BeliefStages`.
        generator: Every draw uses it.
        weight: As of `BeliefStages`.
        each: As of `BeliefStages`.
    """
    config = config or SmallStagesConfig()
    with torch.random.fork_rng(devices=[]):  # torch's constructors draw weights, which are drawn again below
        backbone = SmallBackbone(config.features)
        stages = [
            SmallStage(config.features, config.joints, config.width, number == 0, config.sigma)
            for number in range(config.stages)
        ]
        network = BeliefStages(backbone, stages, prior, weight=weight, each=each)
    for part in [*backbone.modules(), *network.stages.modules()]:
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu", generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    for stage in stages:
        with torch.no_grad():
            stage.leave.weight.mul_(_OUTPUT_GAIN)
    return network


def _layer(inside: int, outside: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> list[nn.Module]:
    padding = dilation * (kernel - 1) // 2
    convolution = nn.Conv2d(inside, outside, kernel, stride, padding, dilation, bias=False)
    return [convolution, nn.BatchNorm2d(outside), nn.ReLU()]
