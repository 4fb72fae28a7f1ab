"""Which of two joints is nearer the camera, and hypotheses ranked by such relations (numpy; torch where it learns).

Sharma et al. 2019, "Monocular 3D Human Pose Estimation by Generation and Ordinal Ranking".
"""

__all__ = [
    "DEAD_BAND",
    "EQUAL",
    "FARTHER",
    "NEARER",
    "SHARPNESS",
    "UNKNOWN",
    "RelationPredictor",
    "depth_relations",
    "oracle_relations",
    "ordinal_scores",
    "predict_relations",
    "rank_by_ordinal",
]

import numpy as np
import torch
from jaxtyping import Float, Int8, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vipe.arrays import Array, blocks, take_columns
from vipe.detections import Keypoints
from vipe.errors import ShapeError, VipeError
from vipe.geometry.canonical import REFERENCE_TORSO
from vipe.lift.condition import FEATURES, Condition
from vipe.lift.hypotheses import Hypotheses
from vipe.lift.lifter import TrainedLifter
from vipe.lift.network import JOINTS
from vipe.lift.views import LiftViews
from vipe.networks.residual import ResidualMLP

NEARER, EQUAL, FARTHER = -1, 0, 1
"""Relations [i, j] of a person: joint i is nearer the camera than joint j, as near, farther."""

UNKNOWN = 2
"""A relation of which nothing is said."""

DEAD_BAND = 1e-3
"""Metres: two joints whose depths differ by no more are equally near; as in the paper's code."""

SHARPNESS = 0.05
"""Of the soft-max. On validation views 0.02 is best for predicted relations and 0.2 for true ones; from 0.1 on,
predicted ones make the pose worse than the plain mean. The paper's code tries 0.1 to 1 on its test data."""

_MOST_POSES = 4096  # compared at a time: their relations take 1 MB
_PAIRS = JOINTS * JOINTS


def rank_by_ordinal(
    hypotheses: Hypotheses,
    relations: Int8[Array, "N 17 17"],
    sharpness: float = SHARPNESS,
    *,
    dead_band: float = DEAD_BAND,
) -> Hypotheses:
    """Weight each hypothesis by the number F_k of relations of depth it agrees with: w_k exp(sharpness F_k), sum 1.

    F_k is that of `ordinal_scores`, w_k the weight that the hypothesis has; samples have equal ones. `mean()` of the
    result is the paper's single pose. At sharpness 0 that is the mean of the hypotheses as they came; at infinity it is
    the mean of those that agree with the most relations.

    Args:
        hypotheses: M for each of N people.
        relations: As `depth_relations` gives them. They may be a person's judgement, or from `predict_relations`.
        sharpness: The paper's temperature, which multiplies scores. The surer the relations, the higher it may be.
        dead_band: Metres at reference size; below it two joints of a hypothesis are equally near.

    Returns:
        The same hypotheses with the new weights, those of the largest weights first.

    Raises:
        ShapeError: If the relations are not (N, 17, 17).
        VipeError: If a relation is none of the four, or the sharpness is negative.

    Reference:
        Sharma et al. 2019, OrdinalScore.
    """
    if not sharpness >= 0:
        raise VipeError(f"sharpness must be at least 0, got {sharpness}")
    score = ordinal_scores(hypotheses, relations, dead_band=dead_band)
    behind = (score - score.max(axis=1, keepdims=True)).astype(np.float64)
    behind = np.multiply(behind, sharpness, out=behind, where=behind < 0)  # not 0 times infinity
    log_weight = torch.from_numpy(hypotheses.log_weight + behind).log_softmax(1).numpy()
    order = np.argsort(-log_weight, axis=1, kind="stable")
    density = hypotheses.log_density
    return Hypotheses(
        poses=take_columns(hypotheses.poses, order),
        log_weight=take_columns(log_weight, order).astype(np.float32),
        log_density=None if density is None else take_columns(density, order),
    )


