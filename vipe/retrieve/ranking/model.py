"""Log odds that a hit is right, as a sum of named parts: a logistic regression that can be read (numpy)."""

__all__ = [
    "CALIBRATED_BY",
    "CONTRIBUTIONS",
    "HitModel",
    "LogisticModel",
    "RankingModel",
    "calibration_values",
    "contributions_by_group",
]

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy.optimize import minimize
from scipy.special import expit

from vipe.arrays import Array
from vipe.errors import ShapeError
from vipe.retrieve.ranking.features import PARTS, PERSON_PARTS
from vipe.retrieve.shipped import ShippedNumbers

CONTRIBUTIONS = ("likelihood", "misfit", "camera", "build", "agreement", "embedding", "prior", "person", "calibration")
"""What the log odds of a hit is said to be made of: `PARTS` by kind, and what is the same for all of a person's."""

_KINDS = {"residual": "misfit", "affine residual": "misfit", "joints seen": "person", "all": "person"}
_RIDGE = 1.0  # of the standardized coefficients, beside the sum over all examples


@dataclass(frozen=True, kw_only=True)
class LogisticModel:
    """log(p / (1 - p)) = constant + sum over parts of coefficient * (value - middle) / scale."""

    parts: tuple[str, ...]
    middle: tuple[float, ...]
    scale: tuple[float, ...]
    coefficient: tuple[float, ...]
    constant: float

    def __post_init__(self) -> None:
        lengths = {len(self.parts), len(self.middle), len(self.scale), len(self.coefficient)}
        if len(lengths) > 1:
            raise ShapeError(f"odds: parts, middle, scale and coefficient must be of one length, got {sorted(lengths)}")

    def contributions(self, values: Float32[Array, "*any F"]) -> Float32[Array, "*any F"]:
        """What each part adds; with the constant they sum to the log odds."""
        middle, scale, coefficient = (
            np.array(numbers, dtype=np.float32) for numbers in (self.middle, self.scale, self.coefficient)
        )
        return np.asarray((values - middle) / scale * coefficient)

    def __call__(self, values: Float32[Array, "*any F"]) -> Float32[Array, "*any"]:
        """The log odds."""
        return np.asarray(self.contributions(values).sum(axis=-1) + np.float32(self.constant))

    @classmethod
    def learned(
        cls,
        parts: tuple[str, ...],
        values: Float32[Array, "N F"],
        right: Bool[Array, " N"],
        weight: Float[Array, " N"] | None = None,
        rising: tuple[str, ...] = (),
        falling: tuple[str, ...] = (),
    ) -> "LogisticModel":
        """Logistic regression with a small ridge, by L-BFGS on standardized values.

        Args:
            parts: Names of the values.
            values: Examples.
            right: Which of them are.
            weight: How much each example counts; 1 if not given.
            rising: Parts of which more may raise the odds but never lower them.
            falling: The other way round.

        Raises:
            ShapeError: If all examples are right, or none is.
        """
        if right.all() or not right.any():
            raise ShapeError(f"odds cannot be learned from {len(right)} examples of which {int(right.sum())} are right")
        x = values.astype(np.float64)
        middle = x.mean(axis=0)
        scale = np.maximum(x.std(axis=0), 1e-6)
        x = np.column_stack([(x - middle) / scale, np.ones(len(x))])
        sign = np.where(right, 1.0, -1.0)
        weighed = np.ones(len(x)) if weight is None else weight

        def loss(c: Float[Array, " C"]) -> tuple[float, Float[Array, " C"]]:
            margin = sign * (x @ c)
            slope = -(weighed * sign * expit(-margin)) @ x
            ridge = np.append(c[:-1], 0.0)
            return float(
                (weighed * np.logaddexp(0, -margin)).sum() + _RIDGE * (ridge @ ridge) / 2
            ), slope + _RIDGE * ridge

        bounds = [(0.0 if part in rising else None, 0.0 if part in falling else None) for part in (*parts, "constant")]
        found = minimize(
            loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500}
        ).x
        numbers = (tuple(float(f"{value:.5g}") for value in part) for part in (middle, scale, found[:-1]))
        return cls(
            parts=parts,
            middle=next(numbers),
            scale=next(numbers),
            coefficient=next(numbers),
            constant=float(f"{found[-1]:.5g}"),
        )


