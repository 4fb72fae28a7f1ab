"""Frames near what a lifter proposes: the probability of every row under the mixture of hypotheses (numpy; torch)."""

__all__ = ["EXACT", "HypothesisKernel", "NearHypotheses", "distances", "near_hypotheses", "spacing_of"]

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from vipe.arrays import Array, blocks
from vipe.crossing import to_array, to_tensor
from vipe.errors import ShapeError, VipeError
from vipe.index import PoseIndex
from vipe.lift import Hypotheses
from vipe.retrieve.candidates.pose_lists import PoseLists
from vipe.retrieve.shipped import ShippedNumbers

EXACT = 100_000
"""Rows up to which each is compared with every hypothesis; beyond, those of the nearest lists (`PoseLists`)."""

_SAME = 0.02  # torso lengths: hypotheses that are nearer count as one
_USUAL_SPACING = 0.15  # torso lengths: of 200 hypotheses of a person who is seen whole
_COMPARED = 8_192  # rows of a large archive
_AT_ONCE = 4096  # rows
_JOINTS = 17


@dataclass(frozen=True, kw_only=True)
class HypothesisKernel(ShippedNumbers):
    """How probable it is that a frame is right, if a hypothesis at some distance from it is what a lifter believes.

    At a root mean square distance d of the joints of two canonical poses, torso lengths, the probability that the true
    pose lies within 0.1 of the frame is expit((reach - d) / scale). A few hundred hypotheses are few for a pose that is
    wide open, so both grow with their spacing h, the median distance of a hypothesis from the nearest other one:

        reach = offset + reach_by_spacing h,   scale = scale_by_spacing h

    The three numbers are fitted on `val` clips (`benchmarks/hypothesis_kernel.py`).

    Raises:
        VipeError: If `scale_by_spacing` is not above 0.
    """

    shipped: ClassVar[str] = "candidates/hypotheses.json"
    broken: ClassVar[str] = "does not say how far hypotheses reach"

    offset: float  # torso lengths
    reach_by_spacing: float
    scale_by_spacing: float
    made: str  # by which command, from which data

    def __post_init__(self) -> None:
        if not self.scale_by_spacing > 0:
            raise VipeError(f"hypotheses: scale_by_spacing must be above 0, got {self.scale_by_spacing}")

    def __call__(self, distance: Float[Tensor, "*shape"], spacing: float) -> Float[Tensor, "*shape"]:
        """The probability at distances from hypotheses of a spacing."""
        reach = self.offset + self.reach_by_spacing * spacing
        return torch.sigmoid((reach - distance) / (self.scale_by_spacing * spacing))


def spacing_of(points: Float32[Tensor, "M 51"]) -> float:
    """Median distance of a hypothesis from the nearest other one; that of a usual lifter where there is only one."""
    if len(points) < 2:
        return _USUAL_SPACING
    between = distances(points, points)
    between.fill_diagonal_(torch.inf)
    return max(float(between.amin(dim=1).median()), _SAME)


class NearHypotheses(NamedTuple):
    """K rows of an index for each of Q people, the most probable first; -1 is an empty place."""

    rows: Int64[Array, "Q K"]
    probability: Float32[Array, "Q K"]  # that a row is within 0.1 of the true pose; 0 in empty places
    distance: Float32[Array, "Q K"]  # from the nearest hypothesis, root mean square over joints, torso lengths
    presence: Float32[Array, " Q"]  # that any row is


