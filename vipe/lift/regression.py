"""Regression: one pose for each person, the mean of what is possible (torch).

Martinez et al. 2017, "A simple yet effective baseline for 3d human pose estimation".
"""

__all__ = ["Regression", "RegressionConfig"]

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vipe.lift.condition import FEATURES, Condition
from vipe.lift.network import JOINTS, LiftNetwork, Samples, from_free_joints, to_free_joints
from vipe.lift.views import LiftViews
from vipe.networks.residual import ResidualMLP, check_sizes


@dataclass(frozen=True, kw_only=True)
class RegressionConfig:
    """All that is needed to rebuild the untrained network; the defaults are the paper's but for dropout.

    The paper's dropout of 0.5 is for recorded views, of which it has a fixed number. Views drawn anew each step cannot
    be learned by heart.

    Raises:
        VipeError: If a number is out of its range.
    """

    width: int = 1024
    blocks: int = 2
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_sizes("regression", self)


class Regression(LiftNetwork):
    """The network of martinez2017, fig. 2, with the squared error as its loss.

    Its only hypothesis is the conditional mean: where two poses are possible it gives neither of them, but one between.
    Other than in the paper, coordinates are not standardized by statistics of the training set: keypoints are centred
    and scaled for each person, and the features of `Condition` say what is missing.
    """

    kind = "regression"
    config_type = RegressionConfig

    def __init__(self, config: RegressionConfig) -> None:
        super().__init__(config)
        outputs = 3 * (JOINTS - 1)
        self.net = ResidualMLP(FEATURES, outputs, width=config.width, blocks=config.blocks, dropout=config.dropout)

    def losses(self, views: LiftViews, generator: torch.Generator) -> dict[str, Tensor]:
        """The mean squared error, in squared torso lengths."""
        error = self.net(views.condition.features()) - to_free_joints(views.poses)
        return {"loss": error.square().mean()}

    def sample(self, condition: Condition, n: int, generator: torch.Generator) -> Samples:
        """The predicted pose, `n` times."""
        return Samples.equal(self.predict(condition)[:, None].expand(-1, n, -1, -1).clone())

    def predict(self, condition: Condition) -> Float[Tensor, "batch 17 3"]:
        """The mean of the poses that the keypoints allow, as far as learned."""
        return from_free_joints(self.net(condition.features()))
