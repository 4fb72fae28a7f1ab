"""ProPose: poses decoded from the latents of a pose autoencoder, which a conditional flow draws (torch).

Han et al. 2025, "ProPose: Probabilistic 3D Human Pose Estimation with Instance-Level Distribution and
Normalizing Flow".
"""

__all__ = ["InstanceLevel", "PoseAdaptive", "ProPose", "ProPoseConfig"]

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from vipe.errors import VipeError
from vipe.lift.condition import FEATURES, Condition
from vipe.lift.network import JOINTS, LiftNetwork, Samples, from_free_joints, to_free_joints
from vipe.lift.propose.losses import (
    bidirectional,
    discriminator_loss,
    flow_nll,
    joint_distance,
    keypoint_distance,
    mode_to_mode,
    pulling_away,
)
from vipe.lift.propose.parts import Discriminator, Perceptron
from vipe.lift.views import LiftViews
from vipe.networks.couplings import CouplingFlow, soft_clamp
from vipe.networks.residual import check_sizes
from vipe.skeletons.working import COCO13
from vipe.training.draws import Draws
from vipe.training.losses import kl_to_standard_normal

_FREE = 3 * (JOINTS - 1)
_REACH = 4.0  # standard deviations: latents of training are no farther from the range of mu_3D
_START = 0.05  # of the initial weights of the couplings' outputs and of h
_START_SCALE = 4.0  # from torso lengths to latents: of coordinates with a spread of 0.35, latents' is about 1 at first
_VARIANCE_CLAMP = 6.0  # of log-variances of the variational autoencoder
_MOST = {"latent": 512, "context": 4096, "flow_width": 4096, "couplings": 64, "layers": 16, "critic_width": 4096}


@dataclass(frozen=True, kw_only=True)
class ProPoseConfig:
    """All that is needed to rebuild the untrained network.

    The paper's text gives the losses, all of weight 1, but no constant and no layer. Every number here is ours, chosen
    on validation data. The switches give the rows of its ablations.

    Raises:
        VipeError: If a number is out of its range, or `likelihood` is off in alternate training: without it the flow
            would learn from L_m2m alone.
    """

    latent: int = 48  # d
    noise: float = 0.05  # s: the standard deviation of PILGD, fixed
    clamp: float = 3.0  # alpha of the soft clamp of mu_3D
    base_clamp: float = 3.0  # of the soft clamp of mu_2D and log sigma_2D
    hypotheses: int = 10  # L, of which L_BoM takes the best
    best: int = 3  # k
    unidirectional: float = 0.8  # b: the share of poses without L_Bi
    margin: float = 1.0  # m, torso lengths summed over joints
    first_phase: float = 0.2  # N_p1 / (N_p1 + N_p2)
    width: int = 512  # of g and q
    decoder_width: int = 256  # of k and v
    blocks: int = 1  # residual blocks of g, k, q and the discriminator
    context: int = 256  # numbers of the 2D autoencoder's code, which the flow is conditioned on
    flow_width: int = 192
    couplings: int = 8
    layers: int = 1  # hidden layers of each coupling's networks
    critic_width: int = 256

    instance_level: bool = True  # table 4: off, a variational autoencoder with N(0, I) instead of PILGD
    kl_weight: float = 0.02  # of that autoencoder's KL divergence, in nats
    pose_adaptive: bool = True  # table 5: off, N(0, I) instead of PAGD
    alternate: bool = True  # table 6: off, end-to-end training
    mode_to_mode: bool = True  # table 7: off, no L_m2m
    bidirectional: bool = True  # table 7: off, no L_Bi
    likelihood: bool = True  # table 7: off, no L_NLL; the paper then trains end-to-end

    def __post_init__(self) -> None:
        check_sizes("ProPose", self)
        for name, most in _MOST.items():
            least = 2 if name == "latent" else 1
            if not least <= getattr(self, name) <= most:
                raise VipeError(f"ProPose: {name} must be {least} to {most}, got {getattr(self, name)}")
        if not 1 <= self.best <= self.hypotheses <= 1024:
            told = f"{self.best} and {self.hypotheses}"
            raise VipeError(f"ProPose: best and hypotheses must be 1 to 1024 and best the smaller one, got {told}")
        for name in ("noise", "clamp", "base_clamp", "margin", "kl_weight"):
            if not 0 < getattr(self, name) < float("inf"):
                raise VipeError(f"ProPose: {name} must be above 0, got {getattr(self, name)}")
        for name in ("unidirectional", "first_phase"):
            if not 0 <= getattr(self, name) <= 1:
                raise VipeError(f"ProPose: {name} must be 0 to 1, got {getattr(self, name)}")
        if self.alternate and not self.likelihood:
            raise VipeError("ProPose: likelihood=False needs alternate=False: without L_NLL all is trained end-to-end")


