"""How sure a search of a small archive is, beside one of thousands of poses (numpy)."""

__all__ = ["ArchiveSize", "SizeEffect"]

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64
from scipy.optimize import minimize
from scipy.special import expit

from vipe.arrays import Array
from vipe.retrieve.ranking.model import Probabilities
from vipe.retrieve.shipped import ShippedNumbers


@dataclass(frozen=True, kw_only=True)
class SizeEffect:
    """Log odds x become (1 + spread * s) x - shift * s in an archive that is smaller by s, in natural logarithms."""

    shift: float
    spread: float

    def applied(self, odds: Float32[Array, "*any"], smaller: float) -> Float32[Array, "*any"]:
        """The log odds in a smaller archive."""
        return np.asarray(odds * np.float32(1 + self.spread * smaller) - np.float32(self.shift * smaller))

    @classmethod
    def learn(cls, odds: Float[Array, " N"], right: Bool[Array, " N"], smaller: Float[Array, " N"]) -> "SizeEffect":
        """The numbers of greatest likelihood; neither is below 0.

        Args:
            odds: Log odds, as ranking models have them.
            right: What came true.
            smaller: By how much the archive of each is smaller.
        """
        sign = np.where(right, 1.0, -1.0)

        def loss(numbers: Float64[Array, " 2"]) -> tuple[float, Float64[Array, " 2"]]:
            margin = sign * ((1 + numbers[1] * smaller) * odds - numbers[0] * smaller)
            slope = -sign * expit(-margin) * smaller
            return float(np.logaddexp(0, -margin).sum()), np.array([-slope.sum(), (slope * odds).sum()])

        found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(0, None)] * 2).x
        return cls(shift=round(float(found[0]), 4), spread=round(float(found[1]), 4))


@dataclass(frozen=True, kw_only=True)
class ArchiveSize(ShippedNumbers):
    """What becomes of log odds in archives of fewer poses than ranking models are learned in.

    Models are learned where thousands of poses compete. Among a hundred the best one stands out, right or not: a hit
    that fits fairly is less likely to be right than it seems, and one that fits well is as likely. Archives of `full`
    poses and more change nothing. `benchmarks/small_archives.py` learns the numbers.
    """

    shipped = "ranking/learned/archive_size.json"
    broken = "does not say how sure searches of small archives are"

    near: SizeEffect  # on hits, within `HIT_THRESHOLD` and within `CLOSE_THRESHOLD`
    presence: SizeEffect
    full: int  # poses
    made: str  # by which command, from which data

    def smaller(self, poses: Int64[Array, "*any"] | int) -> Float64[Array, "*any"]:
        """By how much archives of so many poses are smaller, in natural logarithms; 0 from `full` poses on."""
        return np.asarray(np.log(np.maximum(self.full / np.maximum(poses, 1), 1)))

    def applied(self, odds: Probabilities, poses: int) -> Probabilities:
        """The log odds of a search among so many poses.

        >>> unsure = SizeEffect(shift=0.5, spread=0.0)
        >>> size = ArchiveSize(near=unsure, presence=unsure, full=1000, made="")
        >>> odds = Probabilities(near=np.zeros((1, 1)), close=np.zeros((1, 1)), presence=np.zeros(1))
        >>> size.applied(odds, 1000).near.item(), round(size.applied(odds, 135).near.item(), 2)
        (0.0, -1.0)
        """
        smaller = float(self.smaller(poses))
        near = self.near.applied(odds.near, smaller)
        presence = self.presence.applied(odds.presence, smaller)
        return replace(
            odds,
            near=near,
            close=self.near.applied(odds.close, smaller),
            presence=np.maximum(presence, near.max(axis=1, initial=-np.inf)),
        )
