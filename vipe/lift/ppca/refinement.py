"""The heading of greatest evidence, searched between those of a grid (torch)."""

__all__ = ["refined"]

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from vipe.geometry.rotations import axis_angle
from vipe.lift.ppca.inference import Observed, log_evidence
from vipe.lift.ppca.projection import Aspects, PosePrior, Views

_PEAKS = 4  # of the grid, from which the search starts: a coarse grid may rank them wrongly
_STEPS = 18  # of the golden section: from 18 degrees to 0.003
_GOLDEN = (math.sqrt(5) - 1) / 2


def refined(
    prior: PosePrior,
    views: Views,
    evidence: Float64[Tensor, "batch aspects"],
    observed: Observed,
) -> Aspects:
    """The aspect of greatest evidence of each row, at any heading.

    From the best peaks around the circle, each one heading of the grid to either side is searched by golden section.

    Args:
        prior: Of poses.
        views: The grid.
        evidence: Of each aspect of the grid, in the order of `Views.aspects`.
        observed: The keypoints.

    Reference:
        Tome et al. 2017, sec. 5.3: 20 angles and refinement find what 10,000 angles find.
    """
    count = len(views.heading)
    circles = evidence.view(len(evidence), -1, count)
    peak = (circles >= circles.roll(1, -1)) & (circles >= circles.roll(-1, -1))
    best = torch.where(peak, circles, -torch.inf).flatten(1).topk(min(_PEAKS, evidence.shape[1]), dim=1)
    side = best.indices // count
    component, camera = side // len(views.camera), views.camera[side % len(views.camera)]
    weight = prior.log_weight[component] + views.log_weight[side % len(views.camera)]
    people = observed[:, None]
    axis = camera.new_tensor([0.0, 0.0, 1.0])

    def at(heading: Float64[Tensor, "batch peaks"]) -> Aspects:
        rotation = camera @ axis_angle(axis, heading)
        return Aspects.of(prior, component.flatten(), rotation.flatten(0, 1)).view(*heading.shape)

    def value(heading: Float64[Tensor, "batch peaks"]) -> Float64[Tensor, "batch peaks"]:
        return weight + log_evidence(at(heading), people)

    start = views.heading[best.indices % count]
    low, high = start - 2 * math.pi / count, start + 2 * math.pi / count
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    of_left, of_right = value(left), value(right)
    for _ in range(_STEPS):
        toward_left = of_left > of_right
        low, high = torch.where(toward_left, low, left), torch.where(toward_left, right, high)
        new = torch.where(toward_left, high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
        of_new = value(new)
        left, right = torch.where(toward_left, new, right), torch.where(toward_left, left, new)
        of_left, of_right = torch.where(toward_left, of_new, of_right), torch.where(toward_left, of_left, of_new)
    # The start stays where the search found nothing better, as on a grid whose evidence is the same all around.
    headings = torch.stack([start, (low + high) / 2], dim=-1)
    values = torch.stack([value(headings[..., 0]), value(headings[..., 1])], dim=-1)
    values = torch.where(best.values.isfinite()[..., None], values, -torch.inf)
    choice = values.flatten(1).argmax(1)
    rows = torch.arange(len(choice), device=choice.device)
    heading = headings.flatten(1)[rows, choice]
    picked = choice // 2
    rotation = camera[rows, picked] @ axis_angle(axis, heading)
    return Aspects.of(prior, component[rows, picked], rotation)