def ordinal_scores(
    hypotheses: Hypotheses, relations: Int8[Array, "N 17 17"], *, dead_band: float = DEAD_BAND
) -> Int64[Array, "N M"]:
    """F_k: of how many ordered pairs of joints the hypothesis has the relation that is given.

    A joint is as near as itself, whatever is said. Where [i, j] and [j, i] contradict each other the pair counts for no
    hypothesis. Where one of them is `UNKNOWN` the other one holds for both; where both are, the pair counts for none.

    Raises:
        ShapeError: If the relations are not (N, 17, 17).
        VipeError: If a relation is none of the four.
    """
    usable = _consistent(relations, len(hypotheses))
    score = np.empty(hypotheses.poses.shape[:2], dtype=np.int64)
    for rows in blocks(len(score), max(1, _MOST_POSES // max(1, score.shape[1]))):
        found = depth_relations(hypotheses.poses[rows], dead_band)
        score[rows] = (found == usable[rows, None]).sum(axis=(-2, -1))
    return score


def depth_relations(poses: Float[Array, "*batch 17 3"], dead_band: float = DEAD_BAND) -> Int8[Array, "*batch 17 17"]:
    """For each pair of joints, by their z: is joint i nearer than joint j (`NEARER`), as near, or `FARTHER`?

    Args:
        poses: Camera space, z forward; metres.
        dead_band: Metres, the largest difference of joints that are equally near.

    >>> pose = np.zeros((17, 3), np.float32)
    >>> pose[3, 2] = 0.2
    >>> relations = depth_relations(pose)
    >>> int(relations[3, 0]), int(relations[0, 3]), int(relations[0, 1])
    (1, -1, 0)
    """
    depth = poses[..., 2]
    apart = depth[..., :, None] - depth[..., None, :]
    relations: Int8[Array, "*batch 17 17"] = (np.sign(apart) * (np.abs(apart) > dead_band)).astype(np.int8)
    return relations


def oracle_relations(truth: Float[Array, "N 17 3"], dead_band: float = DEAD_BAND) -> Int8[Array, "N 17 17"]:
    """Relations of the true poses, for analysis only: what ranking would give if every relation were known.

    Args:
        truth: Camera space along the ray to each person, metres.
        dead_band: Metres.
    """
    return depth_relations(truth, dead_band)


def predict_relations(lifter: TrainedLifter, keypoints: Keypoints) -> Int8[Array, "N 17 17"]:
    """Relations that a lifter with a `RelationPredictor` finds likeliest, pair by pair; they may contradict.

    Raises:
        VipeError: If the lifter has none.
        ShapeError: If a person cannot be lifted, as `Lifter.sample`.
        SkeletonError: As `Lifter.sample`.
    """
    predictor = getattr(lifter.model, "relations", None)
    if not isinstance(predictor, RelationPredictor):
        raise VipeError(
            f"lifter {lifter.kind!r} cannot give relations of depth for {len(keypoints)} people: it has no predictor "
            "of them; train a cvae with relation_share above 0"
        )
    features = Condition.of(keypoints, next(predictor.parameters()).device).features()
    with torch.inference_mode():
        parts = [predictor.likeliest(features[rows]).cpu().numpy() for rows in blocks(len(features), 512)]
    return np.concatenate(parts) if parts else np.zeros((0, JOINTS, JOINTS), dtype=np.int8)


class RelationPredictor(nn.Module):
    """Relations of depth from keypoints: for each ordered pair of joints the probabilities of nearer, equal, farther.

    The paper's predictor sees the image, and its training was never released. This one sees what lifters see, the
    features of a `Condition`. As in the paper [i, j] and [j, i] are predicted apart: where they contradict each other
    the predictor is not sure.

    Args:
        width: Of the hidden layers.
        blocks: Number of residual blocks.
        dropout: Share of hidden values left out in training.
        dead_band: Metres at reference size, the largest difference of equal depths.
    """

    def __init__(self, *, width: int, blocks: int, dropout: float, dead_band: float = DEAD_BAND) -> None:
        super().__init__()
        self.dead_band = dead_band / REFERENCE_TORSO
        self.net = ResidualMLP(FEATURES, 3 * _PAIRS, width=width, blocks=blocks, dropout=dropout)

    def forward(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch 17 17 3"]:
        """Logits of `NEARER`, `EQUAL`, `FARTHER`, in this order."""
        logits: Tensor = self.net(features)
        return logits.view(-1, JOINTS, JOINTS, 3)

    def likeliest(self, features: Float[Tensor, "batch features"]) -> Int8[Tensor, "batch 17 17"]:
        """The likeliest relation of each pair; a joint is as near as itself."""
        relations = (self(features).argmax(-1) + NEARER).to(torch.int8)
        same = torch.eye(JOINTS, dtype=torch.bool, device=features.device)
        return torch.where(same, relations.new_tensor(EQUAL), relations)

    def losses(self, views: LiftViews) -> dict[str, Tensor]:
        """Cross-entropy of the relations of two different joints, in nats a pair, and how many of them are right."""
        depth = views.poses[..., 2]
        apart = depth[:, :, None] - depth[:, None, :]
        true = (apart.sign() * (apart.abs() > self.dead_band)).long()
        different = ~torch.eye(JOINTS, dtype=torch.bool, device=depth.device)
        logits, goal = self(views.condition.features())[:, different], true[:, different] - NEARER
        right = (logits.argmax(-1) == goal).to(depth.dtype).mean()
        return {"loss": cross_entropy(logits.flatten(0, 1), goal.flatten()), "relations_right": right}


def _consistent(relations: Int8[Array, "N 17 17"], people: int) -> Int8[Array, "N 17 17"]:
    """The relations with `UNKNOWN` where they contradict each other, and 0 on the diagonal."""
    if relations.shape != (people, JOINTS, JOINTS):
        raise ShapeError(f"relations must be ({people}, {JOINTS}, {JOINTS}), got shape {relations.shape}")
    strange = (relations < NEARER) | (relations > UNKNOWN)
    if strange.any():
        person, i, j = (int(index[0]) for index in np.nonzero(strange))
        raise VipeError(
            f"relations: that of joints {i} and {j} of person {person} is {relations[person, i, j]}; expected "
            f"{NEARER} nearer, {EQUAL} equal, {FARTHER} farther or {UNKNOWN} unknown"
        )
    other = np.where(relations == UNKNOWN, UNKNOWN, -relations).swapaxes(-2, -1)
    filled = np.where(relations == UNKNOWN, other, relations)
    usable = np.where((other == UNKNOWN) | (other == filled), filled, UNKNOWN).astype(np.int8)
    usable[:, range(JOINTS), range(JOINTS)] = EQUAL
    return usable
