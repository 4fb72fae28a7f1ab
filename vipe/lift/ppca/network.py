"""Lifting by a prior of poses, in closed form: Gaussians, seen from every side (torch).

Tome et al. 2017, "Lifting from the Deep: Convolutional 3D Pose Estimation from a Single Image", sec. 5.3.
"""

__all__ = ["PPCAConfig", "PPCANetwork"]

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from vipe.arrays import blocks
from vipe.errors import VipeError
from vipe.lift.condition import NOMINAL_NOISE, Condition
from vipe.lift.lifter import of_unit_torso
from vipe.lift.network import JOINTS, LiftNetwork, Samples
from vipe.lift.ppca.density import log_joint
from vipe.lift.ppca.inference import Observed, fit, fitting_scale, log_evidence_of_all, posterior_draws, posterior_mean
from vipe.lift.ppca.pattern import PatternMaps
from vipe.lift.ppca.projection import Aspects, PosePrior, Views
from vipe.lift.ppca.refinement import refined
from vipe.skeletons.working import COCO13
from vipe.training.draws import Draws

_FREE = 3 * (JOINTS - 1)
_MOST_ASPECTS = 65_536  # each takes 6 kB
_DRAWS = 4096  # at a time: 22 MB
_SHARED = 8  # people with the same seen keypoints from which on maps of their own are made
_KEPT = 40_000  # aspects in all the maps kept: 300 MB
_DENSITIES = 2**19  # of poses and headings at a time: 4 MB an array


@dataclass(frozen=True, kw_only=True)
class PPCAConfig:
    """Sizes of the prior, and how keypoints are compared with it.

    The pose is s R(heading) (mean + W z + e), with z ~ N(0, I) and e ~ N(0, noise I) of a component, seen by a camera
    of weak perspective. Departures from the paper:

    - e is part of the pose. The paper's poses are mean + W z.
    - s z and s e have the prior of z and e at the scale s_0 at which the component's mean, so turned, has the RMS
      radius of the keypoints, and s ~ N(s_0, (s_0 scale_spread)^2). So all is Gaussian, and the evidence exact. The
      paper leaves s free; its code penalizes s z as here.
    - An aspect (component, tilt and heading) is chosen by its evidence, in which z, s and e are integrated out. The
      paper takes the least residual, which favours components with more variance.
    - The camera's tilt and roll are not known. The paper takes them from the calibrated camera: `tilt` and `roll` of
      one number each.

    Raises:
        VipeError: If a number is out of its range.
    """

    components: int = 5  # the paper's mixture has 3
    dimensions: int = 28  # J, of each component; the paper does not state its own
    angles: int = 80  # headings tried; the paper's. 10,000 are its reference
    refine: bool = False  # search between the angles for the single pose; the paper's way with 20 angles
    tilt: tuple[float, ...] = (-0.4, -0.2, 0.0, 0.2, 0.4, 0.6, 0.8)  # radians: elevations, equally likely
    roll: tuple[float, ...] = (-0.4, -0.2, 0.0, 0.2, 0.4)  # radians, likewise; a person may also lean
    scale_spread: float = 0.2
    nominal_noise: float = NOMINAL_NOISE  # RMS radii: of keypoints whose covariance is not known
    misfit: float = 0.03  # RMS radii: what weak perspective leaves; added to every keypoint's covariance

    def __post_init__(self) -> None:
        if self.components < 1 or not 0 <= self.dimensions < _FREE or self.angles < 3:
            raise VipeError(
                f"ppca: components must be 1 or more, dimensions 0 to {_FREE - 1} and angles 3 or more, got "
                f"{self.components}, {self.dimensions} and {self.angles}"
            )
        for name in ("tilt", "roll"):
            values = getattr(self, name)
            if not values or not all(abs(value) <= math.pi / 2 for value in values):
                raise VipeError(f"ppca: {name} must be one or more angles from -pi/2 to pi/2, got {values}")
        for name, least in (("scale_spread", 1e-3), ("misfit", 1e-3), ("nominal_noise", 0)):
            if not least <= getattr(self, name) < math.inf:
                raise VipeError(f"ppca: {name} must be at least {least}, got {getattr(self, name)}")
        aspects = self.components * len(self.tilt) * len(self.roll) * self.angles
        if aspects > _MOST_ASPECTS:
            raise VipeError(
                f"ppca: components x tilts x rolls x angles must be at most {_MOST_ASPECTS}, got {aspects}; a "
                "tilt that is known needs one number"
            )


