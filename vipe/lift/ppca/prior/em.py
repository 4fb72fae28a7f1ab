"""EM for a mixture of probabilistic PCA: each pass over the rows gives the next mixture in closed form (numpy)."""

__all__ = ["Components", "Fit", "fit_mixture"]

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from vipe.arrays import Array
from vipe.lift.ppca.prior.centres import greedy_centres
from vipe.lift.ppca.prior.gaussian import PPCA
from vipe.lift.ppca.prior.rows import row_blocks

_CANDIDATES = 2000  # rows that the first centres are chosen from: 32 MB of distances
_VANISHED = 1e-12  # of all weight: a component with less has no moments; it stays as it was while its weight fades


@dataclass(frozen=True)
class Components:
    """The Gaussians of a mixture and their weights, which sum to one."""

    weights: Float64[Array, " K"]
    models: tuple[PPCA, ...]

    def log_joint(self, rows: Float[Array, "N D"]) -> Float64[Array, "N K"]:
        """The log of weight_k N_k(row), a block of rows at a time."""
        parts = [self._log_joint(self._offsets(block)) for block, _ in row_blocks(rows)]
        return np.concatenate([np.zeros((0, len(self.models))), *parts])

    def moments(self, rows: Float[Array, "N D"], row_weights: Float64[Array, " N"]) -> "_Moments":
        """The E step: what the rows, given to the components in parts, sum to."""
        moments = _Moments.empty(np.stack([model.mean for model in self.models]))
        for block, weight in row_blocks(rows, row_weights):
            offsets = self._offsets(block)
            joint = self._log_joint(offsets)
            total = logsumexp(joint, axis=1)
            moments.add(offsets, np.exp(joint - total[:, None]) * weight[:, None])
            moments.log_likelihood += float(weight @ total)
        return moments

    def _offsets(self, block: Float64[Array, "n D"]) -> list[Float64[Array, "n D"]]:
        return [block - model.mean for model in self.models]

    def _log_joint(self, offsets: list[Float64[Array, "n D"]]) -> Float64[Array, "n K"]:
        with np.errstate(divide="ignore"):  # a component may have faded to nothing
            log_weights = np.log(self.weights)
        densities = [model.log_prob_of_offsets(offset) for model, offset in zip(self.models, offsets, strict=True)]
        return np.stack(densities, axis=1) + log_weights


@dataclass(frozen=True)
class Fit:
    """A mixture and how EM came to it."""

    components: Components
    log_likelihoods: Float64[Array, " steps"]  # mean over the rows, nats; before each step and after the last
    converged: bool


def fit_mixture(
    rows: Float[Array, "N D"],
    row_weights: Float64[Array, " N"],
    *,
    components: int,
    latent: int,
    min_distance: float,
    floor: float,
    tolerance: float,
    steps: int,
    generator: np.random.Generator,
) -> Fit:
    """Fit a mixture by EM from greedy centres; `MixtureOfPPCA` says what the settings mean.

    Each step raises the log-likelihood or leaves it, since both of its halves are exact under the floor of the noise.
    """
    total = float(row_weights.sum())
    moments = _assigned(rows, row_weights, components, min_distance, generator)
    current: Components | None = None
    log_likelihoods: list[float] = []
    converged = False
    for _ in range(steps + 1):
        current = moments.most_likely(latent, floor, current)
        moments = current.moments(rows, row_weights)
        log_likelihoods.append(moments.log_likelihood / total)
        if len(log_likelihoods) > 1 and log_likelihoods[-1] - log_likelihoods[-2] < tolerance:
            converged = True
            break
    assert current is not None
    return Fit(current, np.array(log_likelihoods), converged)


@dataclass
class _Moments:
    """Sums over rows, each taken from a component's former mean, so that nothing large is subtracted."""

    origin: Float64[Array, "K D"]
    mass: Float64[Array, " K"]
    first: Float64[Array, "K D"]
    second: Float64[Array, "K D D"]
    log_likelihood: float = 0.0

    @classmethod
    def empty(cls, origin: Float64[Array, "K D"]) -> "_Moments":
        count, size = origin.shape
        return cls(origin, np.zeros(count), np.zeros((count, size)), np.zeros((count, size, size)))

    def add(self, offsets: list[Float64[Array, "n D"]], shares: Float64[Array, "n K"]) -> None:
        """Add rows, of each its share in each component."""
        self.mass += shares.sum(axis=0)
        for k, offset in enumerate(offsets):
            self.first[k] += shares[:, k] @ offset
            scaled = offset * np.sqrt(shares[:, k])[:, None]
            self.second[k] += scaled.T @ scaled

    def most_likely(self, latent: int, floor: float, former: Components | None) -> Components:
        """The M step: weights, means, bases and noise of greatest likelihood for these sums."""
        models: list[PPCA] = []
        for k, mass in enumerate(self.mass):
            if former is not None and mass <= _VANISHED * self.mass.sum():
                models.append(former.models[k])
                continue
            shift = self.first[k] / mass
            covariance = self.second[k] / mass - np.outer(shift, shift)
            models.append(PPCA.of_moments(self.origin[k] + shift, covariance, latent, floor))
        return Components(self.mass / self.mass.sum(), tuple(models))


def _assigned(
    rows: Float[Array, "N D"],
    row_weights: Float64[Array, " N"],
    components: int,
    min_distance: float,
    generator: np.random.Generator,
) -> _Moments:
    """The rows given whole to the nearest of greedy centres."""
    some = np.arange(len(rows))
    if len(rows) > _CANDIDATES:
        some = generator.choice(len(rows), size=_CANDIDATES, replace=False)
    candidates = rows[some].astype(np.float64)
    centres = candidates[greedy_centres(candidates, row_weights[some], components, least_distance=min_distance)]
    moments = _Moments.empty(centres)
    for block, weight in row_blocks(rows, row_weights):
        nearest = np.argmin(cdist(block, centres), axis=1)
        shares = np.zeros((len(block), len(centres)))
        shares[np.arange(len(block)), nearest] = weight
        moments.add([block - centre for centre in centres], shares)
    return moments
