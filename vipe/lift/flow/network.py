"""Flow: a bijection between a pose and its keypoints with a latent vector, given how sure the keypoints are (torch).

Wehrbein et al. 2021, "Probabilistic Monocular 3D Human Pose Estimation with Normalizing Flows".
"""

__all__ = ["LATENT", "Flow", "FlowConfig"]

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call

from vipe.errors import VipeError
from vipe.lift.aggregation.one_pose import weak_perspective
from vipe.lift.condition import FEATURES, NOMINAL_NOISE, Condition
from vipe.lift.flow.critic import Critic, critic_losses
from vipe.lift.flow.losses import BANDWIDTHS, best_mean_error, mmd, spread_shortfall
from vipe.lift.network import JOINTS, LiftNetwork, Samples, from_free_joints, to_free_joints
from vipe.lift.views import LiftViews
from vipe.networks.couplings import CouplingFlow
from vipe.networks.residual import ResidualMLP, check_sizes
from vipe.skeletons.working import COCO13, COCO13_IN_H36M17
from vipe.training.draws import Draws

_POSE = 3 * (JOINTS - 1)  # x
_KEYPOINTS = 2 * len(COCO13)  # y

LATENT = _POSE - _KEYPOINTS
"""Numbers of z: what the keypoints leave open."""

_LATENT_SCALE = 0.3  # torso lengths: about the spread of a joint's depth given the keypoints
_START = 0.1  # of the weights of a subnet's output: the flow starts near the identity


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """All that is needed to rebuild the untrained network, and the weights of its losses.

    The defaults are the paper's, but for these:

    - Weights of losses. All losses are means over numbers, so their weights depend on the units. Poses are torso
      lengths of 0.49 m here, not metres: `exact_weight` and `best_weight` are 4 times 0.49, `realism_weight` is 1 times
      0.49, since the critic's slope is 1 per unit of the poses. Covariances are squared RMS radii of 0.5 m, not square
      metres: `spread_weight` is 750 times 0.25. Keypoints have an RMS radius of 1, not a standard deviation of 1, which
      is smaller by the root of 2: `keypoint_weight` is the root of 2.
    - `hypotheses` of each row cost most of a step. On a CPU 20 of them, with `best` 3, leave a step time for as many
      rows as the other lifters have.
    - `encoder_blocks` adds residual blocks of martinez2017 to the encoder of the condition; 0 is the paper's two
      layers, with batch normalization. The condition is encoded once for all hypotheses, so the blocks cost little.

    For the paper's table 4: `conditioned` is False for the row without condition; `spread_weight`, `realism_weight` or
    `best_weight` is 0 for those without L_HM, L_gen and L_MB; `best` is 1, 10 or 50.

    Raises:
        VipeError: If a number is out of its range.
    """

    blocks: int = 8
    width: int = 1024  # of the networks in the blocks
    clamp: float = 2.0  # alpha: the largest logarithm of a scale
    conditioned: bool = True  # whether the flow is told what the keypoints' uncertainty is
    context: int = 56  # numbers of the encoded condition
    encoder_width: int = 256
    encoder_blocks: int = 0
    hypotheses: int = 200  # L, in training
    best: int = 5  # k: of these, whose mean is compared with the truth
    keypoint_weight: float = 1.4  # of L_2D
    mmd_weight: float = 10.0
    exact_weight: float = 2.0  # of L_det
    best_weight: float = 2.0  # of L_MB
    spread_weight: float = 190.0  # of L_HM
    realism_weight: float = 0.5  # of L_gen; 0 leaves the critic out
    bandwidths: tuple[float, ...] = BANDWIDTHS
    uncertain: float = 1.05  # sigma_t: standard deviations from which L_HM counts, over `NOMINAL_NOISE`
    penalty_weight: float = 10.0  # of the critic's slope
    critic_steps: int = 5  # for each step of the flow
    critic_width: int = 1000  # of the path of kinematic chains
    critic_pose_width: int = 100  # of the path of joints

    def __post_init__(self) -> None:
        check_sizes("flow", self)
        for name in ("context", "encoder_width", "critic_width", "critic_pose_width", "critic_steps"):
            if not 1 <= getattr(self, name) <= 65536:
                raise VipeError(f"flow: {name} must be 1 to 65536, got {getattr(self, name)}")
        if not 0 <= self.encoder_blocks <= 64:
            raise VipeError(f"flow: encoder_blocks must be 0 to 64, got {self.encoder_blocks}")
        if self.hypotheses < 2 or not 1 <= self.best <= self.hypotheses:
            got = f"{self.hypotheses} and {self.best}"
            raise VipeError(f"flow: hypotheses must be 2 or more and best from 1 to as many, got {got}")
        weights = (name for name in vars(self) if name.endswith("_weight"))
        for name in (*weights, "uncertain"):
            if not getattr(self, name) >= 0:
                raise VipeError(f"flow: {name} must be at least 0, got {getattr(self, name)}")
        if not self.clamp > 0 or not self.bandwidths or not min(self.bandwidths) > 0:
            raise VipeError(f"flow: clamp and bandwidths must be above 0, got {self.clamp} and {self.bandwidths}")


