"""Pr-VIPE, a probabilistic embedding of 2D keypoints: a baseline without an encoder of 3D poses (torch; numpy outside).

Sun et al. 2020, "View-Invariant Probabilistic Embedding for Human Pose". Its losses are in
`vipe.embed.prvipe.losses`.
"""

__all__ = ["Normalization", "PrVIPE", "PrVIPEConfig", "PrVIPENetwork", "by_trunk"]

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor, nn

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.embed.learned import LearnedEncoder
from vipe.embed.prvipe.losses import match_probability
from vipe.errors import VipeError
from vipe.networks.residual import Network, ResidualMLP, check_sizes
from vipe.skeletons.working import COCO13

_MAP_VERSION = 1  # part of the fingerprint: raise it when the same weights start to mean another map
_KEYPOINTS = len(COCO13)
_LEAST_SCALE = 1e-4  # of a Gaussian: ELU + 1 reaches 0
_PAIRS = 1 << 16  # pairs whose samples are compared at a time: they stay in the cache
_HIPS = [COCO13.index(name) for name in ("left_hip", "right_hip")]
_TRUNK = [COCO13.index(name) for name in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]
_LEAST_TRUNK = 1e-3  # RMS radii: below, rounding errors would be divided by rounding errors

Normalization = Literal["radius", "trunk"]
"""Of the keypoints that enter the network: as every encoder of this library has them, or `by_trunk`."""


@dataclass(frozen=True, kw_only=True)
class PrVIPEConfig:
    """All that is needed to rebuild the untrained network; sizes and dropout are the paper's (sec. 4, 5.1; its code).

    `vipe.embed.presets.prvipe_like` has other dropout, `vipe.embed.presets.prvipe_paper` the paper's normalization.

    Raises:
        VipeError: If a number is out of its range.
    """

    dim: int = 16
    width: int = 1024
    blocks: int = 2
    dropout: float = 0.3
    samples: int = 20  # K, of each view, in training and when two are compared
    normalization: Normalization = "radius"  # the paper's is "trunk"

    def __post_init__(self) -> None:
        check_sizes("Pr-VIPE", self)
        if self.normalization not in get_args(Normalization):
            known = " or ".join(get_args(Normalization))
            raise VipeError(f"Pr-VIPE: normalization must be {known}, got {self.normalization!r}")


class PrVIPENetwork(Network):
    """A Gaussian N(mean, diag scale²) of each person, and the parameters of the matching probability.

    The paper's input is 26 coordinates. Here `seen` is beside them, as for every encoder of this library: without it a
    missing joint would be taken for one at the centroid.
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
        """Above 0: ELU + 1 of the trained `raw_slope`."""
        return nn.functional.elu(self.raw_slope) + 1

    def forward(
        self, xy: Float[Tensor, "batch 13 2"], seen: Bool[Tensor, "batch 13"]
    ) -> tuple[Float[Tensor, "batch D"], Float[Tensor, "batch D"]]:
        """Mean and scale; coordinates are centred, of unit RMS radius, and zero where not seen."""
        if self.config.normalization == "trunk":
            xy = by_trunk(xy, seen)
        mean, raw = self.net(torch.cat([xy, seen[..., None].to(xy.dtype)], dim=-1).flatten(-2)).float().chunk(2, dim=-1)
        return mean, nn.functional.elu(raw) + 1 + _LEAST_SCALE


class PrVIPE(LearnedEncoder[PrVIPENetwork]):
    """Pr-VIPE as an encoder of keypoints, with sampled comparison.

    An embedding is the mean of the Gaussian. 3D poses have none: the method encodes keypoints only. Two people are
    compared by their sampled probability of a match (`compare`).
    """

    name = PrVIPENetwork.kind
    networks = (PrVIPENetwork,)
    constants = (_MAP_VERSION, COCO13.joints)

    def __init__(
        self, network: PrVIPENetwork, *, card: str = "", origin: Mapping[str, Any] | None = None, candidates: int = 64
    ) -> None:
        super().__init__(network, card=card, origin=origin)
        self.candidates = candidates  # of each query: the nearest by their means, for which `compare` samples

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
        """Scores of gallery people for each query: by distance of means, and for the nearest by sampled probability.

        Each sampled comparison takes `samples²` distances. So all of the gallery is ordered by the means, and its first
        `candidates` are reordered by the probability of a match. All comparisons share one draw of noise.

        Args:
            query: As `describe` gives them.
            gallery: Likewise; may be empty.

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
        """Standard normal noise of a query, and of a candidate."""
        generator = torch.Generator().manual_seed(0)
        draws = torch.randn(2, self.config.samples, self.dim, generator=generator)
        own, theirs = draws.to(self._device).unbind(0)
        return own, theirs


def by_trunk(xy: Float[Tensor, "batch 13 2"], seen: Bool[Tensor, "batch 13"]) -> Float[Tensor, "batch 13 2"]:
    """Centre keypoints between the hips, and divide by twice the greatest distance among shoulders and hips.

    The normalization of the code of Sun et al. 2020, for keypoints at any place and of any size. Their method sees
    every joint. Here, with one hip unseen the other is the centre, and with both unseen the mean of the seen joints.
    The distances are those among the seen of the four joints. Where these coincide, or fewer than two are seen, the
    size is the RMS radius about the centre.

    Returns:
        Zero where not seen, and where all seen joints coincide.

    >>> xy = torch.zeros(1, 13, 2)
    >>> xy[0, 1:3] = torch.tensor([3.0, 4.0])  # both shoulders: 5 from the hips, the greatest distance
    >>> by_trunk(xy, torch.ones(1, 13, dtype=torch.bool))[0, 1]
    tensor([0.3000, 0.4000])
    """
    hips = torch.zeros_like(seen)
    hips[:, _HIPS] = seen[:, _HIPS]
    weight = torch.where(hips.any(1, keepdim=True), hips, seen)[..., None].to(xy.dtype)
    centre = (xy * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
    own = (xy - centre) * seen[..., None]
    radius = (own.square().sum((1, 2)) / seen.sum(1).clamp(min=1)).sqrt()
    trunk, both = own[:, _TRUNK], seen[:, _TRUNK, None] & seen[:, None, _TRUNK]
    apart = ((trunk[:, :, None] - trunk[:, None]).norm(dim=-1) * both).amax((1, 2))
    size = torch.where(apart > _LEAST_TRUNK * radius, apart, radius)[:, None, None]
    return own / torch.where(size > 0, 2 * size, 1.0)
