"""Two towers: one network for 3D poses and one for 2D keypoints, which embed a pose near its views; and a decoder.

Inputs are the affine signature (`vipe.embed.affine`), whose inner product measures how well keypoints fit a pose, and
the coordinates.
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
from vipe.skeletons.working import COCO13, COCO13_IN_H36M17, H36M17

_START_SCALE = 0.3  # of initial weights: blocks start near the identity
_ENTRY_SCALE = 10.0  # a signature shares a norm near 1 among 78 entries: scaled to the size of coordinates


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
    """Both towers and the decoder; mirroring a person negates the second half of the embedding and keeps the first."""

    kind = "towers"
    config_type = TowersConfig

    def __init__(self, config: TowersConfig) -> None:
        super().__init__(config)
        self.products = _Products()
        # Canonical space: the body's right is +y. Images: x to the right.
        self.pose_basis = ParityBasis(H36M17, (False, True, False))
        self.image_basis = ParityBasis(COCO13, (True, False))
        self.seen_basis = ParityBasis(COCO13, (False,))
        signature = self.products.sizes
        half = (config.dim // 2, config.dim // 2)
        body, image, seen = (_sizes(basis) for basis in (self.pose_basis, self.image_basis, self.seen_basis))
        self.pose_tower = MirrorMLP(_add(signature, body), half, width=config.width, blocks=config.blocks)
        self.keypoint_tower = MirrorMLP(_add(signature, image, seen), half, width=config.width, blocks=config.blocks)
        self.decoder = MirrorMLP(half, body, width=config.decoder_width, blocks=config.decoder_blocks)

    @property
    def mlps(self) -> tuple[MirrorMLP, ...]:
        """The three trained networks."""
        return self.pose_tower, self.keypoint_tower, self.decoder

    def draw_weights(self, generator: torch.Generator) -> None:
        """Draw them as He et al. 2015; those of each block's second layer and of the outputs are scaled by 0.3."""
        super().draw_weights(generator)
        for mlp in self.mlps:
            for name, parameter in mlp.named_parameters():
                if name.startswith("output") or ".second." in name:
                    parameter.data.mul_(_START_SCALE)

    def encode_poses(self, canonical: Float[Tensor, "batch 17 3"]) -> Float[Tensor, "batch D"]:
        """Embed canonical poses."""
        features = _join(self.pose_signature(canonical), self.pose_basis.split(canonical))
        return torch.cat(self.pose_tower(*features), dim=-1)

    def encode_keypoints(
        self, xy: Float[Tensor, "batch 13 2"], seen: Bool[Tensor, "batch 13"]
    ) -> Float[Tensor, "batch D"]:
        """Embed keypoints: centred, of unit RMS radius, and zero where not seen."""
        shown = seen.to(xy.dtype)
        features = _join(self.view_signature(xy), self.image_basis.split(xy), self.seen_basis.split(shown[..., None]))
        return torch.cat(self.keypoint_tower(*features), dim=-1)

    def pose_signature(self, poses: Float[Tensor, "batch 17 3"]) -> Parts:
        """The affine signature of poses, split by parity and scaled by 10: the first inputs of the pose tower.

        It does not change when a pose is moved, rotated or scaled.
        """
        points = poses[:, COCO13_IN_H36M17]
        parts: Parts = self.products(column_basis(points - points.mean(1, keepdim=True)))
        return parts

    def view_signature(self, xy: Float[Tensor, "batch 13 2"]) -> Parts:
        """The affine signature of keypoints, likewise; centred and of unit RMS radius."""
        parts: Parts = self.products((xy / len(COCO13) ** 0.5).mT)
        return parts

    def decode(self, z: Float[Tensor, "batch D"]) -> Float[Tensor, "batch 17 3"]:
        """The canonical pose of each embedding, pelvis at the origin."""
        even, odd = z.chunk(2, dim=-1)
        poses = self.pose_basis.join(self.decoder(even, odd)).view(-1, len(H36M17), 3)
        return poses - poses[:, :1]

    @torch.no_grad()
    def standardize(self, z: Float[Tensor, "batch D"]) -> None:
        """Shift and scale the embedding so that the rows of `z` have mean 0 and, averaged over dimensions, variance 1.

        The order of distances and the decoded poses do not change. Only the even half is shifted: the odd half has mean
        0 where poses and their mirror images are equally likely.
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
    """The affine signature of 13 points, split by parity: products of two combinations of joints, `split_square`."""

    symmetric: Float[Tensor, "s 13"]
    antisymmetric: Float[Tensor, "a 13"]

    def __init__(self) -> None:
        super().__init__()
        symmetric, antisymmetric = centred_parity(COCO13)
        self.register_buffer("symmetric", symmetric, persistent=False)
        self.register_buffer("antisymmetric", antisymmetric, persistent=False)
        s, a = len(symmetric), len(antisymmetric)
        self.sizes = (s * (s + 1) // 2 + a * (a + 1) // 2, s * a)

    def forward(self, columns: Float[Tensor, "batch dim 13"]) -> Parts:
        even, odd = split_square(columns @ self.symmetric.mT, columns @ self.antisymmetric.mT)
        return _ENTRY_SCALE * even, _ENTRY_SCALE * odd


def _sizes(basis: ParityBasis) -> tuple[int, int]:
    return len(basis.even), len(basis.odd)


def _add(*sizes: tuple[int, int]) -> tuple[int, int]:
    return sum(even for even, _ in sizes), sum(odd for _, odd in sizes)


def _join(*parts: Parts) -> Parts:
    return torch.cat([even for even, _ in parts], dim=-1), torch.cat([odd for _, odd in parts], dim=-1)
