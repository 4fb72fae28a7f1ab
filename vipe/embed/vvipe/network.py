"""V-VIPE, the learned embedding: a VAE of canonical 3D poses, and an encoder of 2D keypoints into its latent space.

Levy & Shrivastava 2024, "V-VIPE: Variational View Invariant Pose Embedding". The networks take and give torch
tensors; `vipe.embed.embedder` is the edge to numpy.
"""

__all__ = ["KeypointEncoder", "PoseDecoder", "PoseEncoder", "VVIPE", "VVIPEConfig"]

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vipe.networks.residual import Network, ResidualMLP, check_sizes
from vipe.skeletons.working import COCO13, H36M17

_JOINTS = len(H36M17)
_KEYPOINTS = len(COCO13)


@dataclass(frozen=True, kw_only=True)
class VVIPEConfig:
    """All that is needed to rebuild the untrained networks; the defaults are the paper's (sec. 4.1).

    Raises:
        VipeError: If a number is out of its range.
    """

    dim: int = 32
    width: int = 1024
    blocks: int = 2
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_sizes("V-VIPE", self)


class PoseEncoder(nn.Module):
    """q(z | pose) = N(mean, diag exp log_variance) of a canonical pose."""

    def __init__(self, config: VVIPEConfig) -> None:
        super().__init__()
        self.net = ResidualMLP(
            _JOINTS * 3, 2 * config.dim, width=config.width, blocks=config.blocks, dropout=config.dropout
        )

    def forward(self, poses: Float[Tensor, "batch 17 3"]) -> tuple[Float[Tensor, "batch D"], Float[Tensor, "batch D"]]:
        """Mean and log variance. The mean is the pose's embedding."""
        mean, log_variance = self.net(poses.flatten(-2)).chunk(2, dim=-1)
        return mean, log_variance.clamp(-12, 6)  # a first step must not overflow the exponential


class PoseDecoder(nn.Module):
    """The canonical pose of a latent, pelvis at the origin; bone lengths are learned, so nearly the reference's."""

    def __init__(self, config: VVIPEConfig) -> None:
        super().__init__()
        self.net = ResidualMLP(
            config.dim, _JOINTS * 3, width=config.width, blocks=config.blocks, dropout=config.dropout
        )

    def forward(self, z: Float[Tensor, "batch D"]) -> Float[Tensor, "batch 17 3"]:
        """Decode each row."""
        poses: Tensor = self.net(z).unflatten(-1, (_JOINTS, 3))
        return poses - poses[:, :1]


class KeypointEncoder(nn.Module):
    """The embedding of normalized keypoints: 13 times (x, y, seen).

    The paper's encoder gets coordinates only. `seen` is ours: without it a missing joint would be taken for one at
    the centroid. Where all joints are always seen it is constant, and the network is the paper's.
    """

    def __init__(self, config: VVIPEConfig) -> None:
        super().__init__()
        self.net = ResidualMLP(
            _KEYPOINTS * 3, config.dim, width=config.width, blocks=config.blocks, dropout=config.dropout
        )

    def forward(self, xy: Float[Tensor, "batch 13 2"], seen: Bool[Tensor, "batch 13"]) -> Float[Tensor, "batch D"]:
        """Embed each person; the coordinates are centred, of unit RMS radius, and zero where not seen."""
        return self.net(torch.cat([xy, seen[..., None].to(xy.dtype)], dim=-1).flatten(-2))  # type: ignore[no-any-return]


class VVIPE(Network):
    """The three networks together, as they are trained and saved."""

    kind = "v-vipe"
    config_type = VVIPEConfig

    def __init__(self, config: VVIPEConfig) -> None:
        super().__init__(config)
        self.pose_encoder = PoseEncoder(config)
        self.pose_decoder = PoseDecoder(config)
        self.keypoint_encoder = KeypointEncoder(config)

    def encode_poses(self, canonical: Float[Tensor, "batch 17 3"]) -> Float[Tensor, "batch D"]:
        """Embed canonical poses: the mean of q(z | pose)."""
        return self.pose_encoder(canonical)[0]  # type: ignore[no-any-return]

    def encode_keypoints(
        self, xy: Float[Tensor, "batch 13 2"], seen: Bool[Tensor, "batch 13"]
    ) -> Float[Tensor, "batch D"]:
        """Embed normalized keypoints."""
        return self.keypoint_encoder(xy, seen)  # type: ignore[no-any-return]

    def decode(self, z: Float[Tensor, "batch D"]) -> Float[Tensor, "batch 17 3"]:
        """The canonical pose of each latent."""
        return self.pose_decoder(z)  # type: ignore[no-any-return]