def near_hypotheses(
    index: PoseIndex,
    hypotheses: Hypotheses,
    k: int,
    allowed: Int64[Array, " M"] | None = None,
    kernel: HypothesisKernel | None = None,
) -> NearHypotheses:
    """Rank an archive by a lifter's hypotheses: each frame by its probability under their mixture, not by votes.

    p(frame) = sum_m w_m expit((reach - d_m) / scale), with d_m the distance of the frame from hypothesis m, both
    canonical; reach and scale are those of `HypothesisKernel`. No camera is fitted, and the keypoints take part through
    the lifter alone: so people with four seen keypoints can be searched for. The presence is sum_m w_m of the nearest
    row's kernel.

    Equal hypotheses are one. Up to `EXACT` rows each is compared with each hypothesis. Beyond, the archive is kept in
    lists of similar poses, made at the first search, and 8,192 rows of the lists nearest to the mixture are compared.
    Of 30,000 poses, 2,000 such rows hold 98 of 100 of the ten most probable ones.

    Args:
        index: The archive, of any encoder.
        hypotheses: Of Q people.
        k: How many rows of each person; fewer where fewer are compared.
        allowed: Only these rows, ascending.
        kernel: Otherwise the one that comes with the library.

    Returns:
        Rows of equal probability come by distance.

    Raises:
        ShapeError: If a person has no hypothesis.
        VipeError: If `k` is below 1.
    """
    if k < 1:
        raise VipeError(f"k must be at least 1, got {k}")
    people, each = hypotheses.poses.shape[:2]
    if not each:
        raise ShapeError("each person needs a hypothesis at least, got none")
    kernel = kernel or HypothesisKernel.default()
    every = np.arange(len(index)) if allowed is None else allowed
    k = min(k, len(every))
    found = NearHypotheses(
        np.full((people, k), -1, dtype=np.int64),
        np.zeros((people, k), dtype=np.float32),
        np.full((people, k), np.inf, dtype=np.float32),
        np.zeros(people, dtype=np.float32),
    )
    if not k:
        return found
    canonical = to_tensor(hypotheses.canonical().poses, index.device)
    weights = to_tensor(hypotheses.weight, index.device)
    for person, (poses, weight) in enumerate(zip(canonical, weights, strict=True)):
        several, share = _merged(poses, weight.float())
        rows = every if len(every) <= EXACT else _near(index, several, share, allowed)
        probability, distance, found.presence[person] = _judged(index, rows, several, share, kernel)
        best = np.lexsort((distance, -probability))[:k]
        for values, own in zip(found, (rows, probability, distance), strict=False):
            values[person, : len(best)] = own[best]
    return found


def _merged(poses: Float32[Tensor, "M 17 3"], weight: Float32[Tensor, " M"]) -> tuple[Tensor, Tensor]:
    """Hypotheses as points, those at one place as one of all their weight."""
    points = poses.flatten(1)
    alike = distances(points, points) < _SAME
    alike.fill_diagonal_(True)
    first = alike.to(torch.uint8).argmax(dim=1)  # the earliest that is as good as equal
    each = torch.arange(len(points), device=points.device)
    leader = first == each
    first = torch.where(leader[first], first, each)  # a chain of alike ones stays apart
    kept, group = torch.unique(first, return_inverse=True)
    return points[kept], torch.zeros(len(kept), device=points.device).index_add_(0, group, weight)


def _near(
    index: PoseIndex, points: Float32[Tensor, "M 51"], weight: Float32[Tensor, " M"], allowed: Array | None
) -> Int64[Array, " rows"]:
    """Rows of the lists whose centres lie nearest to the mixture, ascending."""
    lists = index.cached(PoseLists)
    near = torch.exp(-(distances(lists.centres, points) / _USUAL_SPACING).square() / 2) @ weight
    return lists.rows(near, _COMPARED, allowed)


def _judged(
    index: PoseIndex,
    rows: Int64[Array, " rows"],
    points: Float32[Tensor, "M 51"],
    weight: Float32[Tensor, " M"],
    kernel: HypothesisKernel,
) -> tuple[Float32[Array, " rows"], Float32[Array, " rows"], float]:
    """Probability and distance of rows, and the probability that any is right."""
    probability, nearest = np.empty((2, len(rows)), dtype=np.float32)
    spacing, least = spacing_of(points), points.new_full((len(points),), torch.inf)
    for block in blocks(len(rows), _AT_ONCE):
        poses = to_tensor(index.poses(rows[block]).reshape(-1, 3 * _JOINTS), points.device)
        distance = distances(poses, points)
        probability[block] = to_array((kernel(distance, spacing) @ weight).clamp_max(1))  # weights sum to nearly 1
        nearest[block] = to_array(distance.amin(dim=1))
        least = torch.minimum(least, distance.amin(dim=0))
    return probability, nearest, min(float(kernel(least, spacing) @ weight), 1.0)


def distances(some: Float32[Tensor, "A 51"], others: Float32[Tensor, "B 51"]) -> Float32[Tensor, "A B"]:
    """Root mean square over the joints of how far they are apart."""
    apart: Float32[Tensor, "A B"] = torch.cdist(some, others) / _JOINTS**0.5
    return apart
