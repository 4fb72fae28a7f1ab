"""Networks that ProPose is made of: a perceptron given a condition, and the discriminator (torch)."""

__all__ = ["Discriminator", "Perceptron"]

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vipe.lift.network import from_free_joints, to_free_joints
from vipe.lift.propose.losses import joint_distance

_START = 0.1  # of the weights of each branch and of the output, as in `vipe.networks.residual.initialize`


class Perceptron(nn.Module):
    """A residual multilayer perceptron of points, perhaps given a condition, plus a linear map of both.

    y = A [x, c] + V norm(h), with h = relu(W [x, c]) and h -> h + W2 relu(W1 norm(h)) a block. Layers are normalized,
    not batches: the decoder sees latents of the encoder and of the flow, which differ in their statistics, and no step
    may change those of a network that it does not train. A condition's share is computed once a row, not once a point.

    Args:
        inputs: Numbers of a point.
        outputs: Numbers of a result.
        width: Of the hidden layers.
        blocks: Residual blocks.
        condition: Numbers of a condition; 0 for none.
    """

    def __init__(self, inputs: int, outputs: int, *, width: int, blocks: int, condition: int = 0) -> None:
        super().__init__()
        self.straight = nn.Linear(inputs, outputs)
        self.point = nn.Linear(inputs, width)
        self.given = nn.ModuleList(nn.Linear(condition, size, bias=False) for size in (outputs, width) if condition)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
            for _ in range(blocks)
        )
        self.output = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, outputs))

    def forward(
        self, points: Float[Tensor, "batch *many inputs"], condition: Float[Tensor, "batch C"] | None = None
    ) -> Float[Tensor, "batch *many outputs"]:
        """Map each point, given the condition of its row."""
        straight, hidden = self.straight(points), self.point(points)
        if condition is not None:
            shares = [layer(condition) for layer in self.given]
            one, two = shares if points.ndim == 2 else (share[:, None] for share in shares)
            straight, hidden = straight + one, hidden + two
        hidden = hidden.relu()
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return straight + self.output(hidden)  # type: ignore[no-any-return]

    def start(self, straight: Float[Tensor, "outputs inputs"] | None = None) -> None:
        """Make it a linear map of points at first, or about 0: initial weights of all else are small or 0."""
        with torch.no_grad():
            for branch in (*self.blocks, self.output):
                branch[-1].weight.mul_(_START)
            for layer in (self.straight, *self.given[:1]):
                layer.weight.zero_()
            if straight is not None:
                self.straight.weight.copy_(straight)


class Discriminator(nn.Module):
    """An autoencoder of poses given keypoints, whose energy is its error (Zhao et al. 2017; han2025, eq. 11).

    It learns to reconstruct true poses, and not to reconstruct made ones.
    """

    def __init__(self, condition: int, *, code: int, width: int, blocks: int) -> None:
        super().__init__()
        self.encoder = Perceptron(48, code, width=width, blocks=blocks, condition=condition)
        self.decoder = Perceptron(code, 48, width=width, blocks=blocks, condition=condition)

    def forward(
        self, poses: Float[Tensor, "batch 17 3"], features: Float[Tensor, "batch C"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch D"]]:
        """Energy of each pose, in torso lengths summed over joints, and its code."""
        code = self.encoder(to_free_joints(poses), features)
        return joint_distance(from_free_joints(self.decoder(code, features)), poses), code
