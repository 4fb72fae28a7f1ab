"""Random numbers of one dtype and device, all from one generator (torch)."""

__all__ = ["Draws"]

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vipe.geometry.rotations import axis_angle


class Draws:
    """Random numbers of a tensor's dtype and device, all from one generator.

    They are drawn where the generator is, and moved: so a generator of the CPU gives the same numbers whatever the
    device that they are for, and one of a GPU saves the way there.
    """

    def __init__(self, like: Tensor, generator: torch.Generator) -> None:
        self.generator, self.dtype, self.device = generator, like.dtype, like.device

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform numbers from `low` to `high`."""
        drawn = torch.rand(*shape, generator=self.generator, dtype=self.dtype, device=self.generator.device)
        return low + (high - low) * drawn.to(self.device)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers."""
        drawn = torch.randn(*shape, generator=self.generator, dtype=self.dtype, device=self.generator.device)
        return drawn.to(self.device)

    def integers(self, most: int, *shape: int) -> Tensor:
        """Integers from 0 to `most` - 1."""
        drawn = torch.randint(most, shape, generator=self.generator, device=self.generator.device)
        return drawn.to(self.device)

    def choices(self, weight: Float[Tensor, "*rows K"], n: int) -> Int64[Tensor, "*rows n"]:
        """For each row, `n` of K numbers, each as often as its weight says."""
        own = weight.to(self.generator.device)
        return torch.multinomial(own, n, replacement=True, generator=self.generator).to(self.device)

    def turns(self, spread: float, batch: int) -> Float[Tensor, "batch 3 3"]:
        """Rotations about uniform axes, by normal angles of this spread, radians."""
        return axis_angle(self.normal(batch, 3), spread * self.normal(batch))
