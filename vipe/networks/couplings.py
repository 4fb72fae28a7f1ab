"""Conditional normalizing flows of affine couplings: exact in both directions, with the log determinant (torch).

Each row of the condition serves many points: its share of every first layer is computed once, not once a point.
"""

__all__ = ["CouplingFlow", "soft_clamp"]

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


def soft_clamp(x: Tensor, limit: float) -> Tensor:
    """(2 limit / pi) atan(x / limit): near x where |x| is small, never beyond +-limit (wehrbein2021, sec. 3.1).

    >>> soft_clamp(torch.tensor([0.0, 1e9]), 2.0)
    tensor([0., 2.])
    """
    return (2 * limit / math.pi) * torch.atan(x / limit)


class CouplingFlow(nn.Module):
    """A bijection of points of `dim` numbers, given a condition: coupling blocks with fixed permutations between them.

    A block transforms each half of the point by a scale and a shift that a network takes from the other half and the
    condition: u2' = u2 exp(s1(u1)) + t1(u1), then u1' = u1 exp(s2(u2')) + t2(u2'). Scales are clamped softly.

    Args:
        dim: Numbers of a point, at least 2.
        condition: Numbers of a condition; 0 for a flow without one.
        width: Of the networks' hidden layers.
        blocks: Number of coupling blocks.
        layers: Hidden layers of each network.
        clamp: Largest logarithm of a scale.
        seed: Of the permutations, which are part of the architecture.

    Reference:
        Dinh et al. 2017 (affine couplings); Ardizzone et al. 2019 (two-sided blocks, soft clamp); wehrbein2021,
        sec. 3.1.

    >>> flow = CouplingFlow(6, 3, width=8, blocks=2)
    >>> points, condition = torch.randn(4, 5, 6), torch.randn(4, 3)
    >>> base, log_det = flow(points, condition)
    >>> back, log_det_back = flow.inverse(base, condition)
    >>> torch.allclose(back, points, atol=1e-4), torch.allclose(log_det, -log_det_back, atol=1e-4)
    (True, True)
    """

    order: Tensor
    back: Tensor

    def __init__(
        self, dim: int, condition: int, *, width: int, blocks: int, layers: int = 1, clamp: float = 2.0, seed: int = 0
    ) -> None:
        super().__init__()
        self.dim = dim
        self.blocks = nn.ModuleList(_Block(dim, condition, width, layers, clamp) for _ in range(blocks))
        with torch.device("cpu"):  # a constant, also while a module is built on the meta device
            generator = torch.Generator().manual_seed(seed)
            order = torch.stack([torch.randperm(dim, generator=generator) for _ in range(blocks)])
            back = order.argsort(1)
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("back", back, persistent=False)

    def forward(
        self, points: Float[Tensor, "batch M dim"], condition: Float[Tensor, "batch C"]
    ) -> tuple[Float[Tensor, "batch M dim"], Float[Tensor, "batch M"]]:
        """Points to the base space, and log |det| of the map's Jacobian."""
        log_det = points.new_zeros(points.shape[:2])
        for block, order in zip(self.blocks, self.order, strict=True):
            points, part = block(points, condition)
            log_det = log_det + part
            points = points[..., order]
        return points, log_det

    def inverse(
        self, base: Float[Tensor, "batch M dim"], condition: Float[Tensor, "batch C"]
    ) -> tuple[Float[Tensor, "batch M dim"], Float[Tensor, "batch M"]]:
        """The inverse of `forward`, and log |det| of its Jacobian."""
        log_det = base.new_zeros(base.shape[:2])
        for block, back in zip(reversed(self.blocks), self.back.flip(0), strict=True):
            assert isinstance(block, _Block)
            base, part = block.inverse(base[..., back], condition)
            log_det = log_det + part
        return base, log_det


class _Block(nn.Module):
    """A two-sided affine coupling."""

    def __init__(self, dim: int, condition: int, width: int, layers: int, clamp: float) -> None:
        super().__init__()
        self.first = dim // 2
        rest = dim - self.first
        self.clamp = clamp
        self.one = _Subnet(self.first, condition, 2 * rest, width, layers)
        self.two = _Subnet(rest, condition, 2 * self.first, width, layers)

    def forward(self, u: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        u1, u2 = u[..., : self.first], u[..., self.first :]
        s1, t1 = self._scale_and_shift(self.one, u1, condition)
        u2 = u2 * s1.exp() + t1
        s2, t2 = self._scale_and_shift(self.two, u2, condition)
        u1 = u1 * s2.exp() + t2
        return torch.cat([u1, u2], -1), s1.sum(-1) + s2.sum(-1)

    def inverse(self, u: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        u1, u2 = u[..., : self.first], u[..., self.first :]
        s2, t2 = self._scale_and_shift(self.two, u2, condition)
        u1 = (u1 - t2) * (-s2).exp()
        s1, t1 = self._scale_and_shift(self.one, u1, condition)
        u2 = (u2 - t1) * (-s1).exp()
        return torch.cat([u1, u2], -1), -s1.sum(-1) - s2.sum(-1)

    def _scale_and_shift(self, net: "_Subnet", u: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = net(u, condition).chunk(2, dim=-1)
        return soft_clamp(scale, self.clamp), shift


class _Subnet(nn.Module):
    """A multilayer perceptron of a half point and the condition; its first layer's share of the condition is apart."""

    def __init__(self, inputs: int, condition: int, outputs: int, width: int, layers: int) -> None:
        super().__init__()
        self.point = nn.Linear(inputs, width)
        self.condition = nn.Linear(condition, width, bias=False) if condition else None
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(layers - 1))
        self.output = nn.Linear(width, outputs)

    def forward(self, u: Tensor, condition: Tensor) -> Tensor:
        x = self.point(u)
        if self.condition is not None:
            x = x + self.condition(condition)[:, None]
        x = x.relu_()
        for layer in self.hidden:
            x = layer(x).relu_()
        return self.output(x)  # type: ignore[no-any-return]
