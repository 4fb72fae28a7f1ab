"""What every lifting network gives: losses of a batch of views, samples, one pose, perhaps a density (torch)."""

__all__ = ["LiftNetwork", "LiftStage", "Samples", "from_free_joints", "to_free_joints"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vipe.errors import VipeError
from vipe.lift.condition import Condition
from vipe.lift.views import LiftViews
from vipe.networks.residual import Network
from vipe.skeletons.working import H36M17

JOINTS = len(H36M17)


@dataclass(frozen=True)
class Samples:
    """Poses drawn for each row of a condition; camera space, pelvis at the origin, torso lengths."""

    poses: Float[Tensor, "batch M 17 3"]
    log_weight: Float[Tensor, "batch M"]
    log_density: Float[Tensor, "batch M"] | None = None

    @classmethod
    def equal(cls, poses: Float[Tensor, "batch M 17 3"], log_density: Tensor | None = None) -> "Samples":
        """Samples of equal weight."""
        weight = poses.new_full(poses.shape[:2], -float(torch.tensor(float(poses.shape[1])).log()))
        return cls(poses, weight, log_density)


@dataclass(frozen=True)
class LiftStage:
    """A part of a lifter's training: which modules it changes, by which losses, in what share of all steps."""

    name: str
    share: float
    trained: tuple[nn.Module, ...]
    losses: Callable[[LiftViews, torch.Generator], dict[str, Tensor]]  # "loss" is minimized


class LiftNetwork(Network):
    """The network of one lifter: from a `Condition` to a distribution of poses.

    Poses are those of h36m17 in camera space, pelvis at the origin, in torso lengths (`LiftViews`). In evaluation mode
    a row's result depends on nothing but the row and the generator.
    """

    has_density: ClassVar[bool] = False  # whether `log_prob` is tractable

    def stages(self) -> tuple[LiftStage, ...]:
        """The training's stages; by default one, which trains all by `losses`."""
        return (LiftStage(self.kind, 1.0, (self,), self.losses),)

    def losses(self, views: LiftViews, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of a batch; "loss" is minimized."""
        raise NotImplementedError

    def sample(self, condition: Condition, n: int, generator: torch.Generator) -> Samples:
        """Draw `n` poses for each row; the condition is encoded once a row, not once a sample."""
        raise NotImplementedError

    def predict(self, condition: Condition) -> Float[Tensor, "batch 17 3"]:
        """One pose for each row, without a draw."""
        raise NotImplementedError

    def kernels(self, condition: Condition) -> Samples:
        """The means of a mixture's kernels, with the logarithms of their mixing coefficients; the likeliest first.

        Raises:
            VipeError: If the lifter is no mixture of a few kernels.
        """
        what = f"kernels for {len(condition)} people"
        raise VipeError(f"lifter {self.kind!r} cannot give {what}: it is no mixture of a few kernels; use sample")

    def calibrate(self, views: LiftViews, generator: torch.Generator) -> None:
        """Fit what is left to fit on views that trained nothing, after the last step. Nothing by default."""
        return

    def log_prob(self, condition: Condition, poses: Float[Tensor, "batch M 17 3"]) -> Float[Tensor, "batch M"]:
        """Log density of poses given the condition, nats.

        Raises:
            VipeError: If the lifter has no tractable density.
        """
        what = f"the density of {poses.shape[1]} poses for each of {len(condition)} people"
        raise VipeError(f"lifter {self.kind!r} cannot give {what}: it has no tractable density")


def from_free_joints(flat: Float[Tensor, "*batch 48"]) -> Float[Tensor, "*batch 17 3"]:
    """Poses from the coordinates of all joints but the pelvis, which is at the origin."""
    joints = flat.view(*flat.shape[:-1], JOINTS - 1, 3)
    return torch.cat([torch.zeros_like(joints[..., :1, :]), joints], dim=-2)


def to_free_joints(poses: Float[Tensor, "*batch 17 3"]) -> Float[Tensor, "*batch 48"]:
    """Coordinates of all joints but the pelvis: the inverse of `from_free_joints`."""
    return poses[..., 1:, :].flatten(-2)