CALIBRATED_BY = (
    "odds below even",
    "odds above even",
    "best below even",
    "best above even",
    "hits expected",
    "presence",
)
"""What a probability is made of: a candidate's odds and the best of its person's, each in two pieces, the log of the
sum of all their probabilities, and the odds that the pose is there at all."""


@dataclass(frozen=True, kw_only=True)
class HitModel:
    """Whether a candidate lies within some distance of the true pose: odds that rank, and how sure they are."""

    odds: LogisticModel  # over `PARTS`
    calibrated: LogisticModel  # over `CALIBRATED_BY`

    def log_odds(
        self, parts: Float32[Array, "Q S F"], presence: Float32[Array, " Q"]
    ) -> tuple[Float32[Array, "Q S"], Float32[Array, "Q S"]]:
        """The odds that rank, and the log odds of the probability.

        Args:
            parts: Of candidates.
            presence: Log odds that the pose is there at all.
        """
        odds = self.odds(parts)
        return odds, self.calibrated(calibration_values(odds, presence))


def calibration_values(odds: Float32[Array, "Q S"], presence: Float32[Array, " Q"]) -> Float32[Array, "Q S C"]:
    """The values of `CALIBRATED_BY`."""
    best = odds.max(axis=1, keepdims=True)
    expected = np.log(expit(odds).sum(axis=1, keepdims=True))
    pieces = (np.minimum(odds, 0), np.maximum(odds, 0), np.minimum(best, 0), np.maximum(best, 0))
    values = (*pieces, expected, presence[:, None])
    return np.stack([np.broadcast_to(value, odds.shape) for value in values], axis=-1).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class RankingModel(ShippedNumbers):
    """How candidates are ranked, and how sure that is; `ranking.json` holds the one that comes with the library."""

    shipped = "ranking/ranking.json"
    broken = "no ranking model"

    near: HitModel  # that a candidate lies within 0.1 torso of the true pose
    close: HitModel  # within 0.05
    present: LogisticModel  # that any pose searched lies within 0.1; over `PERSON_PARTS`
    made: str  # by what, from what

    def __post_init__(self) -> None:
        asked = (
            (self.near.odds, PARTS),
            (self.close.odds, PARTS),
            (self.present, PERSON_PARTS),
            (self.near.calibrated, CALIBRATED_BY),
            (self.close.calibrated, CALIBRATED_BY),
        )
        for odds, parts in asked:
            if odds.parts != parts:
                different = sorted(set(odds.parts) ^ set(parts)) or ["their order"]
                raise ShapeError(f"ranking: made for other parts than this version has: {different[0]!r}")


def contributions_by_group(
    odds: LogisticModel, values: Float32[Array, "*any F"], log_odds: Float32[Array, "*any"]
) -> Float32[Array, " parts *any"]:
    """The log odds of a probability as a sum by `CONTRIBUTIONS`; the constant counts to the person.

    Args:
        odds: What ranks.
        values: Its parts of each candidate.
        log_odds: After calibration; what that changed is a part of its own.
    """
    added = odds.contributions(values)
    whole = np.zeros((len(CONTRIBUTIONS), *added.shape[:-1]), dtype=np.float32)
    for number, part in enumerate(odds.parts):
        kind = part.split(",")[0].split(":")[0].removesuffix(" of the fit").removesuffix(" within 0.1")
        kind = kind.removesuffix(" within 0.05")
        whole[CONTRIBUTIONS.index(_KINDS.get(kind, kind))] += added[..., number]
    whole[CONTRIBUTIONS.index("person")] += odds.constant
    whole[CONTRIBUTIONS.index("calibration")] = log_odds - whole.sum(axis=0)
    return whole
