"""A critic of poses: how natural do they look, by their joints and by their kinematic chains (torch)?"""

__all__ = ["Critic", "critic_losses", "gradient_penalty", "kinematic_chains"]

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vipe.geometry.bones import bone_vectors
from vipe.skeletons.working import BONES, H36M17

_SLOPE = 0.01  # of the leaky units below 0


def kinematic_chains(poses: Float[Tensor, "*batch 17 3"]) -> Float[Tensor, "*batch 16 16"]:
    """Inner products of all bones of a pose: squared lengths on the diagonal, angles with lengths beside it.

    In the unit of the poses, squared. The matrix does not change when the body is turned or moved.

    Reference:
        Wandt et al. 2018 (Kinematic Chain Space): Psi = B^T B.
    """
    bones = bone_vectors(poses, H36M17.parents)
    return bones @ bones.mT


class Critic(nn.Module):
    """A number for each pose: the higher, the more it looks like those of the training set (wehrbein2021, sec. 3.3).

    Two paths, of the joints and of the kinematic chains, with leaky ReLU; the paper takes them from Wandt & Rosenhahn
    2019 (RepNet).

    Args:
        pose_width: Of the path of the joints.
        chain_width: Of the path of the chains.
    """

    def __init__(self, pose_width: int = 100, chain_width: int = 1000) -> None:
        super().__init__()
        self.pose = _Path(3 * (len(H36M17) - 1), pose_width, last=True)
        self.chain = _Path(len(BONES) ** 2, chain_width, last=False)
        self.head = nn.Sequential(nn.Linear(pose_width + chain_width, 100), nn.LeakyReLU(_SLOPE), nn.Linear(100, 1))

    def forward(self, poses: Float[Tensor, "batch 17 3"]) -> Float[Tensor, " batch"]:
        """Judge poses in camera space, pelvis at the origin."""
        paths = [self.pose(poses[:, 1:].flatten(1)), self.chain(kinematic_chains(poses).flatten(1))]
        return self.head(torch.cat(paths, 1))[:, 0]  # type: ignore[no-any-return]


def critic_losses(
    critic: Callable[[Tensor], Tensor],
    real: Float[Tensor, "batch 17 3"],
    made: Float[Tensor, "batch 17 3"],
    weight: float,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Wasserstein losses of a critic with a penalty on its slope; "loss" is minimized by the critic alone.

    Args:
        critic: Gives a number for each pose.
        real: Poses of the training set.
        made: Poses of the flow, without gradient.
        weight: Of the penalty; 10 in the papers.
        generator: For the places where the slope is measured.

    Returns:
        "loss", its parts "distance" (mean of the real poses' numbers minus that of the others: an estimate of the
        Wasserstein distance) and "penalty".

    Reference:
        Gulrajani et al. 2017.
    """
    distance = critic(real).mean() - critic(made).mean()
    penalty = gradient_penalty(critic, real, made, generator)
    return {"loss": weight * penalty - distance, "distance": distance, "penalty": penalty}


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Float[Tensor, "batch 17 3"],
    made: Float[Tensor, "batch 17 3"],
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """Mean of (|slope of the critic| - 1)^2 at points drawn uniformly on the lines from made to real poses."""
    share = torch.rand(len(real), 1, 1, generator=generator, device=real.device, dtype=real.dtype)
    between = (share * real + (1 - share) * made).detach().requires_grad_()
    # The pelvis is at the origin in all poses: its coordinates do not count.
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (slope[:, 1:].flatten(1).norm(dim=1) - 1).square().mean()  # type: ignore[no-any-return]


class _Path(nn.Module):
    """A layer up, two layers around which the input skips, and perhaps one more."""

    def __init__(self, inputs: int, width: int, *, last: bool) -> None:
        super().__init__()
        self.up = nn.Linear(inputs, width)
        self.skipped = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.last = nn.Linear(width, width) if last else None

    def forward(self, x: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch width"]:
        up = nn.functional.leaky_relu(self.up(x), _SLOPE)
        first, second = self.skipped
        x = up + nn.functional.leaky_relu(second(nn.functional.leaky_relu(first(up), _SLOPE)), _SLOPE)
        return x if self.last is None else nn.functional.leaky_relu(self.last(x), _SLOPE)
