"""A mixture density network: a few Gaussians in the space of poses for each person (torch).

Li & Lee 2019, "Generating Multiple Hypotheses for 3D Human Pose Estimation with Mixture Density Network".
"""

__all__ = ["MDN", "MDNConfig", "PoseMixture"]

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import elu, normalize

from vipe.errors import VipeError
from vipe.lift.aggregation.one_pose import weighted_mean
from vipe.lift.condition import FEATURES, Condition
from vipe.lift.network import JOINTS, LiftNetwork, Samples, from_free_joints
from vipe.lift.views import LiftViews
from vipe.networks.couplings import soft_clamp
from vipe.networks.residual import ResidualMLP, check_sizes
from vipe.training.draws import Draws

_FREE = JOINTS - 1
_DIM = 3 * _FREE
_MOST_COMPONENTS = 256
_ROWS, _COLUMNS = (1, 2, 2), (0, 0, 1)  # of a lower triangular 3 x 3 matrix, below its diagonal
_STEEPEST = 10.0  # of a coordinate against those before it: given these it keeps 0.07 of its deviation or more


@dataclass(frozen=True, kw_only=True)
class MDNConfig:
    """All that is needed to rebuild the untrained network; the defaults are the paper's but for what is listed.

    - `dropout` is 0 in place of 0.5: views are drawn anew each step, and cannot be learned by heart.
    - `least_scale` is added to the standard deviation. The paper clips it at 1e-15, where a Gaussian below the error of
      motion capture only buys likelihood; a sum, unlike a clip, leaves a gradient.
    - The paper clips mixing coefficients at 1e-8. Here their logarithms come from one log-soft-max and need no clip.
    - The max-norm constraint on weights is left out, as in `ResidualMLP`, and coordinates are not standardized by
      statistics of the training set: standard deviations are torso lengths.
    - The optimizer is that of all lifters: AdamW with a rate that falls as a cosine, in place of Adam with 0.96 per
      100,000 steps.

    `covariance` "per-joint" is not in the paper: each kernel then has a 3 x 3 covariance for each joint, and joints are
    independent within a kernel. The paper's kernels have one number for all 48 coordinates, so that depth, which the
    keypoints hardly tell, gets the same spread as what they tell well: samples of them are far worse than their means.

    The Dirichlet prior acts on each person's coefficients, against a single pose. At the optimum of eq. 15 a kernel
    that explains a share r of the poses has the coefficient (r + lambda - 1) / (1 + K (lambda - 1)): from 1/6 to 1/3
    for the paper's values, so that even a kernel that explains nothing keeps a sixth of the samples. With
    `concentration` 1 the coefficient is r. "per-joint" kernels are sharper, and more of them stay unused: draw from
    them with `concentration` 1.

    Raises:
        VipeError: If a number is out of its range.
    """

    components: int = 5  # kernels K
    width: int = 1024
    blocks: int = 2
    dropout: float = 0.0
    concentration: float = 2.0  # lambda of the Dirichlet prior; 1 is no prior
    covariance: Literal["isotropic", "per-joint"] = "isotropic"
    least_scale: float = 1e-3  # torso lengths, about 0.5 mm

    def __post_init__(self) -> None:
        check_sizes("MDN", self)
        if not 1 <= self.components <= _MOST_COMPONENTS:
            raise VipeError(f"MDN: components must be 1 to {_MOST_COMPONENTS}, got {self.components}")
        if not self.concentration >= 1 or not self.least_scale > 0:
            got = f"{self.concentration} and {self.least_scale}"
            raise VipeError(f"MDN: concentration must be at least 1 and least_scale above 0, got {got}")
        if self.covariance not in ("isotropic", "per-joint"):
            raise VipeError(f"MDN: covariance must be isotropic or per-joint, got {self.covariance!r}")


@dataclass(frozen=True)
class PoseMixture:
    """p(pose | keypoints): K Gaussian kernels over the 48 coordinates of all joints but the pelvis, in torso lengths.

    A kernel's joints are independent of each other; the covariance of a joint is `factor @ factor.mT`.

    Reference:
        Li & Lee 2019, eq. 1 and 3, where all factors of a kernel are one number times the identity.
    """

    log_weight: Float[Tensor, "batch K"]  # logarithms of the mixing coefficients
    mean: Float[Tensor, "batch K 17 3"]
    factor: Float[Tensor, "batch K 16 3 3"]  # lower triangular, diagonal above 0

    def log_prob(self, poses: Float[Tensor, "batch M 17 3"]) -> Float[Tensor, "batch M"]:
        """Log density in nats; the pelvis of the poses is taken as the origin."""
        offset = poses[:, None, :, 1:] - self.mean[:, :, None, 1:]
        white = torch.linalg.solve_triangular(self.factor, offset.permute(0, 1, 3, 4, 2), upper=False)
        log_scale = self.factor.diagonal(dim1=-2, dim2=-1).log().sum((-2, -1))
        constant = self.log_weight - log_scale - 0.5 * _DIM * math.log(2 * math.pi)
        log_prob: Tensor = (constant[..., None] - 0.5 * white.square().sum((2, 3))).logsumexp(1)
        return log_prob

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "batch M 17 3"]:
        """Draw `n` poses for each row: a kernel by its mixing coefficient, then a pose from the kernel."""
        draws = Draws(self.mean, generator)
        kernel = draws.choices(self.log_weight.exp(), n)
        row = torch.arange(len(kernel), device=kernel.device)[:, None]
        noise = draws.normal(len(kernel), n, _FREE, 3, 1)
        offset = (self.factor[row, kernel] @ noise).flatten(2)
        return self.mean[row, kernel] + from_free_joints(offset)


