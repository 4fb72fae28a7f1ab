"""Pr-VIPE, a probabilistic embedding of 2D keypoints: the rival that knows no 3D (torch; numpy outside).

Sun et al. 2020, "View-Invariant Probabilistic Embedding for Human Pose". `vipe.embed.prvipe.training` trains it.
"""

__all__ = ["PrVIPE", "PrVIPEConfig", "PrVIPENetwork", "match_probability"]

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor, nn

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.embed.learned import LearnedEncoder
from vipe.errors import VipeError
from vipe.networks.residual import Network, ResidualMLP, check_sizes
from vipe.skeletons import load

_MAP_VERSION = 1  # part of the fingerprint: raise it when the same weights start to mean another map
_KEYPOINTS = len(load("coco13"))
_LEAST_SCALE = 1e-4  # of a Gaussian: ELU + 1 reaches 0
_PAIRS = 1 << 16  # pairs whose samples are compared at a time: they stay in the cache


@dataclass(frozen=True, kw_only=True)
class PrVIPEConfig:
    """All that is needed to rebuild the untrained network; the defaults are the paper's (sec. 4, 5.1; its code).

    Raises:
        VipeError: If a number is out of its range.
    """

    dim: int = 16
    width: int = 1024
    blocks: int = 2
    dropout: float = 0.3
    samples: int = 20  # of each person, when two are compared

    def __post_init__(self) -> None:
        check_sizes("Pr-VIPE", self)


class PrVIPENetwork(Network):
    """A Gaussian N(mean, diag scale²) of each person, and how distance becomes the probability of a match.

    The paper's input is 26 coordinates; `seen` beside them is what this library gives every encoder, so that a
    missing joint is not taken for one at the centroid.
    """

    kind = "pr-vipe"
    config_type = PrVIPEConfig

    def __init__(self, config: PrVIPEConfig) -> None:
        super().__init__(config)
        self.net = ResidualMLP(
            _KEYPOINTS * 3, 2 * config.dim, width=config.width, blocks=config.blocks, dropout=config.dropout
        )
        self.raw_slope = nn.Parameter(torch.tensor(-0.65))  # the start of the paper's code
        self.offset = nn.Parameter(torch.tensor(-0.5))

    @property
    def slope(self) -> Float[Tensor, ""]:
        """Above 0: ELU + 1 of what is trained."""
        return nn.functional.elu(self.raw_slope) + 1

    def forward(
        self, xy: Float[Tensor, "batch 13 2"], seen: Bool[Tensor, "batch 13"]
    ) -> tuple[Float[Tensor, "batch D"], Float[Tensor, "batch D"]]:
        """Mean and scale; coordinates are centred, of unit RMS radius, and zero where not seen."""
        mean, raw = self.net(torch.cat([xy, seen[..., None].to(xy.dtype)], dim=-1).flatten(-2)).float().chunk(2, dim=-1)
        return mean, nn.functional.elu(raw) + 1 + _LEAST_SCALE


def match_probability(
    a: Float[Tensor, "*#batch K D"],
    b: Float[Tensor, "*#batch L D"],
    slope: Float[Tensor, ""],
    offset: Float[Tensor, ""],
) -> Float[Tensor, "*batch"]:
    """Probability that two people are in one pose, from samples of both: mean over pairs of sigmoid(-a |z - z'| + b).

    Sun et al. 2020, eq. 2 and 3.
    """
    square = a.square().sum(-1)[..., :, None] + b.square().sum(-1)[..., None, :] - 2 * a @ b.mT
    distance = square.clamp(min=1e-12).sqrt()  # the root's slope is infinite at 0
    return (offset - slope * distance).sigmoid().mean((-2, -1))


class PrVIPE(LearnedEncoder[PrVIPENetwork]):
    """Pr-VIPE as an encoder of keypoints, and as a way to compare two of them.

    An embedding is the mean of the Gaussian: 3D poses have none, since the method never sees a pose in 3D. Two people
    are compared by their sampled probability of a match (`compare`).
    """

    name = PrVIPENetwork.kind
    networks = (PrVIPENetwork,)
    constants = (_MAP_VERSION, load("coco13").joints)

    def __init__(
        self, network: PrVIPENetwork, *, card: str = "", origin: Mapping[str, Any] | None = None, candidates: int = 64
    ) -> None:
        super().__init__(network, card=card, origin=origin)
        self.candidates = candidates  # of each query, by their means, for which `compare` samples

    def encode_poses(self, poses: Float[Array, "N 17 3"]) -> Float32[Array, "N D"]:
        """Pr-VIPE has no encoder of 3D poses.

        Raises:
            VipeError: Always; says what to do.
        """
        raise VipeError(
            f"Pr-VIPE embeds keypoints only, so {len(poses)} poses have no embedding: search them with a V-VIPE or "
            "affine index, or compare views by `vipe evaluate retrieval`"
        )

    def encode_keypoints(self, keypoints: Keypoints) -> Float32[Array, "N D"]:
        """The means of the Gaussians; position and size in the image do not matter.

        Raises:
            ShapeError: If a person's seen joints are fewer than two or all at one place; names the row.
            SkeletonError: If the skeleton does not convert to coco13.
        """
        return self.describe(keypoints)[:, 0]

    def describe(self, keypoints: Keypoints) -> Float32[Array, "N 2 D"]:
        """Mean and scale of each person's Gaussian; raises as `encode_keypoints`."""
        return self._of_people(keypoints, lambda xy, seen: torch.stack(self.model(xy, seen), dim=1), 2, self.dim)

    def compare(self, query: Float32[Array, "Q 2 D"], gallery: Float32[Array, "G 2 D"]) -> Float32[Array, "Q G"]:
        """How alike described people are: by the distance of means, the nearest of them by sampled probability.

        All pairs' samples would be `samples²` distances each. So the gallery is ordered by the means, and its first
        `candidates` again by the probability of a match. The draws are the same for everybody.

        Args:
            query: As `describe` gives them.
            gallery: Likewise; may be nobody.

        Returns:
            Minus the squared distance of means, and 1 plus the probability for the candidates.
        """
        (mean, scale), (other, spread) = (self._tensor(people).unbind(1) for people in (query, gallery))
        middle = other.mean(0)  # from there squares are small and lose no digits
        mean, other = mean - middle, other - middle
        scores = -(mean.square().sum(-1)[:, None] + other.square().sum(-1) - 2 * mean @ other.T).clamp(min=0)
        count = min(self.candidates, len(gallery))
        nearest = scores.topk(count, dim=1, sorted=False).indices
        own, theirs = self._draws
        samples = mean[:, None] + scale[:, None] * own
        found = torch.empty_like(nearest, dtype=scores.dtype)
        step = max(1, _PAIRS // max(1, count * self.config.samples))
        for start in range(0, len(query), step):
            rows = nearest[start : start + step]
            drawn = other[rows][:, :, None] + spread[rows][:, :, None] * theirs
            found[start : start + step] = match_probability(
                samples[start : start + step, None], drawn, self.model.slope, self.model.offset
            )
        return scores.scatter_(1, nearest, 1 + found).cpu().numpy()

    @cached_property
    def _draws(self) -> tuple[Float32[Tensor, "K D"], Float32[Tensor, "K D"]]:
        """Standard normal, of a query and of what it is compared with."""
        generator = torch.Generator().manual_seed(0)
        draws = torch.randn(2, self.config.samples, self.dim, generator=generator)
        own, theirs = draws.to(self._device).unbind(0)
        return own, theirs
