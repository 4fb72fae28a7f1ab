"""Bone flow: this library's own lifter, a normalizing flow over the directions of bones (torch).

A pose is a body and sixteen directions. The body (bone lengths) is one for each person: it is predicted, and is the
same in all hypotheses. The directions are distributed around predicted ones: each deviates by two angles in the plane
tangent to the sphere there, and a conditional flow gives the joint distribution of these 32 angles. So bones have the
same length in every hypothesis, and the density is exact.
"""

__all__ = ["BoneFlow", "BoneFlowConfig", "tangent_basis", "tangent_coordinates", "turned"]

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vipe.errors import VipeError
from vipe.geometry.bones import bone_vectors
from vipe.geometry.canonical import REFERENCE_LENGTHS
from vipe.lift.condition import FEATURES, Condition
from vipe.lift.network import LiftNetwork, LiftStage, Samples
from vipe.lift.views import LiftViews
from vipe.networks.couplings import CouplingFlow
from vipe.networks.residual import ResidualMLP, check_sizes
from vipe.skeletons.working import BONES, CHILDREN, H36M17, PARENTS
from vipe.training.draws import Draws

_MOST_COMPONENTS = 256
_SMALL = 1e-4  # radians: below, sin(x) / x is 1 to float32
_START = 0.02  # of the weights of a subnet's output: the flow starts near the identity
_TEMPERATURES = tuple(0.6 + 0.05 * step for step in range(17))  # up to 1.4
_CALIBRATION_SAMPLES = 64
_START_SPREAD = -1.5  # logarithm of the angles' standard deviation, radians
_MIRRORED = [CHILDREN.index(H36M17.mirrored[child]) for child in CHILDREN]
_TORSO = [BONES.index("spine"), BONES.index("thorax")]


def _descent() -> list[list[float]]:
    """For each joint, which bones lead to it from the pelvis: joints = descent @ bone vectors."""
    rows = [[0.0] * len(BONES) for _ in H36M17.joints]
    for bone, (parent, child) in enumerate(zip(PARENTS, CHILDREN, strict=True)):
        rows[child] = list(rows[parent])
        rows[child][bone] = 1.0
    return rows


@dataclass(frozen=True, kw_only=True)
class BoneFlowConfig:
    """All that is needed to rebuild the untrained network.

    Raises:
        VipeError: If a number is out of its range.
    """

    width: int = 512  # of the network of the single pose
    blocks: int = 2
    context: int = 192  # numbers that the flow is conditioned on
    flow_width: int = 256
    couplings: int = 8
    layers: int = 2  # hidden layers of each coupling's networks
    components: int = 8  # Gaussians of the base distribution

    def __post_init__(self) -> None:
        check_sizes("bone flow", self)
        if not 1 <= self.components <= _MOST_COMPONENTS:
            raise VipeError(f"bone flow: components must be 1 to {_MOST_COMPONENTS}, got {self.components}")


