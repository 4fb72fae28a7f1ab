"""A conditional variational autoencoder: poses decoded from keypoints and a latent drawn from N(0, I) (torch).

Sharma et al. 2019, "Monocular 3D Human Pose Estimation by Generation and Ordinal Ranking".
"""

__all__ = ["CVAE", "CVAEConfig"]

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vipe.errors import VipeError
from vipe.lift.condition import FEATURES, Condition
from vipe.lift.network import JOINTS, LiftNetwork, LiftStage, Samples, from_free_joints, to_free_joints
from vipe.lift.ordinal import DEAD_BAND, RelationPredictor
from vipe.lift.views import LiftViews
from vipe.networks.residual import ResidualBlock, ResidualMLP, check_sizes
from vipe.training.draws import Draws
from vipe.training.losses import kl_to_standard_normal

_DIM = 3 * (JOINTS - 1)
_OUTPUT_GAIN = 0.1  # as `ResidualMLP` gets it


@dataclass(frozen=True, kw_only=True)
class CVAEConfig:
    """All that is needed to rebuild the untrained network, and the weights of its losses.

    The defaults are those of the paper's code, but for these:

    - `dropout` is 0 in place of 0.5: views are drawn anew each step, and cannot be learned by heart.
    - `error_weight` is 100 in the code, for coordinates standardized by the training set. Here coordinates are torso
      lengths, of a standard deviation of a third: 900 weighs errors against the divergence as the paper does.
    - The code lets batch normalization, ReLU and dropout act on the output of the recognition network, so that no mean
      and no log-variance is below 0. Here its output is linear.
    - The optimizer is that of all lifters, without the clip of the gradient's norm.

    Raises:
        VipeError: If a number is out of its range.
    """

    latent: int = 256
    width: int = 1024  # the decoder's first `latent` inputs are z, the rest the encoded keypoints
    blocks: int = 2
    dropout: float = 0.0
    samples: int = 10  # of each distribution, a row of a batch
    error_of: Literal["mean", "each"] = "mean"
    error_weight: float = 900.0  # of squared errors, squared torso lengths a coordinate
    kl_weight: float = 10.0  # of the divergence in nats a dimension of the latent
    recognized: float = 0.5  # alpha: share of the error that is of latents from the recognition network
    relation_share: float = 0.2  # of all steps, for the predictor of relations of depth; 0 leaves it out
    dead_band: float = DEAD_BAND  # of these relations, metres

    def __post_init__(self) -> None:
        check_sizes("CVAE", self)
        if not 1 <= self.latent < self.width:
            raise VipeError(f"CVAE: latent must be 1 to width - 1 = {self.width - 1}, got {self.latent}")
        if self.error_of not in ("mean", "each"):
            raise VipeError(f"CVAE: error_of must be mean or each, got {self.error_of!r}")
        for name in ("error_weight", "kl_weight", "dead_band"):
            if not getattr(self, name) >= 0:
                raise VipeError(f"CVAE: {name} must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.recognized <= 1 or not 0 <= self.relation_share < 1:
            got = f"{self.recognized} and {self.relation_share}"
            raise VipeError(f"CVAE: recognized must be 0 to 1 and relation_share 0 to below 1, got {got}")


class CVAE(LiftNetwork):
    """The generator of sharma2019: a recognition network q(z | keypoints, pose) and a decoder of keypoints and z.

    The recognition network is there for training only. A sample is decoded from z drawn from N(0, I), which does not
    depend on the keypoints. There is no density: the decoder's errors have no model.

    `ordinal.rank_by_ordinal` ranks the samples; the predictor of relations is trained in a stage of its own, after the
    generator, and is saved with it.
    """

    kind = "cvae"
    config_type = CVAEConfig

    def __init__(self, config: CVAEConfig) -> None:
        super().__init__(config)
        width, blocks, dropout = config.width, config.blocks, config.dropout
        self.recognition = ResidualMLP(FEATURES + _DIM, 2 * config.latent, width=width, blocks=blocks, dropout=dropout)
        encoded = width - config.latent
        self.encoder = nn.Sequential(
            nn.Linear(FEATURES, encoded), nn.BatchNorm1d(encoded), nn.ReLU(), nn.Dropout(dropout)
        )
        self.decoder = nn.Sequential(*(ResidualBlock(width, dropout) for _ in range(blocks)))
        self.output = nn.Linear(width, _DIM)
        self.relations = None
        if config.relation_share:
            band = config.dead_band
            self.relations = RelationPredictor(width=width, blocks=blocks, dropout=dropout, dead_band=band)

    def draw_weights(self, generator: torch.Generator) -> None:
        """Draw the initial weights, the decoder's last layer a tenth as large as the rest; see `initialize`."""
        super().draw_weights(generator)
        with torch.no_grad():
            self.output.weight.mul_(_OUTPUT_GAIN)

    def stages(self) -> tuple[LiftStage, ...]:
        """The generator, and then the predictor of relations."""
        share = self.config.relation_share
        generator = (self.recognition, self.encoder, self.decoder, self.output)
        stages = (LiftStage("generator", 1 - share, generator, self.losses),)
        if self.relations is None:
            return stages
        return (*stages, LiftStage("relations", share, (self.relations,), self.relation_losses))

    def losses(self, views: LiftViews, generator: torch.Generator) -> dict[str, Tensor]:
        """The hybrid of the variational bound and of the Gaussian stochastic network (GSNN).

        error_weight [alpha |y - y_q|^2 + (1 - alpha) |y - y_p|^2] / 48 + kl_weight KL[q || N(0, I)] / latent,

        with y_q the mean of the poses decoded from `samples` draws of q, and y_p likewise of N(0, I): the paper's code
        takes the error of the mean, not the mean of the errors. Of S draws |y - mean|^2 holds the spread of the decoded
        poses divided by S. So the loss hardly says how far samples spread, and that keeps them apart. With `error_of`
        "each" the spread counts in full, as in the bound as written, and the second term pulls all samples to one pose.
        """
        config = self.config
        features, truth = views.condition.features(), to_free_joints(views.poses)
        mean, log_variance = self.recognition(torch.cat([features, truth], dim=1)).chunk(2, dim=1)
        noise = Draws(truth, generator).normal(len(truth), 2 * config.samples, config.latent)
        known, drawn = noise.chunk(2, dim=1)
        known = mean[:, None] + (0.5 * log_variance).exp()[:, None] * known
        decoded = self._decode(self.encoder(features), torch.cat([known, drawn], dim=1))
        recognized, prior = (self._error(part, truth) for part in decoded.chunk(2, dim=1))
        kl = kl_to_standard_normal(mean, log_variance) / config.latent
        error = config.recognized * recognized + (1 - config.recognized) * prior
        loss = config.error_weight * error + config.kl_weight * kl
        return {"loss": loss, "recognized": recognized, "prior": prior, "kl": kl}

    def relation_losses(self, views: LiftViews, generator: torch.Generator) -> dict[str, Tensor]:
        """Those of the predictor of relations."""
        assert self.relations is not None  # or there is no such stage
        return self.relations.losses(views)

    def sample(self, condition: Condition, n: int, generator: torch.Generator) -> Samples:
        """Decode `n` draws of N(0, I) for each row."""
        encoded = self.encoder(condition.features())
        z = Draws(encoded, generator).normal(len(encoded), n, self.config.latent)
        return Samples.equal(from_free_joints(self._decode(encoded, z)))

    def predict(self, condition: Condition) -> Float[Tensor, "batch 17 3"]:
        """The pose decoded from z = 0, the mean of the latents: without a draw.

        The paper's single pose is the mean of samples; it has a smaller error, and `Hypotheses.mean` gives it.
        """
        encoded = self.encoder(condition.features())
        return from_free_joints(self._decode(encoded, encoded.new_zeros(len(encoded), 1, self.config.latent))[:, 0])

    def _decode(
        self, encoded: Float[Tensor, "batch width"], z: Float[Tensor, "batch M latent"]
    ) -> Float[Tensor, "batch M 48"]:
        """Coordinates from the keypoints, encoded once a row, and the latents."""
        inputs = torch.cat([z, encoded[:, None].expand(-1, z.shape[1], -1)], dim=-1)
        decoded: Tensor = self.output(self.decoder(inputs.flatten(0, 1)))
        return decoded.view(*z.shape[:2], _DIM)

    def _error(self, decoded: Float[Tensor, "batch M 48"], truth: Float[Tensor, "batch 48"]) -> Float[Tensor, ""]:
        """Mean squared error of the samples' mean, or of each sample."""
        if self.config.error_of == "mean":
            decoded = decoded.mean(1, keepdim=True)
        return (decoded - truth[:, None]).square().mean()