class MDN(LiftNetwork):
    """The network of Martinez et al. 2017 with the parameters of a mixture of Gaussians as its output (li2019, 3.2).

    `sample` draws from the mixture. The paper's hypotheses are not draws but the means of the kernels: `kernels`.
    """

    kind = "mdn"
    config_type = MDNConfig
    has_density: ClassVar[bool] = True

    def __init__(self, config: MDNConfig) -> None:
        super().__init__(config)
        numbers = 1 if config.covariance == "isotropic" else 6 * _FREE
        self._sizes = [config.components, config.components * _DIM, config.components * numbers]
        outputs = sum(self._sizes)
        self.net = ResidualMLP(FEATURES, outputs, width=config.width, blocks=config.blocks, dropout=config.dropout)

    def mixture(self, condition: Condition) -> PoseMixture:
        """The distribution of poses for each row."""
        weight, mean, scale = self.net(condition.features()).split(self._sizes, dim=1)
        mean, scale = (part.unflatten(1, (self.config.components, -1)) for part in (mean, scale))
        return PoseMixture(weight.log_softmax(-1), from_free_joints(mean), self._factor(scale))

    def losses(self, views: LiftViews, generator: torch.Generator) -> dict[str, Tensor]:
        """Negative log likelihood of the poses, and of the mixing coefficients under the Dirichlet prior (eq. 15).

        Both are means over the batch, in nats; constants of the prior are left out.
        """
        mixture = self.mixture(views.condition)
        nll = -mixture.log_prob(views.poses[:, None]).mean()
        prior = (1 - self.config.concentration) * mixture.log_weight.sum(-1).mean()
        return {"loss": nll + prior, "nll": nll, "prior": prior}

    def sample(self, condition: Condition, n: int, generator: torch.Generator) -> Samples:
        """Draw `n` poses for each row from the mixture, with their log densities as drawn."""
        mixture = self.mixture(condition)
        poses = mixture.sample(n, generator)
        return Samples.equal(poses, mixture.log_prob(poses))

    def kernels(self, condition: Condition) -> Samples:
        """The K means of the kernels, those of the largest mixing coefficients first: the paper's hypotheses."""
        mixture = self.mixture(condition)
        log_weight, order = mixture.log_weight.sort(dim=-1, descending=True, stable=True)
        poses = torch.take_along_dim(mixture.mean, order[..., None, None], dim=1)
        return Samples(poses, log_weight, mixture.log_prob(poses))

    def predict(self, condition: Condition) -> Float[Tensor, "batch 17 3"]:
        """The mean of the kernel of the largest mixing coefficient."""
        return self.kernels(condition).poses[:, 0]

    def mean(self, condition: Condition) -> Float[Tensor, "batch 17 3"]:
        """The mean of the mixture: the means of the kernels by their mixing coefficients."""
        mixture = self.mixture(condition)
        return weighted_mean(mixture.mean, mixture.log_weight)

    def log_prob(self, condition: Condition, poses: Float[Tensor, "batch M 17 3"]) -> Float[Tensor, "batch M"]:
        """Log density of poses given the condition, nats, over the 48 coordinates in torso lengths: exact."""
        return self.mixture(condition).log_prob(poses)

    def _factor(self, raw: Float[Tensor, "batch K numbers"]) -> Float[Tensor, "batch K 16 3 3"]:
        """Factors of the joints' covariances; standard deviations are ELU(t) + 1 (eq. 8 with gamma = 1) + floor.

        A row of a joint's factor is a unit vector times the standard deviation of its coordinate. So numbers far from
        those seen in training, which come as they like, tilt the covariance but do not make it larger.
        """
        floor = self.config.least_scale
        if self.config.covariance == "isotropic":
            scale = elu(raw) + 1 + floor
            return torch.diag_embed(scale[..., None].expand(*raw.shape[:2], _FREE, 3))
        joint = raw.view(*raw.shape[:2], _FREE, 6)
        tilt = torch.zeros_like(joint[..., :3, None].expand(*joint.shape[:-1], 3, 3))
        tilt[..., _ROWS, _COLUMNS] = soft_clamp(joint[..., 3:], _STEEPEST)
        tilt = normalize(tilt + torch.eye(3, dtype=raw.dtype, device=raw.device), dim=-1)
        factor: Tensor = (elu(joint[..., :3]) + 1 + floor)[..., None] * tilt
        return factor