class BoneFlow(LiftNetwork):
    """p(bone directions | keypoints), on the product of sixteen spheres, times one predicted body.

    Training: first the single pose, by the mean joint distance; then the flow, by likelihood, with the single pose
    fixed. The base of the flow is a mixture of Gaussians whose weights, means and scales depend on the keypoints.
    """

    kind = "bone-flow"
    config_type = BoneFlowConfig
    has_density = True

    descent: Tensor
    reference: Tensor
    temperature: Tensor

    def __init__(self, config: BoneFlowConfig) -> None:
        super().__init__(config)
        bones = len(BONES)
        width, blocks = config.width, config.blocks
        self.pose = ResidualMLP(FEATURES, 4 * bones, width=width, blocks=blocks, dropout=0.0)
        self.context = ResidualMLP(FEATURES + 3 * bones, config.context, width=width, blocks=blocks, dropout=0.0)
        self.base = nn.Linear(config.context, (4 * bones + 1) * config.components)
        self.scale = nn.Linear(config.context, 4 * bones)
        self.flow = CouplingFlow(
            2 * bones, config.context, width=config.flow_width, blocks=config.couplings, layers=config.layers
        )
        with torch.device("cpu"):  # constants, also while a module is built on the meta device
            descent, reference = torch.tensor(_descent()), torch.tensor(REFERENCE_LENGTHS)
        self.register_buffer("descent", descent, persistent=False)
        self.register_buffer("reference", reference, persistent=False)
        self.register_buffer("temperature", torch.ones(bones))  # of each bone's angles, fitted on held-out views

    def draw_weights(self, generator: torch.Generator) -> None:
        """Draw them as He et al. 2015, with the flow near the identity."""
        super().draw_weights(generator)
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if name.startswith("flow") and ".output.weight" in name:
                    weight.mul_(_START)
            self.scale.weight.mul_(0.1)
            self.scale.bias[2 * len(BONES) :] = _START_SPREAD
            self.base.weight.mul_(0.3)

    def stages(self) -> tuple[LiftStage, ...]:
        """The single pose, then the flow around it."""
        around = (self.context, self.base, self.scale, self.flow)
        return LiftStage("pose", 0.4, (self.pose,), self.pose_losses), LiftStage("flow", 0.6, around, self.losses)

    def pose_losses(self, views: LiftViews, generator: torch.Generator) -> dict[str, Tensor]:
        """Mean joint distance of the single pose, and of the single pose with the person's own bones."""
        directions, lengths = self.single(views.condition)
        vectors = bone_vectors(views.poses, H36M17.parents)
        own = vectors.norm(dim=-1)
        posed = (self.joints(directions, lengths) - views.poses).norm(dim=-1).mean()
        bent = (self.joints(directions, own) - views.poses).norm(dim=-1).mean()
        return {"loss": posed + 0.5 * bent, "posed": posed, "bent": bent}

    def losses(self, views: LiftViews, generator: torch.Generator) -> dict[str, Tensor]:
        """Negative log density of the true directions, nats."""
        with torch.no_grad():
            directions, _ = self.single(views.condition)
        true = nn.functional.normalize(bone_vectors(views.poses, H36M17.parents), dim=-1)
        return {"loss": -self._density(views.condition, directions, true[:, None]).mean()}

    def single(self, condition: Condition) -> tuple[Float[Tensor, "batch 16 3"], Float[Tensor, "batch 16"]]:
        """The predicted directions of bones, and the lengths of the person's bones in torso lengths."""
        out = self.pose(condition.features())
        directions = nn.functional.normalize(out[:, : 3 * len(BONES)].view(len(out), -1, 3), dim=-1)
        logs = out[:, 3 * len(BONES) :]
        lengths = self.reference * ((logs + logs[:, _MIRRORED]) / 2).clamp(-2, 2).exp()
        return directions, lengths / lengths[:, _TORSO].sum(1, keepdim=True)

    def joints(
        self, directions: Float[Tensor, "*batch 16 3"], lengths: Float[Tensor, "*#batch 16"]
    ) -> Float[Tensor, "*batch 17 3"]:
        """Joints of a body with these bones, pelvis at the origin."""
        return self.descent @ (directions * lengths[..., None])

    def sample(self, condition: Condition, n: int, generator: torch.Generator) -> Samples:
        """Draw the angles of `n` poses for each row."""
        directions, lengths = self.single(condition)
        context = self._context(condition, directions)
        log_weight, mean, log_scale = self._mixture(context)
        batch, _, dim = mean.shape
        draws = Draws(mean, generator)
        chosen, noise = draws.choices(log_weight.exp(), n), draws.normal(batch, n, dim)
        index = chosen[..., None].expand(-1, -1, dim)
        base = mean.gather(1, index) + log_scale.gather(1, index).exp() * noise
        flat, log_det = self.flow.inverse(base, context)
        shift, log_size = self._scale_and_shift(context)
        angles = (flat * log_size.exp() + shift).view(batch, n, -1, 2)
        log_density = (
            _mixture_log_prob(base, log_weight, mean, log_scale) - log_det - log_size.sum(-1) + _log_area(angles)
        )
        found = turned(directions[:, None], angles)
        wound = (angles.square().sum(-1) > math.pi**2).any(-1)  # past the opposite direction: shorter the other way
        rows = wound.any(1).nonzero()[:, 0]
        if len(rows):
            again = self._density(condition[rows], directions[rows], found[rows])
            log_density[rows] = torch.where(wound[rows], again, log_density[rows])
        return Samples.equal(self.joints(found, lengths[:, None]), log_density)

    def predict(self, condition: Condition) -> Float[Tensor, "batch 17 3"]:
        """The single pose: the smallest mean joint distance to be expected, as far as learned."""
        directions, lengths = self.single(condition)
        return self.joints(directions, lengths)

    def log_prob(self, condition: Condition, poses: Float[Tensor, "batch M 17 3"]) -> Float[Tensor, "batch M"]:
        """Log density of the poses' bone directions on the product of sixteen unit spheres, nats."""
        directions, _ = self.single(condition)
        return self._density(
            condition, directions, nn.functional.normalize(bone_vectors(poses, H36M17.parents), dim=-1)
        )

    @torch.no_grad()
    def calibrate(self, views: LiftViews, generator: torch.Generator) -> None:
        """Choose each bone's temperature by the energy score of its direction, on views that trained nothing.

        The score is proper: the temperature that minimizes it makes the spread of the samples that of the truth.
        """
        true = nn.functional.normalize(bone_vectors(views.poses, H36M17.parents), dim=-1)
        scores = []
        seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        for temperature in _TEMPERATURES:
            self.temperature.fill_(temperature)
            # The same draws for every temperature: their noise cancels in the comparison.
            draws = torch.Generator(true.device).manual_seed(seed)
            poses = self.sample(views.condition, _CALIBRATION_SAMPLES, draws).poses
            found = nn.functional.normalize(bone_vectors(poses, H36M17.parents), dim=-1).transpose(1, 2)
            off = (found - true[:, :, None]).norm(dim=-1).mean(-1)
            apart = torch.cdist(found, found).sum((-2, -1)) / (_CALIBRATION_SAMPLES * (_CALIBRATION_SAMPLES - 1))
            scores.append((off - apart / 2).mean(0))
        self.temperature.copy_(true.new_tensor(_TEMPERATURES)[torch.stack(scores).argmin(0)])

    def _density(self, condition: Condition, directions: Tensor, true: Float[Tensor, "batch M 16 3"]) -> Tensor:
        context = self._context(condition, directions)
        angles = tangent_coordinates(directions[:, None], true)
        shift, log_size = self._scale_and_shift(context)
        base, log_det = self.flow((angles.flatten(-2) - shift) * (-log_size).exp(), context)
        log_prob: Tensor = _mixture_log_prob(base, *self._mixture(context)) + log_det - log_size.sum(-1)
        return log_prob + _log_area(angles)

    def _context(self, condition: Condition, directions: Tensor) -> Float[Tensor, "batch context"]:
        return self.context(torch.cat([condition.features(), directions.flatten(1)], dim=1))  # type: ignore[no-any-return]

    def _scale_and_shift(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Shift (batch, 1, 32) and log scale of the angles, the temperature in it."""
        shift, log_size = self.scale(context)[:, None].chunk(2, dim=-1)
        return shift, log_size + self.temperature.log().repeat_interleave(2)

    def _mixture(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log weights (batch, K), means and log scales (batch, K, 32) of the base distribution."""
        out = self.base(context).unflatten(1, (self.config.components, -1))
        mean, log_scale = out[..., 1:].chunk(2, dim=-1)
        return out[..., 0].log_softmax(1), mean, log_scale.clamp(-5, 3)


def tangent_basis(
    directions: Float[Tensor, "*batch 3"],
) -> tuple[Float[Tensor, "*batch 3"], Float[Tensor, "*batch 3"]]:
    """Two axes that are orthogonal to each unit direction and to each other: the first as near to +z as can be.

    In camera space a turn towards the first changes the depth, which keypoints do not tell. A direction along z has no
    such axis: there it is the one nearest to +x.
    """
    flat = directions[..., 2:].abs() > 1 - 1e-6
    z, x = directions.new_tensor([0.0, 0.0, 1.0]), directions.new_tensor([1.0, 0.0, 0.0])
    near = torch.where(flat, x, z)
    first = nn.functional.normalize(near - (near * directions).sum(-1, keepdim=True) * directions, dim=-1)
    return first, torch.linalg.cross(directions, first)


def tangent_coordinates(
    directions: Float[Tensor, "*#batch 3"], others: Float[Tensor, "*#batch 3"]
) -> Float[Tensor, "*batch 2"]:
    """How far, in radians along the two axes of `tangent_basis`, each other direction lies from a direction.

    The logarithm map of the unit sphere. Opposite directions have no unique answer: one is given.
    """
    first, second = tangent_basis(directions)
    a, b = (others * first).sum(-1), (others * second).sum(-1)
    sine = (a.square() + b.square()).clamp(min=1e-12).sqrt()
    angle = torch.atan2(sine, (others * directions).sum(-1))
    return torch.stack([a, b], dim=-1) * (angle / sine)[..., None]


def turned(directions: Float[Tensor, "*#batch 3"], angles: Float[Tensor, "*#batch 2"]) -> Float[Tensor, "*batch 3"]:
    """Directions turned by angles along the axes of `tangent_basis`: the inverse of `tangent_coordinates`."""
    first, second = tangent_basis(directions)
    angle = angles.square().sum(-1, keepdim=True).clamp(min=1e-12).sqrt()
    aside = angles[..., :1] * first + angles[..., 1:] * second
    return angle.cos() * directions + (angle.sin() / angle) * aside


def _log_area(angles: Float[Tensor, "*batch 16 2"]) -> Float[Tensor, "*batch"]:
    """Log of tangent area over area on the sphere, summed over bones: log(x / sin x) for an angle x below pi."""
    angle = angles.square().sum(-1).clamp(min=_SMALL**2).sqrt().clamp(max=math.pi - 1e-3)
    return (angle / angle.sin()).log().sum(-1)


def _mixture_log_prob(
    base: Float[Tensor, "batch M dim"],
    log_weight: Float[Tensor, "batch K"],
    mean: Float[Tensor, "batch K dim"],
    log_scale: Float[Tensor, "batch K dim"],
) -> Float[Tensor, "batch M"]:
    """Log density of a mixture of diagonal Gaussians; expanded squares, so that no (batch, M, K, dim) is held."""
    precision = (-2 * log_scale).exp()
    square = (
        base.square() @ precision.mT - 2 * base @ (precision * mean).mT + (precision * mean.square()).sum(-1)[:, None]
    )
    constant = log_weight - log_scale.sum(-1) - 0.5 * mean.shape[-1] * math.log(2 * math.pi)
    return (constant[:, None] - 0.5 * square).logsumexp(-1)
