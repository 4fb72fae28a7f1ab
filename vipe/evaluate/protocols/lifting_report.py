"""What the lifting protocol measured: a score a lifter and condition, as a table and as JSON (numpy)."""

__all__ = ["LiftingReport", "LiftingScore"]

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class LiftingScore:
    """One lifter under one condition; errors in mm of a person with the reference body's torso, 490 mm.

    A figure is a mean with its 95% interval over clips: {"mean", "low", "high"}.
    """

    lifter: str
    condition: str
    best: dict[int, dict[str, float]]  # best of M: mean joint distance
    best_aligned: dict[int, float]  # after similarity alignment
    single: dict[str, dict[str, float]]  # predict, mean, jpma, rpea, and densest where there is a density
    single_aligned: dict[str, float]
    worst: float  # of all samples
    universal: dict[str, float]  # single pose and best of M with the reference body's bones
    pck: float  # of the best hypothesis, within 150 mm
    pck_single: float
    auc_single: float
    cps: float  # mm
    spread: dict[str, float]  # standard deviation of the hypotheses by camera axis, mean over joints, mm
    reprojection: float  # PCKh@0.5 of the hypotheses with the keypoints
    calibration: dict[str, Any]
    energy: float  # energy score of whole poses, mm
    symmetry: float  # MPSSE, mm
    consistency: float  # MPSCE over the hypotheses of a person, mm
    actions: dict[str, dict[str, float]]
    cost: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain values, M as strings."""
        values = asdict(self)
        for name in ("best", "best_aligned"):
            values[name] = {str(count): value for count, value in values[name].items()}
        return values


@dataclass(frozen=True, kw_only=True)
class LiftingReport:
    """Every score of one run of the protocol."""

    protocol: dict[str, Any]
    scores: tuple[LiftingScore, ...]
    queries: int
    clips: int  # of the queries
    seconds: float

    def score(self, lifter: str, condition: str) -> LiftingScore | None:
        """The score of these names, or None where it was not measured."""
        for score in self.scores:
            if (score.lifter, score.condition) == (lifter, condition):
                return score
        return None

    def to_json(self) -> dict[str, Any]:
        """Plain values; `results` goes by lifter and condition."""
        results: dict[str, Any] = {}
        for score in self.scores:
            results.setdefault(score.lifter, {})[score.condition] = score.to_json()
        return {
            "protocol": self.protocol,
            "queries": self.queries,
            "clips": self.clips,
            "seconds": self.seconds,
            "results": results,
        }

    def to_table(self) -> list[list[str]]:
        """Rows of cells, head first; best-of-M stands beside the calibration error."""
        counts = [count for count in self.scores[0].best if count > 1]
        head = ["condition", "lifter", "single", "sample", *(f"best {count}" for count in counts)]
        head += [f"P best {counts[-1]}", "worst", "ECE", "energy", "depth", "reproj.", "ms"]
        rows = []
        for score in sorted(self.scores, key=lambda one: self.protocol["conditions"].index(one.condition)):
            millimetres = [score.single["predict"]["mean"], *(score.best[count]["mean"] for count in (1, *counts))]
            millimetres += [score.best_aligned[counts[-1]], score.worst]
            rows.append(
                [
                    score.condition,
                    score.lifter,
                    *(f"{value:.1f}" for value in millimetres),
                    f"{score.calibration['ece']:.3f}",
                    f"{score.energy:.0f}",
                    f"{score.spread['z']:.0f}",
                    f"{100 * score.reprojection:.1f}",
                    f"{score.cost['ms_one']:.1f}",
                ]
            )
        return [head, *rows]