class PPCANetwork(LiftNetwork):
    """A mixture of probabilistic PCA as a lifter: no weights are trained by gradient descent, all is closed form.

    A row's posterior is a mixture over aspects of Gaussians, each exact, weighted by their evidence. Buffers are the
    parameters of a `MixtureOfPPCA` of aligned poses without the pelvis.
    """

    kind = "ppca"
    config_type = PPCAConfig
    has_density = True

    weight: Float64[Tensor, " K"]
    mean: Float64[Tensor, "K 48"]
    basis: Float64[Tensor, "K J 48"]
    variance: Float64[Tensor, "K J"]
    noise: Float64[Tensor, " K"]

    def __init__(self, config: PPCAConfig) -> None:
        super().__init__(config)
        count, latent = config.components, config.dimensions
        shapes = {"weight": (), "mean": (_FREE,), "basis": (latent, _FREE), "variance": (latent,), "noise": ()}
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(count, *shape, dtype=torch.float64))
        self._maps: OrderedDict[int, PatternMaps] = OrderedDict()

    @cached_property
    def geometry(self) -> "Geometry":
        """What is compared with keypoints; made at the first use."""
        with torch.inference_mode(False), torch.no_grad():
            return Geometry.of(self)

    def predict(self, condition: Condition) -> Float[Tensor, "batch 17 3"]:
        """The mean of the pose under the aspect of greatest evidence: the paper's lifter."""
        poses = condition.xy.new_zeros(len(condition), JOINTS - 1, 3)
        for rows, maps in self._groups(condition):
            some = condition[rows]
            evidence = self._log_evidence(some, maps)
            if maps is not None and not self.config.refine:
                poses[rows] = maps.mean(some.xy.float(), evidence.argmax(1)).to(poses.dtype)
                continue
            observed = self.observe(some)
            aspects = self._best(evidence, observed)
            found = posterior_mean(self.geometry.prior, aspects, fit(aspects, observed))
            poses[rows] = found.to(poses.dtype)
        return _with_pelvis(poses)

    def sample(self, condition: Condition, n: int, generator: torch.Generator) -> Samples:
        """Draw aspects by their evidence, and a pose from the posterior of each."""
        evidence = self.log_evidence(condition)
        observed, geometry = self.observe(condition), self.geometry
        count = evidence.shape[1]
        chosen = Draws(evidence, generator).choices(evidence.softmax(1), n)
        first = count * torch.arange(len(condition), device=chosen.device)[:, None]
        pairs, each = torch.unique(chosen + first, return_inverse=True)
        poses = []
        for some in blocks(each.numel(), _DRAWS):
            used, places = torch.unique(each.flatten()[some], return_inverse=True)
            row, aspect = pairs[used] // count, pairs[used] % count
            found = fit(geometry.aspects[aspect], observed[row])[places]
            drawn = posterior_draws(
                geometry.prior, geometry.aspects[aspect[places]], found, observed[row[places]], generator
            )
            poses.append(drawn)
        drawn = torch.cat(poses) if poses else condition.xy.new_zeros(0, JOINTS - 1, 3)
        unit = _with_pelvis(drawn).view(len(condition), n, JOINTS, 3)
        density = self._log_density(observed, unit, evidence.logsumexp(1))
        return Samples.equal(unit.to(condition.xy.dtype), density.to(condition.xy.dtype))

    def log_prob(self, condition: Condition, poses: Float[Tensor, "batch M 17 3"]) -> Float[Tensor, "batch M"]:
        """The exact log density of poses of unit torso, nats: sizes are integrated out (`log_joint`)."""
        unit = of_unit_torso(poses.double())
        density = self._log_density(self.observe(condition), unit, self.log_evidence(condition).logsumexp(1))
        return density.to(poses.dtype)

    def log_evidence(self, condition: Condition) -> Float64[Tensor, "batch aspects"]:
        """The log density of each row's keypoints under each aspect, times the aspect's prior probability."""
        evidence = condition.xy.new_empty(len(condition), len(self.geometry.aspects), dtype=torch.float64)
        for rows, maps in self._groups(condition):
            evidence[rows] = self._log_evidence(condition[rows], maps)
        return evidence

    def best(self, condition: Condition) -> Aspects:
        """The aspect of greatest evidence of each row."""
        return self._best(self.log_evidence(condition), self.observe(condition))

    def observe(self, condition: Condition) -> Observed:
        """Keypoints with the covariances that they are compared with."""
        eye = torch.eye(2, dtype=torch.float64, device=condition.xy.device)
        nominal = self.config.nominal_noise**2 * eye
        noise = torch.where(condition.known[:, None, None, None], condition.covariance.double(), nominal)
        return Observed.of(condition.xy.double(), condition.seen, noise + self.config.misfit**2 * eye)

    def _groups(self, condition: Condition) -> Iterator[tuple[Int64[Tensor, " rows"], PatternMaps | None]]:
        """Rows that share maps, with these, and at the end all other rows."""
        bits = 2 ** torch.arange(condition.seen.shape[1], device=condition.seen.device)
        code = torch.where(condition.known, -1, (condition.seen * bits).sum(1))
        alone = torch.ones_like(condition.known)
        values, counts = torch.unique(code, return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            everything = value == int(bits.sum())
            if value >= 0 and (everything or count >= _SHARED or value in self._maps):
                mine = code == value
                alone &= ~mine
                yield mine.nonzero()[:, 0], self._maps_of(value)
        if alone.any():
            yield alone.nonzero()[:, 0], None

    def _maps_of(self, code: int) -> PatternMaps:
        """The maps for keypoints without a covariance of which those are seen whose bits are set; the last few stay."""
        if code not in self._maps:
            variance = self.config.nominal_noise**2 + self.config.misfit**2
            geometry = self.geometry
            with torch.inference_mode(False), torch.no_grad():
                seen = torch.tensor([bool(code >> joint & 1) for joint in range(len(COCO13))], device=self.mean.device)
                self._maps[code] = PatternMaps.of(geometry.prior, geometry.aspects, seen, variance)
            if len(self._maps) > max(1, _KEPT // len(geometry.aspects)):
                self._maps.popitem(last=False)
        self._maps.move_to_end(code)
        return self._maps[code]

    def _log_evidence(self, condition: Condition, maps: PatternMaps | None) -> Float64[Tensor, "batch aspects"]:
        """As `log_evidence`, of rows that share maps or of any rows."""
        aspects, prior = self.geometry.aspects, self.geometry.log_prior
        if maps is not None:
            return prior + maps.log_evidence(condition.xy.float())
        return prior + log_evidence_of_all(aspects, self.observe(condition))

    def _best(self, evidence: Float64[Tensor, "batch aspects"], observed: Observed) -> Aspects:
        """The aspect of greatest evidence of each row."""
        if self.config.refine:
            return refined(self.geometry.prior, self.geometry.views, evidence, observed)
        return self.geometry.aspects[evidence.argmax(1)]

    def _log_density(
        self, observed: Observed, poses: Float64[Tensor, "batch M 17 3"], log_evidence: Float64[Tensor, " batch"]
    ) -> Float64[Tensor, "batch M"]:
        """The log density of poses of unit torso."""
        geometry = self.geometry
        shape = (len(geometry.prior.mean), len(geometry.views.camera), len(geometry.views.heading))
        parts = [poses.new_zeros(0, poses.shape[1])]
        for rows in blocks(len(poses), max(1, _DENSITIES // max(1, poses.shape[1] * shape[2]))):
            scale = fitting_scale(geometry.aspects.mean, observed.seen[rows, None]).view(-1, *shape)
            parts.append(log_joint(geometry.prior, geometry.views, observed[rows], scale, poses[rows, :, 1:]))
        return torch.cat(parts) - log_evidence[:, None]


@dataclass(frozen=True)
class Geometry:
    """A prior, and all aspects of it that keypoints are compared with."""

    prior: PosePrior
    views: Views
    aspects: Aspects
    log_prior: Float64[Tensor, " aspects"]

    @classmethod
    def of(cls, network: PPCANetwork) -> "Geometry":
        """From a network's buffers and configuration."""
        config = network.config
        parameters = (network.weight, network.mean, network.basis, network.variance, network.noise)
        prior = PosePrior.of(*parameters, scale_spread=config.scale_spread)
        views = Views.of(config.tilt, config.roll, config.angles, like=network.mean)
        return cls(prior, views, views.aspects(prior), views.log_prior(prior))


def _with_pelvis(poses: Float[Tensor, "*batch 16 3"]) -> Float[Tensor, "*batch 17 3"]:
    """Poses of unit torso, from joints relative to the pelvis."""
    return of_unit_torso(torch.cat([torch.zeros_like(poses[..., :1, :]), poses], dim=-2))
