"""Every figure of one lifter on one set of photos: errors and calibration of its hypotheses, and the cost (numpy)."""

__all__ = ["Cost", "measure_cost", "score_hypotheses"]

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Shaped

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.evaluate import consistency_metrics as consistency
from vipe.evaluate import distribution_metrics as distribution
from vipe.evaluate import lifting_calibration as calibration
from vipe.evaluate import lifting_metrics as errors
from vipe.evaluate.intervals import bootstrap_interval
from vipe.evaluate.protocols.lifting_report import LiftingScore
from vipe.geometry.bones import with_bone_lengths
from vipe.geometry.canonical import REFERENCE_LENGTHS, REFERENCE_TORSO
from vipe.lift.aggregation import one_pose
from vipe.lift.hypotheses import Hypotheses
from vipe.lift.lifter import Lifter
from vipe.skeletons.working import H36M17

_MILLIMETRES = 1000.0
_FAR = 10.0  # metres: no error of a person's joints is larger
_REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one answer takes on this machine."""

    parameters: int | None  # None of a lifter without a network
    ms_one: float  # one person, all samples in one call
    ms_batch: float  # a person in a batch

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"parameters": self.parameters, "ms_one": self.ms_one, "ms_batch": self.ms_batch}


def score_hypotheses(
    lifter: Lifter,
    people: Keypoints,
    truth: Float[Array, "N 17 3"],
    *,
    name: str,
    condition: str,
    clips: Shaped[Array, " N"],
    actions: Shaped[Array, " N"],
    samples: int = 200,
    seed: int = 0,
    draws: int = 2000,
) -> LiftingScore:
    """Sample a lifter's hypotheses and hold them against the true poses.

    Args:
        lifter: What is scored.
        people: N people as the lifter sees them.
        truth: Their poses: camera space, pelvis at 0, metres of a person with the reference body's torso.
        name: Of the lifter, for the report.
        condition: Of the photos, for the report.
        clips: The clip of each person; intervals resample clips.
        actions: The action of each person.
        samples: Hypotheses of each person, at least 2.
        seed: Of the samples and of the bootstrap.
        draws: Of the bootstrap.
    """
    hypotheses = lifter.sample(people, samples, torch.Generator().manual_seed(seed))
    rng = np.random.default_rng(seed)
    poses = distribution.equally_weighted(hypotheses.poses, hypotheses.log_weight, rng)
    singles = _singles(lifter, people, hypotheses)
    counts = tuple(count for count in errors.HYPOTHESIS_COUNTS if count <= samples)
    error, aligned = errors.mpjpe(poses, truth), errors.p_mpjpe(poses, truth)
    best = errors.best_of(error, counts)

    def mean(values: Float[Array, " N"]) -> float:
        return float(np.mean(values, dtype=np.float64))

    def figure(values: Float64[Array, " N"]) -> dict[str, float]:
        low, high = bootstrap_interval(
            values, clips, generator=np.random.default_rng(seed), draws=draws, span=(0.0, _FAR)
        )
        return {"mean": mean(values) * _MILLIMETRES, "low": low * _MILLIMETRES, "high": high * _MILLIMETRES}

    spread = distribution.spread(poses)
    agreement = consistency.reprojection_pckh(
        poses, people.xy, people.mask, consistency.head_size(truth, people.xy, people.mask)
    )
    return LiftingScore(
        lifter=name,
        condition=condition,
        best={count: figure(values) for count, values in best.items()},
        best_aligned={count: mean(values) * _MILLIMETRES for count, values in errors.best_of(aligned, counts).items()},
        single={key: figure(errors.mpjpe(pose[:, None], truth)[:, 0]) for key, pose in singles.items()},
        single_aligned={
            key: mean(errors.p_mpjpe(pose[:, None], truth)[:, 0]) * _MILLIMETRES for key, pose in singles.items()
        },
        worst=mean(error.max(axis=1)) * _MILLIMETRES,
        universal=_universal(poses, singles, truth, counts),
        pck=mean(errors.pck(poses, truth).max(axis=1)),
        pck_single=mean(errors.pck(singles["predict"][:, None], truth)[:, 0]),
        auc_single=mean(errors.auc(singles["predict"][:, None], truth)[:, 0]),
        cps=mean(errors.cps(poses, truth).max(axis=1)),
        spread={axis: float(spread[:, i].mean()) * _MILLIMETRES for i, axis in enumerate("xyz")},
        reprojection=mean(agreement.mean(axis=1)),
        calibration=_calibration(lifter, people, hypotheses, poses, truth),
        energy=mean(distribution.energy_score(poses, truth)) * _MILLIMETRES,
        symmetry=mean(consistency.mpsse(poses).mean(axis=1)) * _MILLIMETRES,
        consistency=mean(consistency.mpsce(poses)) * _MILLIMETRES,
        actions={
            str(action): {
                "single": mean(errors.mpjpe(singles["predict"][rows][:, None], truth[rows])) * _MILLIMETRES,
                f"best of {counts[-1]}": mean(best[counts[-1]][rows]) * _MILLIMETRES,
                "people": int(rows.sum()),
            }
            for action in np.unique(actions)
            for rows in [actions == action]
        },
        cost=measure_cost(lifter, people, samples).to_json(),
    )


def measure_cost(lifter: Lifter, people: Keypoints, samples: int) -> Cost:
    """Time sampling, on one core: the median of some calls for one person, and one call for up to 64 people."""
    model = getattr(lifter, "model", None)
    parameters = None if model is None else sum(weight.numel() for weight in model.parameters())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        one = [_seconds(lifter, people[:1], samples) for _ in range(_REPEATS + 1)][1:]  # the first one warms up
        many = people[: min(64, len(people))]
        batch = _seconds(lifter, many, samples) / len(many)
    finally:
        torch.set_num_threads(threads)
    return Cost(parameters=parameters, ms_one=round(float(np.median(one)) * 1000, 2), ms_batch=round(batch * 1000, 3))


def _seconds(lifter: Lifter, people: Keypoints, samples: int) -> float:
    start = time.perf_counter()
    lifter.sample(people, samples, torch.Generator().manual_seed(0))
    return time.perf_counter() - start


def _singles(lifter: Lifter, people: Keypoints, hypotheses: Hypotheses) -> dict[str, Float[Array, "N 17 3"]]:
    """One pose a person, by each way that needs no truth."""
    poses, weight = torch.from_numpy(hypotheses.poses), torch.from_numpy(hypotheses.log_weight)
    xy, seen = torch.from_numpy(people.xy.copy()), torch.from_numpy(people.mask.copy())
    found = {
        "predict": lifter.predict(people),
        "mean": one_pose.weighted_mean(poses, weight).numpy(),
        "jpma": one_pose.jpma(poses, xy, seen).numpy(),
        "rpea": one_pose.rpea(poses, xy, seen).numpy(),
    }
    if hypotheses.log_density is not None:
        found["densest"] = one_pose.densest_pose(poses, torch.from_numpy(hypotheses.log_density)).numpy()
    return found


def _universal(
    poses: Float[Array, "N M 17 3"],
    singles: dict[str, Float[Array, "N 17 3"]],
    truth: Float[Array, "N 17 3"],
    counts: tuple[int, ...],
) -> dict[str, float]:
    """Errors with the bones of the reference body in hypotheses and truth: of the pose without the build."""
    goal = _on_reference(truth)
    error = errors.mpjpe(_on_reference(poses), goal)
    best = {f"best of {count}": float(values.mean()) for count, values in errors.best_of(error, counts).items()}
    single = float(errors.mpjpe(_on_reference(singles["predict"])[:, None], goal).mean())
    return {key: value * _MILLIMETRES for key, value in {"single": single, **best}.items()}


def _on_reference(poses: Float[Array, "*batch 17 3"]) -> Float[Array, "*batch 17 3"]:
    lengths = torch.tensor(REFERENCE_LENGTHS) * REFERENCE_TORSO
    moved: Float[Array, "*batch 17 3"] = with_bone_lengths(
        torch.from_numpy(poses), lengths.expand(*poses.shape[:-2], -1), H36M17.parents
    ).numpy()
    return moved


def _calibration(
    lifter: Lifter,
    people: Keypoints,
    hypotheses: Hypotheses,
    poses: Float[Array, "N M 17 3"],
    truth: Float[Array, "N 17 3"],
) -> dict[str, Any]:
    """Calibration errors and curves; the density's only where the lifter has one."""
    radial = calibration.radial_calibration(poses, truth)
    coordinates = calibration.coordinate_calibration(poses, truth)
    found: dict[str, Any] = {
        "ece": radial.ece,
        "area": radial.signed_area,
        "joints_ece": radial.part_ece.tolist(),
        "curve": {"levels": radial.levels.tolist(), "coverage": radial.coverage.tolist()},
        "coordinates_ece": {axis: curve.ece for axis, curve in coordinates.items()},
        "coverage": {
            axis: dict(zip(("50%", "90%"), curve.coverage.tolist(), strict=True))
            for axis, curve in calibration.interval_calibration(poses, truth).items()
        },
    }
    if hypotheses.log_density is not None and lifter.has_density:
        at_truth = lifter.log_prob(people, truth[:, None])[:, 0]
        density = calibration.density_calibration(hypotheses.log_density, at_truth)
        found |= {"hdr_ece": density.ece, "hdr_area": density.signed_area}
    return found
