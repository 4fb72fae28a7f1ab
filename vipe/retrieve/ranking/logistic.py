"""Logistic regression on named features, small enough to be read (numpy)."""

__all__ = ["LogisticModel"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy.optimize import minimize
from scipy.special import expit

from vipe.arrays import Array
from vipe.errors import ShapeError

_RIDGE = 1.0  # of the standardized coefficients, beside the sum over all examples


@dataclass(frozen=True, kw_only=True)
class LogisticModel:
    """log(p / (1 - p)) = intercept + sum over features of coefficient * (value - mean) / scale.

    Raises:
        ShapeError: If the numbers are not as many as the features.
    """

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficient: tuple[float, ...]
    intercept: float

    def __post_init__(self) -> None:
        lengths = {len(self.features), len(self.mean), len(self.scale), len(self.coefficient)}
        if len(lengths) > 1:
            raise ShapeError(
                f"logistic model: features, mean, scale and coefficient must have one length, got {sorted(lengths)}"
            )

    def contributions(self, values: Float32[Array, "*any F"]) -> Float32[Array, "*any F"]:
        """What each feature adds; with the intercept they sum to the log odds."""
        mean, scale, coefficient = (
            np.array(numbers, dtype=np.float32) for numbers in (self.mean, self.scale, self.coefficient)
        )
        return np.asarray((values - mean) / scale * coefficient)

    def __call__(self, values: Float32[Array, "*any F"]) -> Float32[Array, "*any"]:
        """The log odds.

        >>> model = LogisticModel(features=("size",), mean=(2.0,), scale=(0.5,), coefficient=(3.0,), intercept=-1.0)
        >>> float(model(np.float32([2.5])))
        2.0
        """
        return np.asarray(self.contributions(values).sum(axis=-1) + np.float32(self.intercept))

    @classmethod
    def fit(
        cls,
        features: Sequence[str],
        values: Float32[Array, "N F"],
        right: Bool[Array, " N"],
        weight: Float[Array, " N"] | None = None,
        monotone: Sequence[int] | None = None,
    ) -> "LogisticModel":
        """Maximize the likelihood with a small ridge, by L-BFGS on standardized values.

        Args:
            features: Names of the values.
            values: Examples.
            right: Which examples are positive.
            weight: How much each example counts; 1 if not given.
            monotone: For each feature 1 or -1 if its coefficient must have this sign or be 0; 0 for any sign.

        Raises:
            ShapeError: If all examples are right, or none is.
        """
        if right.all() or not right.any():
            raise ShapeError(f"nothing to learn from {len(right)} examples of which {int(right.sum())} are right")
        x = values.astype(np.float64)
        mean = x.mean(axis=0)
        scale = np.maximum(x.std(axis=0), 1e-6)
        x = np.column_stack([(x - mean) / scale, np.ones(len(x))])
        sign = np.where(right, 1.0, -1.0)
        weighed = np.ones(len(x)) if weight is None else weight

        def loss(c: Float[Array, " C"]) -> tuple[float, Float[Array, " C"]]:
            margin = sign * (x @ c)
            slope = -(weighed * sign * expit(-margin)) @ x
            ridge = np.append(c[:-1], 0.0)
            value = (weighed * np.logaddexp(0, -margin)).sum() + _RIDGE * (ridge @ ridge) / 2
            return float(value), slope + _RIDGE * ridge

        bounds = [
            (0.0 if way > 0 else None, 0.0 if way < 0 else None) for way in (*(monotone or [0] * len(features)), 0)
        ]
        found = minimize(
            loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500}
        ).x
        numbers = [tuple(float(f"{value:.5g}") for value in column) for column in (mean, scale, found[:-1])]
        return cls(
            features=tuple(features),
            mean=numbers[0],
            scale=numbers[1],
            coefficient=numbers[2],
            intercept=float(f"{found[-1]:.5g}"),
        )
