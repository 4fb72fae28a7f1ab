"""Two towers: one network for 3D poses, one for 2D keypoints, trained so that a pose and its views land together.

The inputs are those of the affine signature (`vipe.embed.affine`), whose inner product already tells whether a pose
fits the keypoints, with the coordinates beside them; the towers make 32 numbers of them. A decoder makes poses of them.
"""

__all__ = ["Towers", "TowersConfig"]

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vipe.embed.affine import column_basis
from vipe.errors import VipeError
from vipe.networks.mirror import MirrorMLP, ParityBasis, Parts, centred_parity, split_square
from vipe.networks.residual import Network, check_sizes
from vipe.skeletons import load
from vipe.skeletons.working import COCO13_IN_H36M17

_BODY, _KEYPOINTS = load("h36m17"), load("coco13")
_SMALLER = 0.3  # so that blocks start near the identity
_ENTRY = 10.0  # brings a signature's entries, of which there are 78 to share a norm of one, to a coordinate's size


@dataclass(frozen=True, kw_only=True)
class TowersConfig:
    """All that is needed to rebuild the untrained networks.

    Raises:
        VipeError: If a number is out of its range.
    """

    dim: int = 32
    width: int = 832
    blocks: int = 2
    decoder_width: int = 512
    decoder_blocks: int = 1

    def __post_init__(self) -> None:
        check_sizes("towers", self)
        for name in ("dim", "width", "decoder_width"):
            if getattr(self, name) % 2:
                raise VipeError(f"towers: {name} must be even, got {getattr(self, name)}: half is for each parity")


class Towers(Network):
    """Both towers and the decoder; mirroring a person negates the second half of the embedding, and no more."""

    kind = "towers"
    config_type = TowersConfig

    def __init__(self, config: TowersConfig) -> None:
        super().__init__(config)
        self.products = _Products()
        # Canonical space: the body's right is +y. Images: x to the right.
        self.pose_basis = ParityBasis(_BODY, (False, True, False))
        self.image_basis = ParityBasis(_KEYPOINTS, (True, False))
        self.seen_basis = ParityBasis(_KEYPOINTS, (False,))
        signature = self.products.sizes
        half = (config.dim // 2, config.dim // 2)
        body, image, seen = (_sizes(basis) for basis in (self.pose_basis, self.image_basis, self.seen_basis))
        self.pose_tower = MirrorMLP(_add(signature, body), half, width=config.width, blocks=config.blocks)
        self.keypoint_tower = MirrorMLP(_add(signature, image, seen), half, width=config.width, blocks=config.blocks)
        self.decoder = MirrorMLP(half, body, width=config.decoder_width, blocks=config.decoder_blocks)

    @property
    def mlps(self) -> tuple[MirrorMLP, ...]:
        """All that is trained."""
        return self.pose_tower, self.keypoint_tower, self.decoder

    def draw_weights(self, generator: torch.Generator) -> None:
        """Draw them as He et al. 2015; the second layer of each block and the outputs are smaller."""
        super().draw_weights(generator)
        for mlp in self.mlps:
            for name, parameter in mlp.named_parameters():
                if name.startswith("output") or ".second." in name:
                    parameter.data.mul_(_SMALLER)

    def encode_poses(self, canonical: Float[Tensor, "batch 17 3"]) -> Float[Tensor, "batch D"]:
        """Embed canonical poses."""
        points = canonical[:, COCO13_IN_H36M17]
        basis = column_basis(points - points.mean(1, keepdim=True))
        features = _join(self.products(basis), self.pose_basis.split(canonical))
        return torch.cat(self.pose_tower(*features), dim=-1)

    def encode_keypoints(
        self, xy: Float[Tensor, "batch 13 2"], seen: Bool[Tensor, "batch 13"]
    ) -> Float[Tensor, "batch D"]:
        """Embed keypoints: centred, of unit RMS radius, and zero where not seen."""
        shown = seen.to(xy.dtype)
        features = _join(
            self.products((xy / 13**0.5).mT), self.image_basis.split(xy), self.seen_basis.split(shown[..., None])
        )
        return torch.cat(self.keypoint_tower(*features), dim=-1)

    def decode(self, z: Float[Tensor, "batch D"]) -> Float[Tensor, "batch 17 3"]:
        """The canonical pose of each embedding, pelvis at the origin."""
        even, odd = z.chunk(2, dim=-1)
        poses = self.pose_basis.join(self.decoder(even, odd)).view(-1, len(_BODY), 3)
        return poses - poses[:, :1]

    @torch.no_grad()
    def standardize(self, z: Float[Tensor, "batch D"]) -> None:
        """Change the units of the embedding so that these have mean 0 and unit variance on average.

        Distances keep their order, and every embedding what it is decoded to. The odd half has mean 0 already, where
        poses and their mirror images are equally likely.
        """
        even = z.shape[1] // 2
        mean = z[:, :even].mean(0)
        scale = torch.cat([z[:, :even] - mean, z[:, even:]], dim=1).square().mean().sqrt()
        for tower in (self.pose_tower, self.keypoint_tower):
            tower.output.even.bias.sub_(mean)
            for weight in tower.output.parameters():
                weight.div_(scale)
        self.decoder.input.even.bias.add_(self.decoder.input.even.weight @ mean)
        for layer in (self.decoder.input.even, self.decoder.input.odd):
            layer.weight.mul_(scale)


class _Products(nn.Module):
    """The signature of 13 centred points, split by parity: all products of two of their combinations."""

    symmetric: Float[Tensor, "s 13"]
    antisymmetric: Float[Tensor, "a 13"]

    def __init__(self) -> None:
        super().__init__()
        symmetric, antisymmetric = centred_parity(_KEYPOINTS)
        self.register_buffer("symmetric", symmetric, persistent=False)
        self.register_buffer("antisymmetric", antisymmetric, persistent=False)
        s, a = len(symmetric), len(antisymmetric)
        self.sizes = (s * (s + 1) // 2 + a * (a + 1) // 2, s * a)

    def forward(self, columns: Float[Tensor, "batch dim 13"]) -> Parts:
        even, odd = split_square(columns @ self.symmetric.mT, columns @ self.antisymmetric.mT)
        return _ENTRY * even, _ENTRY * odd


def _sizes(basis: ParityBasis) -> tuple[int, int]:
    return len(basis.even), len(basis.odd)


def _add(*sizes: tuple[int, int]) -> tuple[int, int]:
    return sum(even for even, _ in sizes), sum(odd for _, odd in sizes)


def _join(*parts: Parts) -> Parts:
    return torch.cat([even for even, _ in parts], dim=-1), torch.cat([odd for _, odd in parts], dim=-1)