@dataclass(frozen=True)
class InstanceLevel:
    """PILGD: the latent distribution of each true pose, and a latent drawn of it."""

    mean: Float[Tensor, "batch d"]
    log_variance: Float[Tensor, "batch d"] | None  # None where the standard deviation is the fixed one
    drawn: Float[Tensor, "batch d"]


@dataclass(frozen=True)
class PoseAdaptive:
    """PAGD: the base distribution of each row, N(mu_2D, sigma_2D^2), and the code that the flow is conditioned on."""

    code: Float[Tensor, "batch C"]
    mean: Float[Tensor, "batch d"]
    log_scale: Float[Tensor, "batch d"]

    def draw(self, n: int, draws: Draws) -> Float[Tensor, "batch M d"]:
        """`n` points of each base distribution."""
        noise = draws.normal(len(self.mean), n, self.mean.shape[1])
        return self.mean[:, None] + self.log_scale.exp()[:, None] * noise

    def __getitem__(self, rows: Tensor) -> "PoseAdaptive":
        return PoseAdaptive(self.code[rows], self.mean[rows], self.log_scale[rows])


class ProPose(LiftNetwork):
    """Latents of 3D poses, w ~ N(mu_3D, s^2 I), and a conditional flow f from them to N(mu_2D, sigma_2D^2).

    The encoder g sees the true pose and is used in training only. `sample` draws u from the base distribution of the
    keypoints and gives k(f^-1(u; c), c); `predict` takes u = mu_2D. There is no density: the decoder k is no bijection.

    Training alternates at random: a step of phase 1 trains g, k and the discriminator, one of phase 2 trains q, v, h
    and f. Each phase takes the other one's networks as they are.

    Differences from the paper:

    - The keypoints come with mask and covariances (`Condition.features`); v reconstructs the seen ones.
    - The flow is conditioned on the code q(P_2D) instead of P_2D, so that a row is encoded once.
    - Steps of the phases are drawn one by one in the ratio N_p1 : N_p2; one optimizer and rate serve all.
    - L_Bi is drawn for each pose of a batch, not for the batch.
    - Latents from the flow are clamped to the range of those that k has seen: early in training f^-1 is far off.
    - The discriminator takes its step together with g and k; poses it is asked about are reconstructions.
    """

    kind = "propose"
    config_type = ProPoseConfig

    def __init__(self, config: ProPoseConfig) -> None:
        super().__init__(config)
        d, code, blocks, narrow = config.latent, config.context, config.blocks, config.decoder_width
        numbers = d if config.instance_level else 2 * d
        self.g = Perceptron(_FREE, numbers, width=config.width, blocks=blocks, condition=FEATURES)
        self.k = Perceptron(d, _FREE, width=narrow, blocks=blocks, condition=FEATURES)
        self.q = Perceptron(FEATURES, code, width=config.width, blocks=blocks)
        self.v = Perceptron(code, 2 * len(COCO13), width=narrow, blocks=0)
        self.h = nn.Linear(code, 2 * d)
        self.f = CouplingFlow(
            d, code, width=config.flow_width, blocks=config.couplings, layers=config.layers, clamp=1.0
        )
        self.critic = Discriminator(FEATURES, code=d, width=config.critic_width, blocks=blocks)

    def draw_weights(self, generator: torch.Generator) -> None:
        """Draw them as He et al. 2015, but so that much is right from the start.

        Latents start as rotated poses, as far as d allows, which k turns back; the flow starts near a permutation.
        """
        super().draw_weights(generator)
        rotation = nn.init.orthogonal_(torch.empty(self.config.latent, _FREE), generator=generator)
        means = torch.zeros_like(self.g.straight.weight)  # and log-variances, where they are learned
        means[: self.config.latent] = _START_SCALE * rotation
        straight = {self.g: means, self.k: (math.pi / 2 / _START_SCALE) * rotation.mT}  # the clamp's slope is 2 / pi
        for part in self.modules():
            if isinstance(part, Perceptron):
                part.start(straight.get(part))
        with torch.no_grad():
            self.h.weight.mul_(_START)
            for name, weight in self.f.named_parameters():
                if name.endswith("output.weight"):
                    weight.mul_(_START)

    def losses(self, views: LiftViews, generator: torch.Generator) -> dict[str, Tensor]:
        """Those of a phase drawn from the generator, or of both in end-to-end training."""
        draws = Draws(views.poses, generator)
        if not self.config.alternate:
            latents = self.latents(views, draws)
            parts = self.learner_losses(views, latents, draws) | self.flow_losses(views, latents)
        elif bool(draws.uniform(1) < self.config.first_phase):
            parts = self.learner_losses(views, self.latents(views, draws), draws)
        else:
            with torch.no_grad():
                latents = self.latents(views, draws)
            parts = self.flow_losses(views, latents)
        return {"loss": torch.stack(list(parts.values())).sum()} | parts

    def latents(self, views: LiftViews, draws: Draws) -> InstanceLevel:
        """PILGD of each true pose, and a latent drawn of it (eq. 1 to 3)."""
        config, features = self.config, views.condition.features()
        out = self.g(to_free_joints(views.poses), features)
        mean = soft_clamp(out[:, : config.latent], config.clamp)
        noise = draws.normal(*mean.shape)
        if config.instance_level:
            return InstanceLevel(mean, None, mean + config.noise * noise)
        log_variance = soft_clamp(out[:, config.latent :], _VARIANCE_CLAMP)
        return InstanceLevel(mean, log_variance, mean + (log_variance / 2).exp() * noise)

    def learner_losses(self, views: LiftViews, latents: InstanceLevel, draws: Draws) -> dict[str, Tensor]:
        """Losses of phase 1, of g, k and the discriminator: L_recon3D, L_disc and L_Bi."""
        features = views.condition.features()
        made = self._decoded(latents.drawn[:, None], features)[:, 0]
        parts = {"recon3d": joint_distance(made, views.poses).mean()} | self._adversary(made, views.poses, features)
        if latents.log_variance is not None:
            parts["kl"] = self.config.kl_weight * kl_to_standard_normal(latents.mean, latents.log_variance)
        if self.config.bidirectional:
            parts["bi"] = self._bidirectional(views, features, draws)
        return parts

    def flow_losses(self, views: LiftViews, latents: InstanceLevel) -> dict[str, Tensor]:
        """Losses of phase 2, of q, v, h and f: L_recon2D, L_NLL and L_m2m."""
        condition = views.condition
        base = self.base(condition.features())
        decoded = self.v(base.code).unflatten(-1, (-1, 2))
        parts = {"recon2d": keypoint_distance(decoded, condition.xy, condition.seen)}
        mapped, log_det = self.f(torch.stack([latents.drawn, latents.mean], dim=1), base.code)
        if self.config.likelihood:
            parts["nll"] = flow_nll(mapped[:, 0], log_det[:, 0], base.mean, base.log_scale)
        if self.config.mode_to_mode:
            parts["m2m"] = mode_to_mode(mapped[:, 1], base.mean)
        return parts

    def base(self, features: Float[Tensor, "batch F"]) -> PoseAdaptive:
        """PAGD of each row (eq. 7 and 8), or the standard normal distribution."""
        code = self.q(features)
        mean, log_scale = soft_clamp(self.h(code), self.config.base_clamp).chunk(2, dim=-1)
        if not self.config.pose_adaptive:
            mean, log_scale = torch.zeros_like(mean), torch.zeros_like(log_scale)
        return PoseAdaptive(code, mean, log_scale)

    def sample(self, condition: Condition, n: int, generator: torch.Generator) -> Samples:
        """Draw `n` poses for each row: u ~ N(mu_2D, sigma_2D^2), then f^-1, then k."""
        features = condition.features()
        base = self.base(features)
        return Samples.equal(self._posed(base.draw(n, Draws(features, generator)), base, features))

    def predict(self, condition: Condition) -> Float[Tensor, "batch 17 3"]:
        """The pose of the base distribution's mode, u = mu_2D."""
        features = condition.features()
        base = self.base(features)
        return self._posed(base.mean[:, None], base, features)[:, 0]

    def _posed(
        self, points: Float[Tensor, "batch M d"], base: PoseAdaptive, features: Float[Tensor, "batch F"]
    ) -> Float[Tensor, "batch M 17 3"]:
        """Poses of points of the base space."""
        return self._decoded(self._latent(points, base), features)

    def _latent(self, points: Float[Tensor, "batch M d"], base: PoseAdaptive) -> Float[Tensor, "batch M d"]:
        """f^-1 of points of the base space, clamped to where k has seen latents."""
        reach = self.config.clamp + _REACH * (self.config.noise if self.config.instance_level else 1.0)
        return self.f.inverse(points, base.code)[0].clamp(-reach, reach)

    def _decoded(
        self, latents: Float[Tensor, "batch M d"], features: Float[Tensor, "batch F"]
    ) -> Float[Tensor, "batch M 17 3"]:
        return from_free_joints(self.k(latents, features))

    def _adversary(self, made: Tensor, poses: Tensor, features: Tensor) -> dict[str, Tensor]:
        """L_D for the discriminator alone, L_G and L_PT for g and k alone."""
        fixed = {name: weight.detach() for name, weight in self.critic.named_parameters()}
        energy, code = functional_call(self.critic, fixed, (made, features))
        told = discriminator_loss(
            self.critic(poses, features)[0], self.critic(made.detach(), features)[0], self.config.margin
        )
        return {"generator": energy.mean(), "pulling_away": pulling_away(code), "discriminator": told}

    def _bidirectional(self, views: LiftViews, features: Tensor, draws: Draws) -> Tensor:
        """L_BoM + L_rand of the poses drawn for it, averaged over the batch (eq. 12 to 14)."""
        config = self.config
        rows = draws.uniform(len(features)) >= config.unidirectional
        features, true = features[rows], views.poses[rows]
        with torch.set_grad_enabled(torch.is_grad_enabled() and not config.alternate):
            base = self.base(features)
            latents = self._latent(base.draw(config.hypotheses + 1, draws), base)
        with torch.no_grad():  # which are best; then only these are decoded with gradients
            error = joint_distance(self._decoded(latents[:, 1:], features), true[:, None])
            best = 1 + error.topk(config.best, dim=1, largest=False).indices
        chosen = torch.cat([torch.zeros_like(best[:, :1]), best], dim=1)  # the first one is the random one
        poses = self._decoded(torch.take_along_dim(latents, chosen[..., None], dim=1), features)
        return bidirectional(poses[:, 1:], poses[:, 0], true).sum() / len(views.poses)