class Flow(LiftNetwork):
    """x <-> (y, z) of wehrbein2021: 48 coordinates of a pose, 26 of its keypoints, and 22 latent numbers.

    The map from left to right is learned with supervision: the keypoints of a pose are known. The other way is its
    exact inverse, and draws poses for given keypoints with z ~ N(0, I); `predict` takes z = 0. The paper has 16
    keypoints, so its z has 16 numbers. Keypoints are those detected, 0 where a joint is not seen; the condition tells
    one zero from the other. What the paper reads from heatmaps, a place and a covariance for each joint, is the
    `Condition` here.

    There is no density: with y given, all poses of the model lie on a surface of 22 dimensions, and z follows N(0, I)
    only as far as the MMD could teach it. The paper, too, does not train by likelihood.

    Two of the numbers are arranged for a good start and change nothing else: an untrained flow (the identity) takes
    each keypoint's y from the x and y of its joint, and z in units of 0.3 torso lengths from the other coordinates.

    Each step changes either the critic, `critic_steps` times as often, or flow and encoder, as drawn from the
    generator. The paper draws anew for each, too, in a fixed order. Its optimizer is Adam with a momentum of 0.5, a
    rate of 1e-4 halved once, and gradients clipped to +-15. Here it is that of all lifters. Without a critic every step
    is the flow's: the same number of steps then changes it six times as often.
    """

    kind = "flow"
    config_type = FlowConfig
    slots: Tensor
    back: Tensor

    def __init__(self, config: FlowConfig) -> None:
        super().__init__(config)
        self.encoder: ResidualMLP | None = None
        if config.conditioned:
            self.encoder = ResidualMLP(
                FEATURES, config.context, width=config.encoder_width, blocks=config.encoder_blocks, dropout=0.0
            )
        self.flow = CouplingFlow(
            _POSE,
            config.context if config.conditioned else 0,
            width=config.width,
            blocks=config.blocks,
            clamp=config.clamp,
        )
        self.critic = Critic(config.critic_pose_width, config.critic_width) if config.realism_weight > 0 else None
        with torch.device("cpu"):  # constants, also while a module is built on the meta device
            place = torch.arange(_POSE)
            for order in self.flow.order:
                place = place[order]
            slots = place.argsort()[_keypoints_first()]
        self.register_buffer("slots", slots, persistent=False)  # of (y, z) in the flow's base
        self.register_buffer("back", slots.argsort(), persistent=False)

    def draw_weights(self, generator: torch.Generator) -> None:
        """Draw them as He et al. 2015, with the flow near the identity."""
        super().draw_weights(generator)
        with torch.no_grad():
            for name, weight in self.flow.named_parameters():
                if ".output.weight" in name:
                    weight.mul_(_START)

    def losses(self, views: LiftViews, generator: torch.Generator) -> dict[str, Tensor]:
        """Those of the critic, or those of the flow, as the generator says."""
        steps = self.config.critic_steps
        turn = torch.rand((), generator=generator, device=views.poses.device)
        if self.critic is None or float(turn) * (steps + 1) >= steps:
            return self.flow_losses(views, generator)
        with torch.no_grad():
            made = self.sample(views.condition, 1, generator).poses[:, 0]
        return critic_losses(self.critic, views.poses, made, self.config.penalty_weight, generator)

    def flow_losses(self, views: LiftViews, generator: torch.Generator) -> dict[str, Tensor]:
        """The six losses of the flow, and "loss", their weighted sum (wehrbein2021, eq. 9).

        Returns:
            "loss" and its parts: "keypoints" (L_2D), "mmd", "exact" (L_det: the pose from its own latent and the
            detected keypoints), "best" (L_MB), and if they have a weight "spread" (L_HM) and "realism" (L_gen). Lengths
            are torso lengths, "keypoints" RMS radii, "spread" squared RMS radii.
        """
        config, condition, truth = self.config, views.condition, views.poses
        context, xy = self._encode(condition), _flat(condition)
        found, latent = self._forward(truth, context)
        draws = self._draw(condition, config.hypotheses, generator)
        poses = self._inverse(xy, torch.cat([draws, latent.detach()[:, None]], 1), context)
        hypotheses, exact = poses[:, :-1], poses[:, -1]

        losses = {
            "keypoints": (found - xy).abs().mean(),
            "mmd": mmd(
                torch.cat([xy, draws[:, 0]], 1), torch.cat([found.detach(), latent], 1), bandwidths=config.bandwidths
            ),
            "exact": (exact - truth)[:, 1:].abs().mean(),
            "best": best_mean_error(hypotheses[:, :, 1:], truth[:, 1:], config.best),
        }
        loss = (
            config.keypoint_weight * losses["keypoints"]
            + config.mmd_weight * losses["mmd"]
            + config.exact_weight * losses["exact"]
            + config.best_weight * losses["best"]
        )
        if config.spread_weight:
            losses["spread"] = self._spread_shortfall(views, hypotheses)
            loss = loss + config.spread_weight * losses["spread"]
        if self.critic is not None:
            fixed = {name: weight.detach() for name, weight in self.critic.named_parameters()}
            losses["realism"] = -functional_call(self.critic, fixed, (hypotheses[:, 0],)).mean()
            loss = loss + config.realism_weight * losses["realism"]
        return {"loss": loss, **losses}

    def sample(self, condition: Condition, n: int, generator: torch.Generator) -> Samples:
        """Poses from `n` latents for each row, and the detected keypoints."""
        latent = self._draw(condition, n, generator)
        return Samples.equal(self._inverse(_flat(condition), latent, self._encode(condition)))

    def predict(self, condition: Condition) -> Float[Tensor, "batch 17 3"]:
        """The pose of the latent 0: approximately the likeliest (wehrbein2021, sec. 4.3)."""
        latent = condition.xy.new_zeros(len(condition), 1, LATENT)
        return self._inverse(_flat(condition), latent, self._encode(condition))[:, 0]

    def _forward(
        self, poses: Float[Tensor, "batch 17 3"], context: Float[Tensor, "batch C"]
    ) -> tuple[Float[Tensor, "batch 26"], Float[Tensor, "batch 22"]]:
        """Keypoints and latent of each pose."""
        base = self.flow(to_free_joints(poses)[:, None], context)[0][:, 0, self.slots]
        return base[:, :_KEYPOINTS], base[:, _KEYPOINTS:] / _LATENT_SCALE

    def _inverse(
        self, xy: Float[Tensor, "batch 26"], latent: Float[Tensor, "batch M 22"], context: Float[Tensor, "batch C"]
    ) -> Float[Tensor, "batch M 17 3"]:
        """The poses that have these keypoints and latents."""
        base = torch.cat([xy[:, None].expand(-1, latent.shape[1], -1), latent * _LATENT_SCALE], -1)[..., self.back]
        return from_free_joints(self.flow.inverse(base, context)[0])

    def _encode(self, condition: Condition) -> Float[Tensor, "batch C"]:
        if self.encoder is None:
            return condition.xy.new_zeros(len(condition), 0)
        return self.encoder(condition.features())  # type: ignore[no-any-return]

    def _spread_shortfall(self, views: LiftViews, hypotheses: Float[Tensor, "batch M 17 3"]) -> Float[Tensor, ""]:
        """L_HM in squared RMS radii.

        Hypotheses are turned into RMS radii by the scale that fits the true pose to its exact keypoints. The paper has
        one scale for all, 10 mm a pixel.
        """
        condition = views.condition
        _, scale = weak_perspective(views.poses, views.exact, torch.ones_like(condition.seen))
        images = hypotheses[:, :, COCO13_IN_H36M17, :2] * scale[:, None, None, None]
        variance = condition.covariance.diagonal(dim1=-2, dim2=-1)  # 0 where not seen, or not known
        doubtful = (variance > (self.config.uncertain * NOMINAL_NOISE) ** 2).any(-1)
        return spread_shortfall(images, condition.covariance, doubtful)

    @staticmethod
    def _draw(condition: Condition, n: int, generator: torch.Generator) -> Float[Tensor, "batch M 22"]:
        return Draws(condition.xy, generator).normal(len(condition), n, LATENT)


def _flat(condition: Condition) -> Float[Tensor, "batch 26"]:
    """y: the detected keypoints, 0 where not seen."""
    return torch.where(condition.seen[..., None], condition.xy, 0).flatten(1)


def _keypoints_first() -> list[int]:
    """The coordinates of the free joints, x and y of those with a keypoint first."""
    first = [3 * (joint - 1) + axis for joint in COCO13_IN_H36M17 for axis in range(2)]
    return first + [i for i in range(_POSE) if i not in first]
